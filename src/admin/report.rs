//! `/v1/report`: what was recorded, added up.
//!
//! Guaranteed: the admin listener keeps answering other clients (a separate thread reads the records); one report is
//! read at a time, and few wait for their turn; its memory is bounded, however many names were made up (`MAX_KEYS`).

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hyper::StatusCode;
use hyper::header::{self, HeaderName, HeaderValue};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::answer::{ApiError, ApiResult, content, html, json_of};
use super::call::{Call, Query};
use crate::history::report::{By, Document, ROWS, Report, Summed, page};
use crate::history::{NotRequests, Past, RecordSource, RecordSourceError, since};
use crate::sink::{RecentFilter, SinkKind, Sinks};

/// The maximum number of separate rows in a report. Further names count in the row `other`. The names take about ten
/// megabytes.
const MAX_KEYS: usize = 50_000;

/// Reports that are read at once: one takes a core and the disk.
static READING: Semaphore = Semaphore::const_new(1);

/// Reports that wait for that or are read. Each holds an admin connection, of which others need some.
static ADMITTED: Semaphore = Semaphore::const_new(8);

/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the records were read from.
const SOURCE: HeaderName = HeaderName::from_static("x-outgate-source");

/// What the page may do: show itself, with the style that is in it.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Which report a query asks for.
struct ReportQuery {
    by: By,
    format: Format,
    since: Option<SystemTime>,
    limit: Option<usize>,
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Csv,
    Html,
}

/// The JSON answer: a report's document, and what it is of.
#[derive(Serialize)]
struct JsonReport<'a> {
    source: &'static str,
    #[serde(flatten)]
    document: Document<'a>,
    /// Records that are missing, by the reason of their gaps.
    missing: BTreeMap<&'a str, u64>,
    /// Lines that are not records.
    unreadable: u64,
}

impl ReportQuery {
    /// How many rows are wanted.
    fn limit(&self) -> usize {
        self.limit.unwrap_or(if matches!(self.format, Format::Html) { ROWS } else { usize::MAX })
    }
}

/// `/v1/report`.
pub(super) async fn show(call: Call) -> ApiResult {
    let asked = report_query(&call.query).map_err(ApiError::bad_request)?;
    let Ok(_admitted) = ADMITTED.try_acquire() else { return Err(busy()) };
    let Ok(Ok(turn)) = timeout(PATIENCE, READING.acquire()).await else { return Err(busy()) };
    let (past, since, limit) = (past(&call.context.shared.sinks), asked.since, asked.limit());
    let source = past.source();
    let mut report = Report::at_most(asked.by, MAX_KEYS);
    if !matches!(asked.format, Format::Html) {
        report = report.rows_alone();
    }
    match tokio::task::spawn_blocking(move || read(&past, report, since, limit, turn)).await {
        Ok(Ok((summed, skipped))) => written(&asked, source, &summed, &skipped),
        Ok(Err(error)) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        Err(_) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the report could not be made")),
    }
}

/// Everything that was recorded, as far back as it is kept: the database, where there is one, reaches back furthest.
fn past(sinks: &Sinks) -> Past {
    let path = |kind| sinks.path(kind).map(Path::to_owned);
    match (path(SinkKind::Sqlite), path(SinkKind::Jsonl)) {
        (Some(path), _) => Past::Stored(RecordSource::Sqlite(path)),
        (None, Some(path)) => Past::Stored(RecordSource::Jsonl(path)),
        (None, None) => Past::Memory(sinks.recent(&RecentFilter::newest(usize::MAX))),
    }
}

fn report_query(query: &Query) -> Result<ReportQuery, String> {
    let by = match query.get("by") {
        None => By::Destination,
        Some(token) => By::ALL
            .into_iter()
            .find(|by| by.token() == token)
            .ok_or_else(|| format!("`by` is one of {}", By::ALL.map(By::token).join(", ")))?,
    };
    let format = match query.get("format").as_deref() {
        None | Some("json") => Format::Json,
        Some("csv") => Format::Csv,
        Some("html") => Format::Html,
        Some(_) => return Err("`format` is one of json, csv, html".into()),
    };
    let since = match query.get("since") {
        None => None,
        Some(text) => Some(since(&text, SystemTime::now()).map_err(|error| format!("`since`: {error}"))?),
    };
    let limit = query.get("limit").map(|text| text.parse().map_err(|_| "`limit` is not a number".to_owned()));
    Ok(ReportQuery { by, format, since, limit: limit.transpose()? })
}

/// Keeps its turn until the records are read, also when no client waits for the response any more.
fn read(
    past: &Past,
    mut report: Report,
    since: Option<SystemTime>,
    limit: usize,
    turn: SemaphorePermit<'static>,
) -> Result<(Summed, NotRequests), RecordSourceError> {
    let skipped = past.requests(report.wanted(), since, |request| report.add(request))?;
    let summed = report.finish(limit);
    drop(turn);
    Ok((summed, skipped))
}

fn written(asked: &ReportQuery, source: &'static str, summed: &Summed, skipped: &NotRequests) -> ApiResult {
    let mut response = match asked.format {
        Format::Json => json_of(&JsonReport {
            source,
            document: summed.document(),
            missing: skipped.missing.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
            unreadable: skipped.unreadable,
        })?,
        Format::Csv => content("text/csv; charset=utf-8", summed.csv()),
        Format::Html => {
            let page = page(summed, asked.by.token(), SystemTime::now());
            let mut response = html(page);
            let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
            response
        }
    };
    response.headers_mut().insert(SOURCE, HeaderValue::from_static(source));
    Ok(response)
}

fn busy() -> ApiError {
    ApiError::unavailable("another report is being read; ask again")
        .with(header::RETRY_AFTER, HeaderValue::from_static("5"))
}
