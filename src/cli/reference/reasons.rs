//! Why requests are refused, and how each refusal appears.

use super::markdown::{Page, code};
use crate::facts::DialError;
use crate::policy::DenyReason;
use crate::session::{Malformed, RefusalKind, Row};

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
    page.paragraph(
        "The status is 403, the outcome in the record `denied`, and the reply to a SOCKS5 client 2. The error type in `Proxy-Status` (RFC 9209) is `http_request_denied`; for `address_not_allowed` it is `destination_ip_prohibited`, for `loop` `proxy_loop_detected`.",
    );
    faults(&mut page);
    malformed(&mut page);
    page.finish()
}

/// Refusals that are not the policy's, nor the request's fault.
fn faults(page: &mut Page) {
    page.heading("Faults");
    page.paragraph("Refusals that the policy did not decide. The reason is the token in `Proxy-Status`; the record has it where the request was not judged, and an allowed request keeps an empty reason. Limits that a sentence names are [configuration keys](configuration.md).");
    let rows: Vec<_> = RefusalKind::all()
        .into_iter()
        .filter_map(|kind| match kind {
            // A connection that turns out to be a loop is recorded and sent as a denial.
            RefusalKind::Denied(_) | RefusalKind::Malformed(_) | RefusalKind::Unreachable(DialError::Loop) => None,
            RefusalKind::Unresolvable(_)
            | RefusalKind::Unreachable(_)
            | RefusalKind::Failed(_)
            | RefusalKind::Busy(_)
            | RefusalKind::Unrecordable
            | RefusalKind::Internal => {
                let Row { status, token, outcome, error, reply } = kind.row();
                let detail = kind.detail().unwrap_or_else(|| "something failed inside the proxy".to_owned());
                let reply = reply.code().to_string();
                Some([detail, status.to_string(), code(token), code(outcome.as_str()), code(error.as_str()), reply])
            }
        })
        .collect();
    page.table(["what happened", "status", "reason", "outcome", "`Proxy-Status` error", "SOCKS5 reply"], &rows);
}

/// Requests that cannot be judged.
fn malformed(page: &mut Page) {
    page.heading("Malformed requests");
    page.paragraph("Requests that cannot be judged, each with the stable token of its cause. The error type in `Proxy-Status` is `http_request_error`. The outcome is `malformed`, and `timeout` for what took too long.");
    let rows: Vec<_> = RefusalKind::all()
        .into_iter()
        .filter_map(|kind| match kind {
            RefusalKind::Malformed(malformed) => Some(malformed_row(malformed, kind.row())),
            RefusalKind::Denied(_)
            | RefusalKind::Unresolvable(_)
            | RefusalKind::Unreachable(_)
            | RefusalKind::Failed(_)
            | RefusalKind::Busy(_)
            | RefusalKind::Unrecordable
            | RefusalKind::Internal => None,
        })
        .collect();
    page.table(["cause", "what is wrong", "status", "reason"], &rows);
}

fn malformed_row(malformed: Malformed, row: Row) -> [String; 4] {
    [code(malformed.cause()), malformed.to_string(), row.status.to_string(), code(row.token)]
}
