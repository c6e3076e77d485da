//! What the proxy says of itself, asked for and made fit to be shown.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::rates::RequestsAndDenials;
use crate::cli::admin_client::AdminClient;
use crate::text::Inert;

/// Between two questions.
const EVERY: Duration = Duration::from_secs(1);

/// Rows that are asked for: more than anybody scrolls, and few enough to ask for each second.
const ROWS: usize = 500;

/// Everything that is shown, at one moment.
#[derive(Clone, Debug)]
pub(super) struct ApiSnapshot {
    /// When it was asked for, for ages.
    pub(super) now: Timestamp,
    /// The same on a clock that never steps, for rates.
    pub(super) at: Instant,
    pub(super) policy: ApiPolicy,
    /// Requests and denials since the proxy's start, both of one moment.
    pub(super) counted: RequestsAndDenials<u64>,
    pub(super) denials: ApiDenials,
    pub(super) tunnels: Tunnels,
    /// The newest first.
    pub(super) records: Vec<ApiRecord>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiPolicy {
    pub(super) name: Inert,
    pub(super) revision: Inert,
    pub(super) mode: Inert,
    pub(super) egress: Inert,
    pub(super) enabled: bool,
    pub(super) rules: u64,
    pub(super) source: Inert,
    pub(super) loaded: Inert,
    #[serde(deserialize_with = "lines")]
    pub(super) error: Option<Inert>,
    pub(super) selftest: Option<SelfTest>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SelfTest {
    pub(super) ok: bool,
    pub(super) at: Inert,
    pub(super) detail: Inert,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiDenials {
    pub(super) destinations: Vec<Denied>,
    pub(super) other: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Denied {
    pub(super) destination: Inert,
    pub(super) reason: Inert,
    pub(super) count: u64,
    pub(super) first: Inert,
    pub(super) last: Inert,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tunnels {
    pub(super) total: u64,
    /// The oldest first.
    pub(super) tunnels: Vec<ApiTunnel>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiTunnel {
    pub(super) id: Inert,
    pub(super) destination: Inert,
    pub(super) protocol: Inert,
    pub(super) method: Inert,
    pub(super) tool: Inert,
    pub(super) client: Inert,
    pub(super) started: Inert,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ApiRecord {
    pub(super) time: Inert,
    pub(super) kind: Inert,
    pub(super) tool: Inert,
    pub(super) host: Inert,
    pub(super) port: u16,
    pub(super) decision: Inert,
    pub(super) reason: Inert,
    pub(super) rule: Inert,
    pub(super) outcome: Inert,
    /// Of a `gap`: how many records are missing.
    pub(super) dropped: u64,
}

/// What an attempt to ask came to.
pub(super) type News = Result<Box<ApiSnapshot>, Inert>;

/// Asks, about once a second, for as long as the screen listens.
pub(super) fn follow(client: &AdminClient, news: &mpsc::Sender<News>) {
    loop {
        let began = Instant::now();
        let asked = snapshot(client).map(Box::new).map_err(|error| Inert::new(&error));
        if news.send(asked).is_err() {
            return;
        }
        std::thread::sleep(EVERY.saturating_sub(began.elapsed()));
    }
}

/// Asks once.
pub(super) fn snapshot(client: &AdminClient) -> Result<ApiSnapshot, String> {
    let counted = counted(&client.metrics()?);
    let (now, at) = (Timestamp::now(), Instant::now());
    let mut records: Vec<ApiRecord> =
        document(client, &format!("/v1/records?limit={ROWS}")).map(|Records { records }| records)?;
    // A tunnel's interim lines say nothing that its row does not.
    records.retain(|record| matches!(record.kind.as_str(), "end" | "gap"));
    records.reverse();
    Ok(ApiSnapshot {
        now,
        at,
        policy: document(client, "/v1/policy")?,
        counted,
        denials: document(client, &format!("/v1/denials?limit={ROWS}"))?,
        tunnels: document(client, &format!("/v1/tunnels?limit={ROWS}"))?,
        records,
    })
}

#[derive(Deserialize)]
struct Records {
    records: Vec<ApiRecord>,
}

fn document<T: serde::de::DeserializeOwned>(client: &AdminClient, path: &str) -> Result<T, String> {
    let wrong = |error: serde_json::Error| {
        let error = Inert::new(&error.to_string());
        format!("the response to {}{path} is unknown to this version: {error}", client.address())
    };
    serde_json::from_value(client.json(path)?).map_err(wrong)
}

/// The sums of `outgate_requests_total`, all of them and those denied.
fn counted(metrics: &str) -> RequestsAndDenials<u64> {
    let mut counted = RequestsAndDenials::<u64>::default();
    for line in metrics.lines().filter(|line| line.starts_with("outgate_requests_total{")) {
        let count = line.rsplit(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or_default();
        counted.requests = counted.requests.saturating_add(count);
        // A quotation mark inside of a label has a backslash in front of it.
        if line.contains("decision=\"deny\"") {
            counted.denied = counted.denied.saturating_add(count);
        }
    }
    counted
}

/// `null` is empty text.
impl<'de> Deserialize<'de> for Inert {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(|text| Self::new(&text)).unwrap_or_default())
    }
}

/// Text of several lines in one: the first, and how many follow.
fn lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Inert>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let first = lines.next().unwrap_or("no reason was given").trim();
        match lines.count() {
            0 => Inert::new(first),
            more => Inert::new(&format!("{first} (and {more} more lines)")),
        }
    }))
}
