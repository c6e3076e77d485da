//! `outgate doctor`: what is wrong with this machine's set-up, each with its fix.
//!
//! Guaranteed: nothing leaves the machine, and nothing on it is changed. Programs' own settings (git, npm, pip) are not
//! read, and of an environment variable only host and port are shown.
//!
//! What it asks of the running proxy are requests like any others and have their records: for each listener one of the
//! proxy's own paths, and one or two denied ones.

mod environment;
mod files;
mod finding;
mod listeners;
mod macos;
mod traffic;

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args as ClapArgs;
use rustix::process::{Resource, getrlimit};

use super::admin_client::AdminClient;
use super::out::{json_line, print_as_is};
use super::{configuration, is_colour_wanted};
use crate::admin::Token;
use crate::app::{canary::TestedListener, lets_unlisted_pass};
use crate::config::{Config, ListenConfig, ListenProtocol};
use crate::policy::Stack;
use crate::source::PolicySource;
use crate::text::figures::counted;

use finding::{Finding, fail, ok, warn};
use listeners::Expected;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> ExitCode {
    let mut findings = Vec::new();
    let read = read_configuration(config, &mut findings);
    let listeners: Vec<TestedListener> =
        read.iter().flat_map(|config| &config.listen).filter_map(tested_listener).collect();
    if let Some(read) = &read {
        let policy = read_policy(read, &mut findings);
        ask_listeners(read, config, policy.as_ref(), &mut findings);
        findings.extend(ask_admin(read));
        findings.extend(files::judge(config, read));
        findings.push(files::open_files(
            getrlimit(Resource::Nofile).maximum,
            read.limits.max_tunnels,
            cfg!(target_os = "macos"),
        ));
    }
    findings.push(files::clock(SystemTime::now()));
    let shell = environment::judge(&|name| std::env::var(name).ok(), &listeners);
    findings.extend(shell.findings);
    let system = macos::judge_this_machine(&listeners);
    let system_leads_here = system.as_ref().map(|system| system.leads_here);
    findings.extend(system.into_iter().flat_map(|system| system.findings));
    let rows = traffic::rows(shell.leads_here, system_leads_here);
    let report = if args.json {
        json_line(&finding::json(&findings, &rows))
    } else {
        let colour = std::io::stdout().is_terminal() && is_colour_wanted();
        finding::table(&findings, &rows, colour)
    };
    print_as_is(&report);
    if findings.iter().any(Finding::is_failure) { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn read_configuration(path: Option<&Path>, findings: &mut Vec<Finding>) -> Option<Config> {
    let name = path.map_or_else(|| "built in".to_owned(), |path| path.display().to_string());
    match configuration(path) {
        Ok((config, warnings)) => {
            findings.push(ok(
                "configuration",
                format!("{name}: valid, {}", counted(config.listen.len() as u64, "listener")),
            ));
            let fix = "check the line that it names; `outgate run` starts anyway";
            findings.extend(warnings.into_iter().map(|warning| warn("configuration", warning, fix)));
            Some(config)
        }
        Err(error) => {
            findings.push(fail("configuration", error, "fix the line that it names; nothing starts until then"));
            None
        }
    }
}

fn read_policy(config: &Config, findings: &mut Vec<Finding>) -> Option<Stack> {
    let source = PolicySource::new(config.policy.source.first().cloned());
    let compiled = match source.load(false).1 {
        Ok(compiled) => compiled,
        Err(report) => {
            let fix = "`outgate policy validate` shows the same; a running proxy keeps its old policy";
            findings.push(fail("policy", report.to_string(), fix));
            return None;
        }
    };
    let policy = Stack::from(compiled.policy);
    let rules = counted(policy.rule_count() as u64, "rule");
    findings.push(ok("policy", format!("\"{}\" ({}), {rules}, revision {}", policy.name(), source, policy.revision())));
    let fix = "check the line that it names; the policy works as it is";
    findings.extend(compiled.warnings.lines().into_iter().map(|warning| warn("policy", warning, fix)));
    if let Some(why) = lets_unlisted_pass(&policy) {
        let what = format!("requests that no rule covers pass: {why}");
        findings.push(warn(
            "policy",
            what,
            "`mode = \"enforce\"` and `egress = \"allowlist\"`, once the rules are complete",
        ));
    }
    if !policy.enabled() {
        findings.push(warn(
            "policy",
            "every request is denied: `enabled = false`".into(),
            "set `enabled = true` when that is over",
        ));
    }
    Some(policy)
}

/// Whether each listener is ours, serves the policy that is written, and denies.
fn ask_listeners(config: &Config, path: Option<&Path>, policy: Option<&Stack>, findings: &mut Vec<Finding>) {
    let start =
        path.map_or_else(|| "outgate run".to_owned(), |path| format!("outgate run --config {}", path.display()));
    let expected = Expected {
        revision: policy.map(Stack::revision),
        unlisted_pass: policy.is_none_or(|policy| lets_unlisted_pass(policy).is_some()),
        start: &start,
    };
    let mut instance = None;
    for listen in &config.listen {
        let name = &listen.name;
        match tested_listener(listen) {
            Some(tested) if listen.protocols.contains(&ListenProtocol::Http) => {
                findings.extend(listeners::ask(name, tested, &expected, &mut instance));
            }
            Some(_) => findings.push(ok("listener", format!("{name}: speaks only SOCKS5, and was not tested"))),
            None => findings.push(warn(
                "listener",
                format!("{name}: port 0 means a different port at each start, so it cannot be tested"),
                "give it a port of its own",
            )),
        }
    }
}

fn ask_admin(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "admin";
    let Some(address) = config.admin.address.filter(|address| address.port() != 0) else {
        return vec![ok(CHECK, "off, or on an unknown port: not tested".into())];
    };
    let is_alive = crate::app::canary::own_path(TestedListener { address, tls: false }, "/healthz");
    match is_alive {
        Ok(answer) if answer.status == 200 && answer.body == "ok\n" => {}
        Ok(answer) => {
            let what = format!("{address} responds with {}: it is not an outgate admin listener", answer.status);
            return vec![fail(CHECK, what, "stop the other program, or give `[admin] address` another port")];
        }
        Err(error) => {
            let what = format!("{address} does not answer: {error}");
            return vec![fail(CHECK, what, "start the proxy, or name the configuration that it runs with: --config")];
        }
    }
    let Some(file) = &config.admin.token_file else {
        return vec![ok(
            CHECK,
            format!("{address} responds; its token is new at each start, so nothing else was tested"),
        )];
    };
    let token = match Token::from_named_file(file) {
        Ok(token) => token,
        Err(error) => return vec![fail(CHECK, error, "run this as a user that may read the token's file")],
    };
    let client = AdminClient::new(address, token);
    let mut findings = match client.json("/v1/policy") {
        Ok(policy) => listeners::judge_health(address, &policy),
        Err(error) => return vec![fail(CHECK, error, "the file must hold the token that the proxy was started with")],
    };
    if client
        .json("/v1/status")
        .is_ok_and(|status| status.get("configuration_changed").is_some_and(|changed| changed == true))
    {
        let what = "the running proxy started with another version of its configuration file".to_owned();
        findings.push(fail("configuration", what, "restart outgate: what the file says now is not in force"));
    }
    findings
}

/// Where a listener is asked; none where its port is not known.
fn tested_listener(listen: &ListenConfig) -> Option<TestedListener> {
    (listen.address.port() != 0).then_some(TestedListener { address: listen.address, tls: listen.tls.is_some() })
}
