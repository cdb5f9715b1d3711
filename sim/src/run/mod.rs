//! Runs from specification to result: one matrix product, one training, one file of test vectors.

pub mod gemm;
pub mod golden;
pub mod operands;
pub mod train;
pub mod vectors;
