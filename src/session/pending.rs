//! The record of a request that is still going on. It is emitted by ownership: finishing consumes it, and dropping it
//! unfinished emits `internal` (`shutdown` while the process stops), so no way out of the code leaves a request uncounted.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::{Refusal, Refused, Stopwatch};
use crate::facts::{
    Client, Destination, Method, Opening, Outcome, Protocol, RequestFacts, RequestId, ServerName, Tool,
};
use crate::places::Place;
use crate::policy::{Cited, Denial, DenyReason, Permit};
use crate::record::{HelloResult, Kind, Nanos, Record, Verdict, WorkerRecorder};

/// Which listener a request came in by: its place among the configured ones, and its name.
#[derive(Clone, Debug)]
pub struct ListenerId {
    /// Its place in the configuration, from 0.
    pub index: usize,
    /// Its name, which is the tool's label.
    pub tool: Tool,
}

/// A request's record in the making.
#[derive(Debug)]
pub struct Pending {
    account: Account,
    listener: usize,
    counted: bool,
    /// Given back with the end of the request.
    place: Option<Place>,
}

/// What is known so far of a request that is under way: enough for interim records. Its end is the [`Pending`]'s.
#[derive(Debug)]
pub(super) struct Account {
    worker: Rc<WorkerRecorder>,
    began: Stopwatch,
    /// Taken when the request ends; `None` only inside `finish` and afterwards in `drop`.
    record: Option<Box<Record>>,
    /// Whether an `open` record was handed in: it is emitted once, even if the request is listed again.
    is_open: Cell<bool>,
}

impl Account {
    /// The request's id.
    pub(super) fn id(&self) -> RequestId {
        self.record.as_ref().map_or(RequestId::NONE, |record| record.id)
    }

    /// When the request began.
    pub(super) fn started(&self) -> Option<SystemTime> {
        self.record.as_ref().map(|record| record.started)
    }

    /// How long ago the request began.
    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether an interim record was handed in.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Notes that an interim record was handed in for it elsewhere.
    pub(super) fn opened(&mut self) {
        self.is_open.set(true);
    }

    /// Hands in what is known so far: `open` at first, then `progress`.
    pub(super) fn interim(&self, bytes_up: u64, bytes_down: u64) {
        let kind = if self.is_open.replace(true) { Kind::Progress } else { Kind::Open };
        if let Some(record) = self.so_far(kind, bytes_up, bytes_down) {
            self.worker.emit(record);
        }
    }

    /// What is known so far, with these bytes that moved in addition to those noted.
    pub(super) fn so_far(&self, kind: Kind, bytes_up: u64, bytes_down: u64) -> Option<Record> {
        let mut record = Record::clone(self.record.as_ref()?);
        record.kind = kind;
        record.bytes_up += bytes_up;
        record.bytes_down += bytes_down;
        record.duration = self.began.elapsed().into();
        Some(record)
    }

    /// Notes the status that the client is answered with.
    pub(super) fn status(&mut self, status: u16) {
        if let Some(record) = &mut self.record {
            record.status = status;
        }
    }

    /// Lets go of the policy that permitted it, keeping the names that the record cites. For what outlives the policy.
    pub(super) fn detach_policy(&mut self) {
        if let Some(record) = &mut self.record {
            record.cited.detach();
        }
    }

    /// The recorder of this worker.
    pub(super) fn worker(&self) -> &Rc<WorkerRecorder> {
        &self.worker
    }
}

impl Pending {
    /// Begins a record at a request's first byte.
    pub fn begin(worker: Rc<WorkerRecorder>, listener: &ListenerId, client: Client) -> Self {
        let record = Record {
            id: worker.next_id(),
            started: SystemTime::now(),
            kind: Kind::End,
            listener: listener.tool.clone(),
            protocol: None,
            client,
            method: None,
            destination: None,
            path: None,
            verdict: Verdict::None("internal"),
            cited: Cited::default(),
            address: None,
            sni: None,
            outcome: Outcome::Internal,
            status: 0,
            bytes_up: 0,
            bytes_down: 0,
            decide: Nanos::ZERO,
            dial: None,
            duration: Nanos::ZERO,
            hint: None,
        };
        let (began, record) = (Stopwatch::start(), Some(Box::new(record)));
        let account = Account { worker, began, record, is_open: Cell::new(false) };
        Self { account, listener: listener.index, counted: false, place: None }
    }

