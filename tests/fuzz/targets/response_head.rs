//! Response heads: one verdict however the bytes arrive, and what goes to the client is the same answer with one
//! framing.

use outgate::protocol::head::{
    HeadLimits, HeadScan, ResponseFraming, ResponseHead, Version, read_response, write_response,
};

use super::request_head::check_scan;
use super::wire::LaxHead;

/// Limits that inputs reach.
const TIGHT: HeadLimits = HeadLimits { max_bytes: 160, max_fields: 4 };

pub(super) fn check(input: &[u8]) {
    let limits = HeadLimits::default();
    check_scan(input, HeadScan::response, &limits);
    check_scan(input, HeadScan::response, &TIGHT);
    for method in ["GET", "HEAD", "CONNECT"] {
        let whole = read_response(input, method, &limits);
        if let Ok(Some((_, length))) = read_response(input, method, &TIGHT) {
            assert!(matches!(whole, Ok(Some((_, same))) if same == length), "a limit changes the answer");
        }
        let Ok(Some((head, length))) = whole else { continue };
        assert!(matches!(read_response(&input[..length - 1], method, &limits), Ok(None)), "a byte too early");
        check_read(&head, method, &input[..length]);
        for (client, keep_alive) in [(Version::Http11, true), (Version::Http11, false), (Version::Http10, true)] {
            let framing = head.framing_toward(client);
            check_written(&head, method, client, keep_alive, framing);
            // To a client that knows chunks, a body that ends with the connection may go in chunks.
            if framing == ResponseFraming::UntilClose && client == Version::Http11 {
                check_written(&head, method, client, keep_alive, ResponseFraming::Chunked);
            }
        }
    }
}

fn check_read(head: &ResponseHead<'_>, method: &str, text: &[u8]) {
    let mut room = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Response::new(&mut room);
    assert_eq!(parsed.parse(text), Ok(httparse::Status::Complete(text.len())));
    assert_eq!(parsed.code, Some(head.status));
    assert!((100..=999).contains(&head.status));
    let theirs = parsed.headers.iter().map(|header| (header.name.as_bytes(), header.value));
    assert!(head.fields().map(|field| (field.name, field.value)).eq(theirs));
    let bodiless = method == "HEAD"
        || matches!(head.status, 100..=199 | 204 | 304)
        || (method == "CONNECT" && matches!(head.status, 200..=299));
    assert_eq!(head.framing == ResponseFraming::None, bodiless);
    assert!(head.framing != ResponseFraming::UntilClose || !head.keep_alive);
    assert!(!head.upgrade_websocket || head.status == 101);
}

fn check_written(head: &ResponseHead<'_>, method: &str, client: Version, keep_alive: bool, framing: ResponseFraming) {
    let mut out = b"before".to_vec();
    write_response(head, "outgate-1", client, keep_alive, framing, &mut out);
    let out = out.strip_prefix(b"before").expect("what was there stays");
    let limits = HeadLimits { max_bytes: usize::MAX, max_fields: 128 };
    let Ok(Some((again, length))) = read_response(out, method, &limits) else {
        // A head at the limit of fields may pass it by the ones that we add.
        assert!(head.fields().count() > 120, "{:?}", String::from_utf8_lossy(out));
        return;
    };
    assert_eq!(length, out.len(), "one head and nothing after it");
    assert_eq!((again.status, again.reason, again.framing), (head.status, head.reason, framing));
    assert_eq!((again.version, again.upgrade_websocket), (Version::Http11, head.upgrade_websocket));
    let lax = LaxHead::read(out);
    let framings = lax.all("content-length").len() + lax.all("transfer-encoding").len();
    match framing {
        ResponseFraming::Length(_) | ResponseFraming::Chunked => assert_eq!(framings, 1),
        ResponseFraming::UntilClose => assert_eq!(framings, 0),
        ResponseFraming::None => assert!(framings <= 1 && lax.all("transfer-encoding").is_empty()),
    }
    if matches!(head.status, 100..=199 | 204) {
        assert_eq!(framings, 0, "these never have a length");
    }
    assert!(lax.all("connection").len() <= 1 && lax.all("keep-alive").is_empty());
    let statuses = lax.all("proxy-status");
    assert!(
        lax.count_prefix("proxy-") == statuses.len() && statuses.iter().all(|value| !value.starts_with(b"outgate;"))
    );
    assert!(lax.all("x-deny-reason").is_empty() && lax.all("x-proxy-error").is_empty());
    if !head.is_interim() && !head.upgrade_websocket {
        assert_eq!(again.keep_alive, keep_alive && framing != ResponseFraming::UntilClose);
        assert!(lax.all("upgrade").is_empty());
    }
}
