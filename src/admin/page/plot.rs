//! Denied and all requests over time. Three ranges, of which the radio buttons show one, by style alone.
//!
//! A bar is as high as its count against the highest; one that is not zero is always seen. Where nothing was counted yet,
//! the ground says so: no bar there does not mean no request.

use std::fmt::Write as _;

use maud::{Markup, html};
use serde::Serialize;

use super::{View, elements};
use crate::text::Inert;
use crate::text::figures::grouped;
use crate::text::plot::Scale;

/// What is known of requests over time.
#[derive(Clone, Debug)]
pub struct TimeView {
    /// From when on everything was counted.
    pub since: Inert,
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

/// A range of time that can be shown.
#[derive(Clone, Copy)]
struct Range {
    key: &'static str,
    label: &'static str,
    /// What a sentence about it begins with.
    words: &'static str,
    /// What one bar is.
    bucket: &'static str,
    /// What is written below the axis: at its start, in its middle, at its end.
    ticks: [&'static str; 3],
}

const RANGES: [Range; 3] = [
    Range {
        key: "hour",
        label: "Last hour",
        words: "In the last hour",
        bucket: "minute",
        ticks: ["60 min ago", "30 min ago", "now"],
    },
    Range {
        key: "day",
        label: "24 hours",
        words: "In the last 24 hours",
        bucket: "hour",
        ticks: ["24 h ago", "12 h ago", "now"],
    },
    Range {
        key: "week",
        label: "7 days",
        words: "In the last 7 days",
        bucket: "hour",
        ticks: ["7 days ago", "3½ days ago", "now"],
    },
];

/// The plots, drawn: the page and its script show the same.
#[derive(Debug, Serialize)]
pub struct Plots {
    since: String,
    reading: bool,
    ranges: [DrawnRange; 3],
}

#[derive(Debug, Serialize)]
struct DrawnRange {
    key: &'static str,
    /// How many of the first bars were before anything was counted.
    unknown: usize,
    /// The plots in words.
    sentence: String,
    plots: [DrawnPlot; 2],
}

#[derive(Debug, Serialize)]
struct DrawnPlot {
    kind: &'static str,
    label: &'static str,
    /// How many bars there is room for.
    length: usize,
    /// The highest count, as it is written at the top of the axis.
    most: String,
    /// The bars as an SVG path.
    path: String,
}

impl Plots {
    /// Draws what is known of requests over time.
    pub fn draw(time: &TimeView) -> Self {
        let TimeView { since, reading, minutes, hours } = time;
        let [hour, day, week] = RANGES;
        let ranges = [(hour, minutes.last(60)), (day, hours.last(24)), (week, hours.last(168))]
            .map(|(range, buckets)| draw(&range, &buckets));
        Self { since: since.into(), reading: *reading, ranges }
    }
}

fn draw(Range { key, words, bucket, .. }: &Range, buckets: &Buckets) -> DrawnRange {
    let plot = |kind, label, counts: &[u64]| DrawnPlot {
        kind,
        label,
        length: counts.len(),
        most: grouped(counts.iter().copied().max().unwrap_or_default()),
        path: bars(counts),
    };
    DrawnRange {
        key,
        unknown: buckets.unknown,
        sentence: sentence(words, bucket, buckets),
        plots: [plot("deny", "Denied", &buckets.denied), plot("all", "All requests", &buckets.all)],
    }
}

/// The section.
pub(super) fn section(view: &View) -> Markup {
    let drawn = Plots::draw(&view.time);
    html! {
        section id="over-time" class="card" aria-labelledby="time-title" {
            div.bar-title {
                h2 #time-title { "Denied and all requests over time" }
                fieldset.ranges {
                    legend.unseen { "Time shown" }
                    @for (place, Range { key, label, .. }) in RANGES.iter().enumerate() {
                        label { input type="radio" name="range" value=(key) checked[place == 0]; " " (label) }
                    }
                }
            }
            @for (range, drawn) in RANGES.iter().zip(&drawn.ranges) { (figure(range, drawn)) }
            p id="time-since" class="lead" {
                "Counted since " (elements::time(&view.time.since)) "."
                span #time-reading hidden[!drawn.reading] { " The time before is being read from the history." }
            }
        }
    }
}

fn figure(Range { bucket, ticks, .. }: &Range, drawn: &DrawnRange) -> Markup {
    html! {
        figure.range data-range=(drawn.key) {
            div.plots {
                @for DrawnPlot { kind, label, length, most, path } in &drawn.plots {
                    div.plot data-kind=(kind) {
                        p.axis { b { (label) } " per " (bucket) }
                        p.scale aria-hidden="true" { span.most { (most) } span { "0" } }
                        svg viewBox={ "0 0 " (length) " 100" } preserveAspectRatio="none" aria-hidden="true" {
                            rect.unknown height="100" width=(drawn.unknown) {}
                            path d=(path) {}
                        }
                        p.ticks aria-hidden="true" { @for tick in ticks { span { (tick) } } }
                    }
                }
            }
            figcaption { (drawn.sentence) }
        }
    }
}

/// A path of bars, each a unit wide with a fifth of it free, in a hundred units of height.
fn bars(counts: &[u64]) -> String {
    let scale = Scale::of_counts(counts.iter().copied().max().unwrap_or_default(), 100.0, 2.0);
    let mut path = String::new();
    for (place, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = scale.height_of(*count).floor();
        // A String takes all.
        let _ = write!(path, "M{place} 100v-{height}h.8v{height}z");
    }
    path
}

/// The plot in words, for people who cannot see it or want the numbers.
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
