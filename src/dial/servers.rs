//! Lookups by configured name servers.
//!
//! Guaranteed:
//! - The question is the name itself, absolute: A and AAAA, and what its CNAMEs lead to. Neither a search list nor the
//!   hosts file is consulted. `localhost` and names below it are loopback without a question (RFC 6761 §6.3).
//! - An answer is kept as long as its TTL says; TTL 0 is not kept. The store is bounded.
//! - A server that does not know EDNS (RFC 6891 §7) is asked once more without it: where it says FORMERR or the like, and
//!   where it says nothing. That is remembered for some minutes.
//! - A family that stays silent does not hold up the other: see [`DELAY_OF_AAAA`] and [`DELAY_OF_A`].
//! - Equal questions of one worker that are under way together are asked once, and count once among those under way.
//!
//! Deliberately not done: DNSSEC, encrypted transports, randomised case (some servers lower it), telling what a server
//! added to the answer from the answer itself: all of it is vetted.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts, ServerOrderingStrategy,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RecordType};
use tokio::time::{Instant, timeout};

use super::addresses::Addresses;
use crate::facts::{DomainName, ResolveError};
use crate::places::{Full, Holder, Place, Places};

/// Answers that one worker keeps. An agent's working set is some hundred names; at about 1 KiB an answer this is 2 MiB.
const CACHED_ANSWERS: u64 = 2048;
/// For how long a "no such name" is believed at most, regardless of the zone: people fix DNS and try again.
const MAX_NEGATIVE_TTL: Duration = Duration::from_secs(30);
/// How often a question is put again in the same form: never. A question that got no answer with EDNS is asked without, which
/// is the repetition after a lost datagram, too.
const REPETITIONS: usize = 0;
/// How long the AAAA answer may come after one with IPv4 addresses: the resolution delay of RFC 8305 §3.
const DELAY_OF_AAAA: Duration = Duration::from_millis(50);
/// How long the A answer may come after one with IPv6 addresses. Longer: many networks have IPv6 addresses that lead
/// nowhere, and no address can be added after the others were vetted.
const DELAY_OF_A: Duration = Duration::from_secs(1);
/// For how long questions go without EDNS after it failed.
const WITHOUT_EDNS: Duration = Duration::from_mins(10);
/// How many times in a row a server must ignore a question with EDNS and answer the same one without it before this is
/// no longer taken for packet loss.
const SUSPICIONS: u32 = 2;

/// A client of the configured servers, for one worker.
#[derive(Debug)]
pub(super) struct Servers {
    resolver: TokioResolver,
    /// The same servers, asked without EDNS.
    plain: TokioResolver,
    edns: Edns,
    in_flight: Arc<Places>,
    /// The names under way, each with its place among `in_flight`. As many entries as places.
    asking: Mutex<HashMap<DomainName, Weak<Asking>>>,
}

/// A name's place among the lookups in progress, shared by all requests that wait for the name. It counts for the
/// client that asked first.
#[derive(Debug)]
struct Asking(#[expect(dead_code, reason = "held, and given back when the last waiting request is done")] Place);

impl Servers {
    pub(super) fn new(servers: &[SocketAddr], timeout: Duration, in_flight: Arc<Places>) -> Result<Self, NetError> {
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect());
        let client = |edns| {
            let mut builder = TokioResolver::builder_with_config(config.clone(), TokioRuntimeProvider::default());
            *builder.options_mut() = options(timeout, edns);
            builder.build()
        };
        let (resolver, plain) = (client(true)?, client(false)?);
        Ok(Self { resolver, plain, edns: Edns::default(), in_flight, asking: Mutex::default() })
    }

    pub(super) async fn look_up(&self, name: &DomainName, client: Holder) -> Result<Addresses, ResolveError> {
        let _asking = self.join(name, client)?;
        // Made of labels, a name is absolute.
        let labels = name.as_str().split('.').map(str::as_bytes);
        let name = Name::from_labels(labels).map_err(|_| ResolveError::Failed)?;
        let (v6, v4) = both(self.ask(name.clone(), RecordType::AAAA), self.ask(name, RecordType::A)).await;
        match (v6, v4) {
            (Err(v6), Err(v4)) => Err(worse(v6, v4)),
            (v6, v4) => Ok([v6, v4].into_iter().flatten().flatten().collect()),
        }
    }

    /// One family's addresses, asked for with EDNS or, where that brings nothing, without.
    async fn ask(&self, name: Name, family: RecordType) -> Result<Addresses, ResolveError> {
        if self.edns.is_in_the_way() {
            return found(self.plain.lookup(name, family).await);
        }
        let answer = self.resolver.lookup(name.clone(), family).await;
        let Some(fault) = answer.as_ref().err().and_then(EdnsFault::of) else {
            self.edns.works();
            return found(answer);
        };
        let again = self.plain.lookup(name, family).await;
        if !again.as_ref().is_err_and(|error| EdnsFault::of(error).is_some()) {
            self.edns.failed(fault);
        }
        found(again)
    }
}

