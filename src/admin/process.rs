//! The usual metrics of a process, from what the kernel shows of us.
//!
//! Written here because the metrics library's own collector drags in a second copy of three crates for these six
//! numbers. Where there is no `/proc` (macOS) there are none.

use prometheus::proto::MetricFamily;

/// `process_*`, as Prometheus's clients name them.
#[cfg(not(target_os = "linux"))]
pub(super) fn families() -> Vec<MetricFamily> {
    Vec::new()
}

/// `process_*`, as Prometheus's clients name them.
#[cfg(target_os = "linux")]
pub(super) fn families() -> Vec<MetricFamily> {
    linux::families().unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use prometheus::proto::{Counter, Gauge, Metric, MetricFamily, MetricType};
    use rustix::param::{clock_ticks_per_second, page_size};
    use rustix::process::{Resource, getrlimit};

    /// Of `/proc/self/stat` (proc_pid_stat(5)), counted from behind the command's closing parenthesis.
    const UTIME: usize = 11;
    const STIME: usize = 12;
    const STARTTIME: usize = 19;
    const VSIZE: usize = 20;
    const RSS: usize = 21;

    #[expect(clippy::cast_precision_loss, reason = "metrics are floats; these numbers are far below 2^53")]
    pub(super) fn families() -> Option<Vec<MetricFamily>> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<u64> =
            stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let field = |place: usize| fields.get(place).copied().unwrap_or(0) as f64;
        let ticks = clock_ticks_per_second() as f64;
        let boot = fs::read_to_string("/proc/stat").ok()?;
        let boot: u64 = boot.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
        // Less the one that reads the folder.
        let files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
        let limit = getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |limit| limit as f64);
        Some(vec![
            counter("process_cpu_seconds_total", "User and system time spent.", (field(UTIME) + field(STIME)) / ticks),
            gauge("process_start_time_seconds", "When the process began.", boot as f64 + field(STARTTIME) / ticks),
            gauge("process_virtual_memory_bytes", "Virtual memory.", field(VSIZE)),
            gauge("process_resident_memory_bytes", "Resident memory.", field(RSS) * page_size() as f64),
            gauge("process_open_fds", "Open files.", files as f64),
            gauge("process_max_fds", "Files that may be open.", limit),
        ])
    }

    fn gauge(name: &str, help: &str, value: f64) -> MetricFamily {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        let mut metric = Metric::default();
        metric.set_gauge(gauge);
        family(name, help, MetricType::GAUGE, metric)
    }

    fn counter(name: &str, help: &str, value: f64) -> MetricFamily {
        let mut counter = Counter::default();
        counter.set_value(value);
        let mut metric = Metric::default();
        metric.set_counter(counter);
        family(name, help, MetricType::COUNTER, metric)
    }

    fn family(name: &str, help: &str, kind: MetricType, metric: Metric) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(vec![metric]);
        family
    }
}
