//! The fields of records.

use super::markdown::{Page, code};
use crate::record::COLUMNS;

pub(super) fn page() -> String {
    let introduction = "The fields of a line of records, in their order: in a JSON line, in a row of a database, and in the admin API. [Records](../records.md) explains them. Every field is in every line: text that is not known is empty, a number 0. Only a gap has `dropped`.\n\n`v` is the version of the columns. A line is verified with the columns of its own version, so a new field breaks no chain.";
    let mut page = Page::new("Record fields", introduction);
    let rows: Vec<_> = COLUMNS.iter().map(|column| [code(column.name), column.about.to_owned()]).collect();
    page.table(["field", "what it holds"], &rows);
    page.finish()
}
