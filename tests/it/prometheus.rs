//! Debian's own Prometheus: what it scrapes, what its tools say of our metrics, and of the files in `deploy/`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::clients::tool;
use crate::harness::{Conn, Origin, Port, Proxy, Settings, TOKEN, allow, finish, until, until_equal};

/// What Prometheus allows in a label and a text format may trip over. Control characters no policy may have.
const HOSTILE_NAME: &str = r#"te"st\ n {x="y"} # über 組織 \n \" "#;

/// A Prometheus that runs; ends with its value.
struct Prometheus {
    child: Child,
    dir: TempDir,
    port: Port,
}

impl Prometheus {
    /// With these scrape jobs and the alerts of `deploy/`; none, with a printed reason, where there is no Prometheus.
    fn start(jobs: &str) -> Option<Self> {
        let mut command = tool("prometheus", &["--version"])?;
        let (dir, port) = (TempDir::new().unwrap(), Port::reserve());
        let config = dir.path().join("prometheus.yml");
        fs::write(
            &config,
            format!(
                "global: {{scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}}\n\
                 rule_files: [{:?}]\nscrape_configs:\n{jobs}",
                deploy("prometheus/outgate.rules.yml")
            ),
        )
        .unwrap();
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let child = command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address={}", port.address()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut prometheus = Self { child, dir, port };
        until("Prometheus is ready", || {
            if let Some(status) = prometheus.child.try_wait().unwrap() {
                panic!("Prometheus ended with {status}:\n{}", prometheus.log());
            }
            let mut conn = Conn::over(std::net::TcpStream::connect(prometheus.port.address()).ok()?);
            conn.send("GET /-/ready HTTP/1.1\r\nHost: prometheus.test\r\n\r\n");
            (conn.answer().status() == 200).then_some(())
        });
        Some(prometheus)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The `data` of an answer of its API.
    fn api(&self, path: &str) -> Value {
        let mut conn = Conn::to(self.port.address());
        conn.send(format!("GET /api/v1/{path} HTTP/1.1\r\nHost: prometheus.test\r\n\r\n"));
        let answer = conn.answer();
        assert_eq!(answer.status(), 200, "{path}: {answer}\n{}", self.log());
        answer.json()["data"].clone()
    }

    /// What an expression comes to now: each series' labels and value.
    fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let data = self.api(&format!("query?query={encoded}"));
        let rows = data["result"].as_array().unwrap();
        let value = |row: &Value| row["value"][1].as_str().unwrap().parse().unwrap();
        rows.iter().map(|row| (row["metric"].clone(), value(row))).collect()
    }

    /// The value of an expression that is one series; none while there is none.
    fn number(&self, expression: &str) -> Option<f64> {
        let rows = self.query(expression);
        assert!(rows.len() < 2, "{expression}: {rows:?}");
        rows.first().map(|(_, value)| *value)
    }

    /// Waits until an expression has this value. A scrape that a busy machine makes too slow leaves a hole for a moment.
    fn comes_to(&self, expression: &str, value: f64) {
        until_equal(expression, &Some(value), || self.number(expression));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- what Prometheus wrote\n{}", self.log());
        }
    }
}

fn hostile_policy() -> String {
    allow(&["ok.test:*"]).replace("name = \"test\"", &format!("name = {HOSTILE_NAME:?}"))
}

/// A job that scrapes this proxy, with these additional lines.
fn job(name: &str, proxy: &Proxy, rest: &str) -> String {
    let address = proxy.admin_address();
    format!(
        "- job_name: {name}\n  static_configs: [{{targets: [\"{address}\"], labels: {{instance: {name}}}}}]\n{rest}"
    )
}

