//! The table under floods of made-up names.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const REASON: DenyReason = DenyReason::HostNotAllowed;

fn deny(table: &mut Table, to: &str) {
    deny_for(table, to, REASON, None, 0);
}

fn deny_for(table: &mut Table, to: &str, reason: DenyReason, rule: Option<&str>, second: u64) {
    let destination = Destination::parse(to.as_bytes(), None).unwrap();
    let mut delta = Delta::default();
    delta.count(Some(&destination), reason, rule, 1, SystemTime::UNIX_EPOCH + Duration::from_secs(second));
    table.merge(delta);
}

fn count(table: &Table, label: &str) -> Option<u64> {
    table.series().iter().find(|(shown, ..)| &**shown == label).map(|(_, _, count)| *count)
}

fn assert_exact(table: &Table, total: u64) {
    assert_eq!(table.total(), total);
    assert_eq!(table.series().iter().map(|(_, _, count)| count).sum::<u64>(), total);
    let cut = table.denials(3, &[]);
    assert_eq!(cut.total, total);
    assert_eq!(cut.destinations.iter().map(|row| row.count).sum::<u64>() + cut.other, total);
}

#[test]
fn names_made_up_under_one_domain_collapse_and_a_busy_one_keeps_its_row() {
    let mut table = Table::new(2000);
    for n in 0..100_000 {
        deny(&mut table, &format!("{n:x}.flood.example.test:443"));
        if n % 1000 == 0 {
            deny(&mut table, "busy.test:443");
        }
    }
    assert_eq!(count(&table, "busy.test:443"), Some(100));
    assert_eq!(count(&table, "0.flood.example.test:443"), Some(1));
    assert_eq!(count(&table, "*.example.test"), Some(100_000 - 50));
    assert_eq!(count(&table, OTHER), None);
    assert_exact(&table, 100_100);
}

#[test]
fn domains_made_up_fill_other_and_leave_room_for_what_comes_again() {
    let mut table = Table::new(200);
    deny(&mut table, "early.test:443");
    for n in 0..100_000 {
        deny(&mut table, &format!("{n:x}-flood.test:443"));
    }
    assert!(table.named_rows <= 160, "{}", table.named_rows);
    for _ in 0..100 {
        deny(&mut table, "early.test:443");
        deny(&mut table, "late.test:443");
    }
    assert_eq!(count(&table, "early.test:443"), Some(101));
    let late = count(&table, "late.test:443").expect("a row");
    assert!(late > 80, "{late}: what came before the row appeared is in `other`");
    for n in 0..1000 {
        deny(&mut table, &format!("{n:x}.one-flood.test:443"));
    }
    let whole = count(&table, "*.one-flood.test").expect("a domain's row although the table was full of others");
    assert!(whole > 850, "{whole}");
    assert_exact(&table, 101_201);
}

#[test]
fn a_table_without_rows_still_counts() {
    let mut table = Table::new(0);
    for n in 0..100 {
        deny(&mut table, &format!("{n}-a.test:443"));
    }
    assert_eq!(table.series(), [(OTHER.into(), REASON, 100)]);
    assert_exact(&table, 100);
}

#[test]
fn rows_are_kept_by_destination_and_reason() {
    let mut table = Table::new(10);
    deny_for(&mut table, "a.test:443", DenyReason::HostDenied, Some("deny:a.test"), 2);
    deny_for(&mut table, "a.test:443", DenyReason::HostDenied, Some("deny:*"), 1);
    deny_for(&mut table, "a.test:443", DenyReason::SniMismatch, None, 3);
    deny_for(&mut table, "a.test:80", DenyReason::HostDenied, None, 4);
    let denials = serde_json::to_string(&table.denials(1, &["cli".into(), "web".into()])).unwrap();
    assert_eq!(
        denials,
        "{\"total\":4,\"destinations\":[{\"destination\":\"a.test:443\",\"reason\":\"host_denied\",\"count\":2,\
         \"first\":\"1970-01-01T00:00:01.000Z\",\"last\":\"1970-01-01T00:00:02.000Z\",\"rule\":\"deny:a.test\",\
         \"tools\":[\"web\"]}],\
         \"other\":2}"
    );
}

