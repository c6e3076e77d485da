//! Request heads: the verdict does not depend on how the bytes arrive. The forwarded bytes are one request for the same
//! destination with one framing, for our reader and for a laxer one.

use outgate::facts::{Destination, HeadError, Port};
use outgate::protocol::head::{
    BodyFraming, HeadLimits, HeadScan, OriginHop, RequestHead, Target, Upgrade, Version, names_instance, read_request,
    write_request, write_request_to_proxy,
};

use super::pieces::ends;
use super::wire::{LaxHead, folded};

/// Limits that inputs reach.
const TIGHT: HeadLimits = HeadLimits { max_bytes: 160, max_fields: 4 };
/// Longer inputs are not read byte by byte as well: the pieces have to do.
const MOST_BYTES: usize = 300;
const VIA: &str = "outgate-1";
/// What we say to another proxy.
const OURS: &str = "Basic b3Vycw==";

pub(super) fn check(input: &[u8]) {
    let limits = HeadLimits::default();
    check_scan(input, HeadScan::request, &limits);
    check_scan(input, HeadScan::request, &TIGHT);
    let whole = read_request(input, &limits);
    check_limits(whole.as_ref(), input);
    let Ok(Some((head, length))) = whole else { return };
    assert_eq!(read_request(&input[..length - 1], &limits).map(|read| read.is_none()), Ok(true), "a byte too early");
    check_read(&head, &input[..length]);
    for (keep_alive, expect) in [(true, true), (false, false)] {
        let hop = OriginHop { via: VIA, keep_alive, expect };
        let (mut to_origin, mut to_proxy) = (b"before".to_vec(), b"before".to_vec());
        write_request(&head, &hop, &mut to_origin);
        check_written(&head, hop, &to_origin, None);
        write_request_to_proxy(&head, &hop, Some(OURS), &mut to_proxy);
        check_written(&head, hop, &to_proxy, Some(OURS));
    }
}

/// The end of a head does not depend on how its bytes are dealt out.
pub(super) fn check_scan(input: &[u8], new: fn() -> HeadScan, limits: &HeadLimits) {
    let whole = new().find_end(input, limits);
    let scan = |ends: &mut dyn Iterator<Item = usize>| {
        let mut scan = new();
        ends.map(|end| scan.find_end(&input[..end], limits)).find(|found| *found != Ok(None)).unwrap_or(Ok(None))
    };
    assert_eq!(scan(&mut ends(input).into_iter()), whole, "in pieces");
    if input.len() <= MOST_BYTES {
        assert_eq!(scan(&mut (0..=input.len())), whole, "byte by byte");
    }
    if let Ok(Some(end)) = whole {
        assert!(end <= input.len() && end <= limits.max_bytes && input[..end].ends_with(b"\r\n\r\n"));
    }
}