    /// What is known so far.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// As [`Self::account`], to be changed.
    pub(super) fn account_mut(&mut self) -> &mut Account {
        &mut self.account
    }

    /// A copy for interim records, while the request stays with its owner.
    pub(super) fn copy(&self) -> Account {
        let Account { worker, began, record, is_open } = &self.account;
        Account { worker: Rc::clone(worker), began: *began, record: record.clone(), is_open: is_open.clone() }
    }

    /// How long ago the request began.
    pub fn age(&self) -> Duration {
        self.account.age()
    }

    /// The request's id.
    pub fn id(&self) -> RequestId {
        self.account.id()
    }

    /// Notes what is being asked.
    pub fn asked(&mut self, facts: &RequestFacts) {
        self.with(|record| {
            record.client.clone_from(&facts.client);
            record.protocol = Some(facts.protocol);
            // The proxy does not see the methods inside a tunnel, but it sees the one that asked for the tunnel.
            record.method = match facts.protocol {
                Protocol::Connect => Some(Method::new("CONNECT")),
                Protocol::Http | Protocol::Own | Protocol::Socks5 => facts.named_method(),
            };
            record.destination = Some(facts.destination.clone());
            record.path.clone_from(&facts.path);
        });
    }

    /// Notes by which protocol it came, for requests that have no destination.
    pub fn protocol(&mut self, protocol: Protocol) {
        self.with(|record| record.protocol = Some(protocol));
    }

    /// Notes which of the proxy's own paths was asked for.
    pub fn own_path(&mut self, path: &str) {
        self.with(|record| {
            record.protocol = Some(Protocol::Own);
            record.path = Some(path.into());
        });
    }

    /// Notes that the policy permitted it, and how long that took.
    pub fn permitted(&mut self, permit: &Permit, took: Duration) {
        self.with(|record| {
            record.verdict = verdict(permit);
            record.cited = permit.into();
            record.decide = took.into();
        });
    }

    /// Notes that the policy in force permitted it again.
    pub fn permitted_again(&mut self, permit: &Permit) {
        self.with(|record| {
            record.verdict = verdict(permit);
            record.cited = permit.into();
        });
    }

