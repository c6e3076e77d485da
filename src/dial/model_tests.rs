//! Tests the threads that ask the system for names, in every possible interleaving with the requests that wait. There
//! is only one such thread here (`bound`), so that names queue.

use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use smallvec::smallvec;

use super::loops::Loops;
use super::system::System;
use crate::facts::{DomainName, ResolveError};
use crate::places::{Holder, Places};
use crate::sync::{TURNS, explore, thread, wait_for};

const ME: Holder = Holder::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));

fn system(max_in_flight: usize) -> System {
    System::asking(
        Places::new(max_in_flight, max_in_flight),
        Box::new(|name| Ok(smallvec![[192, 0, 2, u8::from(name.as_str() == "b.test")].into()])),
    )
}

fn last_octet(system: &System, name: &str) -> Result<u8, ResolveError> {
    let name = DomainName::parse(name.as_bytes()).unwrap();
    wait_for(system.look_up(&name, ME)).map(|addresses| match addresses.as_slice() {
        [IpAddr::V4(ip)] => ip.octets()[3],
        other => panic!("{other:?}"),
    })
}

#[test]
fn everybody_who_waits_for_a_name_is_answered_with_its_own_answer() {
    explore(2, || {
        let system = Arc::new(system(2));
        let other = {
            let system = Arc::clone(&system);
            thread::spawn(move || last_octet(&system, "a.test"))
        };
        assert_eq!(last_octet(&system, "b.test"), Ok(1));
        assert_eq!(other.join().unwrap(), Ok(0));
        // Idle by now, or on its way there: it wakes again.
        assert_eq!(last_octet(&system, "a.test"), Ok(0));
        assert_eq!(system.under_way(), 0, "no place is kept");
    });
}

#[test]
fn equal_names_share_one_place_and_giving_up_returns_it() {
    explore(2, || {
        let system = Arc::new(system(1));
        let other = {
            let system = Arc::clone(&system);
            thread::spawn(move || last_octet(&system, "a.test"))
        };
        {
            // Asked for, and given up at once.
            let name = DomainName::parse(b"a.test").unwrap();
            let mut asked = pin!(system.look_up(&name, ME));
            let first = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(!matches!(first, Poll::Ready(Err(_))), "an equal name has room: {first:?}");
        }
        assert_eq!(other.join().unwrap(), Ok(0));
        // An abandoned lookup holds its place until the thread has come to it.
        let has_room = (0..TURNS).any(|_| {
            let answer = last_octet(&system, "b.test");
            thread::yield_now();
            answer == Ok(1)
        });
        assert!(has_room, "the place does not come back");
        assert_eq!(system.under_way(), 0);
    });
}

#[test]
fn a_connection_of_ours_into_ourselves_is_known_to_one_side_at_least() {
    let (from, to) = ("127.0.0.1:50000".parse().unwrap(), "192.0.2.7:3129".parse().unwrap());
    explore(3, move || {
        let loops = Loops::new(&["0.0.0.0:3129".parse().unwrap()]);
        let dialling = loops.dial(to).unwrap();
        // It is connected by now: the listener may come to it before its dial knows that, or afterwards.
        let listener = {
            let loops = Arc::clone(&loops);
            thread::spawn(move || loops.accept(from, || Ok(to)).is_err())
        };
        let another = {
            let loops = Arc::clone(&loops);
            thread::spawn(move || drop(loops.dial(to)))
        };
        let known = dialling.connected(from).is_err();
        let refused = listener.join().unwrap();
        another.join().unwrap();
        assert!(known || refused, "neither side knows it");
        assert!(loops.accept(from, || Ok(to)).is_err(), "and a listener that comes late knows it too");
    });
}