/// 17 requests: four by plain HTTP and two tunnels that are allowed, nine denied, two malformed.
fn make_known_requests(proxy: &Proxy, origin: &Origin) {
    let authority = format!("ok.test:{}", origin.port());
    for _ in 0..4 {
        assert_eq!(proxy.get(&format!("http://{authority}/")).status(), 200);
    }
    for _ in 0..2 {
        let mut tunnel = proxy.tunnel(&authority);
        tunnel.send("GET / HTTP/1.1\r\nHost: ok.test\r\n\r\n");
        assert_eq!(tunnel.answer().status(), 200);
        tunnel.half_close();
        tunnel.rest();
    }
    for (destination, times) in [("no.test:443", 5), ("198.51.100.7:443", 3), ("169.254.169.254:80", 1)] {
        for _ in 0..times {
            assert_eq!(proxy.connect(destination).1.status(), 403);
        }
    }
    for _ in 0..2 {
        assert_eq!(proxy.raw("GET http://ok.test/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").all[0].status(), 400);
    }
    proxy.records(17);
}

#[test]
fn a_real_prometheus_counts_what_the_clients_received() {
    let origin = Origin::saying("hello");
    let open = Proxy::with(allow(&["ok.test:*"]));
    let protected = Settings::with(hostile_policy()).admin("protect-metrics = true").start();
    let token = format!("  authorization: {{credentials: {TOKEN}}}\n");
    let jobs = job("outgate", &open, "") + &job("protected", &protected, &token) + &job("locked", &protected, "");
    let Some(prometheus) = Prometheus::start(&jobs) else { return };
    prometheus.comes_to("up{job='outgate'}", 1.0);
    prometheus.comes_to("up{job='protected'}", 1.0);
    prometheus.comes_to("up{job='locked'}", 0.0);
    // What has not happened yet is there, at 0: otherwise `increase` would not see it happen.
    prometheus.comes_to("sum(outgate_requests_total{job='outgate'})", 0.0);

    make_known_requests(&open, &origin);
    prometheus.comes_to("sum(outgate_requests_total{job='outgate'})", 17.0);
    for (expression, value) in [
        ("sum(outgate_requests_total{job='outgate',decision='allow',reason=''})", 6.0),
        ("sum(outgate_requests_total{job='outgate',decision='deny'})", 9.0),
        ("sum(outgate_requests_total{job='outgate',decision='none',reason='malformed_request'})", 2.0),
        ("sum(outgate_requests_total{job='outgate',listener='agent',protocol='connect'})", 11.0),
        ("sum(outgate_denied_destinations_total{job='outgate'})", 9.0),
        ("outgate_denied_destinations_total{job='outgate',destination='no.test:443'}", 5.0),
        ("sum(outgate_requests_total{job='protected'})", 0.0),
        ("outgate_policy_info{job='outgate',name='test',revision='r1'}", 1.0),
        ("outgate_records_total{job='outgate'}", 17.0),
        ("sum(outgate_records_dropped_total{job='outgate',sink=~'buffer|jsonl|sqlite'})", 0.0),
        ("outgate_selftest_ok{job='outgate'}", 1.0),
        ("outgate_policy_last_reload_successful{job='outgate'}", 1.0),
        ("outgate_request_seconds_count{job='outgate'}", 17.0),
        ("outgate_decision_seconds_count{job='outgate'}", 15.0),
        ("outgate_dial_seconds_count{job='outgate'}", 6.0),
        ("outgate_client_hellos_total{job='outgate',result='passed'}", 2.0),
    ] {
        prometheus.comes_to(expression, value);
    }
    until("the policy's name comes back as it went in", || {
        let info = prometheus.query("outgate_policy_info{job='protected'}");
        info.iter().any(|(labels, _)| labels["name"] == HOSTILE_NAME).then_some(())
    });
    until("Prometheus has seen the denials happen", || {
        prometheus.number("sum(increase(outgate_requests_total{job='outgate',decision='deny'}[1m])) > 0")
    });
    for (name, first, last) in [
        ("outgate_decision_seconds", 50e-9, 1e-3),
        ("outgate_dial_seconds", 10e-6, 25.0),
        ("outgate_request_seconds", 25e-6, 14400.0),
    ] {
        let median = format!("histogram_quantile(0.5, sum by (le) ({name}_bucket{{job='outgate'}}))");
        let median = until("there is a median", || prometheus.number(&median));
        assert!(median > first && median < last, "{name}: {median}");
    }
    assert_alert_is_sent(&prometheus);
    assert_dashboard_shows_something(&prometheus);
}

