//! What cannot work is said at once, in a sentence, and nothing is bound.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;

use crate::harness::{Finished, Outgate, Port, policy};

/// Asserts exit code 2 and a sentence that holds all of these, on standard error, without a panic.
fn assert_refused(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code, Some(2), "{finished:#?}");
    assert!(!finished.stderr.contains("panicked") && !finished.stderr.contains("RUST_BACKTRACE"), "{finished:#?}");
    for word in words {
        assert!(finished.stderr.contains(word), "no {word:?} in {finished:#?}");
    }
    for line in finished.stderr.lines() {
        assert!(!line.contains("Os {") && !line.contains("Error("), "a value, no sentence: {line}");
    }
}

/// A configuration with a listener at this port, followed by `rest`.
fn config(port: &Port, rest: &str) -> String {
    let address = port.address();
    format!(
        "[[listen]]\naddress = \"{address}\"\n[policy]\nsource = [\"policy.toml\"]\n[admin]\naddress = \"off\"\n{rest}"
    )
}

#[test]
fn a_bad_configuration_is_refused_with_the_place_and_binds_nothing() {
    let port = Port::reserve();
    let outgate = Outgate::new().file("policy.toml", policy("r1", ""));
    let cases: [(String, &[&str]); 10] = [
        (config(&port, "[limit]\n"), &["outgate.toml:7:", "`limits`"]),
        (config(&port, "[limits]\nhead-timout = \"1s\"\n"), &["outgate.toml:8:1", "`head-timeout`"]),
        (config(&port, "[limits]\nhead-timeout = 10\n"), &["outgate.toml:8:16", "10"]),
        (config(&port, "[limits]\nhead-timeout = \"ten\"\n"), &["outgate.toml:8:16", "ten"]),
        (config(&port, "[parent]\nurl = \"https://proxy.example:3128\"\n"), &["outgate.toml:8:7", "not supported"]),
        (config(&port, "[record\n"), &["outgate.toml:7:"]),
        (config(&port, "").replace("127.0.0.1:", "0.0.0.0:"), &["outgate.toml:2:11", "open = true"]),
        (config(&port, "").replace("127.0.0.1:", "localhost:"), &["outgate.toml:2:11"]),
        (config(&port, "").replace("policy.toml", "http://a.example/p"), &["outgate.toml:4:", "not supported"]),
        (config(&port, "[dns.hosts]\n\"a.test\" = [\"nowhere\"]\n"), &["outgate.toml:8:", "nowhere"]),
    ];
    for (text, words) in cases {
        let outgate = Outgate::new().file("policy.toml", policy("r1", "")).file("outgate.toml", &text);
        assert_refused(&outgate.run(&["run", "--config", "outgate.toml"]), words);
        assert!(TcpStream::connect(port.address()).is_err());
    }
    assert_refused(&outgate.run(&["run", "--config", "nowhere.toml"]), &["nowhere.toml"]);
}

