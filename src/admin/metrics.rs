//! What a scrape returns: the metrics of records and sinks, of the policy in force, and of this process.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Encoder, Gauge, GaugeVec, IntCounterVec, IntGauge, TextEncoder};

use super::process;
use crate::record::{Family, FamilyKind};
use crate::store::Store;
use crate::{record, sink};

const INFO: Family = Family {
    name: "outgate_policy_info",
    kind: FamilyKind::Gauge,
    help: "The policy in force; always 1.",
    labels: &["name", "revision", "source"],
    details: "",
};
const RULES: Family = Family {
    name: "outgate_policy_rules",
    kind: FamilyKind::Gauge,
    help: "Rules of the policy in force; a list counts as one.",
    labels: &[],
    details: "",
};
const LOADED: Family = Family {
    name: "outgate_policy_loaded_timestamp_seconds",
    kind: FamilyKind::Gauge,
    help: "When the policy in force was loaded.",
    labels: &[],
    details: "In seconds since 1970.",
};
const RELOADS: Family = Family {
    name: "outgate_policy_reloads_total",
    kind: FamilyKind::Counter,
    help: "Reloads by result.",
    labels: &["result"],
    details: "`ok` and `error`.",
};
const LAST_RELOAD: Family = Family {
    name: "outgate_policy_last_reload_successful",
    kind: FamilyKind::Gauge,
    help: "Whether the last reload succeeded: 1, or 0 while the old policy stays in force after a failed reload.",
    labels: &[],
    details: "",
};
const SELFTEST: Family = Family {
    name: "outgate_selftest_ok",
    kind: FamilyKind::Gauge,
    help: "Whether every listener denied, when it was last asked, what it must always deny: 1 or 0.",
    labels: &[],
    details: "0 also before the first self-test.",
};
const BUILD: Family = Family {
    name: "outgate_build_info",
    kind: FamilyKind::Gauge,
    help: "The program; always 1.",
    labels: &["version"],
    details: "",
};
const CONFIGURATION: Family = Family {
    name: "outgate_configuration_changed",
    kind: FamilyKind::Gauge,
    help: "Whether the configuration file is another than this process started with: 1 or 0. A restart applies it.",
    labels: &[],
    details: "0 also where there is no file.",
};
/// The metrics of the policy and the program, in the order of the reference.
pub(crate) const FAMILIES: [Family; 8] = [INFO, RULES, LOADED, RELOADS, LAST_RELOAD, SELFTEST, CONFIGURATION, BUILD];

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
    configuration: IntGauge,
}

impl Registry {
    /// Every metric of this program.
    ///
    /// # Errors
    /// A name is used twice: a defect of this program.
    pub fn new(records: record::Metrics, sinks: sink::Metrics) -> prometheus::Result<Self> {
        let registry = prometheus::Registry::new();
        registry.register(Box::new(records))?;
        registry.register(Box::new(sinks))?;
        let info = GaugeVec::new(INFO.opts(), INFO.labels)?;
        let rules = IntGauge::with_opts(RULES.opts())?;
        let loaded = Gauge::with_opts(LOADED.opts())?;
        let reloads = IntCounterVec::new(RELOADS.opts(), RELOADS.labels)?;
        let last_reload = IntGauge::with_opts(LAST_RELOAD.opts())?;
        let selftest = IntGauge::with_opts(SELFTEST.opts())?;
        let configuration = IntGauge::with_opts(CONFIGURATION.opts())?;
        let build = GaugeVec::new(BUILD.opts(), BUILD.labels)?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        for collector in [
            Box::new(info.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(rules.clone()),
            Box::new(loaded.clone()),
            Box::new(reloads.clone()),
            Box::new(last_reload.clone()),
            Box::new(selftest.clone()),
            Box::new(configuration.clone()),
            Box::new(build),
        ] {
            registry.register(collector)?;
        }
        Ok(Self { registry, info, rules, loaded, reloads, last_reload, selftest, configuration })
    }

    /// The text that a scraper gets.
    pub(super) fn text(&self, store: &Store, is_selftest_ok: bool, is_configuration_changed: bool) -> Vec<u8> {
        self.refresh(store);
        self.selftest.set(i64::from(is_selftest_ok));
        self.configuration.set(i64::from(is_configuration_changed));
        let mut families = self.registry.gather();
        families.extend(process::families());
        let mut out = Vec::new();
        match TextEncoder::new().encode(&families, &mut out) {
            Ok(()) => out,
            // An empty response would look as if everything were zero. This one makes the scrape fail.
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
