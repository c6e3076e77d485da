//! What reports ask of a request.

/// The maximum number of distinct gap reasons; outgate writes five.
pub(super) const MAX_REASONS: usize = 20;

/// One request that ended, as far as reports ask, or some that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// How many.
    pub count: u64,
    /// When it began, in milliseconds since 1970; of some, when their hour did.
    pub ms: i64,
    /// `allow`, `deny`, `observe` or `none`.
    pub decision: &'a str,
    /// The reason's token; empty where allowed.
    pub reason: &'a str,
    /// The rule's id, or empty.
    pub rule: &'a str,
    /// The listener's name.
    pub tool: &'a str,
    /// Who asked, where that is known.
    pub identity: &'a str,
    /// The host as it is matched; empty where none was understood; not to be relied on where
    /// [`Detail::Totals`] was asked for.
    pub host: &'a str,
    /// The port; 0 without a host.
    pub port: u16,
    /// The address that was dialled, with its port; empty for none; not to be relied on where [`Detail::Each`] was
    /// not asked for.
    pub address: &'a str,
    /// How it ended, as [`Outcome`](crate::facts::Outcome) names it. Not to be relied on where [`Detail::Each`] was not
    /// asked for.
    pub outcome: &'a str,
    /// Whether it was a tunnel that did not begin with a ClientHello for its host, as far as records show. As
    /// above.
    pub began_otherwise: bool,
}

/// What a reader needs to know of each request. A database has sums by hour for the first two, so that they need not
/// read its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Neither destination nor address.
    Totals,
    /// All but the address, and how a tunnel began.
    Destinations,
    /// All, and each request by itself.
    Each,
}

/// What was found that is not a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotRequests {
    /// Records that are missing, by the reason of their `gap` lines.
    pub missing: Vec<(String, u64)>,
    /// Lines that are not records.
    pub unreadable: u64,
}

impl NotRequests {
    pub(super) fn gap(&mut self, reason: &str, dropped: u64) {
        if dropped == 0 {
            return;
        }
        // A file may name any reason, and any number of them.
        let is_known = self.missing.iter().any(|(known, _)| known == reason);
        let reason = if is_known || self.missing.len() < MAX_REASONS { reason } else { "other" };
        match self.missing.iter_mut().find(|(known, _)| known == reason) {
            Some((_, sum)) => *sum = sum.saturating_add(dropped),
            None => self.missing.push((reason.to_owned(), dropped)),
        }
    }
}
