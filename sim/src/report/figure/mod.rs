//! Tables and plots of figures.

pub mod condition;
