//! Property tests of the whole module; table tests are next to the code that they test.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::facts::{BodyError, Destination, Port};

const LIMITS: HeadLimits = HeadLimits { max_bytes: 300, max_fields: 6 };

/// Pieces of heads, good and bad, so that random rows of them reach every rule.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "GET ",
        "POST ",
        "CONNECT ",
        "OPTIONS ",
        "HTTP/1.1 200 OK",
        "HTTP/1.0 ",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        "http://h.test/",
        "http://[::1]:81?a",
        "h.test:443",
        "/a",
        "*",
        "Host: h.test\r\n",
        "Host:",
        "Content-Length: 5\r\n",
        "Content-Length",
        "Transfer-Encoding: chunked\r\n",
        "Connection: x, close\r\n",
        "Expect: 100-continue\r\n",
        "Via: 1.1 a\r\n",
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "X-Y: z\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        ":",
        ": ",
        " ",
        "\t",
        "_",
        ",",
        "5",
        "\0",
        "\u{fc}",
    ]);
    let piece = prop_oneof![20 => piece.prop_map(|text| text.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Mostly good request heads with arbitrary field lines.
fn request_heads() -> impl Strategy<Value = Vec<u8>> {
    let line = select(vec![
        "Connection: x, keep-alive",
        "Connection: Host, Content-Length",
        "X: y",
        "x_y:  z\t",
        "Content-Length: 7",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Via: 1.0 a",
        "Via: 1.1 b (c, d)",
        "Upgrade: websocket",
        "Connection: upgrade",
        "Proxy-Authorization: s",
        "Proxy.Authorization: s",
        "Keep~Alive: 5",
        "Content.Length: 3",
        "Transfer_Encoding: gzip",
        "Trailer: X",
        "TE: trailers",
        "Max-Forwards: 3",
        "Keep-Alive: 5",
        "Proxy-Connection: close",
        "Accept: \u{fc}",
        "Content_Type: x",
    ]);
    let method = select(vec!["GET", "POST", "OPTIONS", "HEAD", "M-SEARCH", "Purge", "Connect", "post"]);
    let target = "http://[a-zA-Z]{1,5}\\.test(:[1-9][0-9]{0,3})?(/[!-\"$-\\[\\]-~]{0,8})?";
    (method, target, select(vec!["1.0", "1.1"]), vec(line, 0..6)).prop_map(|(method, target, version, lines)| {
        let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        format!("{method} {target} HTTP/{version}\r\nHost: other.test\r\n{lines}\r\n").into_bytes()
    })
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "5\r\nhello\r\n",
        "1;a=b\r\nx\r\n",
        "0\r\n\r\n",
        "0\r\n",
        "X: y\r\n",
        "Content-Length: 1\r\n",
        "\r\n",
        "\r",
        "\n",
        "3",
        "a",
        "0000",
        ";",
        "ffffffffffffffff",
        " ",
        "GET",
        "10\r\n0123456789abcdef\r\n",
        "\0",
    ]);
    vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Content, sanitised trailers and where the next message starts, or how it fails.
type Outcome = Result<(Vec<u8>, Vec<u8>, usize), BodyError>;

fn read_body(mut reader: BodyReader, pieces: &[&[u8]]) -> Outcome {
    let (mut data, mut consumed) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !reader.is_done() {
            let step = reader.read(rest)?;
            assert!(step.consumed > 0, "a step without progress");
            assert_eq!(step.done, reader.is_done());
            data.extend_from_slice(step.data);
            consumed += step.consumed;
            rest = &rest[step.consumed..];
        }
    }
    reader.finish()?;
    Ok((data, reader.trailers().to_vec(), consumed))
}

/// RFC 9112 §7.1 read line by line over a whole message, without any state: content and length, or nothing.
fn naive_chunks(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let line_end = |from: usize| input[from..].windows(2).position(|pair| pair == b"\r\n").map(|at| from + at);
    let is_clean = |line: &[u8]| line.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let end = line_end(at)?;
        let line = &input[at..end];
        let digits = line.split(|byte| *byte == b';').next()?;
        if !is_clean(line) || digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = i64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        at = end + 2;
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        data.extend_from_slice(input.get(at..end)?);
        if input.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    loop {
        let end = line_end(at)?;
        let line = &input[at..end];
        at = end + 2;
        if line.is_empty() {
            return Some((data, at));
        }
        let (name, _) = std::str::from_utf8(line).ok()?.split_once(':')?;
        if name.is_empty() || !is_clean(line) || !name.bytes().all(fields::is_token_byte) {
            return None;
        }
    }
}

