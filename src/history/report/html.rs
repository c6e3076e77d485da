//! The report as a page: whole in itself, to be mailed, printed or kept. No script, nothing from elsewhere; light and
//! dark by the reader's wish.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::{Count, Summed};
use crate::text::visible::{elided, escaped, push_html};

/// Rows of the table, unless somebody asks for more: about three printed pages.
pub const ROWS: usize = 150;
/// Bars of the plot over time; more would be thinner than print can show.
const BARS: i64 = 120;
/// The plot's size, in its own units.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;
/// Room beside the bars for numbers, and below them for dates.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 24.0;
const TOP_MARGIN: f64 = 10.0;
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

/// What a row is called: its key, with nothing invisible in it, or what stands for an empty one.
pub fn name(key: &str) -> String {
    if key.is_empty() { "(none)".to_owned() } else { escaped(key) }
}

/// The page of a report `by` something, written at `now`.
pub fn page(summed: &Summed, by: &str, now: SystemTime) -> String {
    let mut html = String::from(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Egress report</title>\n<style>",
    );
    html.push_str(STYLE);
    html.push_str("</style>\n</head>\n<body>\n<h1>Egress report</h1>\n");
    let total = summed.total;
    let written = Timestamp::try_from(now).map(|now| format!("{now:.0}")).unwrap_or_default();
    let _ = writeln!(html, "<p>{}; written {written} by outgate {}</p>", period(summed), env!("CARGO_PKG_VERSION"));
    let _ = writeln!(html, "<p><b>{}</b> requests, <b>{}</b> denied{}</p>", total.requests, total.denied, share(total));
    over_time(&mut html, &summed.hours);
    most_denied(&mut html, summed);
    rows(&mut html, summed, by);
    html.push_str("</body>\n</html>\n");
    html
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

/// Bars of requests over time, denied ones at their foot. Each says its numbers to whoever points at it or listens.
fn over_time(html: &mut String, hours: &BTreeMap<i64, Count>) {
    let Some((first, last)) = hours.keys().next().zip(hours.keys().next_back()) else { return };
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
    let most = ceiling(bars.values().map(|bar| bar.requests).max().unwrap_or_default());
    let _ = writeln!(
        html,
        "<h2>Requests by {unit}</h2>\n<p class=\"key\"><span class=\"ka\"></span>passed<span class=\"kd\"></span>denied</p>\n\
         <div class=\"plot\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Requests and denials by {unit}\">"
    );
    let floor = HEIGHT - BOTTOM;
    let scale = (floor - TOP_MARGIN) / as_f64(most);
    for part in [0, 1, 2] {
        let value = most / 2 * part;
        let y = floor - as_f64(value) * scale;
        let _ = writeln!(
            html,
            "<line class=\"g\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let count = last - first + 1;
    let pitch = (WIDTH - LEFT) / as_f64(count.unsigned_abs());
    let width = (pitch * 0.8).clamp(1.0, 48.0);
    for (at, bar) in &bars {
        let x = LEFT + as_f64((at - first).unsigned_abs()) * pitch + (pitch - width) / 2.0;
        let denied = as_f64(bar.denied) * scale;
        let passed = as_f64(bar.requests - bar.denied) * scale;
        let when = clock(at * step, step == 1);
        let _ = write!(html, "<g><title>{when}: {} requests, {} denied</title>", bar.requests, bar.denied);
        for (class, height, base) in [("d", denied, floor), ("a", passed, floor - denied)] {
            if height > 0.0 {
                let y = base - height;
                let _ = write!(
                    html,
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                );
            }
        }
        html.push_str("</g>\n");
    }
    // The ends, and the middle where there is room between them.
    let label = |html: &mut String, at: i64, x: f64, anchor: &str| {
        let when = clock(at * step, step == 1);
        let _ = writeln!(html, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{when}</text>", HEIGHT - 6.0);
    };
    label(html, first, LEFT, "start");
    if count > 8 {
        label(html, first + count / 2, LEFT + (as_f64((count / 2).unsigned_abs()) + 0.5) * pitch, "middle");
    }
    if count > 1 {
        label(html, last, WIDTH, "end");
    }
    html.push_str("</svg></div>\n");
}

/// Hours that one bar stands for: one, a day, or as many days as keep the bars few enough.
fn step(first: i64, last: i64) -> i64 {
    let hours = last - first + 1;
    match hours {
        ..=72 => 1,
        _ if hours <= BARS * 24 => 24,
        _ => (hours - 1).div_euclid(BARS * 24) * 24 + 24,
    }
}

/// The next number that a scale can end with: 2, 4, 6, 10, 20, 40 …
fn ceiling(most: u64) -> u64 {
    let mut ten: u64 = 1;
    loop {
        for step in [2, 4, 6, 10] {
            let end = ten.saturating_mul(step);
            if end >= most || end == u64::MAX {
                return end;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

fn most_denied(html: &mut String, summed: &Summed) {
    let Some(most) = summed.denied.first().map(|(_, count)| *count) else { return };
    let rows = &summed.denied;
    let height = 24 * rows.len();
    let _ = writeln!(
        html,
        "<h2>Most denied</h2>\n<div class=\"plot\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"The most denied destinations\">"
    );
    for (place, (destination, count)) in rows.iter().enumerate() {
        let y = 24 * place;
        let width = (as_f64(*count) / as_f64(most) * 480.0).max(1.0);
        let destination = name(destination);
        let _ = write!(html, "<g><title>");
        push_html(html, &destination);
        let _ = write!(html, ": {count}</title><text x=\"380\" y=\"{}\" text-anchor=\"end\">", y + 16);
        push_html(html, &elided(&destination, MAX_LABEL));
        let _ = writeln!(
            html,
            "</text><rect class=\"d\" x=\"390\" y=\"{}\" width=\"{width:.1}\" height=\"16\" rx=\"2\"/><text x=\"{:.1}\" y=\"{}\">{count}</text></g>",
            y + 4,
            396.0 + width,
            y + 16
        );
    }
    html.push_str("</svg></div>\n");
    let hidden = summed.more_denied;
    if hidden > 0 {
        let _ = writeln!(html, "<p>and {hidden} more destinations</p>");
    }
}

fn rows(html: &mut String, summed: &Summed, by: &str) {
    let _ = writeln!(
        html,
        "<h2>By {by}</h2>\n<table>\n<thead><tr><th scope=\"col\">{by}</th><th scope=\"col\">requests</th><th scope=\"col\">denied</th></tr></thead>\n<tbody>"
    );
    for row in &summed.rows {
        html.push_str("<tr><td><bdi>");
        push_html(html, &name(&row.key));
        let _ = writeln!(html, "</bdi></td><td>{}</td><td>{}</td></tr>", row.count.requests, row.count.denied);
    }
    let Count { requests, denied } = summed.total;
    let _ = writeln!(
        html,
        "</tbody>\n<tfoot><tr><td>total</td><td>{requests}</td><td>{denied}</td></tr></tfoot>\n</table>"
    );
    let hidden = summed.more_rows;
    if hidden > 0 {
        let _ = writeln!(html, "<p>and {hidden} more rows, which the total contains</p>");
    }
}

#[expect(clippy::cast_precision_loss, reason = "for the length of a bar")]
fn as_f64(number: u64) -> f64 {
    number as f64
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

    #[test]
    fn a_scale_ends_where_people_can_read_it() {
        for (most, end) in [(0, 2), (1, 2), (2, 2), (3, 4), (7, 10), (11, 20), (61, 100), (u64::MAX, u64::MAX)] {
            assert_eq!(ceiling(most), end, "{most}");
        }
    }
}