/// Both families' answers. One with addresses waits for the other no longer than that one's delay; the other then counts as
/// timed out.
async fn both(
    v6: impl Future<Output = Result<Addresses, ResolveError>>,
    v4: impl Future<Output = Result<Addresses, ResolveError>>,
) -> (Result<Addresses, ResolveError>, Result<Addresses, ResolveError>) {
    let (mut v6, mut v4) = (pin!(v6), pin!(v4));
    let late = |_| Err(ResolveError::Timeout);
    tokio::select! {
        v6 = &mut v6 => {
            let v4 = match has_addresses(&v6) {
                true => timeout(DELAY_OF_A, v4).await.unwrap_or_else(late),
                false => v4.await,
            };
            (v6, v4)
        }
        v4 = &mut v4 => {
            let v6 = match has_addresses(&v4) {
                true => timeout(DELAY_OF_AAAA, v6).await.unwrap_or_else(late),
                false => v6.await,
            };
            (v6, v4)
        }
    }
}

fn has_addresses(answer: &Result<Addresses, ResolveError>) -> bool {
    answer.as_ref().is_ok_and(|addresses| !addresses.is_empty())
}

/// Whether EDNS is in the way of answers, as far as is known of these servers.
#[derive(Debug, Default)]
struct Edns(Mutex<EdnsSeen>);

#[derive(Debug, Default)]
struct EdnsSeen {
    /// Answers in a row that came only without EDNS, where that may have been an accident.
    suspicions: u32,
    avoided_since: Option<Instant>,
}

/// What may be the fault of EDNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EdnsFault {
    /// The server says that it does not understand the question (RFC 6891 §7).
    NotUnderstood,
    /// Nothing came back, or only that the server failed.
    Suspected,
}

impl Edns {
    fn is_in_the_way(&self) -> bool {
        self.seen().avoided_since.is_some_and(|since| since.elapsed() < WITHOUT_EDNS)
    }

    fn works(&self) {
        self.seen().suspicions = 0;
    }

    /// Notes that the same question had an answer without it.
    fn failed(&self, how: EdnsFault) {
        let mut seen = self.seen();
        seen.suspicions += 1;
        if how == EdnsFault::NotUnderstood || seen.suspicions >= SUSPICIONS {
            *seen = EdnsSeen { suspicions: 0, avoided_since: Some(Instant::now()) };
        }
    }

    fn seen(&self) -> MutexGuard<'_, EdnsSeen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EdnsFault {
    fn of(error: &NetError) -> Option<Self> {
        let code = match error {
            NetError::Timeout => return Some(Self::Suspected),
            NetError::Dns(DnsError::ResponseCode(code)) => *code,
            NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
            _ => return None,
        };
        match code {
            ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS => Some(Self::NotUnderstood),
            ResponseCode::ServFail => Some(Self::Suspected),
            _ => None,
        }
    }
}

impl Servers {
    /// Joins the lookup of this name that is in progress, or starts one if there is room.
    fn join(&self, name: &DomainName, client: Holder) -> Result<Waiting<'_>, ResolveError> {
        let mut asking = self.asking();
        let known = asking.get(name).and_then(Weak::upgrade);
        let place = match known {
            Some(place) => place,
            None => {
                let place = Arc::new(Asking(self.in_flight.take(client).map_err(ResolveError::Busy)?));
                asking.insert(name.clone(), Arc::downgrade(&place));
                place
            }
        };
        Ok(Waiting { servers: self, name: name.clone(), place: Some(place) })
    }

    fn asking(&self) -> MutexGuard<'_, HashMap<DomainName, Weak<Asking>>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for a name. The last one to finish removes the name from the map.
