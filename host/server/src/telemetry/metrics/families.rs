//! How the families of `vllm:…` are made: with the labels that all of them have, and there from the first scrape on.

use prometheus::core::Collector;
use prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry, Result};

/// Makes families of one engine and one model.
pub(super) struct Families<'a> {
    registry: &'a Registry,
    engine: String,
    model: &'a str,
}

impl<'a> Families<'a> {
    /// Families in `registry`, of the engine of this rank.
    pub(super) fn new(registry: &'a Registry, rank: u32, model: &'a str) -> Self {
        Self { registry, engine: rank.to_string(), model }
    }

    /// A number that goes up and down.
    pub(super) fn int_gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.add(IntGauge::with_opts(self.opts(name, help))?)
    }

    /// A share, or a moment.
    pub(super) fn gauge(&self, name: &str, help: &str) -> Result<Gauge> {
        self.add(Gauge::with_opts(self.opts(name, help))?)
    }

    /// One number for each value of a label.
    pub(super) fn int_gauges<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: [&str; N],
    ) -> Result<[IntGauge; N]> {
        self.labelled(self.opts(name, help), label, values, IntGauge::with_opts)
    }

    /// A number that only grows. The name is the whole one, `_total` included.
    pub(super) fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.add(IntCounter::with_opts(self.opts(name, help))?)
    }

    /// One for each value of a label.
    pub(super) fn counters<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: [&str; N],
    ) -> Result<[IntCounter; N]> {
        self.labelled(self.opts(name, help), label, values, IntCounter::with_opts)
    }

    /// Likewise of the server as a whole, which no engine is named for.
    pub(super) fn counters_of_the_server<const N: usize>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: [&str; N],
    ) -> Result<[IntCounter; N]> {
        let opts = Opts::new(name, help).const_label("model_name", self.model);
        self.labelled(opts, label, values, IntCounter::with_opts)
    }

    /// Counts of what was observed, by these upper bounds.
    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
        let opts = HistogramOpts { common_opts: self.opts(name, help), buckets: buckets.to_vec() };
        self.add(Histogram::with_opts(opts)?)
    }

    /// 1, with everything that there is to know in the labels.
    pub(super) fn info<'b>(
        &self,
        name: &str,
        help: &str,
        labels: impl IntoIterator<Item = (&'b str, String)>,
    ) -> Result<()> {
        let opts = Opts::new(name, help).const_label("engine", &self.engine);
        let opts = labels.into_iter().fold(opts, |opts, (label, value)| opts.const_label(label, value));
        self.add(IntGauge::with_opts(opts)?).map(|info| info.set(1))
    }

    /// One series for each value of a label.
    fn labelled<C: Collector + Clone + 'static, const N: usize>(
        &self,
        opts: Opts,
        label: &str,
        values: [&str; N],
        make: fn(Opts) -> Result<C>,
    ) -> Result<[C; N]> {
        let series = values.into_iter().map(|value| self.add(make(opts.clone().const_label(label, value))?));
        let series = series.collect::<Result<Vec<_>>>()?;
        series.try_into().map_err(|_| prometheus::Error::Msg("as many as there are values".into()))
    }

    fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_label("engine", &self.engine).const_label("model_name", self.model)
    }

    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        add(self.registry, Ok(collector))
    }
}

/// Registers a family, if it was made.
pub(super) fn add<C: Collector + Clone + 'static>(registry: &Registry, family: Result<C>) -> Result<C> {
    let family = family?;
    registry.register(Box::new(family.clone())).map(|()| family)
}
