//! Runs from specification to result: one matrix product, or one training.

pub mod gemm;
pub mod operands;
pub mod train;
