//! The report as a page: whole in itself, to be mailed, printed or kept. No script, nothing from elsewhere; light and
//! dark by the reader's wish.

use std::collections::BTreeMap;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::Offset;
use maud::{Markup, PreEscaped, html};

use super::{Count, Summed};
use crate::text::plot::{Scale, approximate, round_end};
use crate::text::visible::elided;
use crate::text::{DOCTYPE, HtmlText, Inert};

/// Rows of the table, unless more are asked for: about three printed pages.
pub const ROWS: usize = 150;
/// Bars of the plot over time; more would be thinner than print can show.
const BARS: i64 = 120;
/// The plot's size, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
/// Room next to the bars for numbers, and below them for dates.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 24.0;
const TOP_MARGIN: f64 = 10.0;
/// Any part of a bar is at least this high.
const LEAST: f64 = 1.0;
/// Longer names are elided in the plot; the table has them whole.
const MAX_LABEL: usize = 48;

const STYLE: &str = ":root{color-scheme:light dark;--ink:#1b1f24;--soft:#5a6470;--ground:#fff;--line:#dfe3e8;--deny:#b3261e;--allow:#8fb8a3}\
@media(prefers-color-scheme:dark){:root{--ink:#e7eaee;--soft:#a2acb8;--ground:#12151a;--line:#2e353e;--deny:#ff9489;--allow:#3d6e56}}\
body{margin:2rem auto;max-width:62rem;padding:0 1rem;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}\
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}p{margin:.25rem 0;color:var(--soft)}\
.plot{overflow-x:auto}svg{width:100%;min-width:38rem;height:auto;display:block}svg text{fill:var(--soft);font-size:12px}.a{fill:var(--allow)}.d{fill:var(--deny)}.g{stroke:var(--line);stroke-width:1}\
.key span{display:inline-block;width:.8em;height:.8em;margin:0 .35em 0 1em;border-radius:2px}.key span:first-child{margin-left:0}.ka{background:var(--allow)}.kd{background:var(--deny)}\
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}th,td{padding:.25rem .5rem;border-bottom:1px solid var(--line);text-align:right}\
th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}tfoot td{font-weight:600}\
@media print{:root{--ink:#000;--soft:#444;--ground:#fff;--line:#ccc;--deny:#b3261e;--allow:#8fb8a3}body{margin:0;max-width:none;font-size:10pt}thead{display:table-header-group}tr,svg{break-inside:avoid}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}";

/// The name of a row: its key, or a word for an empty key.
pub fn name(key: &str) -> Inert {
    Inert::new(if key.is_empty() { "(none)" } else { key })
}

/// The page of a report `by` something, written at `now`.
pub fn page(summed: &Summed, by: &str, now: SystemTime) -> String {
    let total = summed.total;
    let written = Timestamp::try_from(now).map(|now| format!("{now:.0}")).unwrap_or_default();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Egress report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Egress report" }
                p { (period(summed)) "; written " (written) " by outgate " (env!("CARGO_PKG_VERSION")) }
                p { b { (total.requests) } " requests, " b { (total.denied) } " denied" (share(total)) }
                (over_time(&summed.hours))
                (most_denied(summed))
                (rows(summed, by))
            }
        }
        "\n"
    };
    page.into_string()
}

fn share(total: Count) -> String {
    if total.requests == 0 {
        return String::new();
    }
    let tenths = u128::from(total.denied) * 1000 / u128::from(total.requests);
    format!(" ({}.{} %)", tenths / 10, tenths % 10)
}

fn period(summed: &Summed) -> String {
    let ends = summed.hours.keys().next().zip(summed.hours.keys().next_back());
    ends.map_or_else(
        || "No records".to_owned(),
        |(first, last)| format!("{} to {} UTC", clock(*first, true), clock(*last + 1, true)),
    )
}

