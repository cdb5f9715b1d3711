//! The `fast` engine's arithmetic: whole products by SIMD kernels, each inside the domain in
//! which it equals [`crate::datapath::dot`], bit for bit and count for count.
//!
//! | kernel | accumulator | products | rounding |
//! |---|---|---|---|
//! | `fma16` | fp16, on AVX512-FP16 | exact | rne |
//! | `fma32` | fp32, range proved; any float whose sums prove to need no rounding | exact | rne; any |
//! | `carrier32` | floats that leave binary32 room to round, range proved; up to 11 significant bits checked | exact or rounded | all; rne |
//! | `carrier64` | floats of 2 to 50 significant bits | exact or rounded | all |
//! | `integer` | two's complement of up to 50 bits, wrapping or saturating; wider ones and quires where sums prove to be exact in 53 bits | exact or rounded | all |
//! | `blocks` | the like, of units that sum a block exactly | exact | all but rdn |
//! | `aligned32`, `aligned64` | floats, of units that align a block to its largest exponent with the accumulator one term more | exact | all but stochastic |
//! | `scalar` | any | any | all |
//!
//! Kernels are written once, over lanes of a machine (`crate::simd`): AVX-512, AVX2, plain Rust.
//! [`gemm`] in `dispatch.rs` says how one is chosen. Outputs are independent, so threads share
//! them out without touching the order of any sum; results are the same at any thread count.

mod choice;
mod dispatch;
mod drain;
mod fields;
mod kernels;
mod masked;
mod order;
mod panels;
mod prepared;
mod reach;
mod reader;
mod rounder;
mod scalar;
mod scales;
mod survey;
#[cfg(test)]
mod tests;
mod tiles;

pub use choice::{KernelChoice, KernelChoiceError};
pub use dispatch::{KernelUse, gemm};
