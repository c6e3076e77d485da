//! What is dialled, end to end: random policies, a resolver that lies and changes its mind, and sockets that notice.

use std::collections::BTreeSet;
use std::future::pending;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Mutex;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;
use crate::facts::{Client, Destination, Identity, Method, Outcome, Tool};
use crate::policy::text::{Format, read_policy};
use crate::policy::{Policy, Source};
use crate::session::{Dialled, FirstBytes, Refusal, Session, TunnelDirectory, WorkerLoads};
use crate::sink::tests::room::{Room, Settings};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Loopback addresses that answer at one port, and another address that belongs to the proxy.
struct World {
    port: u16,
    listeners: Vec<(IpAddr, TcpListener)>,
}

const ANSWERING: [&str; 5] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
const REFUSING: &str = "127.0.0.6";
const OWN: &str = "127.0.0.7";
/// What no policy here opens, so that none of it is ever tried: a private, a metadata, a documentation address, and forms
/// of loopback ones.
const NEVER: [&str; 5] = ["10.0.0.1", "169.254.169.254", "192.0.2.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"];

impl World {
    fn new() -> Self {
        loop {
            let first = TcpListener::bind((ANSWERING[0], 0)).unwrap();
            let port = first.local_addr().unwrap().port();
            let rest: Result<Vec<_>, _> = ANSWERING[1..].iter().map(|at| TcpListener::bind((*at, port))).collect();
            let Ok(rest) = rest else { continue };
            let listeners: Vec<_> = [first]
                .into_iter()
                .chain(rest)
                .map(|listener| (listener.local_addr().unwrap().ip(), listener))
                .collect();
            listeners.iter().for_each(|(_, listener)| listener.set_nonblocking(true).unwrap());
            return Self { port, listeners };
        }
    }

    /// Who was connected to since the last look.
    fn dialled(&self) -> BTreeSet<IpAddr> {
        let was_dialled = |listener: &TcpListener| std::iter::from_fn(|| listener.accept().ok()).count() > 0;
        self.listeners.iter().filter(|(_, listener)| was_dialled(listener)).map(|(ip, _)| *ip).collect()
    }
}

/// A rule, an entry of `allow`, or another part of a policy, as a person would read it.
#[derive(Clone, Debug)]
struct Written {
    /// Patterns, each with what its rule opens.
    rules: Vec<(&'static str, Vec<&'static str>)>,
    deny: Vec<&'static str>,
    internal: Vec<&'static str>,
    all: bool,
}

impl Written {
    fn text(&self) -> String {
        let Self { rules, deny, internal, all } = self;
        let egress = if *all { "all" } else { "allowlist" };
        let mut text =
            format!("version = 1\negress = {egress:?}\ndeny = {deny:?}\ninternal-addresses = {internal:?}\n");
        for (index, (to, opens)) in rules.iter().enumerate() {
            text +=
                &format!("[[rule]]\nid = \"r{index}\"\neffect = \"allow\"\nto = [\"{to}:*\"]\naddresses = {opens:?}\n");
        }
        text
    }

    fn naming(&self) -> impl Iterator<Item = &(&'static str, Vec<&'static str>)> {
        self.rules.iter().filter(|(to, _)| ["a.test", "*.test"].contains(to))
    }

    /// Whether `a.test` may be asked for at all.
    fn allows(&self) -> bool {
        self.all || self.naming().next().is_some()
    }

    /// Whether every address of an answer may be dialled for it, itself and none of them ours.
    fn lets_dial(&self, answer: &[IpAddr]) -> bool {
        let within = |nets: &[&str], ip: IpAddr| {
            nets.iter().any(|net| net.parse::<IpNet>().unwrap_or_else(|_| IpNet::from(self::ip(net))).contains(&ip))
        };
        let opened = |at: IpAddr| {
            self.naming().any(|(_, opens)| within(opens, at))
                || self.naming().next().is_some() && within(&self.internal, at)
        };
        !answer.is_empty() && answer.iter().all(|at| *at != ip(OWN) && opened(*at) && !within(&self.deny, *at))
    }
}

fn written() -> impl Strategy<Value = Written> {
    let nets =
        |most| prop::sample::subsequence(vec!["127.0.0.1", "127.0.0.2/31", "127.0.0.4/30", "127.0.0.0/29"], 0..=most);
    let to = prop::sample::select(vec!["a.test", "*.test", "b.test", "**.a.b.test"]);
    let rules = prop::collection::vec((to, nets(3)), 0..3);
    let deny =
        prop_oneof![3 => Just(Vec::new()), 1 => prop::sample::subsequence(vec!["127.0.0.3", "127.0.0.4/31"], 1..=2)];
    (rules, deny, nets(2), proptest::bool::weighted(0.1)).prop_map(|(rules, deny, internal, all)| Written {
        rules,
        deny,
        internal,
        all,
    })
}

fn answer() -> impl Strategy<Value = Vec<IpAddr>> {
    let at = prop_oneof![
        20 => prop::sample::select(ANSWERING.to_vec()),
        3 => Just(REFUSING),
        1 => Just(OWN),
        1 => prop::sample::select(NEVER.to_vec()),
    ];
    prop::collection::vec(at.prop_map(ip), 0..4)
}

fn recorder() -> Room {
    Room::start(Settings { listeners: vec!["agent".into()], ..Settings::default() }).unwrap()
}

