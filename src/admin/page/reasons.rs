//! What the reasons mean, and what to do about each: the policy's own table, which the script reads too.

use maud::{Markup, html};

use crate::policy::DenyReason;

/// Returns the meaning of a token as a clause, or `None` if the token is not a deny reason.
pub(super) fn meaning(token: &str) -> Option<&'static str> {
    DenyReason::of(token).map(DenyReason::meaning)
}

/// The table, collapsed by default.
pub(super) fn legend() -> Markup {
    html! {
        details.card.legend {
            summary { "What the reasons mean, and what to do" }
            dl #reasons {
                @for reason in DenyReason::ALL {
                    div {
                        dt { code { (reason.as_str()) } }
                        dd { span.meaning { (reason.meaning()) } span.fix { (reason.advice()) } }
                    }
                }
            }
        }
    }
}
