//! Metrics that are made up, in the place of all that are measured of the engine.

use std::time::Duration;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::config::{FakeMetrics, observations};

/// What was made up, and since when.
pub(super) struct Fake {
    /// What.
    pub(super) metrics: FakeMetrics,
    /// By family, when its number was set: in engine time, after its start.
    since: Vec<(&'static str, Duration)>,
    /// By so much functions of time go on at once.
    interval: Duration,
}

impl Fake {
    /// Set at `now`, but for numbers that `before` has too.
    pub(super) fn new(metrics: FakeMetrics, interval: Duration, now: Duration, before: Option<&Self>) -> Self {
        let since = metrics.gauges.iter().map(|gauge| {
            let kept = before.filter(|before| before.metrics.gauges.contains(gauge));
            (gauge.0, kept.map_or(now, |before| before.since(gauge.0, now)))
        });
        Self { since: since.collect(), metrics, interval }
    }

    fn since(&self, family: &str, now: Duration) -> Duration {
        self.since.iter().find(|(known, _)| *known == family).map_or(now, |(_, since)| *since)
    }

    /// The number of a family at this moment.
    fn number(&self, family: &str, now: Duration) -> Option<f64> {
        let (_, number) = self.metrics.gauges.iter().find(|(known, _)| *known == family)?;
        let elapsed = now.saturating_sub(self.since(family, now));
        let steps = elapsed.as_nanos() / self.interval.as_nanos().max(1);
        let elapsed = Duration::from_nanos(u64::try_from(steps * self.interval.as_nanos()).unwrap_or(u64::MAX));
        let value = number.at(elapsed);
        Some(if family == "vllm:kv_cache_usage_perc" { value } else { value.trunc() })
    }

    /// Puts what was made up into families that measured nothing.
    pub(super) fn put_into(&self, families: &mut [MetricFamily], now: Duration) {
        let FakeMetrics { counters, histograms, ended, loras, .. } = &self.metrics;
        for family in families {
            let name = family.name().to_owned();
            if let Some(value) = self.number(&name, now) {
                set_gauges(family, value);
            }
            if let Some((_, count)) = counters.iter().find(|(family, _)| *family == name) {
                let mut counter = Counter::default();
                counter.set_value(*count as f64);
                family.mut_metric().iter_mut().for_each(|metric| metric.set_counter(counter.clone()));
            }
            if let Some((_, counts)) = histograms.iter().find(|(family, _)| *family == name) {
                family.mut_metric().iter_mut().for_each(|metric| fill(metric, counts));
            }
            match name.as_str() {
                "vllm:num_requests_waiting_by_reason" => {
                    let waiting = self.number("vllm:num_requests_waiting", now).unwrap_or(0.0);
                    // All for the same reason.
                    if let Some(first) = family.mut_metric().first_mut() {
                        set_gauge(first, waiting);
                    }
                }
                "vllm:request_success_total" => count_ended(family, ended),
                "vllm:lora_requests_info" => {
                    if let Some(rows) = loras.as_ref().filter(|rows| !rows.is_empty()) {
                        list_loras(family, rows);
                    }
                }
                _ => {}
            }
        }
    }
}

fn set_gauges(family: &mut MetricFamily, value: f64) {
    family.mut_metric().iter_mut().for_each(|metric| set_gauge(metric, value));
}

fn set_gauge(metric: &mut Metric, value: f64) {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    metric.set_gauge(gauge);
}

/// Each count as that of a bucket, the last one beyond all bounds.
fn fill(metric: &mut Metric, counts: &[u64]) {
    let bounds: Vec<_> = metric.get_histogram().get_bucket().iter().map(Bucket::upper_bound).collect();
    let mut histogram = Histogram::default();
    let mut so_far = 0;
    let buckets = bounds.iter().enumerate().map(|(at, bound)| {
        so_far += counts.get(at).copied().unwrap_or(0);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound);
        bucket.set_cumulative_count(so_far);
        bucket
    });
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(observations(counts, &bounds).map(|(count, value)| count as f64 * value).sum());
    metric.set_histogram(histogram);
}

/// Reasons that the family does not know are added to it.
fn count_ended(family: &mut MetricFamily, ended: &[(String, u64)]) {
    let mut metrics = family.get_metric().to_vec();
    for (reason, count) in ended {
        let is_of =
            |metric: &Metric| metric.get_label().iter().any(|label| label.name() == REASON && label.value() == reason);
        let at = metrics.iter().position(is_of).or_else(|| {
            let mut added = metrics.first()?.clone();
            let mut labels = added.get_label().to_vec();
            let label = labels.iter_mut().find(|label| label.name() == REASON)?;
            label.set_value(reason.clone());
            added.set_label(labels);
            metrics.push(added);
            Some(metrics.len() - 1)
        });
        let mut counter = Counter::default();
        counter.set_value(*count as f64);
        if let Some(at) = at {
            metrics[at].set_counter(counter);
        }
    }
    family.set_metric(metrics);
}

const REASON: &str = "finished_reason";

fn list_loras(family: &mut MetricFamily, rows: &[(String, String, f64)]) {
    debug_assert_eq!(family.get_field_type(), MetricType::GAUGE);
    let Some(usual) = family.get_metric().first().cloned() else { return };
    let row = |(running, waiting, unix_time): &(String, String, f64)| {
        let mut metric = usual.clone();
        let mut labels: Vec<LabelPair> = usual.get_label().to_vec();
        for label in &mut labels {
            match label.name() {
                "running_lora_adapters" => label.set_value(running.clone()),
                "waiting_lora_adapters" => label.set_value(waiting.clone()),
                _ => {}
            }
        }
        metric.set_label(labels);
        set_gauge(&mut metric, *unix_time);
        metric
    };
    family.set_metric(rows.iter().map(row).collect());
}
