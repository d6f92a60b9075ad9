//! Metrics as JSON, for the page.

use prometheus::proto::{Metric, MetricFamily, MetricType};
use serde_json::{Map, Value, json};

/// By their names: a list of what each row says of itself, with its value; of histograms the count and the sum.
pub fn rows(families: &[MetricFamily]) -> Map<String, Value> {
    let of_family = |family: &MetricFamily| {
        let kind = family.get_field_type();
        let rows = family.get_metric().iter().map(|metric| row(metric, kind));
        (family.name().to_owned(), rows.collect())
    };
    families.iter().map(of_family).collect()
}

fn row(metric: &Metric, kind: MetricType) -> Value {
    let labels = metric.get_label().iter().map(|label| (label.name().to_owned(), Value::from(label.value())));
    let mut row: Map<_, _> = labels.collect();
    match kind {
        MetricType::COUNTER => drop(row.insert("value".into(), metric.get_counter().get_value().into())),
        MetricType::GAUGE => drop(row.insert("value".into(), metric.get_gauge().get_value().into())),
        MetricType::HISTOGRAM => {
            let histogram = metric.get_histogram();
            row.insert("count".into(), histogram.get_sample_count().into());
            row.insert("sum".into(), histogram.get_sample_sum().into());
        }
        MetricType::SUMMARY | MetricType::UNTYPED => {}
    }
    json!(row)
}