/// A tighter limit refuses; it never reads another message.
fn check_limits(whole: Result<&Option<(RequestHead<'_>, usize)>, &HeadError>, input: &[u8]) {
    match read_request(input, &TIGHT) {
        Ok(Some((_, length))) => {
            assert!(length <= TIGHT.max_bytes);
            assert_eq!(whole.map(|read| read.as_ref().map(|(_, length)| *length)), Ok(Some(length)));
        }
        Ok(None) => assert!(input.len() < TIGHT.max_bytes && whole.is_ok_and(|whole| whole.is_none())),
        Err(HeadError::HeadTooLarge | HeadError::TargetTooLong) => assert!(input.len() >= TIGHT.max_bytes),
        Err(HeadError::TooManyFields) => {}
        Err(error) => assert_eq!(whole.map(|_| ()), Err(&error)),
    }
}

/// What is accepted is what another parser finds, and cannot be read as anything else.
fn check_read(head: &RequestHead<'_>, text: &[u8]) {
    let mut room = [httparse::EMPTY_HEADER; 128];
    let mut parsed = httparse::Request::new(&mut room);
    assert_eq!(parsed.parse(text), Ok(httparse::Status::Complete(text.len())));
    assert_eq!(parsed.method, Some(head.method));
    assert!(
        head.is_connect() || !head.method.eq_ignore_ascii_case("CONNECT"),
        "{:?} for a peer without case",
        head.method
    );
    assert_eq!(parsed.version, Some(u8::from(head.version == Version::Http11)));
    let theirs = parsed.headers.iter().map(|header| (header.name.as_bytes(), header.value));
    assert!(head.fields().map(|field| (field.name, field.value)).eq(theirs));
    let clean = |value: &[u8]| value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    assert!(head.fields().all(|field| clean(field.value)));

    let target = parsed.path.expect("a target");
    let lax = LaxHead::read(text.strip_prefix(b"\r\n").unwrap_or(text));
    match (lax.all("content-length").as_slice(), lax.all("transfer-encoding").as_slice()) {
        ([], []) => assert_eq!(head.framing, BodyFraming::None),
        ([length], []) => {
            let length = std::str::from_utf8(length).ok().and_then(|length| length.parse().ok());
            assert_eq!(Some(head.framing), length.map(BodyFraming::Length));
        }
        ([], [coding]) => {
            assert!(coding.eq_ignore_ascii_case(b"chunked") && head.version == Version::Http11);
            assert_eq!(head.framing, BodyFraming::Chunked);
        }
        more => panic!("two framings: {more:?}"),
    }
    match &head.target {
        Target::Authority(destination) => {
            assert!(head.is_connect() && head.method == "CONNECT" && head.path().is_empty());
            assert_eq!(Destination::parse(target.as_bytes(), None).as_ref(), Ok(destination));
            assert!(matches!(head.framing, BodyFraming::None | BodyFraming::Length(0)));
        }
        Target::Absolute { destination, path_and_query } => {
            assert_eq!(target[..7].to_ascii_lowercase(), "http://");
            let end = target[7..].find(['/', '?']).map_or(target.len(), |at| at + 7);
            assert_eq!(Destination::parse(&target.as_bytes()[7..end], Some(Port::HTTP)).as_ref(), Ok(destination));
            assert_eq!(path_and_query.trim_start_matches('/'), target[end..].trim_start_matches('/'));
            assert!(path_and_query.starts_with('/') && !head.path().contains(['?', '#', '\\']));
        }
        Target::Origin { path_and_query } => assert_eq!(*path_and_query, target),
        Target::Asterisk => assert_eq!((head.method, target), ("OPTIONS", "*")),
    }
}

/// What goes to an origin, or with our own authorization to another proxy, is the same request.
fn check_written(head: &RequestHead<'_>, hop: OriginHop<'_>, out: &[u8], authorization: Option<&str>) {
    let out = out.strip_prefix(b"before").expect("what was there stays");
    let limits = HeadLimits { max_bytes: usize::MAX, max_fields: 128 };
    let Ok(Some((again, length))) = read_request(out, &limits) else {
        // A head at the limit of fields may pass it by the ones that we add.
        assert!(head.fields().count() > 120, "{:?}", String::from_utf8_lossy(out));
        return;
    };
    assert_eq!(length, out.len(), "one head and nothing after it");
    assert_eq!((again.method, again.framing, again.version), (head.method, head.framing, Version::Http11));
    let websocket = head.upgrade == Some(Upgrade::WebSocket);
    assert_eq!(again.upgrade, websocket.then_some(Upgrade::WebSocket));
    assert_eq!(again.keep_alive, hop.keep_alive || websocket);
    assert_eq!(again.expect_continue, head.expect_continue && hop.expect);
    assert_eq!(again.max_forwards, head.max_forwards.map(|left| left.saturating_sub(1)));
    assert!(names_instance(&again, VIA));
    check_target(head, &again, authorization.is_some());

    let lax = LaxHead::read(out);
    let framings = lax.all("content-length").len() + lax.all("transfer-encoding").len();
    assert_eq!(framings, usize::from(head.framing != BodyFraming::None));
    assert_eq!(lax.all("host").len(), 1);
    assert!(lax.all("connection").len() <= 1 && lax.all("upgrade").len() == usize::from(websocket));
    let ours: Vec<&[u8]> = authorization.map(str::as_bytes).into_iter().collect();
    assert_eq!(lax.all("proxy-authorization"), ours, "the client's never passes");
    assert_eq!(lax.count_prefix("proxy-"), ours.len());
    for hop in ["keep-alive", "te", "http2-settings"] {
        assert!(lax.all(hop).is_empty(), "{hop}");
    }
    // Another proxy gets our own authorization, regardless of the fields that the client named (checked above).
    let ours_named = if authorization.is_some() { "proxy-authorization" } else { "" };
    let named = head.fields().filter(|field| field.name.eq_ignore_ascii_case(b"connection"));
    for option in named.flat_map(|field| field.value.split(|byte| *byte == b',')) {
        let option = folded(option.trim_ascii());
        let ours = ["", "host", "content-length", "transfer-encoding", "connection", "upgrade", "via", "max-forwards"];
        let trailer = option == "trailer" || option == "expect";
        assert!(
            ours.contains(&option.as_str()) || option == ours_named || trailer || lax.all(&option).is_empty(),
            "{option} was named"
        );
    }
}

fn check_target(head: &RequestHead<'_>, again: &RequestHead<'_>, to_proxy: bool) {
    let host = again.field("host").expect("a Host");
    match (&head.target, &again.target) {
        (Target::Authority(asked), Target::Authority(sent)) => assert_eq!(asked, sent),
        (Target::Absolute { destination, path_and_query }, sent) => {
            assert_eq!(Destination::parse(host, Some(Port::HTTP)).as_ref(), Ok(destination));
            match sent {
                Target::Asterisk if !to_proxy => assert_eq!((head.method, path_and_query.as_ref()), ("OPTIONS", "/")),
                Target::Origin { path_and_query: sent } if !to_proxy => assert_eq!(path_and_query, sent),
                Target::Absolute { .. } if to_proxy => assert_eq!(sent, &head.target),
                _ => panic!("{sent:?}"),
            }
        }
        (asked, sent) => {
            assert_eq!(asked, sent);
            assert_eq!(host, head.field("host").unwrap_or_default());
        }
    }
}
