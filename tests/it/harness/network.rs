//! A network of a test's own, in a network namespace.

use std::process::Command;

/// Says to a test which one runs in a network of its own.
const INSIDE: &str = "TEST_IN_OWN_NETWORK";

/// Whether the caller is in a network of its own by now, made by this script of the shell (`lo` is up before it). Otherwise
/// the test of this name is run in one, has to succeed there, and the caller has nothing left to do; where there can be no
/// such network it says so, which on CI is a failure.
pub fn in_own_network(test: &str, setup: &str) -> bool {
    if std::env::var(INSIDE).as_deref() == Ok(test) {
        return true;
    }
    let unshared = |script: &str| {
        let mut command = Command::new("unshare");
        command.arg(if rustix::process::geteuid().is_root() { "-n" } else { "-rn" });
        command.args(["sh", "-ec", script]).arg(std::env::current_exe().unwrap());
        command
    };
    if !unshared("ip link set lo up").output().is_ok_and(|output| output.status.success()) {
        assert_ne!(std::env::var("CI_REQUIRE_NETNS").as_deref(), Ok("1"), "a network namespace is required here");
        println!("skipped: `unshare -n` (as root) or `unshare -rn` with `ip` does not work here");
        return false;
    }
    let mut command = unshared(&format!("ip link set lo up\n{setup}\nexec \"$0\" \"$@\""));
    command.args(["--exact", test, "--nocapture"]).env(INSIDE, test);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}
