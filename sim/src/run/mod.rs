//! Runs from specification to result: one matrix product, one training, one file of test vectors,
//! one measurement of speed, several recipes side by side.

pub mod bench;
pub mod compare;
pub mod figure;
pub mod gemm;
pub mod golden;
pub mod operands;
pub mod quantize;
pub mod tensors;
pub mod train;
pub mod vectors;
