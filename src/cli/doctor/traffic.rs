//! Which kinds of an agent's traffic pass a proxy on this machine, and which cannot.
//!
//! What is said of Cowork comes from its documentation and from other people's reports, most of it not tried by us; the
//! docs/visibility.md has the same table.

use serde::Serialize;

/// Whether it passes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Passes {
    Yes,
    Likely,
    Uncertain,
    No,
    Never,
}

impl Passes {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Likely => "likely",
            Self::Uncertain => "uncertain",
            Self::No => "no",
            Self::Never => "never",
        }
    }
}

/// One kind of traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) what: &'static str,
    pub(super) passes: Passes,
    pub(super) note: &'static str,
}

/// The table for this machine. `shell`: whether this shell's `HTTPS_PROXY` leads here; `system`: whether the system's
/// proxy setting does, where that is known.
pub(super) fn rows(shell: bool, system: Option<bool>) -> Vec<Row> {
    let row = |what, passes, note| Row { what, passes, note };
    let by_system = |passes, note| match system {
        Some(false) => (Passes::No, "it follows the system's proxy setting, which does not lead here"),
        Some(true) | None => (passes, note),
    };
    let by_shell = if shell {
        (
            Passes::Yes,
            "by this shell's HTTPS_PROXY; in Cowork sessions only by managed settings or ~/.claude/settings.json",
        )
    } else {
        (Passes::No, "not from this shell: HTTPS_PROXY does not lead here (settings files were not read)")
    };
    let fetch = by_system(Passes::Likely, "the desktop app fetches, and follows the system's proxy setting");
    let host = by_system(Passes::Likely, "the part that runs on the host, not in the virtual machine");
    let browser = by_system(Passes::Yes, "if the browser uses the proxy; its WebSocket too");
    vec![
        row("Claude Code, and what it starts", by_shell.0, by_shell.1),
        row("Claude in Chrome", browser.0, browser.1),
        row("Web Fetch in Cowork", fetch.0, fetch.1),
        row("Cowork's agent loop on the host", host.0, host.1),
        row(
            "the shell in Cowork's virtual machine",
            Passes::Uncertain,
            "a filter of the app's own comes first, and may not use this proxy",
        ),
        row(
            "connectors (remote MCP servers)",
            Passes::Uncertain,
            "as one host, mcp-proxy.anthropic.com: connectors cannot be distinguished",
        ),
        row("local MCP servers and plugins", Passes::Uncertain, "only those that honour a proxy setting"),
        row("web search", Passes::Never, "it runs at the model's provider"),
        row("Cowork sessions in the cloud", Passes::Never, "they run elsewhere"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_settings_change_what_depends_on_them_and_nothing_else() {
        let passes = |shell, system, what: &str| {
            rows(shell, system).into_iter().find(|row| row.what.contains(what)).unwrap().passes
        };
        for (shell, system, what, expected) in [
            (true, None, "Claude Code", Passes::Yes),
            (false, None, "Claude Code", Passes::No),
            (false, Some(true), "Claude Code", Passes::No),
            (true, None, "Web Fetch", Passes::Likely),
            (true, Some(false), "Web Fetch", Passes::No),
            (true, Some(false), "Chrome", Passes::No),
            (true, Some(true), "virtual machine", Passes::Uncertain),
            (true, Some(true), "cloud", Passes::Never),
            (true, Some(true), "web search", Passes::Never),
        ] {
            assert_eq!(passes(shell, system, what), expected, "{shell} {system:?} {what}");
        }
    }
}
