//! Large lists: bytes in, names out, millions of lines a second.
//!
//! Guaranteed:
//! - Every name goes through the one reader of names that requests go through; a line costs no allocation unless
//!   something is wrong with it. Names that come twice are no mistake.
//! - The first [`MOST_SHOWN`] bad lines are each explained, the rest are counted.
//! - No message repeats any text of the file. A policy may name any file that the process can read, messages reach the
//!   log and the admin API, and a file that is no list may be a secret. The number of the line says where to look.

use std::net::Ipv6Addr;

use super::document::ListFormat;
use super::pattern::read_name;
use super::problem::{Place, Problem};
use crate::facts::{DomainName, Host, HostError, MAX_NAME};

/// A file of the wrong kind has a million bad lines; twenty show what is wrong with all of them.
const MOST_SHOWN: usize = 20;
/// A line that is no ASCII and longer than this, in bytes, is not read as an internationalised name.
const LONGEST_CONVERTED: usize = 300;

/// Names of this very machine that hosts files carry for its sake, not to name anybody.
const HOSTS_OWN_NAMES: [&[u8]; 14] = [
    b"localhost",
    b"localhost.localdomain",
    b"localhost4",
    b"localhost6",
    b"local",
    b"broadcasthost",
    b"ip6-localhost",
    b"ip6-loopback",
    b"ip6-localnet",
    b"ip6-mcastprefix",
    b"ip6-allnodes",
    b"ip6-allrouters",
    b"ip6-allhosts",
    b"localhost6.localdomain6",
];

/// What is wrong with a line. Fixed texts, so that nothing of the file can be among them.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadLine {
    pub(super) what: &'static str,
    pub(super) mend: &'static str,
}

/// How many names a list has room for: a little more than it holds.
pub(super) fn estimate(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count() + 1
}

/// Hands every name of a list to `take`, in canonical form, and returns what is wrong with the lines.
pub(super) fn read(
    list: usize,
    text: &[u8],
    format: ListFormat,
    mut take: impl FnMut(&[u8]) -> Result<(), BadLine>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut more = 0_usize;
    let mut more_at = 0;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let content = match memchr::memchr(b'#', line) {
            Some(comment) => line.get(..comment).unwrap_or(line),
            None => line,
        };
        let content = content.trim_ascii();
        if content.is_empty() {
            continue;
        }
        let outcome = match format {
            ListFormat::Domains => read_domain(content, &mut take),
            ListFormat::Hosts => read_hosts(content, &mut take),
        };
        let Err(BadLine { what, mend }) = outcome else { continue };
        if problems.len() < MOST_SHOWN {
            let place = Place::List { list, line: index + 1 };
            problems.push(Problem { place, what: what.to_owned(), mend: mend.to_owned() });
        } else {
            more_at = if more == 0 { index + 1 } else { more_at };
            more += 1;
        }
    }
    if more > 0 {
        problems.push(Problem {
            place: Place::List { list, line: more_at },
            what: format!("{more} more lines of this file are wrong"),
            mend: "fix the ones above first".to_owned(),
        });
    }
    problems
}

fn read_domain(content: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), BadLine>) -> Result<(), BadLine> {
    let mut buffer = [0; MAX_NAME];
    if let Ok(name) = DomainName::parse_into(content, &mut buffer) {
        return take(name);
    }
    if !content.is_ascii()
        && content.len() <= LONGEST_CONVERTED
        && let Ok(text) = std::str::from_utf8(content)
        && let Ok(name) = read_name(text)
    {
        return take(name.as_str().as_bytes());
    }
    Err(explain(content))
}

fn read_hosts(content: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), BadLine>) -> Result<(), BadLine> {
    let mut words = content.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let address = words.next().unwrap_or_default();
    if !is_address(address) {
        return Err(BadLine {
            what: "the line does not begin with an address",
            mend: "write `0.0.0.0 example.com`, or `format = \"domains\"` for a list of names",
        });
    }
    words
        .filter(|word| !HOSTS_OWN_NAMES.contains(word) && !is_address(word))
        .try_for_each(|word| read_domain(word, take))
}

/// Also with a zone, as macOS has it in its own hosts file.
fn is_address(word: &[u8]) -> bool {
    let word = word.split(|byte| *byte == b'%').next().unwrap_or(word);
    matches!(Host::parse(word), Ok(Host::Ip(_)))
        || std::str::from_utf8(word).is_ok_and(|word| word.parse::<Ipv6Addr>().is_ok())
}

/// Why a line is no name. People put patterns, addresses and other programs' filters into lists.
fn explain(line: &[u8]) -> BadLine {
    let (what, mend) = classify(line);
    BadLine { what, mend }
}

