//! What figures show, computed. One file per figure.

pub mod formats;
pub mod methods;
pub mod resolution;
