//! Large lists: bytes in, names out, millions of lines a second.
//!
//! Guaranteed: every name goes through the one reader of names that requests go through; a line costs no allocation
//! unless something is wrong with it. The first [`MOST_SHOWN`] bad lines are each explained, the rest are counted.
//! Duplicate names are not an error.

use std::net::Ipv6Addr;

use super::ProblemCode;
use super::document::ListFormat;
use super::host_name::read_name;
use super::pattern::{HostPattern, Pattern};
use super::problem::{Complaint, ProblemPlace, Problems};
use crate::facts::{DomainName, Host, MAX_NAME};

/// A file of the wrong kind has a million bad lines; twenty show what is wrong with all of them.
const MOST_SHOWN: usize = 20;
/// A line longer than this, in bytes, is not repeated to explain it. A hosts line with a few names is shorter.
const LONGEST_SHOWN: usize = 300;

/// Names in hosts files that refer to the local machine itself, not to a destination.
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

/// How many names a list has room for: a little more than it holds.
pub(super) fn estimate(text: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', text).count() + 1
}

/// Passes every name of a list to `take`, in canonical form, and returns what is wrong with the lines.
pub(super) fn read(
    list: usize,
    text: &[u8],
    format: ListFormat,
    mut take: impl FnMut(&[u8]) -> Result<(), Complaint>,
) -> Problems {
    let mut problems = Problems::default();
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
        let Err(complaint) = outcome else { continue };
        if problems.total() < MOST_SHOWN {
            problems.push(complaint.at(ProblemPlace::List { list, line: index + 1 }));
        } else {
            problems.count_more(1);
        }
    }
    problems
}

fn read_domain(content: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), Complaint>) -> Result<(), Complaint> {
    let mut buffer = [0; MAX_NAME];
    if let Ok(name) = DomainName::parse_into(content, &mut buffer) {
        return take(name);
    }
    let text = String::from_utf8_lossy(content);
    if !content.is_ascii()
        && content.len() <= LONGEST_SHOWN
        && let Ok(name) = read_name(&text)
    {
        return take(name.as_str().as_bytes());
    }
    Err(explain(&text))
}

fn read_hosts(content: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), Complaint>) -> Result<(), Complaint> {
    let mut words = content.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let address = words.next().unwrap_or_default();
    if !is_address(address) {
        let what = match content.len() <= LONGEST_SHOWN {
            true => format!("`{}` does not begin with an address", String::from_utf8_lossy(content).escape_debug()),
            false => "the line does not begin with an address".to_owned(),
        };
        return Err(Complaint::new(
            ProblemCode::ListFormat,
            what,
            "write `0.0.0.0 example.com`, or `format = \"domains\"` for a list of names",
        ));
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

/// Why a line is not a name. People put patterns, addresses and other programs' filters into lists.
fn explain(line: &str) -> Complaint {
    if line.len() > LONGEST_SHOWN {
        return Complaint::new(ProblemCode::TooLarge, "the line is longer than any name", "write one name a line");
    }
    let mut words = line.split_ascii_whitespace();
    if words.next().is_some_and(|word| is_address(word.as_bytes())) && words.next().is_some() {
        return Complaint::new(
            ProblemCode::ListFormat,
            format!("`{}` reads like a line of a hosts file", line.escape_debug()),
            "write `format = \"hosts\"` in the policy",
        );
    }
    if let Some(filter) = line.strip_prefix("||") {
        let name = filter.split(['^', '/', '$']).next().unwrap_or(filter);
        return Complaint::new(
            ProblemCode::NotAName,
            format!("`{}` is an ad blocker's filter", line.escape_debug()),
            format!("write `{}`", name.escape_debug()),
        );
    }
    if let Some(name) = ["**.", "*.", "."].into_iter().find_map(|prefix| line.strip_prefix(prefix))
        && DomainName::parse(name.as_bytes()).is_ok()
    {
        return Complaint::new(
            ProblemCode::NotAName,
            format!("`{line}` is a pattern, and a list has names"),
            format!("write `{name}`, and `covers = \"subdomains\"` in the policy"),
        );
    }
    match Pattern::parse(line) {
        Err(complaint) => complaint,
        Ok(Pattern { target: HostPattern::Network(_), .. }) => Complaint::new(
            ProblemCode::NotAName,
            format!("`{line}` is an address, and a list has names"),
            "write addresses into the policy itself",
        ),
        Ok(Pattern { target, .. }) => Complaint::new(
            ProblemCode::NotAName,
            format!("`{line}` is more than a name"),
            format!("write `{target}` alone"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Problem;
    use super::*;

    fn names(format: ListFormat, text: &[u8]) -> (Vec<String>, Vec<String>) {
        let mut names = Vec::new();
        let problems = read(0, text, format, |name| {
            names.push(String::from_utf8(name.to_vec()).unwrap());
            Ok(())
        });
        let show = |problem: &Problem| match problem.place {
            ProblemPlace::List { list: 0, line } => format!("{line}: {}; {}", problem.what, problem.fix),
            place => panic!("{place:?}"),
        };
        (names, problems.kept().iter().map(show).collect())
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
            ["1: `ads.test` does not begin with an address; write `0.0.0.0 example.com`, or `format = \"domains\"` \
                 for a list of names"]
        );
    }

    #[test]
    fn a_bad_line_is_reported_with_its_number_and_a_fix() {
        for (line, message) in [
            (
                "*.a.test",
                "2: `*.a.test` is a pattern, and a list has names; write `a.test`, and `covers = \"subdomains\"` in \
                 the policy",
            ),
            (
                ".a.test",
                "2: `.a.test` is a pattern, and a list has names; write `a.test`, and `covers = \"subdomains\"` in \
                 the policy",
            ),
            ("a.test:443", "2: `a.test:443` is more than a name; write `a.test` alone"),
            ("192.0.2.1", "2: `192.0.2.1` is an address, and a list has names; write addresses into the policy itself"),
            (
                "0.0.0.0 a.test",
                "2: `0.0.0.0 a.test` reads like a line of a hosts file; write `format = \"hosts\"` in the policy",
            ),
            ("||a.test^", "2: `||a.test^` is an ad blocker's filter; write `a.test`"),
            ("http://a.test/", "2: `http://a.test/` is a URL; write `a.test`"),
            ("a..test", "2: `a..test` has an empty label; write `a.test`"),
            ("a.test b.test", "2: `a.test b.test` has blanks; write one pattern an entry, without blanks"),
        ] {
            let (names, problems) = names(ListFormat::Domains, format!("ok.test\n{line}\nok2.test").as_bytes());
            assert_eq!(names, ["ok.test", "ok2.test"], "{line}");
            assert_eq!(problems, [message], "{line}");
        }
        let long = format!("{}\n", "a".repeat(400));
        assert_eq!(
            names(ListFormat::Domains, long.as_bytes()).1,
            ["1: the line is longer than any name; write one name a line"]
        );
    }

    #[test]
    fn after_twenty_bad_lines_the_rest_are_counted() {
        let problems = read(0, "a b\n".repeat(57).as_bytes(), ListFormat::Domains, |_| Ok(()));
        assert_eq!((problems.kept().len(), problems.total()), (20, 57));
    }
}