    /// Holds a tunnel's place until the request has ended.
    pub fn occupy(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Notes how long the policy took to deny it; the denial itself comes with [`Pending::refuse`].
    pub fn judged_in(&mut self, took: Duration) {
        self.with(|record| record.decide = took.into());
    }

    /// Notes where it was connected to, and how long resolving and connecting took; none for a reused connection.
    pub fn connected(&mut self, address: SocketAddr, took: Option<Duration>) {
        self.with(|record| {
            record.address = Some(address);
            record.dial = took.map(Nanos::from);
        });
    }

    /// Notes how a tunnel began and what the policy said to it.
    pub fn opened(&mut self, opening: &Opening, admitted: &Result<Option<Denial>, Denial>) {
        self.account.worker.client_hello(hello_result(opening, admitted));
        self.with(|record| {
            record.sni = match opening {
                Opening::Hello(ServerName::Name(name)) => Some(name.shared()),
                Opening::Hello(ServerName::Address(ip)) => Some(ip.to_string().into()),
                Opening::Hello(ServerName::Missing)
                | Opening::NotTls
                | Opening::Malformed(_)
                | Opening::TooLarge
                | Opening::Late
                | Opening::Cut => None,
            };
        });
        if let Ok(Some(denial)) = admitted {
            self.observed(denial);
        }
    }

    /// Notes a denial that observe mode let pass. An earlier one stays: it is the first to fix.
    pub fn observed(&mut self, denial: &Denial) {
        self.with(|record| {
            if let Verdict::Allow = &record.verdict {
                record.verdict = Verdict::Observe(denial.reason());
                record.hint = denial.hint().map(Into::into);
            }
        });
    }

    /// Notes the status that the client is answered with.
    pub fn status(&mut self, status: u16) {
        self.with(|record| record.status = status);
    }

    /// Adds bytes that went from the client to the origin.
    pub fn sent_up(&mut self, bytes: u64) {
        self.with(|record| record.bytes_up += bytes);
    }

    /// Adds bytes that went from the origin to the client.
    pub fn sent_down(&mut self, bytes: u64) {
        self.with(|record| record.bytes_down += bytes);
    }

    /// Counts the request: its last check is done. Once; later calls do nothing.
    pub fn count(&mut self) {
        if std::mem::replace(&mut self.counted, true) {
            return;
        }
        let Account { worker, record, .. } = &self.account;
        if let Some(record) = record {
            let Record { protocol, verdict, destination, cited, decide, .. } = &**record;
            worker.count(self.listener, *protocol, verdict, destination.as_ref(), cited.rule(), *decide);
        }
    }

    /// Ends the request without a way out.
    pub fn refuse(mut self, why: Refusal) -> Refused {
        let (id, row) = (self.id(), why.row());
        self.with(|record| {
            record.status = row.status;
            match &why {
                Refusal::Denied(denial) => note_denial(record, denial),
                // The policy had allowed it, or no policy was asked: then the token says why.
                Refusal::Malformed(_)
                | Refusal::Unresolvable(_)
                | Refusal::Unreachable(_)
                | Refusal::Failed(_)
                | Refusal::Busy(_)
                | Refusal::Unrecordable
                | Refusal::Internal => {
                    if let Verdict::None(_) = record.verdict {
                        record.verdict = Verdict::None(row.token);
                    }
                }
            }
        });
        self.finish(row.outcome);
        Refused { id, why }
    }

    /// Ends the request as one of the proxy's own paths, which no policy judges.
    pub fn finish_own(mut self, status: u16) {
        self.with(|record| {
            record.verdict = Verdict::None("");
            record.status = status;
        });
        self.finish(Outcome::Completed);
    }

    /// Ends the request.
    pub fn finish(mut self, outcome: Outcome) {
        self.emit(outcome);
    }

    fn emit(&mut self, outcome: Outcome) {
        let Account { worker, record: pending, .. } = &mut self.account;
        let Some(record) = pending else { return };
        record.outcome = outcome;
        // The self-test: not counted while it is denied, recorded as soon as it is not.
        if !self.counted && worker.is_expected(record) {
            *pending = None;
            return;
        }
        self.count();
        let Account { worker, began, record, .. } = &mut self.account;
        if let Some(mut record) = record.take() {
            record.duration = began.elapsed().into();
            worker.ended(self.listener, outcome);
            worker.emit(*record);
        }
    }

    fn with(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.account.record {
            change(record);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.emit(self.account.worker.outcome_of_dropped());
    }
}

fn verdict(permit: &Permit) -> Verdict {
    permit.observed().map_or(Verdict::Allow, |denial| Verdict::Observe(denial.reason()))
}

fn note_denial(record: &mut Record, denial: &Denial) {
    record.verdict = Verdict::Deny(denial.reason());
    record.destination.get_or_insert_with(|| Destination::clone(denial.destination()));
    record.cited = denial.into();
    record.hint = denial.hint().map(Into::into);
}

/// What the gate's metric calls it.
fn hello_result(opening: &Opening, admitted: &Result<Option<Denial>, Denial>) -> HelloResult {
    let reason = match admitted {
        Ok(None) => return HelloResult::Passed,
        Ok(Some(denial)) | Err(denial) => denial.reason(),
    };
    match opening {
        Opening::Hello(_) if reason == DenyReason::SniMissing => HelloResult::SniMissing,
        Opening::Hello(_) => HelloResult::SniMismatch,
        Opening::NotTls => HelloResult::NotTls,
        Opening::Malformed(_) => HelloResult::Malformed,
        Opening::TooLarge => HelloResult::TooLarge,
        Opening::Late => HelloResult::Late,
        Opening::Cut => HelloResult::Cut,
    }
}
