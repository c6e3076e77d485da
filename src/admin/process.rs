//! The usual metrics of a process, from what the kernel says about this one.
//!
//! Written here because the metrics library's own collector brings a second copy of three crates for these six numbers. Where
//! there is no `/proc` (macOS) there are none.

use prometheus::proto::MetricFamily;

use crate::record::{Family, FamilyKind};

const CPU: Family = plain("process_cpu_seconds_total", FamilyKind::Counter, "User and system time spent.");
const START: Family =
    plain("process_start_time_seconds", FamilyKind::Gauge, "When the process began, in seconds since 1970.");
const VIRTUAL: Family = plain("process_virtual_memory_bytes", FamilyKind::Gauge, "Virtual memory.");
const RESIDENT: Family = plain("process_resident_memory_bytes", FamilyKind::Gauge, "Resident memory.");
const OPEN_FILES: Family = plain("process_open_fds", FamilyKind::Gauge, "Open file descriptors.");
const MAX_FILES: Family = plain("process_max_fds", FamilyKind::Gauge, "File descriptors that may be open.");
/// Every metric of the process, named as Prometheus's clients name them.
pub(crate) const FAMILIES: [Family; 6] = [CPU, START, VIRTUAL, RESIDENT, OPEN_FILES, MAX_FILES];

const fn plain(name: &'static str, kind: FamilyKind, help: &'static str) -> Family {
    Family { name, kind, help, labels: &[], details: "On Linux only." }
}

/// Their values now.
#[cfg(not(target_os = "linux"))]
pub(super) fn families() -> Vec<MetricFamily> {
    Vec::new()
}

/// Their values now.
#[cfg(target_os = "linux")]
pub(super) fn families() -> Vec<MetricFamily> {
    linux::families().unwrap_or_default()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use prometheus::proto::MetricFamily;
    use rustix::param::{clock_ticks_per_second, page_size};
    use rustix::process::{Resource, getrlimit};

    use super::{CPU, MAX_FILES, OPEN_FILES, RESIDENT, START, VIRTUAL};

    /// Fields of `/proc/self/stat` (proc_pid_stat(5)), counted from the parenthesis that closes the command.
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
        // One less: reading the folder opens it.
        let files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
        let limit = getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |limit| limit as f64);
        Some(vec![
            CPU.single((field(UTIME) + field(STIME)) / ticks),
            START.single(boot as f64 + field(STARTTIME) / ticks),
            VIRTUAL.single(field(VSIZE)),
            RESIDENT.single(field(RSS) * page_size() as f64),
            OPEN_FILES.single(files as f64),
            MAX_FILES.single(limit),
        ])
    }
}
