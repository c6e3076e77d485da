//! The design, held by reading the source: who may know whom, and what may stand where.

use std::fs;
use std::path::Path;

use crate::source_text::SourceFile;

/// The map in `docs/architecture.md`: each room with its rank. A room imports only lower ranks, and rooms of one rank never
/// import each other.
fn map() -> Vec<(u32, String)> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/architecture.md")).unwrap();
    let (_, table) = page.split_once("<!-- map -->").unwrap();
    let (table, _) = table.split_once("<!-- end of the map -->").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    rows.map(|row| {
        let mut cells = row.split('|').map(str::trim).skip(1);
        let rank = cells.next().unwrap().parse().unwrap();
        (rank, cells.next().unwrap().trim_matches('`').to_owned())
    })
    .collect()
}

/// Files in which `unsafe` may stand, each with its reason.
const UNSAFE_FILES: [&str; 0] = [];

/// Files outside `dial` that may connect. `cli/admin_client.rs` is a command that asks the admin listener of a proxy that runs
/// already: it is on no request's way.
const CONNECTING_FILES: [&str; 1] = ["cli/admin_client.rs"];

/// The rank of a room on the map; none for a room that is not on it.
fn rank(map: &[(u32, String)], room: &str) -> Option<u32> {
    map.iter().find(|(_, name)| name == room).map(|(rank, _)| *rank)
}

/// Lines of files outside `allowed` that contain one of these words.
fn found(words: &[&str], allowed: impl Fn(&SourceFile) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for file in SourceFile::all().iter().filter(|file| !allowed(file)) {
        let lines = file.code.lines().filter(|line| words.iter().any(|word| line.contains(word)));
        found.extend(lines.map(|line| format!("{}: {}", file.path, line.trim())));
    }
    found
}

fn is_in(file: &SourceFile, rooms: &[&str]) -> bool {
    rooms.contains(&file.room())
}

#[test]
fn every_room_has_a_rank_and_knows_only_lower_ones() {
    let map = map();
    let mut wrong = Vec::new();
    for file in SourceFile::all() {
        let room = file.room();
        if ["lib", "main"].contains(&room) {
            continue;
        }
        let Some(own) = rank(&map, room) else {
            wrong.push(format!("{} has no rank", file.path));
            continue;
        };
        for import in file.imports() {
            match rank(&map, &import) {
                _ if import == room => {}
                Some(other) if other < own => {}
                Some(_) => wrong.push(format!("{} knows {import}", file.path)),
                None => wrong.push(format!("{} names {import}, which is no room", file.path)),
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn inside_a_room_no_files_import_each_other_in_a_circle() {
    let files = SourceFile::all();
    let modules: Vec<_> = files.iter().map(SourceFile::module).collect();
    let named: Vec<_> = files.iter().map(|file| file.modules_named(&modules)).collect();
    let is_kin = |a: &str, b: &str| a.starts_with(&format!("{b}::")) || b.starts_with(&format!("{a}::"));
    let next = |at: usize| {
        let (own, room) = (&modules[at], files[at].room());
        let inside = |to: &&String| to.split("::").next() == Some(room) && *to != own && !is_kin(to, own);
        named[at].iter().filter(inside).filter_map(|to| modules.iter().position(|module| module == to)).collect()
    };
    let steps: Vec<Vec<usize>> = (0..files.len()).map(next).collect();
    let reached = |from: usize| {
        let (mut seen, mut open) = (vec![false; files.len()], steps[from].clone());
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut seen[at], true) {
                open.extend(&steps[at]);
            }
        }
        seen
    };
    let reached: Vec<_> = (0..files.len()).map(reached).collect();
    let mut circles = Vec::new();
    for (at, from_here) in reached.iter().enumerate() {
        let circle: Vec<_> = (0..files.len()).filter(|other| from_here[*other] && reached[*other][at]).collect();
        if circle.first() == Some(&at) {
            circles.push(circle.iter().map(|at| modules[*at].as_str()).collect::<Vec<_>>().join(" "));
        }
    }
    assert_eq!(circles, [""; 0]);
}

#[test]
fn the_library_declares_its_rooms_in_the_order_of_the_map() {
    let map = map();
    assert!(map.is_sorted_by_key(|(rank, _)| *rank), "{map:?}");
    let files = SourceFile::all();
    let library = files.iter().find(|file| file.path == "lib.rs").unwrap();
    let declared: Vec<_> = library
        .code
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';')?.trim_start_matches("pub ").strip_prefix("mod "))
        .collect();
    let ranks: Vec<_> =
        declared.iter().map(|room| rank(&map, room).unwrap_or_else(|| panic!("{room} has no rank"))).collect();
    assert!(ranks.is_sorted(), "{declared:?}");
    for (_, room) in &map {
        assert!(declared.contains(&room.as_str()), "{room} is not declared");
    }
}