fn classify(line: &[u8]) -> (&'static str, &'static str) {
    let has = |part: &[u8]| memchr::memmem::find(line, part).is_some();
    let begins = |starts: &[&[u8]]| starts.iter().any(|start| line.starts_with(start));
    let mut words = line.split(u8::is_ascii_whitespace);
    let first = words.next().unwrap_or_default();
    if words.next().is_some() && is_address(first) {
        return ("the line reads like a line of a hosts file", "write `format = \"hosts\"` in the policy");
    }
    if begins(&[b"||", b"@@", b"!", b"[Adblock"]) || has(b"##") || has(b"^") {
        return ("the line is an ad blocker's filter", "write the name alone, without `||`, `^` and options");
    }
    if begins(&[b"address=/", b"server=/", b"local=/", b"ipset=/", b"nftset=/"]) {
        return ("the line is a setting of dnsmasq", "write the name between the slashes alone");
    }
    if has(b"://") {
        return ("the line is a URL, and a list has names", "write its host alone");
    }
    if line.iter().any(u8::is_ascii_whitespace) {
        return ("the line has several words", "write one name a line");
    }
    if begins(&[b"*.", b"**.", b"."]) {
        return (
            "the line is a pattern, and a list has names",
            "write the name after the stars and dots, and `covers = \"subdomains\"` in the policy",
        );
    }
    let numeric = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'/');
    if is_address(line) || line.iter().all(numeric) || line.iter().filter(|byte| **byte == b':').count() > 1 {
        return ("the line is an address, and a list has names", "write addresses into the policy itself");
    }
    if let Some(port) = memchr::memrchr(b':', line)
        && line.get(port + 1..).is_some_and(|port| port.iter().all(u8::is_ascii_digit))
    {
        return ("the line has a port, and a list has names", "write the name alone");
    }
    if !line.is_ascii() {
        return ("the line is no internationalised name", "write its A-label form, which begins with `xn--`");
    }
    match DomainName::parse(line) {
        Err(HostError::EmptyLabel) => ("the line has two dots with nothing between them", "remove one of them"),
        Err(HostError::LongLabel) => ("a label of the line is longer than 63 bytes, which DNS cannot carry", NAMES),
        Err(HostError::LongName) => ("the line is longer than any name", NAMES),
        Err(HostError::LegacyIpv4) => {
            ("the line ends in a number, so that some programs read it as an IPv4 address", NAMES)
        }
        Err(HostError::ForbiddenByte(_)) => ("the line has a character that no host name has", NAMES),
        Ok(_) | Err(HostError::Empty | HostError::Ipv6 | HostError::MissingPort | HostError::Port) => {
            ("the line is no host name", NAMES)
        }
    }
}

const NAMES: &str = "check that this is a list; write one name such as `example.com` a line";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(format: ListFormat, text: &[u8]) -> (Vec<String>, Vec<String>) {
        let mut names = Vec::new();
        let problems = read(0, text, format, |name| {
            names.push(String::from_utf8(name.to_vec()).unwrap());
            Ok(())
        });
        let show = |problem: Problem| match problem.place {
            Place::List { list: 0, line } => format!("{line}: {}; {}", problem.what, problem.mend),
            place => panic!("{place:?}"),
        };
        (names, problems.into_iter().map(show).collect())
    }

    #[test]
    fn a_list_of_domains_is_one_name_a_line() {
        let text = "\u{feff}# head\r\n\r\nA.test\r\n  b.test. # tail\nb\u{fc}cher.test\n#c.test\na.test";
        let (names, problems) = names(ListFormat::Domains, text.as_bytes());
        assert_eq!(names, ["a.test", "b.test", "xn--bcher-kva.test", "a.test"]);
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn a_hosts_file_s_own_names_are_no_entries() {
        let text = b"127.0.0.1 localhost\n::1 localhost ip6-loopback\nfe80::1%lo0 localhost\n0.0.0.0 0.0.0.0\n\
                     0.0.0.0\tads.test  track.test # both\n:: six.test";
        assert_eq!(names(ListFormat::Hosts, text).0, ["ads.test", "track.test", "six.test"]);
        assert_eq!(names(ListFormat::Hosts, text).1, [""; 0]);
        assert_eq!(
            names(ListFormat::Hosts, b"ads.test").1,
            [
                "1: the line does not begin with an address; write `0.0.0.0 example.com`, or `format = \"domains\"` for a \
              list of names"
            ]
        );
    }

    #[test]
    fn a_bad_line_says_its_number_and_its_kind() {
        for (line, what) in [
            ("*.a.test", "the line is a pattern, and a list has names"),
            (".a.test", "the line is a pattern, and a list has names"),
            ("a.test:443", "the line has a port, and a list has names"),
            ("192.0.2.1", "the line is an address, and a list has names"),
            ("192.0.2.0/24", "the line is an address, and a list has names"),
            ("2001:db8::1", "the line is an address, and a list has names"),
            ("0.0.0.0 a.test", "the line reads like a line of a hosts file"),
            ("||a.test^", "the line is an ad blocker's filter"),
            ("@@||a.test^$third-party", "the line is an ad blocker's filter"),
            ("! Title: a list", "the line is an ad blocker's filter"),
            ("address=/a.test/0.0.0.0", "the line is a setting of dnsmasq"),
            ("http://a.test/", "the line is a URL, and a list has names"),
            ("a..test", "the line has two dots with nothing between them"),
            ("a.test b.test", "the line has several words"),
            ("a.test/x", "the line has a character that no host name has"),
            ("a.test$all", "the line has a character that no host name has"),
            ("1.2.3", "the line is an address, and a list has names"),
            ("a.0x1", "the line ends in a number, so that some programs read it as an IPv4 address"),
            ("\u{fc}\u{202e}.test", "the line is no internationalised name"),
        ] {
            let (names, problems) = names(ListFormat::Domains, format!("ok.test\n{line}\nok2.test").as_bytes());
            assert_eq!(names, ["ok.test", "ok2.test"], "{line}");
            let [problem] = &problems[..] else { panic!("{line}: {problems:?}") };
            assert_eq!(problem.split("; ").next(), Some(format!("2: {what}").as_str()), "{line}");
        }
        let long = "a".repeat(400);
        assert_eq!(
            names(ListFormat::Domains, long.as_bytes()).1,
            [format!("1: the line is longer than any name; {NAMES}")]
        );
    }

    #[test]
    fn after_twenty_bad_lines_the_rest_are_counted() {
        let (_, problems) = names(ListFormat::Domains, "a b\n".repeat(57).as_bytes());
        assert_eq!(problems.len(), 21);
        assert_eq!(problems.last().unwrap(), "21: 37 more lines of this file are wrong; fix the ones above first");
    }
}