/// An hour since 1970 for people.
fn clock(hour: i64, with_time: bool) -> String {
    let time = Offset::UTC.to_datetime(Timestamp::from_second(hour.saturating_mul(3600)).unwrap_or_default());
    if with_time { format!("{} {:02}:00", time.date(), time.hour()) } else { time.date().to_string() }
}

/// Bars of requests over time, denied ones at their foot. Each says its numbers to a pointer and to a screen reader.
fn over_time(hours: &BTreeMap<i64, Count>) -> Markup {
    let Some((first, last)) = hours.keys().next().zip(hours.keys().next_back()) else { return html! {} };
    let step = step(*first, *last);
    let (first, last) = (first.div_euclid(step), last.div_euclid(step));
    let mut bars: BTreeMap<i64, Count> = BTreeMap::new();
    for (hour, count) in hours {
        let bar = bars.entry(hour.div_euclid(step)).or_default();
        bar.add(*count);
    }
    let unit = match step {
        1 => "hour".to_owned(),
        24 => "day".to_owned(),
        hours => format!("{} days", hours / 24),
    };
    let most = round_end(bars.values().map(|bar| bar.requests).max().unwrap_or_default());
    let floor = HEIGHT - BOTTOM;
    let scale = Scale::of_counts(most, floor - TOP_MARGIN, LEAST);
    let count = (last - first + 1).unsigned_abs();
    let pitch = (WIDTH - LEFT) / approximate(count);
    let left = |at: i64| LEFT + approximate((at - first).unsigned_abs()) * pitch;
    // The ends, and the middle where there is room between them.
    let middle = first + (last - first + 1) / 2;
    let labels = [
        Some((first, LEFT, "start")),
        (count > 8).then(|| (middle, left(middle) + pitch / 2.0, "middle")),
        (count > 1).then_some((last, WIDTH, "end")),
    ];
    html! {
        h2 { "Requests by " (unit) }
        p.key { span.ka {} "passed" span.kd {} "denied" }
        div.plot {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label={ "Requests and denials by " (unit) } {
                @for value in [0, most / 2, most / 2 * 2] {
                    @let y = floor - scale.height_of(value);
                    line.g x1=(LEFT) x2=(WIDTH) y1=(units(y)) y2=(units(y)) {}
                    text x=(units(LEFT - 6.0)) y=(units(y + 4.0)) text-anchor="end" { (value) }
                }
                @for (at, bar) in &bars { (stacked(*bar, &clock(at * step, step == 1), left(*at), pitch, &scale)) }
                @for (at, x, anchor) in labels.into_iter().flatten() {
                    text x=(units(x)) y=(units(HEIGHT - 6.0)) text-anchor=(anchor) { (clock(at * step, step == 1)) }
                }
            }
        }
    }
}

/// One bar: what was denied, and on it what passed.
fn stacked(bar: Count, when: &str, left: f64, pitch: f64, scale: &Scale) -> Markup {
    let width = (pitch * 0.8).clamp(1.0, 48.0);
    let floor = HEIGHT - BOTTOM;
    let denied = scale.height_of(bar.denied);
    let passed = scale.height_of(bar.requests - bar.denied);
    html! {
        g {
            title { (when) ": " (bar.requests) " requests, " (bar.denied) " denied" }
            @for (class, height, foot) in [("d", denied, floor), ("a", passed, floor - denied)] {
                @if height > 0.0 {
                    rect class=(class) x=(units(left + (pitch - width) / 2.0)) y=(units(foot - height))
                        width=(units(width)) height=(units(height)) {}
                }
            }
        }
    }
}

/// A length in the plot's own units.
fn units(length: f64) -> String {
    format!("{length:.1}")
}

/// Hours in one bar: one, a day, or as many days as keep the bars few enough.
fn step(first: i64, last: i64) -> i64 {
    let hours = last - first + 1;
    match hours {
        ..=72 => 1,
        _ if hours <= BARS * 24 => 24,
        _ => (hours - 1).div_euclid(BARS * 24) * 24 + 24,
    }
}

