//! Denied and all requests over time. Three ranges, of which the radio buttons show one, by style alone.
//!
//! A bar is as high as its count against the highest; one that is not zero is always seen. Where nothing was counted yet,
//! the ground says so: no bar there does not mean no request.

use std::fmt::Write as _;

use super::View;
use super::html::Html;
use crate::text::figures::grouped;

/// What is known of requests over time.
#[derive(Clone, Debug)]
pub struct TimeView {
    /// From when on everything was counted.
    pub since: String,
    /// Whether some of it comes from a database of records, or still will.
    pub reading: bool,
    /// The last hour.
    pub minutes: Buckets,
    /// The last week.
    pub hours: Buckets,
}

/// Consecutive stretches of time, the last of which is now.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// Denied requests in each.
    pub denied: Vec<u64>,
    /// All requests in each.
    pub all: Vec<u64>,
    /// How many of the first ones were before anything was counted.
    pub unknown: usize,
}

impl Buckets {
    /// The last so many.
    fn last(&self, count: usize) -> Self {
        let cut = self.all.len().saturating_sub(count);
        let end = |counts: &[u64]| counts.get(cut..).unwrap_or_default().to_vec();
        Self { denied: end(&self.denied), all: end(&self.all), unknown: self.unknown.saturating_sub(cut) }
    }
}

/// One range: its key, its label, the words for it, for a bucket, and for the ends of its axis.
struct Range(&'static str, &'static str, &'static str, &'static str, [&'static str; 3]);

const RANGES: [Range; 3] = [
    Range("hour", "Last hour", "In the last hour", "minute", ["60 min ago", "30 min ago", "now"]),
    Range("day", "24 hours", "In the last 24 hours", "hour", ["24 h ago", "12 h ago", "now"]),
    Range("week", "7 days", "In the last 7 days", "hour", ["7 days ago", "3½ days ago", "now"]),
];

/// The section.
pub(super) fn section(html: &mut Html, view: &View) {
    html.raw("<section id=\"over-time\" class=\"card\" aria-labelledby=\"time-title\">\n<div class=\"bar-title\">");
    html.raw("<h2 id=\"time-title\">Denied and all requests over time</h2>\n<fieldset class=\"ranges\"><legend class=\"unseen\">Time shown</legend>");
    for (place, Range(key, label, ..)) in RANGES.iter().enumerate() {
        html.raw("<label><input type=\"radio\" name=\"range\" value=\"");
        html.raw(key);
        html.raw("\"");
        if place == 0 {
            html.raw(" checked");
        }
        html.raw("> ");
        html.raw(label);
        html.raw("</label>");
    }
    html.raw("</fieldset></div>\n");
    let time = &view.time;
    for (range, buckets) in RANGES.iter().zip([time.minutes.last(60), time.hours.last(24), time.hours.last(168)]) {
        figure(html, range, &buckets);
    }
    html.raw("<p class=\"lead\" id=\"time-since\">Counted since ");
    html.time(&time.since);
    html.raw(".<span id=\"time-reading\"");
    html.hidden_if(!time.reading);
    html.raw("> The time before is being read from the history.</span></p>\n</section>\n");
}

fn figure(html: &mut Html, Range(key, _, words, bucket, ticks): &Range, buckets: &Buckets) {
    html.raw("<figure class=\"range\" data-range=\"");
    html.raw(key);
    html.raw("\" data-words=\"");
    html.raw(words);
    html.raw("\" data-bucket=\"");
    html.raw(bucket);
    html.raw("\">\n<div class=\"plots\">\n");
    for (kind, label, counts) in [("deny", "Denied", &buckets.denied), ("all", "All requests", &buckets.all)] {
        html.raw("<div class=\"plot\" data-kind=\"");
        html.raw(kind);
        html.raw("\"><p class=\"axis\"><b>");
        html.raw(label);
        html.raw("</b> a ");
        html.raw(bucket);
        html.raw("</p><p class=\"scale\" aria-hidden=\"true\"><span class=\"most\">");
        html.number(counts.iter().copied().max().unwrap_or_default());
        html.raw("</span><span>0</span></p><svg viewBox=\"0 0 ");
        html.text(&counts.len().to_string());
        html.raw(
            " 100\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect class=\"unknown\" height=\"100\" width=\"",
        );
        html.text(&buckets.unknown.to_string());
        html.raw("\"/><path d=\"");
        html.text(&bars(counts));
        html.raw("\"/></svg><p class=\"ticks\" aria-hidden=\"true\">");
        for tick in ticks {
            html.raw("<span>");
            html.raw(tick);
            html.raw("</span>");
        }
        html.raw("</p></div>\n");
    }
    html.raw("</div>\n<figcaption>");
    html.text(&sentence(words, bucket, buckets));
    html.raw("</figcaption>\n</figure>\n");
}

/// A path of bars, each a unit wide with a fifth of it free, in a hundred units of height.
fn bars(counts: &[u64]) -> String {
    let most = counts.iter().copied().max().unwrap_or_default().max(1);
    let mut path = String::new();
    for (place, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (u128::from(*count) * 100 / u128::from(most)).max(2);
        // A String takes all.
        let _ = write!(path, "M{place} 100v-{height}h.8v{height}z");
    }
    path
}

/// The plot in words, for whoever does not see it, and for whoever wants the numbers.
fn sentence(words: &str, bucket: &str, buckets: &Buckets) -> String {
    let sum = |counts: &[u64]| counts.iter().sum::<u64>();
    let (all, denied) = (sum(&buckets.all), sum(&buckets.denied));
    let mut text = format!("{words}: {} denied of {} requests.", grouped(denied), grouped(all));
    let most = buckets.denied.iter().copied().max().unwrap_or_default();
    // Of equals, the latest: it is the one to look into.
    if let Some(place) = buckets.denied.iter().rposition(|count| *count == most).filter(|_| most > 0) {
        let back = buckets.denied.len() - 1 - place;
        let when = match back {
            0 => format!("this {bucket}"),
            1 => format!("1 {bucket} ago"),
            _ => format!("{back} {bucket}s ago"),
        };
        let _ = write!(text, " Most denied in one {bucket}: {}, {when}.", grouped(most));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_has_a_bar_and_the_highest_is_whole() {
        assert_eq!(bars(&[0, 1, 1000, 500]), "M1 100v-2h.8v2zM2 100v-100h.8v100zM3 100v-50h.8v50z");
        assert_eq!(bars(&[0, 0]), "");
        assert_eq!(bars(&[u64::MAX]), "M0 100v-100h.8v100z");
    }

    #[test]
    fn the_words_say_how_many_and_when_the_most() {
        let buckets = Buckets { denied: vec![2, 7, 7, 0], all: vec![1000, 7, 9, 0], unknown: 3 };
        let said = "In the last hour: 16 denied of 1\u{202f}016 requests. Most denied in one minute: 7, 1 minute ago.";
        assert_eq!(sentence("In the last hour", "minute", &buckets), said);
        assert_eq!(sentence("In it", "hour", &buckets.last(1)), "In it: 0 denied of 0 requests.");
        let cut = buckets.last(3);
        assert_eq!((cut.unknown, &cut.denied[..], cut.all.len()), (2, &[7, 7, 0][..], 3));
        assert!(sentence("x", "hour", &cut).ends_with("Most denied in one hour: 7, 1 hour ago."));
    }
}