/// A worker of a process under this policy, whose resolver says these answers in turn, the last one again and again; and
/// how often it was asked.
fn enforcer(
    world: &World,
    written: &Written,
    answers: Vec<Vec<IpAddr>>,
    room: &Room,
) -> (Rc<Enforcer>, Arc<Mutex<usize>>) {
    let document = read_policy(&written.text(), Format::Toml).unwrap();
    let compiled = Policy::compile(&document, Source { lists: &[], content_hash: "" }).unwrap();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let resolver = Resolver::asking(move |_| {
        let mut turn = count.lock().unwrap();
        let answer = &answers[(*turn).min(answers.len() - 1)];
        *turn += 1;
        Ok(answer.iter().copied().collect())
    });
    let shared = Shared {
        store: Arc::new(Store::new(compiled.policy, String::new())),
        recorder: room.recorder.clone(),
        sinks: Arc::clone(&room.sinks),
        resolver,
        parent: None,
        tunnel_directory: TunnelDirectory::new(1).0,
        worker_loads: WorkerLoads::new(1),
        own: Arc::new(ArcSwap::from_pointee(OwnAddresses::new(vec![SocketAddr::new(ip(OWN), world.port)], Vec::new()))),
        loops: Loops::new(&[]),
        limits: Limits {
            connect: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            tunnels: Places::new(1, 1),
            dials: Places::new(1, 1),
        },
        via: "outgate-test".into(),
    };
    (Rc::new(Enforcer::new(Arc::new(shared), 0).unwrap()), asked)
}

fn refusal(reached: &Result<Session<Dialled>, Unreached>) -> Option<&Refusal> {
    reached.as_ref().err().map(|unreached| match unreached {
        Unreached::Refused(refused) => &refused.why,
        Unreached::ClientLeft => panic!("the client has not left"),
    })
}

fn received(port: u16) -> ReceivedRequest {
    ReceivedRequest {
        identity: Identity::Anonymous,
        protocol: Protocol::Http,
        destination: Destination::parse(format!("a.test:{port}").as_bytes(), None).unwrap(),
        method: Some(Method::new("GET")),
        upgrade: None,
        path: Some("/".into()),
        passed_through_us: false,
    }
}

/// What was dialled for this answer is some of it, all of it could have been, and it was something if it could be.
fn check(world: &World, written: &Written, answer: &[IpAddr], refused: Option<&Refusal>) -> Result<(), TestCaseError> {
    let dialled = world.dialled();
    let may = written.lets_dial(answer);
    let answering = ANSWERING.map(ip);
    let expected = may && answer.iter().any(|at| answering.contains(at));
    prop_assert!(dialled.iter().all(|at| may && answer.contains(at)), "{dialled:?} for {answer:?}");
    prop_assert_eq!(!dialled.is_empty(), expected, "{:?}", answer);
    prop_assert_eq!(refused.is_none(), expected, "{:?}", refused);
    let denied = matches!(refused, Some(Refusal::Denied(_)));
    let is_unresolvable = written.allows() && answer.is_empty();
    prop_assert_eq!(denied, !may && !is_unresolvable, "{:?}", refused);
    Ok(())
}

#[cfg(target_os = "linux")] // elsewhere only 127.0.0.1 is an address of the machine
#[test]
fn what_is_dialled_is_what_was_vetted_whatever_the_resolver_says_next() {
    let (world, recorder) = (World::new(), recorder());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = ListenerId { index: 0, tool: Tool::new("agent") };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let reached = std::cell::Cell::new([0; 3]);
    let count = |which: usize| {
        let mut counts = reached.get();
        counts[which] += 1;
        reached.set(counts);
    };
    runner
        .run(&(written(), prop::collection::vec(answer(), 2)), |(written, answers)| {
            let before = recorder.totals();
            let (enforcer, asked) = enforcer(&world, &written, answers.clone(), &recorder);
            let questions = || *asked.lock().unwrap();
            let client = Client::hypothetical();
            let opened = enforcer.begin(&client, &listener).open(received(world.port), &mut None);
            prop_assert_eq!(questions(), 0, "nothing leaves before it is waited for");
            let opened = runtime.block_on(opened.unless(pending())).map(|opened| opened.session);
            check(&world, &written, &answers[0], refusal(&opened))?;
            prop_assert_eq!(questions(), usize::from(written.allows()), "one question, and none for what is denied");
            match opened {
                Err(_) => count(0),
                Ok(session) => {
                    let session =
                        session.clear(FirstBytes::Request { may_be_judged_again: true }, enforcer.in_force()).unwrap();
                    let again = runtime.block_on(enforcer.redial(session, pending()));
                    check(&world, &written, &answers[1], refusal(&again))?;
                    prop_assert_eq!(questions(), 2, "a new connection is vetted by a new answer");
                    match again {
                        Err(_) => count(1),
                        Ok(session) => {
                            session.finish(Outcome::Completed);
                            count(2);
                        }
                    }
                }
            }
            let after = recorder.totals();
            prop_assert_eq!((after.requests - before.requests, after.records - before.records), (1, 1));
            Ok(())
        })
        .unwrap();
    let seen = reached.get();
    assert!(seen.iter().all(|count| *count > 0), "refused, refused the second time, dialled twice: {seen:?}");
}