#[test]
fn a_bad_policy_is_refused_at_start() {
    let port = Port::reserve();
    let rule = "[[rule]]\nid = \"one\"\neffect = \"allow\"\nto = [\"a.test\"]\n";
    let cases: [(Vec<u8>, &[&str]); 10] = [
        (Vec::new(), &["policy.toml"]),
        (b"   \n\n".to_vec(), &["policy.toml"]),
        (policy("r1", "alow = []\n").into(), &["policy.toml:6:1", "`allow`"]),
        (policy("r1", "allow = \"a.test\"\n").into(), &["policy.toml:6:9", "[ … ]"]),
        (policy("r1", "enabled = 1\n").into(), &["policy.toml:6:11", "true or false"]),
        (policy("r1", &format!("{rule}{rule}")).into(), &["policy.toml:11:", "one"]),
        (policy("r1", "allow = [\"*.co.uk\"]\n").into(), &["policy.toml:6:10", "*.co.uk"]),
        (b"version = 1\nname = \"\xff\"\n".to_vec(), &["policy.toml", "UTF-8"]),
        (b"{\"version\": 1}".to_vec(), &["policy.toml:1:"]),
        (policy("r1", "[groups]\na = []\n").into(), &["policy.toml:6:", "not supported"]),
    ];
    for (text, words) in cases {
        let outgate = Outgate::new().file("policy.toml", &text).file("outgate.toml", config(&port, ""));
        let finished = outgate.run(&["run", "--config", "outgate.toml"]);
        assert_refused(&finished, words);
        assert!(TcpStream::connect(port.address()).is_err(), "{:?}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn every_mistake_of_a_policy_is_said_at_once() {
    let port = Port::reserve();
    let text = policy("r1", "alow = []\ndeny = [\"*\"]\nenabled = \"no\"\n");
    let outgate = Outgate::new().file("policy.toml", text).file("outgate.toml", config(&port, ""));
    let finished = outgate.run(&["run", "--config", "outgate.toml"]);
    assert_refused(&finished, &["policy.toml:6:1", "policy.toml:7:9", "policy.toml:8:11"]);
}

#[test]
fn a_policy_that_is_no_readable_file_is_refused() {
    let port = Port::reserve();
    let outgate = Outgate::new().file("outgate.toml", config(&port, ""));
    let run = || outgate.run(&["run", "--config", "outgate.toml"]);
    assert_refused(&run(), &["policy.toml"]);
    fs::create_dir(outgate.path("policy.toml")).unwrap();
    assert_refused(&run(), &["policy.toml"]);
    fs::remove_dir(outgate.path("policy.toml")).unwrap();
    fs::write(outgate.path("policy.toml"), policy("r1", "")).unwrap();
    fs::set_permissions(outgate.path("policy.toml"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(outgate.path("policy.toml")).is_ok() {
        println!("skipped: root can read every file");
        return;
    }
    assert_refused(&run(), &["policy.toml"]);
}

#[test]
fn a_list_that_is_not_what_was_written_is_refused() {
    let port = Port::reserve();
    let list = |more: &str| {
        policy("r1", &format!("[[list]]\neffect = \"deny\"\nfile = \"bad.txt\"\ncovers = \"exact\"\n{more}"))
    };
    for (text, content, words) in [
        (list(""), None, &["policy.toml:8:8"][..]),
        (list("lines = 3\n"), Some("a.test\n"), &["policy.toml:10:9", "not 3"]),
        (list(&format!("sha256 = \"{}\"\n", "0".repeat(64))), Some("a.test\n"), &["policy.toml:10:10"]),
        (list(""), Some("a.test\nb test\n"), &["bad.txt:2"]),
        (list(""), Some("a.test\n*.test\n"), &["bad.txt:2"]),
    ] {
        let outgate = Outgate::new().file("policy.toml", &text).file("outgate.toml", config(&port, ""));
        let outgate = match content {
            Some(content) => outgate.file("bad.txt", content),
            None => outgate,
        };
        assert_refused(&outgate.run(&["run", "--config", "outgate.toml"]), words);
    }
}

#[test]
fn a_port_in_use_is_named_and_nothing_else_stays_bound() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let free = Port::reserve();
    for (proxy, admin) in [(free.address(), address), (address, free.address())] {
        let text = format!(
            "[[listen]]\naddress = \"{proxy}\"\n[policy]\nsource = [\"policy.toml\"]\n[admin]\naddress = \"{admin}\"\n"
        );
        let outgate = Outgate::new().file("policy.toml", policy("r1", "")).file("outgate.toml", &text);
        assert_refused(&outgate.run(&["run", "--config", "outgate.toml"]), &[&address.to_string()]);
        assert!(TcpStream::connect(free.address()).is_err());
    }
}

#[test]
fn a_certificate_that_does_not_serve_is_named() {
    let port = Port::reserve();
    let tls = |cert: &str| {
        config(&port, "").replace("[policy]", &format!("tls = {{ cert = \"{cert}\", key = \"k.pem\" }}\n[policy]"))
    };
    for cert in ["nowhere.pem", "c.pem"] {
        let outgate = Outgate::new()
            .file("policy.toml", policy("r1", ""))
            .file("c.pem", "nonsense")
            .file("k.pem", "nonsense")
            .file("outgate.toml", tls(cert));
        assert_refused(&outgate.run(&["run", "--config", "outgate.toml"]), &[cert]);
    }
}

#[test]
fn commands_that_get_nothing_to_work_on_say_so() {
    let outgate = Outgate::new();
    for (arguments, word) in [
        (&["check", "--policy", "nowhere.toml", "a.test:443"][..], "nowhere.toml"),
        (&["policy", "validate", "nowhere.toml"], "nowhere.toml"),
        (&["policy", "validate"], "policy"),
        (&["run", "--policy", "nowhere.toml"], "nowhere.toml"),
    ] {
        assert_refused(&outgate.run(arguments), &[word]);
    }
}
