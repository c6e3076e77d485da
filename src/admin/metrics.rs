//! What is scraped: the record room's metrics, the policy's health, this process.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Encoder, Gauge, GaugeVec, IntCounterVec, IntGauge, Opts, TextEncoder};

use super::process;
use super::selftest::SelfTest;
use crate::store::Store;
use crate::{record, sink};

/// The metrics registry.
#[derive(Debug)]
pub struct Registry {
    registry: prometheus::Registry,
    info: GaugeVec,
    rules: IntGauge,
    loaded: Gauge,
    reloads: IntCounterVec,
    last_reload: IntGauge,
    selftest: IntGauge,
}

impl Registry {
    /// Everything that CONTRACT §7 names, as far as it is built.
    ///
    /// # Errors
    /// A name that stands twice; a defect of this program.
    pub fn new(records: record::Metrics, sinks: sink::Metrics) -> prometheus::Result<Self> {
        let registry = prometheus::Registry::new();
        registry.register(Box::new(records))?;
        registry.register(Box::new(sinks))?;
        let info = GaugeVec::new(
            Opts::new("outgate_policy_info", "The policy in force; always 1."),
            &["name", "revision", "source"],
        )?;
        let rules = IntGauge::new("outgate_policy_rules", "Rules of the policy in force; a list counts as one.")?;
        let loaded = Gauge::new("outgate_policy_loaded_timestamp_seconds", "When the policy in force was loaded.")?;
        let reloads = IntCounterVec::new(Opts::new("outgate_policy_reloads_total", "Reloads by result."), &["result"])?;
        let last_reload = IntGauge::new(
            "outgate_policy_last_reload_successful",
            "Whether what was last read came into force: 1, or 0 while a failed reload leaves the policy before in force.",
        )?;
        let selftest = IntGauge::new(
            "outgate_selftest_ok",
            "Whether every listener denied, when it was last asked, what it must always deny: 1 or 0.",
        )?;
        let build = GaugeVec::new(Opts::new("outgate_build_info", "The program; always 1."), &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        for collector in [
            Box::new(info.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(rules.clone()),
            Box::new(loaded.clone()),
            Box::new(reloads.clone()),
            Box::new(last_reload.clone()),
            Box::new(selftest.clone()),
            Box::new(build),
        ] {
            registry.register(collector)?;
        }
        Ok(Self { registry, info, rules, loaded, reloads, last_reload, selftest })
    }

    /// The text that a scraper gets.
    pub(super) fn text(&self, store: &Store, selftest: &SelfTest) -> Vec<u8> {
        self.refresh(store);
        self.selftest.set(i64::from(selftest.is_ok()));
        let mut families = self.registry.gather();
        families.extend(process::families());
        let mut out = Vec::new();
        match TextEncoder::new().encode(&families, &mut out) {
            Ok(()) => out,
            // An empty answer would read as "all is zero"; this one fails the scrape, which is what it should do.
            Err(error) => format!("# cannot encode: {error}\n!\n").into_bytes(),
        }
    }

    fn refresh(&self, store: &Store) {
        let (policy, status) = (store.current(), store.status());
        self.info.reset();
        self.info.with_label_values(&[policy.name(), policy.revision(), &status.source]).set(1.0);
        self.rules.set(i64::try_from(policy.rule_count()).unwrap_or(i64::MAX));
        self.loaded.set(seconds(status.loaded));
        self.last_reload.set(i64::from(status.error.is_none()));
        for (result, count) in [("ok", status.reloads), ("error", status.failures)] {
            let counter = self.reloads.with_label_values(&[result]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
