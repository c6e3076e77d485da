//! How a metric is declared: once, for the scrape and for the reference page.

use std::collections::HashMap;

use prometheus::Opts;
use prometheus::core::Desc;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::histogram::HistogramSum;

/// One metric: every series of one name.
#[derive(Debug)]
pub(crate) struct Family {
    /// Its name, with its unit as Prometheus writes it.
    pub(crate) name: &'static str,
    pub(crate) kind: FamilyKind,
    /// What it counts or measures, in one sentence: the scrape's `HELP`.
    pub(crate) help: &'static str,
    /// The names of its labels.
    pub(crate) labels: &'static [&'static str],
    /// What else to know of it, for the reference: values of labels, what its sum agrees with.
    pub(crate) details: &'static str,
}

/// What Prometheus may do with a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FamilyKind {
    Counter,
    Gauge,
    Histogram,
}

impl Family {
    /// What the registry wants to know of it.
    pub(crate) fn description(&self) -> Option<Desc> {
        let labels = self.labels.iter().map(ToString::to_string).collect();
        Desc::new(self.name.into(), self.help.into(), labels, HashMap::new()).ok()
    }

    /// The same for metrics that the library keeps.
    pub(crate) fn opts(&self) -> Opts {
        Opts::new(self.name, self.help)
    }

    /// All its series.
    pub(crate) fn of(&self, series: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.into());
        family.set_help(self.help.into());
        family.set_field_type(self.kind.into());
        family.set_metric(series);
        family
    }

    /// One series of a counter, with the values of its labels in their order.
    pub(crate) fn counter(&self, labels: &[&str], count: u64) -> Metric {
        let pairs = self.labels.iter().zip(labels).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).into());
            pair.set_value((*value).into());
            pair
        });
        let mut metric = Metric::from_label(pairs.collect());
        metric.set_counter(counter_of(as_f64(count)));
        metric
    }

    /// A counter or a gauge without labels.
    pub(crate) fn single(&self, value: f64) -> MetricFamily {
        let mut metric = Metric::default();
        match self.kind {
            FamilyKind::Counter => metric.set_counter(counter_of(value)),
            FamilyKind::Gauge | FamilyKind::Histogram => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        self.of(vec![metric])
    }

    /// A counter or a gauge without labels, of a whole number.
    pub(crate) fn whole(&self, value: u64) -> MetricFamily {
        self.single(as_f64(value))
    }

    /// A histogram without labels.
    pub(super) fn histogram(&self, sum: &HistogramSum) -> MetricFamily {
        let buckets = sum.cumulative().map(|(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(sum.count());
        histogram.set_sample_sum(sum.seconds());
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        self.of(vec![metric])
    }
}

impl FamilyKind {
    /// Its name in the exposition format.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl From<FamilyKind> for MetricType {
    fn from(kind: FamilyKind) -> Self {
        match kind {
            FamilyKind::Counter => Self::COUNTER,
            FamilyKind::Gauge => Self::GAUGE,
            FamilyKind::Histogram => Self::HISTOGRAM,
        }
    }
}

fn counter_of(value: f64) -> Counter {
    let mut counter = Counter::default();
    counter.set_value(value);
    counter
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus has only f64, which is exact to 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