struct Waiting<'a> {
    servers: &'a Servers,
    name: DomainName,
    place: Option<Arc<Asking>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut asking = self.servers.asking();
        drop(self.place.take());
        if asking.get(&self.name).is_some_and(|place| place.strong_count() == 0) {
            asking.remove(&self.name);
        }
    }
}

fn server(addr: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = addr.port();
        connection
    });
    NameServerConfig::new(addr.ip(), true, connections.into())
}

fn options(timeout: Duration, edns: bool) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    // So that a family which stays silent ends before the whole lookup does, and the other's answer counts.
    options.timeout = timeout / 5 * 2;
    options.attempts = REPETITIONS;
    options.edns0 = edns;
    options.use_hosts_file = ResolveHosts::Never;
    options.cache_size = CACHED_ANSWERS;
    options.negative_max_ttl = Some(MAX_NEGATIVE_TTL);
    // One server after the other: a name is sent to no more servers than needed.
    options.num_concurrent_reqs = 1;
    options.server_ordering_strategy = ServerOrderingStrategy::QueryStatistics;
    options
}

fn found(answer: Result<Lookup, NetError>) -> Result<Addresses, ResolveError> {
    let addresses = |answer: Lookup| answer.answers().iter().filter_map(|record| record.data.ip_addr()).collect();
    answer.map(addresses).map_err(|error| reason(&error))
}

fn reason(error: &NetError) -> ResolveError {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => ResolveError::NotFound,
            ResponseCode::NoError => ResolveError::NoAddresses,
            _ => ResolveError::Failed,
        },
        NetError::Timeout => ResolveError::Timeout,
        NetError::Busy => ResolveError::Busy(Full::All),
        _ => ResolveError::Failed,
    }
}

