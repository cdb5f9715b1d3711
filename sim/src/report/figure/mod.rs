//! Figures as JSON and as text. One file per figure.

pub mod condition;
pub mod formats;
pub mod methods;
pub mod resolution;
pub mod trust_region;