/// The one alert here that needs no time, with its text.
fn assert_alert_is_sent(prometheus: &Prometheus) {
    let alert = until("the alert fires", || {
        let alerts = prometheus.api("alerts");
        let mut alerts = alerts["alerts"].as_array().unwrap().iter();
        alerts.find(|alert| alert["labels"]["alertname"] == "OutgateMetadataAttempt").cloned()
    });
    assert_eq!(alert["labels"]["destination"], "169.254.169.254:80", "{alert}");
    let annotation = |key: &str| alert["annotations"][key].as_str().unwrap().to_owned();
    assert_eq!(annotation("summary"), "A client of outgate on outgate asked for a cloud's metadata service.");
    assert!(annotation("description").starts_with("169.254.169.254:80 hands out "), "{alert}");
}

/// Every expression of the dashboard is about something that there is.
fn assert_dashboard_shows_something(prometheus: &Prometheus) {
    for expression in dashboard_expressions() {
        until(&format!("there is something to show for {expression}"), || {
            (!prometheus.query(&expression).is_empty()).then_some(())
        });
    }
}

#[test]
fn promtool_has_no_complaint_about_our_metrics() {
    let Some(mut first) = promtool(&["check", "metrics"]) else { return };
    let complaint = finish(&mut first, "# TYPE outgate_denied counter\noutgate_denied 1\n");
    assert_ne!(complaint.code, Some(0), "it does complain where there is a reason: {complaint:?}");
    let origin = Origin::saying("hello");
    let proxy = Proxy::with(hostile_policy());
    let check = |when: &str| {
        let text = proxy.admin("GET", "/metrics").text().to_owned();
        let checked = finish(&mut promtool(&["check", "metrics"]).unwrap(), &text);
        assert_eq!((checked.code, &*checked.stdout, &*checked.stderr), (Some(0), "", ""), "{when}: {text}");
        text
    };
    check("fresh");
    make_known_requests(&proxy, &origin);
    // Names that are none, by SOCKS5, where every byte can be said; and some that are.
    let label = "x".repeat(63);
    let long = format!("{label}.{label}.{label}.test");
    let names: [&[u8]; 6] =
        [b"we\"ird\\.test", "büch\u{202e}er.test".as_bytes(), b"new\nline\"} 1\n", b"_x.test", b"\0", long.as_bytes()];
    for name in names {
        let mut client = proxy.client();
        client.send(b"\x05\x01\x00");
        assert_eq!(client.read(2), b"\x05\x00");
        client.send([b"\x05\x01\x00\x03".as_slice(), &[name.len() as u8], name, b"\x01\xbb"].concat());
        assert_ne!(client.read(2)[1], 0);
    }
    proxy.connect("[2001:db8::1]:443");
    proxy.connect("bücher.test:443");
    proxy.records(25);
    let text = check("after all that");
    for shown in ["_x.test:443", "[2001:db8::1]:443", &format!("{long}:443")] {
        assert!(text.contains(&format!("destination=\"{shown}\"")), "{shown}: {text}");
    }
    assert_eq!(text.matches("outgate_denied_destinations_total{").count(), 6, "{text}");
}

