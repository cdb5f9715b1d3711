//! Figures as JSON and as text. One file per figure.

pub mod formats;
pub mod methods;
pub mod resolution;
