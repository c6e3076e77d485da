//! What waits for the database, in every order that the writer and the database's thread can take.

use super::queue::QueueItem;
use super::*;
use crate::record::line::tests::{denied, line};
use crate::sync::{explore, thread};

#[test]
fn lines_arrive_once_and_in_order_or_are_said_to_be_missing() {
    const LINES: u64 = 4;
    explore(3, || {
        let shared = Arc::new(Mailbox::default());
        let history = SqliteSink { mailbox: Arc::clone(&shared), thread: None };
        let database = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || [shared.queue.fetch(), shared.queue.fetch()].concat())
        };
        for seq in 1..=LINES {
            history.push(&Arc::new(line(seq, denied(seq, "a.test:443"))));
        }
        let mut items = database.join().unwrap();
        items.extend(shared.queue.fetch());
        let (mut last, mut missing) = (0, 0);
        for item in &items {
            let (first_seq, last_seq) = match item {
                QueueItem::Line(line) => (line.seq(), line.seq()),
                QueueItem::Missing { records, last_seq, .. } => {
                    missing += records;
                    (last_seq + 1 - records, *last_seq)
                }
            };
            assert_eq!(first_seq, last + 1, "{items:?}");
            last = last_seq;
        }
        assert_eq!((last, shared.account.lost()), (LINES, missing));
    });
}
