//! Checks the files in `deploy/`, so that mistakes in them do not first appear in an installation.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is its failure")]

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The longest that a drain takes by default (`drain-timeout`), in seconds. A service manager that kills sooner cuts it.
const DRAIN_SECONDS: u64 = 30;
/// `max-tunnels` by default; each has a socket on both sides.
const SOCKETS: u64 = 2 * 10_000;

#[test]
fn the_systemd_unit_starts_reloads_and_keeps_the_proxy_up() {
    let unit = unit();
    let service = |key: &str| unit.get(&format!("Service.{key}")).map(String::as_str);
    assert_eq!(service("ExecStart"), Some("/usr/local/bin/outgate run --config /etc/outgate/outgate.toml"));
    assert_eq!(service("ExecReload"), Some("/bin/kill -HUP $MAINPID"));
    assert_eq!(service("Restart"), Some("always"));
    // Without this systemd gives up after five starts in ten seconds, and with it goes everybody's network.
    assert_eq!(unit.get("Unit.StartLimitIntervalSec").map(String::as_str), Some("0"));
    assert!(number(service("TimeoutStopSec")) > DRAIN_SECONDS);
    assert!(number(service("LimitNOFILE")) > SOCKETS);
    assert_eq!(unit.get("Install.WantedBy").map(String::as_str), Some("multi-user.target"));
}

#[test]
fn the_systemd_unit_confines_the_proxy_and_leaves_it_what_it_needs() {
    let unit = unit();
    let service = |key: &str| unit.get(&format!("Service.{key}")).map(String::as_str);
    for (key, value) in [
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("CapabilityBoundingSet", ""),
        ("StateDirectory", "outgate"),
        ("StateDirectoryMode", "0700"),
        ("ConfigurationDirectory", "outgate"),
    ] {
        assert_eq!(service(key), Some(value), "{key}");
    }
    let families: Vec<_> = service("RestrictAddressFamilies").unwrap().split(' ').collect();
    // AF_NETLINK: getifaddrs(3), without which the proxy cannot tell its own addresses.
    assert_eq!(families, ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK"]);
}

#[test]
fn systemd_itself_accepts_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outgate.service");
    // systemd looks whether the program is there, and on the machine that tests it is not.
    let text = read("systemd/outgate.service").replace("/usr/local/bin/outgate", env!("CARGO_BIN_EXE_outgate"));
    std::fs::write(&path, text).unwrap();
    let analyze = |arguments: &[&str]| run(Command::new("systemd-analyze").args(arguments).arg(&path));
    let Some(verified) = analyze(&["verify", "--man=no", "--recursive-errors=no"]) else {
        println!("skipped: no systemd-analyze on this machine");
        return;
    };
    assert!(verified.status.success() && verified.stderr.is_empty(), "{}", shown(&verified));
    // In tenths of systemd's 0.0 (confined) to 10.0 (not at all). Its own network is what such a service must keep.
    let security = analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"]).unwrap();
    assert!(security.status.success(), "{}", shown(&security));
}

#[test]
fn the_launchd_job_starts_and_keeps_the_proxy_up() {
    let Some(job) = launchd_job() else {
        println!("skipped: no python3 on this machine to read a property list with");
        return;
    };
    assert_eq!(job["Label"], "outgate.proxy");
    assert_eq!(
        job["ProgramArguments"],
        serde_json::json!(["/usr/local/bin/outgate", "run", "--config", "/usr/local/etc/outgate/outgate.toml"])
    );
    assert_eq!(job["RunAtLoad"], true);
    assert_eq!(job["KeepAlive"], true);
    assert_eq!(job["UserName"], "_outgate");
    assert!(job["ExitTimeOut"].as_u64().unwrap() > DRAIN_SECONDS);
    for limits in ["SoftResourceLimits", "HardResourceLimits"] {
        assert!(job[limits]["NumberOfFiles"].as_u64().unwrap() > SOCKETS, "{limits}");
    }
    assert_eq!(job["Umask"], 0o077);
    let log = Path::new(job["StandardErrorPath"].as_str().unwrap());
    assert_eq!(log.parent(), job["WorkingDirectory"].as_str().map(Path::new));
}

#[test]
fn the_shipped_configurations_fit_the_services_that_start_with_them() {
    let unit = unit();
    let credential = unit.get("Service.LoadCredential").unwrap().split_once(':').unwrap();
    for (file, token, state) in [
        ("systemd/outgate.toml", format!("/run/credentials/outgate.service/{}", credential.0), "/var/lib/outgate/"),
        ("launchd/outgate.toml", "/usr/local/etc/outgate/admin.token".to_owned(), "/usr/local/var/outgate/"),
    ] {
        let config: toml::Table = read(file).parse().unwrap();
        assert_eq!(config["admin"]["token-file"].as_str(), Some(token.as_str()), "{file}");
        assert!(config["record"]["jsonl"].as_str().unwrap().starts_with(state), "{file}");
        let listeners = config["listen"].as_array().unwrap();
        let addresses = listeners.iter().map(|listener| &listener["address"]).chain([&config["admin"]["address"]]);
        for address in addresses {
            let address: std::net::SocketAddr = address.as_str().unwrap().parse().unwrap();
            assert!(address.ip().is_loopback(), "{file}: {address}");
        }
    }
}

/// The unit's assignments by `Section.Key`. Fails on what systemd would only warn of: a line that is no assignment, a
/// key outside a section, a key that occurs twice (blanks join the values of the one key that may).
fn unit() -> BTreeMap<String, String> {
    let mut section = None;
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    for line in read("systemd/outgate.service").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            assert!(["Unit", "Service", "Install"].contains(&name), "unknown section {line}");
            section = Some(name.to_owned());
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("no assignment: {line}"));
        let key = format!("{}.{key}", section.as_deref().unwrap_or_else(|| panic!("outside a section: {line}")));
        match keys.get_mut(&key) {
            None => drop(keys.insert(key, value.to_owned())),
            Some(before) if key == "Service.SystemCallFilter" => *before = format!("{before} {value}"),
            Some(_) => panic!("{key} occurs twice"),
        }
    }
    keys
}

/// The property list as JSON; none where nothing can read it.
fn launchd_job() -> Option<Value> {
    let script = "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
    let output = run(Command::new("python3").args(["-c", script]).arg(deploy("launchd/outgate.proxy.plist")))?;
    assert!(output.status.success(), "{}", shown(&output));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// What a tool answers; none if this machine does not have it.
fn run(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{command:?}: {error}"),
    }
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn number(value: Option<&str>) -> u64 {
    value.unwrap().parse().unwrap()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(deploy(file)).unwrap()
}

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}
