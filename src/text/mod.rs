//! Text for people: what may be shown of text from outside, and how numbers are written.
//!
//! Guaranteed: every page, terminal and message that shows bytes, ages, rates or counts takes them from [`figures`], so
//! that they read the same everywhere, and every plot its heights from [`plot`]. Text from outside passes through [`visible`] before it is shown.

pub mod figures;
mod html;
mod inert;
pub mod plot;
pub mod visible;

pub use html::{DOCTYPE, HtmlText};
pub use inert::Inert;
