//! What a proxy is started with.

use std::path::Path;

use super::{NameServer, Port, Proxy};

/// The pieces of a configuration. Everything that a test does not say is as short as it can be.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub(super) policy: String,
    pub(super) listen: String,
    pub(super) limits: String,
    pub(super) record: String,
    pub(super) admin: String,
    pub(super) hosts: Vec<(String, String)>,
    pub(super) arguments: Vec<String>,
    pub(super) no_token_file: bool,
    pub(super) no_records_file: bool,
    pub(super) disk: Option<String>,
    pub(super) umask: Option<String>,
    pub(super) obedient: bool,
    pub(super) terminal: bool,
    pub(super) files: Vec<(String, String)>,
}

/// A policy named `test` with this revision, followed by `rest`.
pub fn policy(revision: &str, rest: &str) -> String {
    format!(
        "version = 1\nname = \"test\"\nrevision = \"{revision}\"\ncontact = \"help@corp.test\"\n\
         internal-addresses = [\"127.0.0.0/8\"]\n{rest}"
    )
}

/// Revision `r1` with one rule, `ok`, that allows these patterns with any protocol.
pub fn allow(patterns: &[&str]) -> String {
    policy("r1", &rule("ok", patterns))
}

/// A rule that allows these patterns, tunnels of any bytes among them.
pub fn rule(id: &str, patterns: &[&str]) -> String {
    format!("[[rule]]\nid = \"{id}\"\neffect = \"allow\"\nto = {patterns:?}\ntls = \"optional\"\n")
}

impl Settings {
    /// With this policy. `ok.test`, `also.test` and `no.test` are loopback; no other name exists.
    pub fn with(policy: impl Into<String>) -> Self {
        let hosts = ["ok.test", "also.test", "no.test"].map(|name| (name.to_owned(), "[\"127.0.0.1\"]".to_owned()));
        Self { policy: policy.into(), hosts: hosts.into(), ..Self::default() }
    }

    /// Adds a name with the TOML list of its addresses.
    pub fn host(mut self, name: &str, addresses: &str) -> Self {
        self.hosts.push((name.to_owned(), addresses.to_owned()));
        self
    }

    /// A line of `[[listen]]`.
    pub fn listen(mut self, line: &str) -> Self {
        self.listen += &format!("{line}\n");
        self
    }

    /// A line of `[limits]`.
    pub fn limit(mut self, line: &str) -> Self {
        self.limits += &format!("{line}\n");
        self
    }

    /// A line of `[record]`.
    pub fn record(mut self, line: &str) -> Self {
        self.record += &format!("{line}\n");
        self
    }

    /// A line of `[admin]`.
    pub fn admin(mut self, line: &str) -> Self {
        self.admin += &format!("{line}\n");
        self
    }

    /// Adds an argument after `run --config F`.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Without a `token-file`: the proxy makes a token of its own.
    pub fn no_token_file(mut self) -> Self {
        self.no_token_file = true;
        self
    }

    /// Without a file of records: they stay in memory.
    pub fn no_records_file(mut self) -> Self {
        self.no_records_file = true;
        self
    }

    /// A file in the proxy's folder, for its owner alone.
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// In a process whose new files have all modes but these.
    pub fn umask(mut self, umask: &str) -> Self {
        self.umask = Some(umask.to_owned());
        self
    }

    /// Puts the record files on a separate disk in `disk/`: a tmpfs that is mounted with these options and that only
    /// the proxy sees; see [`Proxy::kept`] and [`small_disks_work`].
    pub fn disk(mut self, options: &str) -> Self {
        self.disk = Some(options.to_owned());
        self
    }

    /// With a disk, which is the folder `disk/`, and a clock that do as the test says: [`Proxy::hold_disk`],
    /// [`Proxy::fail_disk`], [`Proxy::step_clock`]. See [`systems_can_be_made`](super::systems_can_be_made).
    pub fn obedient_system(mut self) -> Self {
        self.obedient = true;
        self
    }

    /// In a terminal of its own, which ends when the process that the harness started is killed (script(1) of Linux).
    pub fn in_a_terminal(mut self) -> Self {
        self.terminal = true;
        self
    }

    pub fn start(self) -> Proxy {
        Proxy::start(self)
    }

    /// The folder of records, in the proxy's own.
    pub(super) fn folder(&self) -> &'static str {
        if self.disk.is_some() || self.obedient { "disk" } else { "" }
    }

    /// The text of `outgate.toml`.
    pub(super) fn config(&self, dir: &Path, proxy: &Port, admin: &Port, names: &NameServer) -> String {
        let Self { listen, limits, record, admin: admin_lines, .. } = self;
        let token_file = match self.no_token_file {
            true => String::new(),
            false => format!("token-file = {:?}", dir.join("admin.token")),
        };
        let jsonl = match self.no_records_file {
            true => String::new(),
            false => format!("jsonl = {:?}", dir.join(self.folder()).join("records.jsonl")),
        };
        let hosts: String = self.hosts.iter().map(|(name, list)| format!("\"{name}\" = {list}\n")).collect();
        format!(
            "[[listen]]\nname = \"agent\"\naddress = \"{}\"\n{listen}\n\
             [policy]\nsource = [{:?}]\n\
             [admin]\naddress = \"{}\"\n{token_file}\n{admin_lines}\n\
             [record]\n{jsonl}\n{record}\n\
             [limits]\n{limits}\n\
             [dns]\nservers = [\"{}\"]\n[dns.hosts]\n{hosts}",
            proxy.address(),
            dir.join("policy.toml"),
            admin.address(),
            names.address(),
        )
    }
}

/// Whether a test may mount a disk of its own, in namespaces of its own. Says why not; on CI that is a failure.
pub fn small_disks_work() -> bool {
    let works = super::command::unshared("mount -t tmpfs none /tmp", &[]).output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        assert_ne!(std::env::var("CI_REQUIRE_NETNS").as_deref(), Ok("1"), "a mount namespace is required here");
        println!("skipped: `unshare -m` (as root) or `unshare -rm` with a tmpfs does not work here");
    }
    works
}