#[test]
fn text_facts_and_policy_are_pure() {
    let words =
        ["tokio", "async ", ".await", "tracing", "Instant::now", "SystemTime::now", "serde", "std::fs", "std::thread"];
    assert_eq!(found(&words, |file| !is_in(file, &["text", "facts", "policy"])), [""; 0]);
}

#[test]
fn only_dial_connects_and_resolves() {
    let words = [
        "TcpStream::connect",
        "TcpSocket",
        "UdpSocket",
        "UnixStream::connect",
        "ToSocketAddrs",
        "to_socket_addrs",
        "lookup_host",
        "getaddrinfo",
        "hickory",
    ];
    let may = |file: &SourceFile| is_in(file, &["dial"]) || CONNECTING_FILES.contains(&file.path.as_str());
    assert_eq!(found(&words, may), [""; 0]);
}

#[test]
fn a_permit_is_made_in_one_file() {
    let declarations = ["struct", "for", "->", "enum", "impl"];
    let makes = |file: &SourceFile| {
        let by_name = file.code.match_indices("Permit {").any(|(at, _)| {
            let before = &file.code[..at];
            let is_whole_word = before.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
            is_whole_word && !declarations.iter().any(|word| before.trim_end().ends_with(word))
        });
        by_name || file.code.contains("impl Permit {") && file.code.contains("Self {")
    };
    let files: Vec<_> = SourceFile::all().into_iter().filter(makes).map(|file| file.path).collect();
    assert_eq!(files, ["policy/permit.rs"]);
}

#[test]
fn only_the_admin_listener_and_fetches_use_hyper() {
    assert_eq!(found(&["hyper::", "hyper_util", "http_body_util"], |file| is_in(file, &["admin"])), [""; 0]);
}

/// Rooms that open sockets, hold the policy in force or keep records. `protocol` reaches them through `enforce` and
/// `session` alone, which keep the order of the checks.
const NOT_FOR_PROTOCOL: [&str; 4] = ["dial", "store", "record", "sink"];

#[test]
fn protocol_imports_no_room_that_dials_holds_the_policy_or_records() {
    let mut wrong = Vec::new();
    for file in SourceFile::all().iter().filter(|file| is_in(file, &["protocol"])) {
        let imports = file.imports().into_iter().filter(|room| NOT_FOR_PROTOCOL.contains(&room.as_str()));
        wrong.extend(imports.map(|room| format!("{} imports {room}", file.path)));
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_room_passes_on_what_another_room_defines() {
    let mut wrong = Vec::new();
    for file in SourceFile::all() {
        let reexports = file.code.lines().filter(|line| {
            let line = line.trim();
            line.starts_with("pub use crate::") || line.starts_with("pub(crate) use crate::")
        });
        wrong.extend(reexports.map(|line| format!("{}: {}", file.path, line.trim())));
    }
    assert_eq!(wrong, [""; 0], "such an item could be imported without naming its room");
}

#[test]
fn a_session_a_tunnel_and_a_protocol_name_no_socket() {
    let words = ["TcpStream", "UnixStream", "net::TcpSocket"];
    let may = |file: &SourceFile| !is_in(file, &["session", "tunnel", "enforce", "protocol"]);
    assert_eq!(found(&words, may), [""; 0]);
    assert!(!found(&words, |file| !is_in(file, &["stream"])).is_empty(), "`stream` does");
}

#[test]
fn unsafe_occurs_only_in_listed_files() {
    let is_listed = |file: &SourceFile| UNSAFE_FILES.contains(&file.path.as_str());
    // Neither the word nor a lint that would let it in; the library as a whole forbids it.
    let words = ["unsafe ", "unsafe{", "allow(unsafe_code", "expect(unsafe_code"];
    assert_eq!(found(&words, is_listed), [""; 0]);
    let root = SourceFile::all().into_iter().find(|file| file.path == "lib.rs").unwrap();
    assert!(root.code.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn no_code_shares_a_listening_port() {
    assert_eq!(found(&["reuse_port", "REUSEPORT"], |_| false), [""; 0]);
}

#[test]
fn files_have_names_that_say_something() {
    let vague = ["utils", "util", "common", "helpers", "helper", "types", "manager", "core", "misc"];
    let names = SourceFile::all().into_iter().map(|file| file.path);
    let named: Vec<_> = names.filter(|path| path.split(['/', '.']).any(|part| vague.contains(&part))).collect();
    assert_eq!(named, [""; 0]);
}
