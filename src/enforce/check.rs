//! "Would this be allowed?": the road up to the socket, without a request, a record or a connection.

use std::net::{IpAddr, Ipv4Addr};
use std::time::SystemTime;

use serde::Serialize;

use super::Parent;
use crate::dial::Resolver;
use crate::facts::{Client, Method, OwnAddresses, Protocol, Question, RequestFacts, Tool};
use crate::places::Holder;
use crate::policy::{Decision, Denial, NoRoute, Route, Snapshot};

/// As whose a question's lookup counts: as the proxy's own, so that a client with many leaves room for it.
const OURSELVES: Holder = Holder::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// Who asks, in which circumstances.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The tool that sends the request; a name that no rule contains means "any other tool".
    pub tool: Tool,
    /// By which method, as a rule names it, instead of what the question implies; a tunnel has none that the proxy sees.
    pub method: Option<Method>,
    /// When.
    pub at: SystemTime,
}

/// The answer, as `check --json` and `/v1/check` give it (`docs/admin-api.md`).
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// `allow`, `deny` or `observe`.
    pub decision: &'static str,
    /// `host:port` as it is matched.
    pub destination: String,
    /// The host alone.
    pub host: String,
    /// The port alone.
    pub port: u16,
    /// The deny reason; empty where allowed.
    pub reason: &'static str,
    /// The rule that decided, or that was missed most narrowly.
    pub rule: Option<String>,
    /// The layer that decided, where there is more than one.
    pub layer: Option<String>,
    /// The policy's revision.
    pub revision: String,
    /// The nearest miss.
    pub hint: Option<String>,
    /// The addresses that would be dialled, or `parent HOST:PORT` where the way leads by the parent proxy; null where it
    /// is denied or where the name does not resolve.
    pub would_dial: Option<Vec<String>>,
}

/// Judges a question by one policy; an allowed name is resolved, and its addresses are vetted, as for a request.
pub async fn check(
    policy: &Snapshot,
    resolver: &Resolver,
    own: &OwnAddresses,
    parent: Option<&Parent>,
    question: Question,
    circumstances: Circumstances,
) -> Checked {
    let facts = facts(question, circumstances);
    let mut checked = Checked {
        decision: "deny",
        destination: facts.destination.to_string(),
        host: facts.destination.host().to_string(),
        port: facts.destination.port().get(),
        reason: "",
        rule: None,
        layer: None,
        revision: policy.revision().to_owned(),
        hint: None,
        would_dial: None,
    };
    let permit = match policy.decide(&facts) {
        Decision::Deny(denial) => return checked.denied(&denial),
        Decision::Allow(permit) => permit,
    };
    checked.decision = "allow";
    checked.rule = permit.rule_id().map(str::to_owned);
    checked.layer = permit.layer().map(str::to_owned);
    if let Some(denial) = permit.observed() {
        checked = checked.denied(denial);
        checked.decision = "observe";
    }
    let resolved = resolver.resolve(facts.destination.host(), OURSELVES).await;
    let resolved = resolved.as_ref().map(|addresses| addresses.as_slice());
    match permit.route(resolved, own, parent.map(|parent| &parent.scope)) {
        Ok(Route::Direct(addresses)) => {
            checked.would_dial = Some(addresses.as_slice().iter().map(ToString::to_string).collect());
        }
        Ok(Route::Parent(_)) => checked.would_dial = parent.map(|parent| vec![parent.to_string()]),
        Err(NoRoute::Unresolved(_)) => {}
        Err(NoRoute::Denied(denial)) => {
            checked.decision = "deny";
            return checked.denied(&denial);
        }
    }
    checked
}

/// The facts of a request as a client would make it.
fn facts(question: Question, circumstances: Circumstances) -> RequestFacts {
    let Question { destination, protocol, method, upgrade, path } = question;
    let (method, upgrade) = match (circumstances.method, protocol) {
        // The proxy sees the `CONNECT` of a tunnel, and none of the methods inside it.
        (None, _) | (Some(_), Protocol::Connect | Protocol::Socks5 | Protocol::Own) => (method, upgrade),
        (Some(named), Protocol::Http) => {
            let (method, upgrade) = Method::named(named.as_str());
            (Some(method), upgrade)
        }
    };
    RequestFacts {
        client: Client::hypothetical(),
        tool: circumstances.tool,
        protocol,
        destination,
        method,
        upgrade,
        path,
        passed_through_us: false,
        at: circumstances.at,
    }
}

impl Checked {
    /// Whether a request would pass.
    pub fn is_allowed(&self) -> bool {
        self.decision != "deny"
    }

    fn denied(mut self, denial: &Denial) -> Self {
        self.reason = denial.reason().as_str();
        self.rule = denial.rule_id().map(str::to_owned);
        self.layer = denial.layer().map(str::to_owned);
        self.hint = denial.rule_reason().or_else(|| denial.hint()).map(str::to_owned);
        self
    }
}