#[test]
fn the_shipped_rules_hold_what_their_cases_say() {
    let (rules, cases) = (deploy("prometheus/outgate.rules.yml"), deploy("prometheus/outgate.rules.test.yml"));
    let (text, case_text) = (fs::read_to_string(&rules).unwrap(), fs::read_to_string(&cases).unwrap());
    let alerts: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for part in ["summary: ", "description: "] {
        assert_eq!(text.matches(part).count(), alerts.len(), "each alert has a {part}");
    }
    for alert in &alerts {
        let fires = format!("- {{labels: 'ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"");
        assert!(case_text.contains(&fires), "no case in which {alert} fires");
    }
    let Some(mut check) = promtool(&["check", "rules"]) else { return };
    let checked = finish(check.arg(&rules), "");
    assert!(checked.code == Some(0) && checked.stderr.is_empty(), "{checked:?}");
    let tested = finish(promtool(&["test", "rules"]).unwrap().arg(&cases), "");
    assert_eq!(tested.code, Some(0), "{tested:?}");
    let config = finish(promtool(&["check", "config"]).unwrap().arg(deploy("prometheus/prometheus.yml")), "");
    assert_eq!(config.code, Some(0), "{config:?}");
}

#[test]
fn the_alert_about_metadata_services_knows_those_that_the_proxy_knows() {
    let rules = fs::read_to_string(deploy("prometheus/outgate.rules.yml")).unwrap();
    let source = fs::read_to_string(root().join("src/facts/address.rs")).unwrap();
    let mut known = 0;
    for (list, constructor) in [("METADATA_V4", "Ipv4Addr::new("), ("METADATA_V6", "Ipv6Addr::new(")] {
        let list = source.split(&format!("const {list}:")).nth(1).unwrap().split("];").next().unwrap();
        for arguments in list.split(constructor).skip(1) {
            let arguments = arguments.split(')').next().unwrap().split(", ");
            let pattern = if constructor.starts_with("Ipv4") {
                arguments.collect::<Vec<_>>().join("\\\\.")
            } else {
                let number = |text: &str| u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
                let parts: Vec<u16> = arguments.map(number).collect();
                std::net::Ipv6Addr::from(<[u16; 8]>::try_from(parts).unwrap()).to_string()
            };
            let alternative = ['(', '|'].iter().any(|before| rules.contains(&format!("{before}{pattern}")));
            assert!(alternative, "{pattern} is not in the rules");
            known += 1;
        }
    }
    assert!(known > 10);
}

#[test]
fn rules_and_dashboard_name_only_what_the_proxy_exports() {
    let origin = Origin::saying("hello");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    make_known_requests(&proxy, &origin);
    let exported = proxy.admin("GET", "/metrics").text().to_owned();
    let exported: BTreeSet<&str> = exported.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
    let expressions = dashboard_expressions();
    assert!(expressions.len() > 30, "{}", expressions.len());
    let rules = fs::read_to_string(deploy("prometheus/outgate.rules.yml")).unwrap();
    let rules = rules.lines().filter(|line| line.contains("_total") || line.contains("expr:"));
    let mut named = BTreeSet::new();
    for text in expressions.iter().map(String::as_str).chain(rules) {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
        named.extend(words.filter(|word| word.starts_with("outgate_") || word.starts_with("process_")));
    }
    for name in &named {
        // The process's own numbers come from where only Linux has them.
        assert!(exported.contains(name) || (!cfg!(target_os = "linux") && name.starts_with("process_")), "{name}");
    }
    assert!(named.len() > 20, "{named:?}");
    let Some(mut check) = promtool(&["check", "rules"]) else { return };
    let dir = TempDir::new().unwrap();
    let rule = |(number, expression): (usize, &String)| {
        format!("  - record: expression:{number}\n    expr: {}\n", serde_json::to_string(expression).unwrap())
    };
    let rules: String = expressions.iter().enumerate().map(rule).collect();
    fs::write(dir.path().join("rules.yml"), format!("groups:\n- name: dashboard\n  rules:\n{rules}")).unwrap();
    let checked = finish(check.arg(dir.path().join("rules.yml")), "");
    assert_eq!(checked.code, Some(0), "{checked:?}");
}

/// Every PromQL expression of the dashboard, with Grafana's variables filled in.
fn dashboard_expressions() -> Vec<String> {
    fn collect(value: &Value, into: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(expression)) = fields.get("expr") {
                    into.push(expression.clone());
                }
                fields.values().for_each(|value| collect(value, into));
            }
            Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let dashboard = fs::read_to_string(deploy("grafana/outgate.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let mut expressions = Vec::new();
    // Annotations mark what happens; there need not be any.
    collect(&dashboard["panels"], &mut expressions);
    let fill = |text: &String| {
        let filled = text.replace("$__rate_interval", "1m").replace("$__range", "1h").replace("$instance", ".*");
        assert!(!filled.contains('$'), "a variable that is not filled in: {text}");
        filled
    };
    expressions.iter().map(fill).collect()
}

/// `promtool` with these arguments; none, with a printed reason, where there is none.
fn promtool(arguments: &[&str]) -> Option<Command> {
    let mut command = tool("promtool", &["--version"])?;
    command.args(arguments);
    Some(command)
}

fn deploy(file: &str) -> PathBuf {
    root().join("deploy").join(file)
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