fn most_denied(summed: &Summed) -> Markup {
    let rows = &summed.denied;
    let Some(most) = rows.first().map(|(_, count)| *count) else { return html! {} };
    let scale = Scale::of_counts(most, 480.0, 1.0);
    html! {
        h2 { "Most denied" }
        div.plot {
            svg viewBox={ "0 0 " (WIDTH) " " (24 * rows.len()) } role="img" aria-label="The most denied destinations" {
                @for (place, (destination, count)) in rows.iter().enumerate() {
                    @let y = 24 * place;
                    @let width = scale.height_of(*count);
                    @let destination = name(destination);
                    g {
                        title { (destination) ": " (count) }
                        text x="380" y=(y + 16) text-anchor="end" { (HtmlText(&elided(destination.as_str(), MAX_LABEL))) }
                        rect.d x="390" y=(y + 4) width=(units(width)) height="16" rx="2" {}
                        text x=(units(396.0 + width)) y=(y + 16) { (count) }
                    }
                }
            }
        }
        @if summed.more_denied > 0 { p { "and " (summed.more_denied) " more destinations" } }
    }
}

fn rows(summed: &Summed, by: &str) -> Markup {
    let total = summed.total;
    html! {
        h2 { "By " (by) }
        table {
            thead { tr { th scope="col" { (by) } th scope="col" { "requests" } th scope="col" { "denied" } } }
            tbody {
                @for row in &summed.rows {
                    tr { td { bdi { (name(&row.key)) } } td { (row.count.requests) } td { (row.count.denied) } }
                }
            }
            tfoot { tr { td { "total" } td { (total.requests) } td { (total.denied) } } }
        }
        @if summed.more_rows > 0 { p { "and " (summed.more_rows) " more rows, which the total contains" } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::report::{By, Report};
    use crate::history::tests::request;

    const NOON: i64 = 1_795_435_200_000; // 2026-11-23T12:00Z
    const HOUR: i64 = 3_600_000;

    fn page_of(requests: impl IntoIterator<Item = (i64, &'static str, &'static str)>) -> String {
        let mut report = Report::new(By::Destination);
        requests.into_iter().for_each(|(ms, decision, host)| report.add(&request(ms, decision, host)));
        page(&report.finish(ROWS), "destination", SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_name_is_text_and_never_markup() {
        let evil = "<script>alert(1)</script>\"'&\u{202e}";
        let page = page_of([(NOON, "deny", evil)]);
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;\\u{202e}:443").count(), 3);
    }

    #[test]
    fn it_has_no_script_and_asks_for_nothing() {
        let page = page_of([(NOON, "allow", "a.test"), (NOON, "deny", "b.test")]);
        for word in ["<script", "http:", "https:", "url(", "@import", " src=", " href=", " onload"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    }

    #[test]
    fn a_few_days_are_hours_and_months_are_days() {
        let page =
            page_of([(NOON, "deny", "a.test"), (NOON + 1, "allow", "a.test"), (NOON + 5 * HOUR, "allow", "a.test")]);
        assert!(page.contains("Requests by hour"));
        assert!(page.contains("<title>2026-11-23 12:00: 2 requests, 1 denied</title>"), "{page}");
        assert!(page.contains("<title>2026-11-23 17:00: 1 requests, 0 denied</title>"));
        assert!(page.contains("<b>3</b> requests, <b>1</b> denied (33.3 %)"));
        let page = page_of([(NOON, "deny", "a.test"), (NOON + 30 * 24 * HOUR, "allow", "a.test")]);
        assert!(page.contains("Requests by day") && page.contains("<title>2026-12-23: 1 requests, 0 denied</title>"));
        let page = page_of([(NOON, "deny", "a.test"), (NOON + 300 * 24 * HOUR, "allow", "a.test")]);
        assert!(page.contains("Requests by 3 days"), "{page}");
    }

    #[test]
    fn nothing_at_all_is_a_page_as_well() {
        let page = page_of([]);
        assert!(page.contains("No records") && !page.contains("<svg") && page.ends_with("</html>\n"), "{page}");
    }
}
