//! What the threads of a proxy may have of the processors.

use std::fs;

use crate::harness::{Proxy, allow, until};

/// The niceness of the thread of this name: the 17th field after the name in parentheses (proc(5)).
fn niceness(proxy: &Proxy, name: &str) -> i32 {
    let mut threads = fs::read_dir(format!("/proc/{}/task", proxy.pid())).unwrap().map(|thread| thread.unwrap().path());
    // Another may end meanwhile, and has no name then.
    let is_it = |comm: String| comm.trim() == name;
    let thread = threads.find(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(is_it)).unwrap();
    let stat = fs::read_to_string(thread.join("stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
}

#[test]
fn background_threads_yield_to_requests() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let own = niceness(&proxy, "outgate");
    for name in ["archive", "policy"] {
        // It may not have begun yet.
        until(&format!("{name} gives way"), || (niceness(&proxy, name) > own).then_some(()));
    }
    assert_eq!(["worker-0", "record"].map(|name| niceness(&proxy, name)), [own, own]);
}
