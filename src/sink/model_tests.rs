//! The room in every order that its threads can take: nothing is lost, doubled or left asleep. Buffers are two records
//! small here (`bound`), so that they overflow.

use std::sync::Arc;
use std::task::Poll;

use super::RecentFilter;
use super::tests::room::{Room, Settings};
use crate::record::line::tests::denied;
use crate::sync::{explore, thread, wait_for};

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
fn the_writer_wakes_for_every_record_without_a_flush() {
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
fn a_question_is_answered_although_the_writer_stops() {
    explore(2, || {
        let recorder = Arc::new(Room::start(settings(1)).unwrap());
        recorder.worker(0).emit(denied(1, "a.test:443"));
        let asking = {
            let recorder = Arc::clone(&recorder);
            thread::spawn(move || {
                wait_for(recorder.recorder.shared().signal.caught_up());
                assert_eq!(kept(&recorder).0, ["k3f9-1"], "it was handed in before the question");
                recorder.flush();
            })
        };
        recorder.shutdown();
        asking.join().unwrap();
        assert_eq!(kept(&recorder).0, ["k3f9-1"]);
    });
}