#[test]
fn addresses_and_public_suffixes_never_collapse_into_a_domain() {
    let mut table = Table::new(2000);
    for port in 1..=60 {
        deny(&mut table, &format!("192.0.2.1:{port}"));
        deny(&mut table, &format!("[2001:db8::1]:{port}"));
        deny(&mut table, &format!("test:{port}"));
        deny(&mut table, &format!("a.test:{port}"));
    }
    assert_eq!(count(&table, "192.0.2.1:50"), Some(1));
    assert_eq!(count(&table, "192.0.2.1:51"), None, "a scan of one host takes no more than its share");
    assert_eq!(count(&table, "*.a.test"), Some(10));
    assert_eq!(count(&table, OTHER), Some(30));
    assert_exact(&table, 240);
}

proptest! {
    /// After every merge: the counts add up, no series has left or shrunk, and what has a row is counted to the unit
    /// from the merge on that brought the row.
    #[test]
    fn a_row_is_exact_since_it_appeared_and_stays(
        merges in vec(vec((0_u32..5, 0_u32..120, 0_usize..2), 1..60), 1..25),
        max_destinations in 0_usize..60,
    ) {
        let mut table = Table::new(max_destinations);
        let mut asked: BTreeMap<(String, DenyReason), u64> = BTreeMap::new();
        // Of each row, the denials before it appeared; of each series, its count at the last look.
        let (mut before, mut shown) = (BTreeMap::new(), BTreeMap::new());
        for merge in merges {
            let mut delta = Delta::default();
            for (kind, n, reason) in merge {
                let to = match kind {
                    0 => format!("{n}.flood.example.test:443"),
                    1 => format!("{n}-flood.test:443"),
                    2 => format!("{}.busy.test:443", n % 3),
                    3 => format!("{n}.tenant{}.test:{}", n % 4, 1 + n % 2),
                    _ => format!("192.0.2.{}:{}", n % 2, 1 + n),
                };
                let reason = [REASON, DenyReason::SniMismatch][reason];
                delta.count(Destination::parse(to.as_bytes(), None).ok().as_ref(), reason, None, 0, SystemTime::UNIX_EPOCH);
                *asked.entry((to, reason)).or_default() += 1;
            }
            table.merge(delta);
            let total: u64 = asked.values().sum();
            assert_exact(&table, total);
            let now: BTreeMap<_, _> =
                table.series().into_iter().map(|(label, reason, count)| ((label.to_string(), reason), count)).collect();
            for (series, count) in &shown {
                prop_assert!(now.get(series) >= Some(count), "{series:?} went or shrank");
            }
            for (series, count) in now.iter().filter(|((label, _), _)| label != OTHER && !label.starts_with("*.")) {
                let unseen = asked[series].checked_sub(*count);
                prop_assert!(unseen.is_some(), "{series:?}: {count} of {}", asked[series]);
                prop_assert_eq!(*before.entry(series.clone()).or_insert(unseen), unseen, "{:?}", series);
            }
            shown = now;
            let bounded = table.named_rows <= max_destinations && table.collapsed_rows <= max_destinations / 2;
            prop_assert!(bounded, "{} rows, {} domains", table.named_rows, table.collapsed_rows);
        }
    }
}

#[test]
fn no_flood_makes_it_larger_than_its_bound() {
    const ROWS: usize = 2000;
    let mut table = Table::new(ROWS);
    let label = "x".repeat(50);
    for n in 0..60_000_u32 {
        // As long as a name can be; each domain often enough to be worth a row.
        let domain = if n % 2 == 0 { n } else { n / 128 };
        let host = format!("{n:x}.{label}.{label}.{label}.d{domain:x}-{label}.test");
        deny(&mut table, &format!("{host}:443"));
    }
    assert_exact(&table, 60_000);
    assert!(table.named_rows <= ROWS && table.collapsed_rows <= ROWS / 2);
    assert!(table.named.len() <= ROWS && table.groups.len() <= ROWS && table.collapsed.len() <= ROWS / 2);
    // What the module's head promises, by what is held: keys, labels and rows; maps double, and keep an eighth free.
    let slots = table.named.capacity() * (size_of::<Destination>() + size_of::<SmallVec<[Row; 1]>>())
        + table.groups.capacity() * size_of::<(Group, u32)>()
        + table.collapsed.capacity() * size_of::<(Box<str>, SmallVec<[Row; 1]>)>();
    let labels: usize = table.rows().map(|row| row.label.len()).sum();
    let hosts: usize = table.named.keys().map(|to| to.to_string().len()).sum();
    let domains = ROWS * 64 + ROWS / 2 * 64;
    let bytes = slots * 8 / 7 + labels + hosts + domains;
    assert!(bytes < 3 << 20, "{bytes}");
}