/// Of two families' errors the one that leaves more open: "no address" needs both to say so.
fn worse(one: ResolveError, other: ResolveError) -> ResolveError {
    let rank = |error| match error {
        ResolveError::NoAddresses => 0,
        ResolveError::NotFound => 1,
        ResolveError::Failed => 2,
        ResolveError::Timeout => 3,
        ResolveError::Busy(_) => 4,
    };
    if rank(one) < rank(other) { other } else { one }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::net::IpAddr;
    use std::rc::Rc;

    use hickory_resolver::proto::op::Message;
    use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
    use hickory_resolver::proto::rr::{RData, Record};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UdpSocket};
    use tokio::task::LocalSet;
    use tokio::time::Instant;

    use super::super::resolve::{DnsSettings, Resolver};
    use super::*;
    use crate::facts::Host;

    const TIMEOUT: Duration = Duration::from_secs(5);

    /// What the server says to a question.
    #[derive(Clone)]
    enum Say {
        /// Records, as (owner, TTL, data).
        Records(Vec<(&'static str, u32, RData)>),
        Code(ResponseCode),
        Nothing,
        /// By UDP that the answer does not fit; by TCP these.
        ByTcp(Vec<(&'static str, u32, RData)>),
        /// First a forged answer with another id, then these.
        AfterForgery(Vec<(&'static str, u32, RData)>),
        /// To a question with EDNS this code, or nothing; to one without, these.
        WithoutEdns(Option<ResponseCode>, Vec<(&'static str, u32, RData)>),
        Garbage,
    }

    fn v4(text: &str) -> RData {
        RData::A(A(text.parse().unwrap()))
    }

    fn v6(text: &str) -> RData {
        RData::AAAA(AAAA(text.parse().unwrap()))
    }

    fn cname(text: &str) -> RData {
        RData::CNAME(CNAME(Name::from_ascii(text).unwrap()))
    }

    /// A name server on loopback, and the questions that it was asked: "A a.test.", "A a.test. tcp".
    struct Server {
        addr: SocketAddr,
        asked: Rc<RefCell<Vec<String>>>,
    }

    type Script = HashMap<String, Say>;

    fn script(rows: &[(&str, Say)]) -> Script {
        rows.iter().map(|(question, say)| ((*question).to_owned(), say.clone())).collect()
    }

    impl Server {
        /// Answers by the script; what is not in it does not exist.
        async fn start(rows: &[(&str, Say)]) -> Self {
            let (udp, tcp) = loop {
                let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                    break (udp, tcp);
                }
            };
            let server = Self { addr: udp.local_addr().unwrap(), asked: Rc::default() };
            let script = Rc::new(script(rows));
            tokio::task::spawn_local(serve_udp(udp, Rc::clone(&script), Rc::clone(&server.asked)));
            tokio::task::spawn_local(serve_tcp(tcp, script, Rc::clone(&server.asked)));
            server
        }

        fn asked(&self) -> Vec<String> {
            let mut asked = self.asked.borrow_mut().split_off(0);
            asked.sort();
            asked
        }
    }

    async fn serve_udp(socket: UdpSocket, script: Rc<Script>, asked: Rc<RefCell<Vec<String>>>) {
        let mut buffer = [0; 4096];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let query = Message::from_vec(&buffer[..length]).unwrap();
            let question = format!("{} {}", query.queries[0].query_type(), query.queries[0].name());
            let say = script.get(&question).cloned().unwrap_or(Say::Code(ResponseCode::NXDomain));
            asked.borrow_mut().push(question);
            for answer in answers(&query, say, false) {
                socket.send_to(&answer, peer).await.unwrap();
            }
        }
    }

    async fn serve_tcp(listener: TcpListener, script: Rc<Script>, asked: Rc<RefCell<Vec<String>>>) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (script, asked) = (Rc::clone(&script), Rc::clone(&asked));
            tokio::task::spawn_local(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut buffer = vec![0; length.into()];
                    stream.read_exact(&mut buffer).await.unwrap();
                    let query = Message::from_vec(&buffer).unwrap();
                    let question = format!("{} {}", query.queries[0].query_type(), query.queries[0].name());
                    let say = script[&question].clone();
                    asked.borrow_mut().push(format!("{question} tcp"));
                    for answer in answers(&query, say, true) {
                        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                        stream.write_all(&answer).await.unwrap();
                    }
                }
            });
        }
    }

    fn answers(query: &Message, say: Say, tcp: bool) -> Vec<Vec<u8>> {
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.add_query(query.queries[0].clone());
        let fill = |answer: &mut Message, records: Vec<(&str, u32, RData)>| {
            answer.add_answers(
                records
                    .into_iter()
                    .map(|(owner, ttl, data)| Record::from_rdata(Name::from_ascii(owner).unwrap(), ttl, data)),
            );
        };
        match say {
            Say::Nothing => return Vec::new(),
            Say::WithoutEdns(code, _) if query.edns.is_some() => match code {
                Some(code) => answer.metadata.response_code = code,
                None => return Vec::new(),
            },
            Say::WithoutEdns(_, records) => fill(&mut answer, records),
            Say::Garbage => return vec![[&query.metadata.id.to_be_bytes(), [0xff; 40].as_slice()].concat()],
            Say::Code(code) => answer.metadata.response_code = code,
            Say::ByTcp(_) if !tcp => answer.metadata.truncation = true,
            Say::Records(records) | Say::ByTcp(records) => fill(&mut answer, records),
            Say::AfterForgery(records) => {
                let mut forged = answer.clone();
                forged.metadata.id ^= 1;
                fill(&mut forged, vec![("a.test.", 60, v4("198.51.100.66"))]);
                fill(&mut answer, records);
                return vec![forged.to_vec().unwrap(), answer.to_vec().unwrap()];
            }
        }
        vec![answer.to_vec().unwrap()]
    }

    fn resolver(servers: &[&Server], max_in_flight: usize) -> Resolver {
        let servers = servers.iter().map(|server| server.addr).collect();
        let fixed = |name: &str, ips: &[&str]| {
            (DomainName::parse(name.as_bytes()).unwrap(), ips.iter().map(|ip| ip.parse().unwrap()).collect())
        };
        let hosts = vec![fixed("fixed.test", &["192.0.2.7", "2001:db8::7"]), fixed("empty.test", &[])];
        let in_flight = Places::new(max_in_flight, max_in_flight);
        Resolver::new(DnsSettings { servers, hosts, timeout: TIMEOUT, in_flight }).unwrap()
    }

    async fn resolve(resolver: &Resolver, host: &str) -> Result<String, ResolveError> {
        resolve_for(1, resolver, host).await
    }

    async fn resolve_for(client: u8, resolver: &Resolver, host: &str) -> Result<String, ResolveError> {
        let answer =
            resolver.resolve(&Host::parse(host.as_bytes()).unwrap(), IpAddr::from([192, 0, 2, client]).into()).await?;
        Ok(answer.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    async fn local<T>(test: impl Future<Output = T>) -> T {
        LocalSet::new().run_until(test).await
    }

    fn found(text: &str) -> Result<String, ResolveError> {
        Ok(text.to_owned())
    }

    #[tokio::test]
    async fn both_families_are_asked_for_the_name_as_it_is_and_nothing_else() {
        local(async {
            let a =
                ("A a.test.", Say::Records(vec![("a.test.", 60, v4("192.0.2.1")), ("a.test.", 60, v4("192.0.2.2"))]));
            let aaaa = ("AAAA a.test.", Say::Records(vec![("a.test.", 60, v6("2001:db8::1"))]));
            let server =
                Server::start(&[a, aaaa, ("A v4.test.", Say::Records(vec![("v4.test.", 60, v4("192.0.2.3"))]))]).await;
            let resolver = resolver(&[&server], 100);
            for (host, expected, asked) in [
                ("A.test", found("2001:db8::1 192.0.2.1 192.0.2.2"), &["A a.test.", "AAAA a.test."][..]),
                ("v4.test", found("192.0.2.3"), &["A v4.test.", "AAAA v4.test."]),
                ("no.test", Err(ResolveError::NotFound), &["A no.test.", "AAAA no.test."]),
                ("intranet", Err(ResolveError::NotFound), &["A intranet.", "AAAA intranet."]),
                ("a_b.test", Err(ResolveError::NotFound), &["A a_b.test.", "AAAA a_b.test."]),
                ("fixed.test", found("192.0.2.7 2001:db8::7"), &[]),
                ("empty.test", Err(ResolveError::NoAddresses), &[]),
                ("x.fixed.test", Err(ResolveError::NotFound), &["A x.fixed.test.", "AAAA x.fixed.test."]),
                ("192.0.2.9", found("192.0.2.9"), &[]),
                ("[2001:db8::9]", found("2001:db8::9"), &[]),
                ("x.localhost", found("::1 127.0.0.1"), &[]),
            ] {
                assert_eq!(resolve(&resolver, host).await, expected, "{host}");
                assert_eq!(server.asked(), asked, "{host}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn chains_are_followed_to_their_end_and_rings_are_left() {
        local(async {
            let chain = vec![
                ("a.test.", 60, cname("b.test.")),
                ("b.test.", 60, cname("c.test.")),
                ("c.test.", 60, v4("192.0.2.1")),
            ];
            let server = Server::start(&[
                ("A a.test.", Say::Records(chain)),
                ("A d.test.", Say::Records(vec![("d.test.", 60, cname("e.test."))])),
                ("A e.test.", Say::Records(vec![("e.test.", 60, v4("192.0.2.2"))])),
                ("A f.test.", Say::Records(vec![("f.test.", 60, cname("e.test."))])),
                ("A g.test.", Say::Records(vec![("g.test.", 60, cname("g.test."))])),
                ("A h.test.", Say::Records(vec![("h.test.", 60, cname("i.test."))])),
                ("A i.test.", Say::Records(vec![("i.test.", 60, cname("h.test."))])),
                ("A j.test.", Say::Records(vec![("other.test.", 60, v4("192.0.2.66"))])),
            ])
            .await;
            let resolver = resolver(&[&server], 100);
            for (host, expected) in [
                ("a.test", Some("192.0.2.1")),
                ("d.test", Some("192.0.2.2")),
                ("f.test", Some("192.0.2.2")),
                ("g.test", None),
                ("h.test", None),
                ("j.test", None),
            ] {
                assert_eq!(resolve(&resolver, host).await.ok().as_deref(), expected, "{host}");
                assert!(server.asked().len() < 20, "{host}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn an_answer_lives_as_long_as_it_says_and_is_asked_once() {
        local(async {
            let one = |ttl| Say::Records(vec![("a.test.", ttl, v4("192.0.2.1"))]);
            let server = Server::start(&[
                ("A a.test.", one(60)),
                ("AAAA a.test.", Say::Records(vec![("a.test.", 60, v6("2001:db8::1"))])),
                ("A b.test.", Say::Records(vec![("b.test.", 0, v4("192.0.2.1"))])),
                ("AAAA b.test.", Say::Records(vec![("b.test.", 0, v6("2001:db8::1"))])),
            ])
            .await;
            let resolver = resolver(&[&server], 100);
            let (one, two) = tokio::join!(resolve(&resolver, "a.test"), resolve(&resolver, "a.test"));
            assert_eq!((one, two), (found("2001:db8::1 192.0.2.1"), found("2001:db8::1 192.0.2.1")));
            assert!(resolve(&resolver, "a.test").await.is_ok());
            assert_eq!(server.asked(), ["A a.test.", "AAAA a.test."]);
            assert!(resolve(&resolver, "b.test").await.is_ok());
            assert!(resolve(&resolver, "b.test").await.is_ok());
            assert_eq!(server.asked().len(), 4, "TTL 0 is for one use");
            assert!(resolve(&resolver.for_worker().unwrap(), "a.test").await.is_ok());
            assert_eq!(server.asked().len(), 2, "each worker has its own store");
        })
        .await;
    }

    #[tokio::test]
    async fn bad_answers_are_told_apart() {
        local(async {
            let good = || vec![("a.test.", 60, v4("192.0.2.1"))];
            let server = Server::start(&[
                ("A empty.test.", Say::Records(vec![])),
                ("AAAA empty.test.", Say::Records(vec![])),
                ("A half.test.", Say::Records(vec![])),
                ("A servfail.test.", Say::Code(ResponseCode::ServFail)),
                ("AAAA servfail.test.", Say::Code(ResponseCode::ServFail)),
                ("A refused.test.", Say::Code(ResponseCode::Refused)),
                ("AAAA refused.test.", Say::Records(vec![])),
                ("A garbage.test.", Say::Garbage),
                ("AAAA garbage.test.", Say::Garbage),
                ("A a.test.", Say::AfterForgery(good())),
                ("AAAA a.test.", Say::Records(vec![])),
            ])
            .await;
            let resolver = resolver(&[&server], 100);
            for (host, expected) in [
                ("no.test", Err(ResolveError::NotFound)),
                ("empty.test", Err(ResolveError::NoAddresses)),
                ("half.test", Err(ResolveError::NotFound)),
                ("servfail.test", Err(ResolveError::Failed)),
                ("refused.test", Err(ResolveError::Failed)),
                ("garbage.test", Err(ResolveError::Failed)),
                ("a.test", found("192.0.2.1")),
            ] {
                assert_eq!(resolve(&resolver, host).await, expected, "{host}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn what_does_not_fit_is_asked_by_tcp() {
        local(async {
            let many: Vec<_> = (0..200).map(|last| ("a.test.", 60, v4(&format!("192.0.2.{last}")))).collect();
            let server =
                Server::start(&[("A a.test.", Say::ByTcp(many)), ("AAAA a.test.", Say::Records(vec![]))]).await;
            let answer = resolve(&resolver(&[&server], 100), "a.test").await.unwrap();
            assert_eq!(answer.split(' ').count(), 200);
            assert_eq!(server.asked(), ["A a.test.", "A a.test. tcp", "AAAA a.test."]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_in_time_and_never_costs_what_was_answered() {
        local(async {
            let good = Say::Records(vec![("half.test.", 60, v4("192.0.2.1"))]);
            let server = Server::start(&[
                ("A a.test.", Say::Nothing),
                ("AAAA a.test.", Say::Nothing),
                ("A half.test.", good),
                ("AAAA half.test.", Say::Nothing),
            ])
            .await;
            let resolver = resolver(&[&server], 100);
            let began = Instant::now();
            assert_eq!(resolve(&resolver, "a.test").await, Err(ResolveError::Timeout));
            assert!(began.elapsed() <= TIMEOUT, "{:?}", began.elapsed());
            assert!(server.asked().len() > 2, "asked again");
            let began = Instant::now();
            assert_eq!(resolve(&resolver, "half.test").await, found("192.0.2.1"));
            assert!(began.elapsed() < TIMEOUT, "{:?}", began.elapsed());
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_without_edns_answers_and_is_asked_without_from_then_on() {
        local(async {
            for code in [Some(ResponseCode::FormErr), Some(ResponseCode::NotImp), Some(ResponseCode::ServFail), None] {
                let say = |name, ip| Say::WithoutEdns(code, vec![(name, 0, v4(ip))]);
                let none = || Say::WithoutEdns(code, Vec::new());
                let server = Server::start(&[
                    ("A a.test.", say("a.test.", "192.0.2.1")),
                    ("AAAA a.test.", none()),
                    ("A b.test.", say("b.test.", "192.0.2.2")),
                    ("AAAA b.test.", none()),
                ])
                .await;
                let resolver = resolver(&[&server], 100);
                assert_eq!(resolve(&resolver, "a.test").await, found("192.0.2.1"), "{code:?}");
                let asked = server.asked();
                // The library sends a question that nothing answers several times by itself.
                let times = asked.iter().filter(|asked| *asked == "A a.test.").count();
                assert!(times == 2 || code.is_none() && times > 2, "{code:?}: with and without, {asked:?}");
                // The other family may still have been asked for when this one's answer had waited for long enough.
                resolve(&resolver, "a.test").await.unwrap();
                server.asked();
                assert_eq!(resolve(&resolver, "b.test").await, found("192.0.2.2"), "{code:?}");
                assert_eq!(server.asked(), ["A b.test.", "AAAA b.test."], "{code:?}: it is remembered");
                tokio::time::advance(WITHOUT_EDNS).await;
                assert_eq!(resolve(&resolver, "b.test").await, found("192.0.2.2"), "{code:?}");
                assert!(server.asked().len() > 2, "{code:?}: and tried again later");
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_datagram_is_no_reason_to_do_without_edns() {
        local(async {
            let lost = |name, ip| Say::WithoutEdns(None, vec![(name, 0, v4(ip))]);
            let server = Server::start(&[
                ("A a.test.", lost("a.test.", "192.0.2.1")),
                ("A b.test.", lost("b.test.", "192.0.2.2")),
                ("A c.test.", Say::Records(vec![("c.test.", 0, v4("192.0.2.3"))])),
            ])
            .await;
            let resolver = resolver(&[&server], 100);
            for (name, ip, is_repeated) in
                [("a.test", "192.0.2.1", true), ("c.test", "192.0.2.3", false), ("b.test", "192.0.2.2", true)]
            {
                assert_eq!(resolve(&resolver, name).await, found(ip), "{name}");
                let question = format!("A {name}.");
                let asked = server.asked().iter().filter(|asked| **asked == question).count();
                assert_eq!(asked > 1, is_repeated, "{name}: with EDNS first, and then without");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_not_asked_for_again_without_edns() {
        local(async {
            let server = Server::start(&[]).await;
            assert_eq!(resolve(&resolver(&[&server], 100), "no.test").await, Err(ResolveError::NotFound));
            assert_eq!(server.asked(), ["A no.test.", "AAAA no.test."]);
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_family_that_is_silent_delays_the_other_shortly() {
        local(async {
            let server = Server::start(&[
                ("A a.test.", Say::Records(vec![("a.test.", 60, v4("192.0.2.1"))])),
                ("AAAA a.test.", Say::Nothing),
                ("A b.test.", Say::Nothing),
                ("AAAA b.test.", Say::Records(vec![("b.test.", 60, v6("2001:db8::1"))])),
                ("A c.test.", Say::Nothing),
            ])
            .await;
            let resolver = resolver(&[&server], 100);
            for (name, expected, least, most) in [
                ("a.test", found("192.0.2.1"), DELAY_OF_AAAA, DELAY_OF_AAAA * 2),
                ("b.test", found("2001:db8::1"), DELAY_OF_A, DELAY_OF_A * 2),
                // Without an address of the one there is nothing to go on with.
                ("c.test", Err(ResolveError::Timeout), TIMEOUT / 2, TIMEOUT),
            ] {
                let began = Instant::now();
                assert_eq!(resolve(&resolver, name).await, expected, "{name}");
                let took = began.elapsed();
                assert!(took >= least && took <= most, "{name}: {took:?}");
            }
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn another_server_answers_for_a_silent_one() {
        local(async {
            let silent = Server::start(&[("A a.test.", Say::Nothing), ("AAAA a.test.", Say::Nothing)]).await;
            let good = Server::start(&[
                ("A a.test.", Say::Records(vec![("a.test.", 60, v4("192.0.2.1"))])),
                ("AAAA a.test.", Say::Records(vec![])),
            ])
            .await;
            assert_eq!(resolve(&resolver(&[&silent, &good], 100), "a.test").await, found("192.0.2.1"));
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn lookups_beyond_the_bound_are_refused_at_once() {
        local(async {
            let server = Server::start(&[("A a.test.", Say::Nothing), ("AAAA a.test.", Say::Nothing)]).await;
            let resolver = resolver(&[&server], 1);
            let other = resolver.for_worker().unwrap();
            let (held, equal, refused) = tokio::join!(
                resolve(&resolver, "a.test"),
                resolve(&resolver, "a.test"),
                resolve_for(2, &other, "b.test")
            );
            assert_eq!(held, Err(ResolveError::Timeout));
            assert_eq!(equal, Err(ResolveError::Timeout), "a second lookup of the same name takes no place");
            assert_eq!(refused, Err(ResolveError::Busy(Full::All)));
            assert_eq!(resolve(&other, "b.test").await, Err(ResolveError::NotFound), "and room comes back");
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_whose_names_hang_leaves_room_and_none_of_them_outlives_it() {
        local(async {
            let names: Vec<_> = (0..8).map(|index| format!("n{index}.test")).collect();
            let questions: Vec<_> =
                names.iter().flat_map(|name| [format!("A {name}."), format!("AAAA {name}.")]).collect();
            let silent: Vec<_> = questions.iter().map(|question| (question.as_str(), Say::Nothing)).collect();
            let server = Server::start(&silent).await;
            let resolver = Rc::new(resolver(&[&server], 8));
            let greedy: Vec<_> = names
                .into_iter()
                .map(|name| {
                    let resolver = Rc::clone(&resolver);
                    tokio::task::spawn_local(async move { resolve(&resolver, &name).await })
                })
                .collect();
            tokio::task::yield_now().await;
            assert_eq!(resolve_for(1, &resolver, "b.test").await, Err(ResolveError::Busy(Full::Client)));
            assert_eq!(resolve_for(2, &resolver, "b.test").await, Err(ResolveError::NotFound), "another has room");
            greedy.iter().for_each(tokio::task::JoinHandle::abort);
            for lookup in greedy {
                // The seventh and eighth had been refused.
                let _ended = lookup.await;
            }
            assert_eq!(resolver.in_progress(), 0);
        })
        .await;
    }

    #[tokio::test]
    async fn a_burst_of_names_is_answered_whole() {
        local(async {
            let server = Server::start(&[]).await;
            let resolver = Rc::new(resolver(&[&server], 300));
            let burst: Vec<_> = (0..200)
                .map(|index| {
                    let resolver = Rc::clone(&resolver);
                    tokio::task::spawn_local(async move { resolve(&resolver, &format!("n{index}.test")).await })
                })
                .collect();
            for answer in burst {
                assert_eq!(answer.await.unwrap(), Err(ResolveError::NotFound));
            }
            // A busy machine makes it ask some of them twice; each is asked, and nothing else is.
            let asked: std::collections::HashSet<_> = server.asked().into_iter().collect();
            assert_eq!(asked.len(), 400);
        })
        .await;
    }
}
