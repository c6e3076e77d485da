//! One line of the report, and the report.

use serde::Serialize;

use super::traffic::Row;
use crate::text::visible::escaped;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// It works, but the operator should look at it.
    Warn,
    /// It does not work, or does not protect. The exit code says so.
    Fail,
}

/// What was looked at, what was found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) check: &'static str,
    pub(super) what: String,
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn is_failure(&self) -> bool {
        self.level == Level::Fail
    }
}

pub(super) fn ok(check: &'static str, what: String) -> Finding {
    Finding { level: Level::Ok, check, what, fix: None }
}

pub(super) fn warn(check: &'static str, what: String, fix: impl Into<String>) -> Finding {
    Finding { level: Level::Warn, check, what, fix: Some(fix.into()) }
}

pub(super) fn fail(check: &'static str, what: String, fix: impl Into<String>) -> Finding {
    Finding { level: Level::Fail, check, what, fix: Some(fix.into()) }
}

/// What no check can find, and everybody should know.
const CAVEAT: &str = "A program that ignores its proxy setting goes out directly: outgate is not a firewall. \
     Where that must not be, a packet filter has to drop everything that does not come from outgate.";

/// The report for programs.
pub(super) fn json(findings: &[Finding], traffic: &[Row]) -> serde_json::Value {
    serde_json::json!({
        "ok": !findings.iter().any(Finding::is_failure),
        "findings": findings,
        "traffic": traffic,
        "caveat": CAVEAT,
    })
}

/// The report for people.
pub(super) fn table(findings: &[Finding], traffic: &[Row], colour: bool) -> String {
    let mut out = String::new();
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    for Finding { level, check, what, fix } in findings {
        let (word, code) = match level {
            Level::Ok => ("ok  ", "32"),
            Level::Warn => ("warn", "33"),
            Level::Fail => ("fail", "1;31"),
        };
        let word = if colour { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() };
        let indent = " ".repeat(width + 8);
        for (place, line) in what.lines().enumerate() {
            let line = escaped(line);
            match place {
                0 => out.push_str(&format!("{word}  {check:width$}  {line}\n")),
                _ => out.push_str(&format!("{indent}{line}\n")),
            }
        }
        for line in fix.iter().flat_map(|fix| fix.lines()) {
            out.push_str(&format!("{indent}fix: {}\n", escaped(line)));
        }
    }
    out.push_str("\nWhich traffic passes here\n");
    let width = traffic.iter().map(|row| row.what.chars().count()).max().unwrap_or_default();
    for Row { what, passes, note } in traffic {
        out.push_str(&format!("  {what:width$}  {:<9}  {note}\n", passes.as_str()));
    }
    out.push_str(&format!("\n{CAVEAT}\n"));
    out.push_str(
        match count(findings, Level::Fail) + count(findings, Level::Warn) {
            0 => "\nNothing is wrong.\n".to_owned(),
            _ => format!("\n{} to fix, {} to look at.\n", count(findings, Level::Fail), count(findings, Level::Warn)),
        }
        .as_str(),
    );
    out
}

fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_aligned_inert_and_coloured_only_when_asked() {
        let findings = [ok("clock", "2026".into()), fail("policy", "one\ntwo \u{1b}[31m".into(), "fix it")];
        let text = table(&findings, &[], false);
        assert!(
            text.starts_with(
                "ok    clock   2026\nfail  policy  one\n              two \\u{1b}[31m\n              fix: fix it\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("1 to fix, 0 to look at.\n"));
        assert!(table(&findings, &[], true).starts_with("\u{1b}[32mok  \u{1b}[0m  clock"));
        assert!(table(&findings[..1], &[], false).ends_with("\nNothing is wrong.\n"));
    }

    #[test]
    fn the_document_says_whether_all_is_well() {
        let document = json(&[warn("clock", "late".into(), "set it")], &[]);
        assert_eq!(document["ok"], true);
        assert_eq!(
            document["findings"][0],
            serde_json::json!({"level":"warn","check":"clock","what":"late","fix":"set it"})
        );
        assert_eq!(json(&[fail("clock", "late".into(), "set it")], &[])["ok"], false);
    }
}
