//! Why the policy denies.

use super::markdown::{Page, code};
use crate::policy::DenyReason;

pub(super) fn page() -> String {
    let introduction = "The reasons for a denial: stable tokens in responses, records, metrics and reports. [Reading a denial](../denials.md) shows where they appear. In observe mode a request with an observable reason passes and is recorded as `observe`.";
    let mut page = Page::new("Deny reasons", introduction);
    let rows: Vec<_> = DenyReason::ALL
        .into_iter()
        .map(|reason| {
            let observable = if reason.is_observable() { "yes" } else { "no" };
            [code(reason.as_str()), reason.meaning().to_owned(), reason.advice().to_owned(), observable.to_owned()]
        })
        .collect();
    page.table(["reason", "meaning", "what helps", "observable"], &rows);
    page.finish()
}
