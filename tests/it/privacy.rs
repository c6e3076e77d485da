//! What outgate must never store, show or log, and who can read the rest. docs/privacy.md describes it to the people
//! concerned.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::harness::{Origin, Outgate, Settings, TOKEN, answer, get, hello, in_records, policy, request, rule, until};
use crate::records::COLUMNS;

/// Every secret begins with this; the rest names its place.
const SECRET: &str = "sekret";
/// The same at the beginning of Base64.
const ENCODED: &str = "c2VrcmV0";

/// A strict rule and one that lets any bytes pass, so that the gate handles both.
fn policies(port: u16) -> String {
    let strict = "[[rule]]\nid = \"strict\"\neffect = \"allow\"\nto = [\"also.test:*\"]\n";
    policy("r1", &(rule("ok", &[&format!("ok.test:{port}")]) + strict))
}

/// Requests with a secret in every place that may hold one, well-formed or not.
fn requests(port: u16) -> Vec<String> {
    let ok = format!("ok.test:{port}");
    let fields = [
        "Cookie: id=sekret-cookie",
        "Authorization: Bearer sekret-bearer",
        "Proxy-Authorization: Basic c2VrcmV0LXVzZXI6c2VrcmV0LXBhc3N3b3Jk",
        "Referer: http://ok.test/?sekret-referer",
        "User-Agent: sekret-agent",
        "Via: 1.1 sekret-via",
        "X-Sekret-Name: sekret-value",
        "Connection: close",
    ];
    let mut all = Vec::new();
    for host in [ok.as_str(), "no.test"] {
        let url = format!("http://{host}/kept-path?sekret-query=sekret-query#sekret-fragment");
        all.push(get(&format!("http://{host}/kept-path?sekret-query=sekret-query"), &fields));
        all.push(get(&url, &["Connection: close"]));
        all.push(
            request("POST", &format!("http://{host}/kept-path"), &["Content-Length: 11", "Connection: close"])
                + "sekret-body",
        );
        let chunked = ["Transfer-Encoding: chunked", "Trailer: X-T", "Connection: close"];
        all.push(
            request("PUT", &format!("http://{host}/kept-path"), &chunked)
                + "b;sekret-extension=1\r\nsekret-body\r\n0\r\nX-T: sekret-trailer\r\n\r\n",
        );
        all.push(format!("GET http://sekret-user:sekret-password@{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        all.push(format!("CONNECT sekret-user:sekret-password@{host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        all.push(format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: sekret-connect\r\n\r\n"));
        all.push(format!("GET https://{host}/?sekret-https HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        all.push(format!("GET ftp://{host}/?sekret-scheme HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        all.push(format!("GET http://{host}/?sekret-host HTTP/1.1\r\nHost: sekret-host\r\n\r\n"));
        all.push(format!("GET http://{host}/?sekret-hosts HTTP/1.1\r\nHost: {host}\r\nHost: sekret-hosts\r\n\r\n"));
        all.push(format!("GET http://{host}/?sekret-version HTTP/9.9 sekret-version\r\nHost: {host}\r\n\r\n"));
        all.push(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nsekret no colon\r\n\r\n"));
        all.push(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nX: a\r\n sekret-fold\r\n\r\n"));
        all.push(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nX: sekret\u{1}control\r\n\r\n"));
        all.push(format!(
            "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: sekret\r\n\r\nsekret-length"
        ));
        all.push(format!(
            "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nTransfer-Encoding: sekret\r\n\r\nsekret"
        ));
        all.push(
            request("POST", &format!("http://{host}/"), &["Transfer-Encoding: chunked", "Connection: close"])
                + "sekret-size\r\nsekret",
        );
        all.push(get(&format!("http://{host}/"), &[&format!("X-Large: sekret-{}", "x".repeat(70_000))]));
        let upgrade = [
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Key: sekret",
            "Sec-WebSocket-Protocol: sekret",
        ];
        all.push(get(&format!("http://{host}/?sekret-websocket"), &upgrade));
    }
    for path in ["/proxy.pac", "/.well-known/outgate", "/.well-known/outgate/denials", "/none"] {
        all.push(format!(
            "GET {path}?sekret-own HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: sekret\r\nConnection: close\r\n\r\n"
        ));
    }
    all.push("sekret-nonsense\r\n\r\n".to_owned());
    all.push("GET / HTTP/1.1\nHost: sekret-bare-feed\n\n".to_owned());
    // SOCKS5 with a login (RFC 1929), and SOCKS4 with a user.
    all.push("\u{5}\u{1}\u{2}\u{1}\u{6}sekret\u{6}sekret".to_owned());
    all.push("\u{5}\u{2}\u{0}\u{2}\u{1}\u{6}sekret\u{6}sekret".to_owned());
    all.push("\u{4}\u{1}\u{0}\u{50}\u{7f}\u{0}\u{0}\u{1}sekret-user\u{0}".to_owned());
    all
}

/// A ClientHello with secrets everywhere except in the server's name.
fn talkative_hello(name: &str) -> Vec<u8> {
    let vec16 = |content: &[u8]| [&u16::try_from(content.len()).unwrap().to_be_bytes(), content].concat();
    let vec8 = |content: &[u8]| [&[u8::try_from(content.len()).unwrap()], content].concat();
    let extension = |kind: u16, content: &[u8]| [&kind.to_be_bytes()[..], &vec16(content)].concat();
    let extensions = [
        extension(0, &vec16(&[&[0], vec16(name.as_bytes()).as_slice()].concat())),
        extension(43, &[2, 3, 4]),
        extension(16, &vec16(&vec8(b"sekret-alpn"))),
        extension(35, b"sekret-ticket"),
        extension(0xfe0d, b"sekret-encrypted-hello"),
        extension(44, &vec16(b"sekret-tls-cookie")),
        extension(0x5a5a, b"sekret-grease"),
    ];
    let random = b"sekret-random-0123456789-abcdefg";
    let session = vec8(b"sekret-session");
    let body =
        [&[3, 3], random.as_slice(), &session, &vec16(&[0x13, 1]), &[1, 0], &vec16(&extensions.concat())].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    in_records(&[&[1], &length[1..], body.as_slice()].concat(), 16_000)
}

/// Bytes to begin a tunnel with.
fn beginnings() -> Vec<Vec<u8>> {
    let mut damaged = talkative_hello("also.test");
    damaged.truncate(damaged.len() - 20);
    damaged[4] = 0;
    damaged.extend([0; 40]);
    vec![
        talkative_hello("also.test"),
        talkative_hello("other.test"),
        damaged,
        [hello(Some("also.test")), b"sekret-after".to_vec()].concat(),
        b"GET /?sekret-in-tunnel HTTP/1.1\r\nCookie: sekret\r\n\r\n".to_vec(),
        b"sekret-bytes".to_vec(),
    ]
}

/// Fails if a secret is in it.
fn search(what: &str, bytes: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let found = memchr::memmem::find(bytes, secret.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(300)..(at + 100).min(bytes.len())];
            panic!("{secret:?} is in {what}: …{}…", String::from_utf8_lossy(around));
        }
    }
}

#[test]
fn no_secret_of_a_request_reaches_a_file_the_log_the_api_or_the_metrics() {
    let keys = ["the key of the chain itself", "the key of the hash of clients"];
    let origin = Origin::http(|seen| {
        let head = "HTTP/1.1 200 sekret-phrase\r\nSet-Cookie: sekret-set-cookie\r\nX-Sekret: sekret\r\n";
        match seen.line().contains("/kept-path") {
            true => format!("{head}Content-Length: 13\r\nConnection: close\r\n\r\nsekret-answer").into_bytes(),
            false => answer("502 sekret", &["Location: http://sekret/?sekret-location"], b"sekret"),
        }
    });
    let echo = Origin::echo();
    for format in ["json", "text"] {
        let mut proxy = Settings::with(policies(origin.port()))
            .record("sqlite = \"history.db\"")
            .record("chain-key = \"chain.key\"")
            .record("redact-key = \"redact.key\"")
            .record("redact = [\"client\"]")
            .file("chain.key", keys[0])
            .file("redact.key", keys[1])
            .argument(&format!("--log-format={format}"))
            .limit("head-timeout = \"1s\"")
            .start();
        let requests = requests(origin.port());
        for text in &requests {
            let mut client = proxy.client();
            // The proxy may answer a fault before all bytes are sent.
            let _refused = client.try_send(text);
            let _refused = client.stream().shutdown(std::net::Shutdown::Write);
            client.rest();
        }
        let tunnels = beginnings();
        for bytes in &tunnels {
            let mut tunnel = proxy.tunnel(&format!("also.test:{}", echo.port()));
            let _refused = tunnel.try_send(bytes);
            let _refused = tunnel.stream().shutdown(std::net::Shutdown::Write);
            tunnel.rest();
        }
        for path in [
            "/?token=sekret-token",
            "/v1/check?to=http://sekret-u:sekret-p@no.test/?sekret",
            "/v1/records?host=sekret!",
            "/sekret",
        ] {
            proxy.admin_with("GET", path, &["Authorization: Bearer sekret-token", "Cookie: outgate-dashboard=sekret"]);
            proxy.admin("GET", path);
        }
        proxy.records(requests.len() / 2 + tunnels.len());

        let secrets = [SECRET, ENCODED, "Sekret", TOKEN, keys[0], keys[1]];
        for path in ["/", "/metrics", "/v1/policy", "/v1/denials", "/v1/records?limit=10000", "/readyz", "/proxy.pac"] {
            let shown = proxy.admin("GET", path);
            assert_eq!(shown.status(), 200, "{path}");
            search(path, &shown.body, &secrets);
        }
        let own = proxy.raw(format!(
            "GET /.well-known/outgate/denials HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            proxy.address()
        ));
        search("a client's own denials", &own.only().body, &secrets);
        assert_eq!(proxy.stop(), Some(0));
        let lines = proxy.record_lines().join("\n");
        assert!(lines.contains("/kept-path") && lines.contains("hmac:"), "what is to be there is there");
        for name in ["records.jsonl", "history.db"] {
            search(name, &fs::read(proxy.path(name)).unwrap(), &secrets);
            let report = proxy.path(name);
            let report = crate::harness::Outgate::new().run(&["report", "--format", "html", report.to_str().unwrap()]);
            search("a report", report.stdout.as_bytes(), &secrets);
        }
        search("the log", proxy.output().join("\n").as_bytes(), &secrets);
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn every_record_file_is_private_to_its_owner_with_any_umask() {
    let proxy = Settings::with(policy("r1", ""))
        .umask("000")
        .record("sqlite = \"history.db\"")
        .record("max-size = \"64 KiB\"")
        .record("files = 5")
        .start();
    let mut client = proxy.client();
    for _ in 0..600 {
        client.send(get("http://no.test/", &[]));
        assert_eq!(client.answer().status(), 403);
    }
    let expected = [
        "history.db",
        "history.db-lock",
        "history.db-shm",
        "history.db-wal",
        "records.jsonl",
        "records.jsonl.1",
        "records.jsonl.2.gz",
    ];
    let names = || {
        let all = fs::read_dir(proxy.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut kept: Vec<_> =
            all.filter(|name| name.starts_with("history.db") || name.starts_with("records.")).collect();
        kept.sort();
        kept
    };
    until("all of them are there", || {
        expected.iter().all(|name| names().iter().any(|other| other == name)).then_some(())
    });
    for name in names() {
        // A file that is being renamed also appears under its other name.
        if proxy.path(&name).exists() {
            assert_eq!(mode(&proxy.path(&name)), 0o600, "{name}");
        }
    }
}

#[test]
fn a_file_that_logrotate_or_a_restart_finds_open_to_others_is_closed_before_it_is_used() {
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let mut proxy = Settings::with(policy("r1", "")).record("sqlite = \"history.db\"").start();
    assert_eq!(mode(&proxy.path("admin.token")), 0o600, "the harness made it with mode 644");
    let (live, moved) = (proxy.path("records.jsonl"), proxy.path("records.old"));
    proxy.get("http://no.test/");
    proxy.records(1);
    fs::rename(&live, &moved).unwrap();
    // As logrotate does, with `create 0644`.
    fs::write(&live, "").unwrap();
    set_mode(&live, 0o644);
    proxy.get("http://no.test/");
    proxy.records(1);
    assert_eq!((mode(&live), mode(&moved)), (0o600, 0o600));
    proxy.stop();
    let files = ["records.jsonl", "history.db", "history.db-lock"];
    files.iter().for_each(|name| set_mode(&proxy.path(name), 0o666));
    proxy.start_again();
    for name in files {
        assert_eq!(mode(&proxy.path(name)), 0o600, "{name}");
        let file = format!("{name}\",\"mode\":\"666\"");
        let said = |line: &String| line.contains(&file) && line.contains("other users could ");
        assert!(proxy.output().iter().any(said), "{name}: {:#?}", proxy.output());
    }
}

#[test]
fn record_files_that_are_links_or_of_another_user_are_an_error_at_the_start() {
    for key in ["jsonl", "sqlite"] {
        let folder = Outgate::new().file("target", "").file(
            "outgate.toml",
            format!(
                "[[listen]]\naddress = \"127.0.0.1:0\"\n[admin]\naddress = \"off\"\n[record]\n{key} = \"records\"\n"
            ),
        );
        let refused = |expected: &str| {
            let finished = folder.run(&["run", "--config", "outgate.toml"]);
            assert_eq!(finished.code, Some(2), "{key}: {finished:?}");
            assert!(finished.stderr.contains(expected), "{key}: {finished:?}");
        };
        std::os::unix::fs::symlink("target", folder.path("records")).unwrap();
        refused("it is a symbolic link; name the file itself");
        fs::remove_file(folder.path("records")).unwrap();
        fs::write(folder.path("records"), "").unwrap();
        if std::os::unix::fs::chown(folder.path("records"), Some(12_345), None).is_err() {
            println!("skipped: only root can give files away");
            continue;
        }
        refused("it belongs to user 12345, not to user 0 that outgate runs as: run `chown 0` on it");
        assert_eq!(fs::read(folder.path("target")).unwrap(), b"", "{key}");
    }
}

#[test]
fn every_field_of_a_record_is_named_on_the_page_about_it() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/privacy.md")).unwrap();
    for field in COLUMNS.iter().chain(&["dropped", "ms"]) {
        assert!(page.contains(&format!("`{field}`")), "docs/privacy.md does not name {field}");
    }
    let fields = page.lines().filter(|line| line.starts_with("| `")).take_while(|line| !line.contains("redact"));
    for named in fields.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)) {
        assert!(COLUMNS.contains(&named) || named == "dropped", "docs/privacy.md names {named}, which is no field");
    }
}
