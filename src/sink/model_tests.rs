//! The room in every order that its threads can take: nothing is lost, doubled or left asleep. Buffers are two records
//! small here (`bound`), so that they overflow.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::RecentFilter;
use super::tests::room::{Room, Settings};
use crate::facts::{Destination, Protocol};
use crate::policy::DenyReason;
use crate::record::line::tests::denied;
use crate::record::{Recorder, Signal, Took, Verdict, lock};
use crate::sync::{self, explore, thread};

fn settings(workers: usize) -> Settings {
    Settings { workers, max_destinations: 2, ring: 100, ..Settings::default() }
}

/// The ids of the records that were kept, sorted, and how many are said to be missing.
fn kept(recorder: &Room) -> (Vec<String>, u64) {
    let lines = recorder.recent(&RecentFilter::newest(100));
    let mut ids: Vec<_> = lines.iter().filter_map(|line| line.record()).map(|record| record.id.to_string()).collect();
    ids.sort();
    (ids, lines.iter().filter_map(|line| line.columns(None).dropped).sum())
}

/// More turns for everybody else than any of these models has steps.
const TURNS: usize = 200;

/// Until it is ready; who still waits when all others have come as far as they can waits for ever.
fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..TURNS {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        thread::yield_now();
    }
    panic!("waited in vain");
}

#[test]
fn what_is_handed_in_while_the_writer_fetches_is_kept_once_and_counted_once() {
    explore(2, || {
        let recorder = Arc::new(Room::start(settings(2)).unwrap());
        let other = {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || recorder.worker(1).emit(denied(2, "a.test:443")))
        };
        recorder.worker(0).emit(denied(1, "a.test:443"));
        other.join().unwrap();
        recorder.flush();
        assert_eq!(kept(&recorder), (vec!["k3f9-1".into(), "k3f9-2".into()], 0));
        let totals = recorder.totals();
        assert_eq!((totals.records, totals.dropped), (2, 0));
        recorder.shutdown();
    });
}

#[test]
fn what_finds_no_room_is_counted_and_said_and_nothing_else_is_missing() {
    explore(2, || {
        let recorder = Room::start(settings(1)).unwrap();
        let worker = recorder.worker(0);
        for id in 1..=4 {
            worker.emit(denied(id, "a.test:443"));
        }
        recorder.flush();
        let ((kept, missing), totals) = (kept(&recorder), recorder.totals());
        assert_eq!((totals.records, totals.dropped), (kept.len() as u64, missing));
        assert_eq!(totals.records + totals.dropped, 4);
        let mut once = kept.clone();
        once.dedup();
        assert_eq!(once, kept);
        recorder.shutdown();
    });
}

#[test]
fn the_writer_wakes_for_every_record_although_nobody_asks_it_to_flush() {
    explore(2, || {
        let recorder = Room::start(settings(1)).unwrap();
        let worker = recorder.worker(0);
        for id in 1..=2 {
            worker.emit(denied(id, "a.test:443"));
        }
        // Not by a question, which would wake it as well.
        let are_kept = std::future::poll_fn(|_| match kept(&recorder).0.len() {
            2 => Poll::Ready(()),
            _ => Poll::Pending,
        });
        wait_for(are_kept);
        recorder.shutdown();
    });
}

#[test]
fn whoever_asks_is_answered_although_the_writer_stops() {
    explore(2, || {
        let recorder = Arc::new(Room::start(settings(1)).unwrap());
        recorder.worker(0).emit(denied(1, "a.test:443"));
        let asking = {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || {
                wait_for(recorder.shared().signal.caught_up());
                assert_eq!(kept(&recorder).0, ["k3f9-1"], "it was handed in before the question");
                recorder.flush();
            })
        };
        recorder.shutdown();
        asking.join().unwrap();
        assert_eq!(kept(&recorder).0, ["k3f9-1"]);
    });
}

#[test]
fn no_bell_is_missed_by_a_thread_that_sleeps_or_pauses() {
    explore(3, || {
        let signal = Arc::new(Signal::default());
        let handed_in = Arc::new(sync::Mutex::new(0));
        let sink = {
            let (signal, handed_in) = (Arc::clone(&signal), Arc::clone(&handed_in));
            thread::spawn(move || {
                let mut fetched = 0;
                let mut paused_until = sync::now();
                while fetched < 2 {
                    let task = signal.wait(paused_until, None);
                    fetched += std::mem::take(&mut *lock(&handed_in));
                    if let Some(flush) = task.flush {
                        signal.flush_done(flush);
                    }
                    paused_until = sync::now() + Duration::from_secs(1);
                }
                signal.gone();
            })
        };
        let hand_in = || {
            // The bell is rung by the first of a batch alone, as a buffer does.
            let mut handed_in = lock(&handed_in);
            *handed_in += 1;
            let is_first = *handed_in == 1;
            drop(handed_in);
            if is_first {
                signal.wake(false);
            }
        };
        hand_in();
        signal.flush(Duration::from_secs(5));
        hand_in();
        assert!(signal.is_gone_within(Duration::from_secs(5)));
        sink.join().unwrap();
    });
}

#[test]
fn a_scrape_sees_as_many_denied_requests_as_denied_destinations() {
    explore(2, || {
        let recorder = Arc::new(Recorder::new(settings(1).record()).unwrap().0);
        let counting = {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || {
                let worker = recorder.worker(0);
                for to in ["a.test:443", "b.test:443"] {
                    let to = Destination::parse(to.as_bytes(), None).unwrap();
                    let verdict = Verdict::Deny(DenyReason::HostNotAllowed);
                    worker.count(0, Some(Protocol::Connect), &verdict, Some(&to), None, Took::ZERO);
                }
            })
        };
        for _ in 0..2 {
            let (requests, destinations) = recorder.shared().requests_and_denials();
            assert_eq!(requests, destinations);
        }
        counting.join().unwrap();
        assert_eq!(recorder.denials(10).total, 2);
    });
}

#[test]
fn a_probe_takes_one_denial_at_most_and_none_once_it_is_over() {
    explore(2, || {
        let recorder = Arc::new(Recorder::new(settings(1).record()).unwrap().0);
        let record = denied(1, "a.test:443");
        let probe = recorder.probe(record.client, record.destination.clone().unwrap());
        let asked = [(); 2].map(|()| {
            let (recorder, record) = (Arc::clone(&recorder), record.clone());
            thread::spawn(move || recorder.worker(0).is_expected(&record))
        });
        let is_known = probe.denied().is_some();
        drop(probe);
        let taken = asked.map(|asked| asked.join().unwrap()).into_iter().filter(|taken| *taken).count();
        assert!(taken <= 1, "two requests hid behind one probe");
        assert!(!is_known || taken == 1, "the probe was told of a denial that counts as somebody's request");
        assert!(!recorder.worker(0).is_expected(&record));
    });
}
