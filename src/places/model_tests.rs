//! Places, in every order that their threads can take.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::sync::{explore, thread};

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

/// How many are there at once; std's, because the model is not asked about this one.
#[derive(Default)]
struct Inside(AtomicUsize);

impl Inside {
    fn enter(&self, limit: usize) {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < limit, "more than {limit} at once");
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn places_are_never_more_than_the_limit_and_all_come_back() {
    for limit in [1, 2] {
        explore(2, move || {
            let (places, inside) = (Places::new(limit, limit), Arc::new(Inside::default()));
            let threads = [(); 3].map(|()| {
                let (places, inside) = (Arc::clone(&places), Arc::clone(&inside));
                thread::spawn(move || {
                    let Ok(place) = places.take(ip(1)) else { return };
                    inside.enter(limit);
                    thread::yield_now();
                    inside.leave();
                    drop(place);
                })
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let all: Vec<_> =
                (0..limit).map(|_| places.take(ip(1)).expect("a freed place can be taken again")).collect();
            assert!(places.take(ip(1)).is_err());
            drop(all);
        });
    }
}

#[test]
fn a_place_is_refused_only_when_all_are_taken() {
    explore(3, || {
        let places = Places::new(2, 2);
        let threads = [(); 2].map(|()| {
            let places = Arc::clone(&places);
            thread::spawn(move || drop(places.take(ip(1)).expect("two are there for two")))
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_client_at_its_own_limit_costs_no_other_client_a_place() {
    explore(3, || {
        let places = Places::new(2, 1);
        let first = places.take(ip(1)).unwrap();
        let greedy = {
            let places = Arc::clone(&places);
            thread::spawn(move || assert_eq!(places.take(ip(1)).unwrap_err(), Full::Client))
        };
        let other = places.take(ip(2)).expect("one of two is free");
        greedy.join().unwrap();
        drop((first, other));
        let again = [places.take(ip(2)).unwrap(), places.take(ip(1)).unwrap()];
        drop(again);
        assert_eq!(places.taken(), (0, 0));
    });
}

#[test]
fn places_of_one_client_and_of_all_stay_within_both_limits() {
    explore(2, || {
        let places = Places::new(2, 1);
        let (all, own) = (Arc::new(Inside::default()), Arc::new(Inside::default()));
        let threads = [1, 1, 2].map(|client| {
            let (places, all, own) = (Arc::clone(&places), Arc::clone(&all), Arc::clone(&own));
            thread::spawn(move || {
                let Ok(place) = places.take(ip(client)) else {
                    assert_eq!(client, 1, "the other one always has room");
                    return;
                };
                all.enter(2);
                if client == 1 {
                    own.enter(1);
                }
                thread::yield_now();
                if client == 1 {
                    own.leave();
                }
                all.leave();
                drop(place);
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop((places.take(ip(1)).unwrap(), places.take(ip(2)).unwrap()));
        assert_eq!(places.taken(), (0, 0));
    });
}
