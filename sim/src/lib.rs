//! The bench.

pub mod energy;
pub mod machine;
