//! outgate
pub mod facts;