/// The letters and digits of a field's name, in lower case.
fn bare(name: &[u8]) -> String {
    name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(|byte| byte.to_ascii_lowercase() as char).collect()
}

/// The verdict alone, comparable.
fn verdict(buf: &[u8]) -> Result<Option<usize>, HeadError> {
    read_request(buf, &LIMITS).map(|read| read.map(|(_, length)| length))
}

fn split<'b>(input: &'b [u8], cuts: &[Index]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop_oneof![vec(any::<u8>(), 0..400), pieces()]) {
        let _ = read_request(&bytes, &LIMITS);
        let _ = read_response(&bytes, "GET", &LIMITS);
        for framing in [BodyFraming::Chunked, BodyFraming::Length(9), BodyFraming::None] {
            let _ = read_body(framing.into(), &[&bytes]);
        }
    }

    #[test]
    fn a_prefix_of_a_head_waits_or_fails_as_the_whole_does(bytes in pieces()) {
        let whole = verdict(&bytes);
        for end in 0..bytes.len() {
            match verdict(&bytes[..end]) {
                Ok(None) => {}
                early => prop_assert_eq!(early, whole, "at {}", end),
            }
        }
        let longer = [&bytes[..], b"GET / HTTP/1.1\r\n\n"].concat();
        if whole != Ok(None) {
            prop_assert_eq!(verdict(&longer), whole, "what follows a head does not change it");
        }
    }

    #[test]
    fn a_scan_that_is_fed_by_drips_finds_the_same_end(bytes in prop_oneof![pieces(), request_heads()], cuts in vec(any::<Index>(), 0..9)) {
        for new in [HeadScan::request, HeadScan::response] {
            let whole = new().find_end(&bytes, &LIMITS);
            let (mut scan, mut end) = (new(), 0);
            let mut found = Ok(None);
            for piece in split(&bytes, &cuts) {
                end += piece.len();
                found = scan.find_end(&bytes[..end], &LIMITS);
                if found != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(found, whole);
        }
    }

    #[test]
    fn fields_are_those_that_httparse_finds(bytes in prop_oneof![pieces(), request_heads()]) {
        if let Ok(Some((head, length))) = read_request(&bytes, &LIMITS) {
            let mut room = [httparse::EMPTY_HEADER; 16];
            let mut parsed = httparse::Request::new(&mut room);
            prop_assert_eq!(parsed.parse(&bytes), Ok(httparse::Status::Complete(length)));
            prop_assert_eq!(parsed.method, Some(head.method));
            let theirs: Vec<_> = parsed.headers.iter().map(|header| (header.name.as_bytes(), header.value)).collect();
            let ours: Vec<_> = head.fields().map(|field| (field.name, field.value)).collect();
            prop_assert_eq!(ours, theirs);
        }
        if let Ok(Some((head, length))) = read_response(&bytes, "GET", &LIMITS) {
            let mut room = [httparse::EMPTY_HEADER; 16];
            let mut parsed = httparse::Response::new(&mut room);
            prop_assert_eq!(parsed.parse(&bytes), Ok(httparse::Status::Complete(length)));
            prop_assert_eq!(parsed.code, Some(head.status));
            prop_assert_eq!(parsed.headers.len(), head.fields().count());
        }
    }

    #[test]
    fn no_accepted_field_can_break_a_line(bytes in prop_oneof![pieces(), request_heads()]) {
        if let Ok(Some((head, _))) = read_request(&bytes, &LIMITS) {
            for field in head.fields() {
                prop_assert!(field.name.iter().copied().all(fields::is_token_byte) && !field.name.is_empty());
                prop_assert!(field.value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)));
            }
        }
    }

    #[test]
    fn a_forwarded_request_reads_as_one_request_for_the_same_destination(
        bytes in request_heads(),
        keep_alive in any::<bool>(),
        expect in any::<bool>(),
    ) {
        let Ok(Some((head, _))) = read_request(&bytes, &HeadLimits::default()) else { return Ok(()) };
        let Target::Absolute { destination, .. } = &head.target else { panic!("{:?}", head.target) };
        let mut out = Vec::new();
        write_request(&head, &OriginHop { via: "outgate-1", keep_alive, expect }, &mut out);
        let (again, length) = read_request(&out, &HeadLimits::default()).unwrap().unwrap();
        prop_assert_eq!(length, out.len());
        prop_assert_eq!((again.method, again.framing, again.version), (head.method, head.framing, Version::Http11));
        let is_origin_form = matches!(again.target, Target::Origin { .. } | Target::Asterisk);
        prop_assert!(is_origin_form);
        prop_assert_eq!(again.field("host").map(|host| Destination::parse(host, Some(Port::HTTP))), Some(Ok(destination.clone())));
        prop_assert_eq!(again.upgrade.is_some(), head.upgrade == Some(Upgrade::WebSocket));
        prop_assert!(!["CONNECT", "POST"].contains(&head.method.to_ascii_uppercase().as_str()) || head.method == "POST");
        prop_assert_eq!(again.expect_continue, head.expect_continue && expect);
        prop_assert!(names_instance(&again, "outgate-1") && !names_instance(&head, "outgate-1"));
        prop_assert!(again.fields().all(|field| !field.name.to_ascii_lowercase().starts_with(b"proxy")));
        // By the names as a program reads them that ignores case and punctuation.
        let names: Vec<String> = again.fields().map(|field| bare(field.name)).collect();
        let count = |known: &str| names.iter().filter(|name| *name == known).count();
        prop_assert_eq!(count("contentlength") + count("transferencoding"), usize::from(head.framing != BodyFraming::None));
        prop_assert_eq!((count("host"), count("keepalive")), (1, 0));
    }

    #[test]
    fn a_forwarded_answer_reads_as_the_same_answer(bytes in pieces(), keep_alive in any::<bool>(), old in any::<bool>()) {
        let client = if old { Version::Http10 } else { Version::Http11 };
        let bytes = [b"HTTP/1.1 200 OK\r\n", &bytes[..], b"\r\n"].concat();
        let Ok(Some((head, _))) = read_response(&bytes, "GET", &LIMITS) else { return Ok(()) };
        let mut out = Vec::new();
        write_response(&head, "outgate-1", client, keep_alive, head.framing_toward(client), &mut out);
        let (again, length) = read_response(&out, "GET", &HeadLimits::default()).unwrap().unwrap();
        prop_assert_eq!(length, out.len());
        prop_assert_eq!((again.status, again.framing), (head.status, head.framing_toward(client)));
        prop_assert_eq!(again.keep_alive, keep_alive && again.framing != ResponseFraming::UntilClose);
    }

    #[test]
    fn a_body_is_the_same_however_it_was_split(
        body in bodies(),
        cuts in vec(any::<Index>(), 0..9),
        framing in select(vec![BodyFraming::Chunked, BodyFraming::Length(12), BodyFraming::None]),
    ) {
        let whole = read_body(framing.into(), &[&body]);
        prop_assert_eq!(&read_body(framing.into(), &split(&body, &cuts)), &whole);
        let bytes: Vec<_> = body.chunks(1).collect();
        prop_assert_eq!(&read_body(framing.into(), &bytes), &whole);
    }

    #[test]
    fn chunks_are_read_as_a_naive_reader_reads_them(body in bodies()) {
        let ours = read_body(BodyFraming::Chunked.into(), &[&body]).ok().map(|(data, _, consumed)| (data, consumed));
        prop_assert_eq!(ours, naive_chunks(&body));
    }

    #[test]
    fn what_the_writer_writes_the_reader_reads(content in vec(vec(any::<u8>(), 0..40), 0..6)) {
        for framing in [BodyFraming::Chunked, BodyFraming::Length(content.concat().len() as u64)] {
            let (writer, mut out) = (BodyWriter::from(framing), Vec::new());
            for data in &content {
                writer.write(data, &mut out);
            }
            writer.end(b"X: y\r\n", &mut out);
            let (data, _, consumed) = read_body(framing.into(), &[&out]).unwrap();
            prop_assert_eq!((data, consumed), (content.concat(), out.len()));
        }
    }
}
