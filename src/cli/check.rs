//! `outgate check`: would this be allowed?

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args as ClapArgs;

use super::admin_client::{self, AdminClient};
use super::out::json_line;
use super::{FAILED, configuration, fail, print, say};
use crate::app;
use crate::dial::{DnsSettings, Resolver, machine_addresses};
use crate::enforce::{self, Checked, Circumstances};
use crate::facts::{Method, OwnAddresses, Question, Tool};
use crate::places::Places;
use crate::policy::Snapshot;
use crate::source::PolicySource;
use crate::text::visible::escaped;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// URLs or host:port; `-` reads them from standard input, one per line
    #[arg(required = true, value_name = "DESTINATION")]
    to: Vec<String>,
    /// Who asks (not supported in this version)
    #[arg(long = "as", value_name = "IDENTITY")]
    who: Option<String>,
    /// Which tool asks: the name of a listener
    #[arg(long, value_name = "TOOL")]
    tool: Option<String>,
    /// Which HTTP method is used
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// The time of the request, as in RFC 3339: 2026-11-23T14:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// The policy file, instead of the configuration's
    #[arg(long, value_name = "FILE", conflicts_with = "admin")]
    policy: Option<PathBuf>,
    /// Ask the running proxy that has this admin address
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// The admin token's file, with --admin [default: the configuration's]
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(config: Option<&Path>, args: &Args) -> ExitCode {
    if args.who.is_some() {
        return fail("`--as` is not supported in this version");
    }
    let destinations = match destinations(&args.to) {
        Ok(destinations) => destinations,
        Err(error) => return fail(&error),
    };
    let ask = match asker(config, args) {
        Ok(ask) => ask,
        Err(error) => return fail(&error),
    };
    let mut worst = 0;
    for to in &destinations {
        let outcome = ask(to).inspect(|checked| print(&line(checked, args.json)));
        worst = worst.max(match outcome {
            Ok(checked) => u8::from(checked.get("decision").is_none_or(|decision| decision == "deny")),
            Err(error) => {
                say(&format!("outgate: {}: {error}", escaped(to)));
                FAILED
            }
        });
    }
    ExitCode::from(worst)
}

/// The policy that answers, and where it is from.
fn judge(policy: &Snapshot, file: Option<&Path>) -> String {
    let (name, revision) = (escaped(policy.name()), escaped(policy.revision()));
    match file {
        Some(file) => format!("policy {name}, revision {revision}, from {}", escaped(&file.display().to_string())),
        None => format!("the built-in starter policy, since no policy file is configured (revision {revision})"),
    }
}

type Ask = Box<dyn Fn(&str) -> Result<serde_json::Value, String>>;

/// What answers: the running proxy, or the same code with the policy file.
fn asker(config: Option<&Path>, args: &Args) -> Result<Ask, String> {
    let (config, _) = configuration(config)?;
    if let Some(admin) = &args.admin {
        let client = AdminClient::find(Some(admin), args.token_file.as_deref(), &config.admin)?;
        return admin_client::asker(client, args.tool.clone(), args.method.clone(), args.at.as_deref());
    }
    let path = args.policy.clone().or_else(|| config.policy.source.first().cloned());
    let file = path.clone();
    let compiled = PolicySource::new(path).load(false).1.map_err(|report| report.to_string())?;
    let policy = Snapshot::from(compiled.policy);
    // On standard error, so that what is on standard output stays one line for each destination.
    say(&format!("outgate: judged by {}", judge(&policy, file.as_deref())));
    let circumstances = Circumstances {
        tool: Tool::new(args.tool.as_deref().unwrap_or_default()),
        method: args.method.as_deref().map(Method::new),
        at: args.at.as_deref().map_or_else(|| Ok(SystemTime::now()), moment)?,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let parent = app::parent(&config, "");
    let dns = DnsSettings {
        servers: config.dns.servers,
        hosts: config.dns.hosts,
        timeout: config.limits.dns_timeout,
        in_flight: Places::new(1, 1),
    };
    let resolver = runtime.block_on(async { Resolver::new(dns) }).map_err(|error| error.to_string())?;
    let listening = config.listen.iter().map(|listen| listen.address).chain(config.admin.address).collect();
    let own = OwnAddresses::new(listening, machine_addresses().map_err(|error| error.to_string())?)
        .with_nat64(config.dns.nat64);
    Ok(Box::new(move |to| {
        let question = Question::parse(to).map_err(|error| format!("this is not a URL or host:port: {error}"))?;
        let checked: Checked = runtime.block_on(enforce::check(
            &policy,
            &resolver,
            &own,
            parent.as_ref(),
            question,
            circumstances.clone(),
        ));
        serde_json::to_value(checked).map_err(|error| error.to_string())
    }))
}

/// A point in time, as people and scripts write it.
pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    let wrong = |_| format!("--at: `{text}` is not a time such as 2026-11-23T14:00:00Z");
    let time: jiff::Timestamp = text.parse().map_err(wrong)?;
    SystemTime::try_from(time).map_err(wrong)
}

fn destinations(given: &[String]) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for to in given {
        if to != "-" {
            all.push(to.clone());
            continue;
        }
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| format!("cannot read stdin: {error}"))?;
            if !line.trim().is_empty() {
                all.push(line.trim().to_owned());
            }
        }
    }
    Ok(all)
}

/// One answer, for people or for programs.
fn line(checked: &serde_json::Value, json: bool) -> String {
    if json {
        return json_line(checked);
    }
    // A proxy that was asked over the network may say anything: each part stays in its place and in this line.
    let text = |key: &str| escaped(checked.get(key).and_then(serde_json::Value::as_str).unwrap_or_default());
    let mut line = format!("{:<8}{}", text("decision"), text("destination"));
    for (before, part, after) in [("  ", text("reason"), ""), ("  rule ", text("rule"), ""), ("  (", text("hint"), ")")]
    {
        if !part.is_empty() {
            line.push_str(before);
            line.push_str(&part);
            line.push_str(after);
        }
    }
    line
}
