//! The datapath held against the processor that runs this, bit for bit and flag for flag.
//!
//! Scalar binary32 and binary64 arithmetic and F16C conversions in every rounding mode and
//! subnormal treatment of MXCSR, AVX512-FP16 arithmetic in every rounding mode, and the bf16
//! dot products of AVX512-BF16 and AMX. What the processor lacks is skipped with a line of
//! output (`--nocapture` shows it). So that the comparison of dot products itself is known to
//! work everywhere, it also runs on stand-ins built from scalar FMA instructions.
#![cfg(target_arch = "x86_64")]

mod cpu;
mod dot;
mod half;
mod operands;
mod scalar;
