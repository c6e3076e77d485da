//! Counting, waking and probing in every order that threads can take.

use std::sync::Arc;
use std::time::Duration;

use super::line::tests::denied;
use super::signal::Signal;
use super::*;
use crate::facts::{Destination, Protocol};
use crate::policy::DenyReason;
use crate::sink::tests::room;
use crate::sync::{self, explore, thread};

/// A recorder without a reader.
fn unattended() -> Arc<Recorder> {
    let settings = room::Settings { max_destinations: 2, ..room::Settings::default() };
    Arc::new(Recorder::new(settings.record()).unwrap().0)
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
        let recorder = unattended();
        let counting = {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || {
                let worker = recorder.worker(0);
                for to in ["a.test:443", "b.test:443"] {
                    let to = Destination::parse(to.as_bytes(), None).unwrap();
                    let verdict = Verdict::Deny(DenyReason::HostNotAllowed);
                    worker.count(0, Some(Protocol::Connect), &verdict, Some(&to), None, Nanos::ZERO);
                }
            })
        };
        for _ in 0..2 {
            let (sums, destinations) = recorder.shared().snapshot(|table| table.denials(10, &[]).total);
            let requests: u64 = sums.requests().map(|(.., count)| count).sum();
            assert_eq!(requests, destinations);
        }
        counting.join().unwrap();
        assert_eq!(recorder.denials(10).total, 2);
    });
}

#[test]
fn a_probe_takes_one_denial_at_most_and_none_once_it_is_over() {
    explore(2, || {
        let recorder = unattended();
        let record = denied(1, "a.test:443");
        let probe = recorder.probe(([127, 0, 0, 1], 50_123).into(), record.destination.clone().unwrap());
        let asked = [(); 2].map(|()| {
            let (recorder, record) = (Arc::clone(&recorder), record.clone());
            thread::spawn(move || recorder.worker(0).is_expected(&record))
        });
        let is_known = probe.denied().is_some();
        drop(probe);
        let taken = asked.map(|asked| asked.join().unwrap()).into_iter().filter(|taken| *taken).count();
        assert!(taken <= 1, "two requests were taken for one probe");
        assert!(!is_known || taken == 1, "the probe received a denial that was counted as a client's request");
        assert!(!recorder.worker(0).is_expected(&record));
    });
}
