//! Figures: measurements that one command makes and draws.

pub mod condition;
pub mod trust_region;
