//! Text from outside in HTML.

use maud::{PreEscaped, Render};

use super::Inert;
use super::visible::push_html;

/// What every page begins with.
pub const DOCTYPE: PreEscaped<&str> = PreEscaped("<!doctype html>\n");

/// Text as HTML character data, fit for an element's content and for a quoted attribute. A template's own escaping leaves
/// `'` as it is; this does not.
#[derive(Clone, Copy, Debug)]
pub struct HtmlText<'t>(pub &'t str);

impl Render for HtmlText<'_> {
    fn render_to(&self, buffer: &mut String) {
        push_html(buffer, self.0);
    }
}

impl Render for Inert {
    fn render_to(&self, buffer: &mut String) {
        push_html(buffer, self.as_str());
    }
}
