//! The denied destinations, the most denied first, and what to do about each.

use super::View;
use super::html::Html;

/// One denied destination.
#[derive(Clone, Debug)]
pub struct DenialRow {
    /// `host:port`, or `*.domain` for a collapsed row.
    pub destination: String,
    /// The deny reason's token.
    pub reason: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first: String,
    /// When last.
    pub last: String,
    /// The rule that denied it, or that it missed most narrowly.
    pub rule: Option<String>,
    /// By which tools.
    pub tools: Vec<String>,
    /// What can be done.
    pub advice: AdviceView,
}

/// What can be done about a denial.
#[derive(Clone, Debug, Default)]
pub struct AdviceView {
    /// The text to add to the policy, if there is one.
    pub allow: Option<String>,
    /// Whether it is allowed by now.
    pub allowed_now: bool,
    /// What else there is to know.
    pub note: Option<String>,
}

/// The section.
pub(super) fn section(html: &mut Html, view: &View) {
    html.raw("<section id=\"denied\" class=\"card\" aria-labelledby=\"denied-title\" tabindex=\"-1\">\n<h2 id=\"denied-title\">Denied destinations</h2>\n");
    html.raw("<p class=\"lead\"><span id=\"built-in\"");
    html.hidden_if(!view.policy.built_in);
    html.raw(">The policy in force is built in. To change it, save one as a file and start with <code>--policy FILE</code>. </span>");
    html.raw("To allow one that is needed, add its rule at the end of <span id=\"where\">");
    html.name(&view.policy.source);
    html.raw("</span>. A saved change is in force within a second.</p>\n<table class=\"wide\">\n");
    html.columns(&[
        ("", "Destination"),
        ("", "Reason"),
        ("number", "Denied"),
        ("", "Last"),
        ("minor", "First"),
        ("", "Asked by"),
        ("minor", "Rule"),
        ("", "To allow it"),
    ]);
    html.raw("<tbody id=\"denials\">\n");
    let most = view.denials.iter().map(|row| row.count).max().unwrap_or_default();
    for row in &view.denials {
        denial(html, row, most);
    }
    html.raw("</tbody>\n</table>\n<p id=\"folded\" hidden><button type=\"button\" id=\"unfold\" class=\"copy\" aria-expanded=\"false\" aria-controls=\"denials\"></button></p>\n");
    html.raw("<p id=\"no-denials\" class=\"empty\"");
    html.hidden_if(!view.denials.is_empty());
    html.raw(">Nothing has been denied since the start.</p>\n<p id=\"more\" class=\"lead\"");
    html.hidden_if(view.other_denials == 0);
    html.raw("><span id=\"other-denials\">");
    html.number(view.other_denials);
    html.raw("</span> more denied requests went to destinations that are not listed here.</p>\n");
    html.raw("<p id=\"copied\" class=\"unseen\" role=\"status\"></p>\n</section>\n");
}

fn denial(html: &mut Html, row: &DenialRow, most: u64) {
    html.raw("<tr><th scope=\"row\">");
    html.name(&row.destination);
    html.raw("</th><td>");
    html.reason(&row.reason);
    html.raw("</td><td class=\"number\">");
    html.number(row.count);
    html.raw("<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect height=\"4\" width=\"");
    html.text(&row.count.saturating_mul(100).checked_div(most).unwrap_or_default().to_string());
    html.raw("\"/></svg></td><td>");
    html.time(&row.last);
    html.raw("</td><td class=\"minor\">");
    html.time(&row.first);
    html.raw("</td><td class=\"tools\">");
    html.name(&row.tools.join(", "));
    html.raw("</td><td class=\"minor\">");
    html.narrow_name(row.rule.as_deref().unwrap_or("none"));
    html.raw("</td><td class=\"mend\">");
    advice(html, &row.advice);
    html.raw("</td></tr>\n");
}

fn advice(html: &mut Html, advice: &AdviceView) {
    let note = |html: &mut Html| {
        html.raw("<p>");
        html.prose(advice.note.as_deref().unwrap_or_default());
        html.raw("</p>");
    };
    match &advice.allow {
        Some(text) => {
            html.raw("<details><summary>Show</summary><pre>");
            for line in text.lines() {
                html.text(line);
                html.raw("\n");
            }
            html.raw("</pre>");
            note(html);
            html.raw("</details>");
        }
        None => {
            if advice.allowed_now {
                html.raw("<span class=\"decision\" data-decision=\"allow\">allowed now</span>");
            }
            note(html);
        }
    }
}
