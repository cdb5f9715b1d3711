//! Runs from specification to result: one matrix product, one training, one file of test vectors,
//! one measurement of speed, several recipes side by side, evidence of a training's steps, a figure,
//! a network's cost by its shapes.

pub mod bench;
pub mod compare;
pub mod dot_products;
pub mod evidence;
pub mod figure;
pub mod gemm;
pub mod golden;
pub mod operands;
pub mod quantize;
pub mod results;
pub mod specification;
pub mod tensors;
pub mod train;
pub mod vectors;
pub mod workload;
