//! What a process and all its descendants have used, from /proc.

use std::collections::HashMap;
use std::fs;

/// Ticks of /proc/PID/stat a second. Linux converts its internal unit to this one for all programs.
const TICKS: f64 = 100.0;

/// Processor time in seconds, user and system.
pub(crate) fn cpu_seconds(root: Option<u32>) -> f64 {
    let ticks = |pid| {
        let fields = stat(pid).unwrap_or_default();
        // utime, stime, and those of children that have ended and were waited for.
        fields.iter().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>()
    };
    descendants(root).into_iter().map(ticks).sum::<u64>() as f64 / TICKS
}

/// Resident memory in bytes, as it is shown for each process, and with shared pages shared out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) proportional: u64,
}

pub(crate) fn memory(root: Option<u32>) -> Memory {
    let mut sum = Memory::default();
    for pid in descendants(root) {
        let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() * 1024
        };
        sum.resident += field("Rss:");
        sum.proportional += field("Pss:");
    }
    sum
}

/// The fields of /proc/PID/stat after the name.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

fn descendants(root: Option<u32>) -> Vec<u32> {
    let Some(root) = root else { return Vec::new() };
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}
