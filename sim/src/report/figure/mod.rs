//! Tables and plots of figures.

pub mod condition;
pub mod trust_region;
