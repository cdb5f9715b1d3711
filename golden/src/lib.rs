//! The truth about every operation of a systolic array, on exact rationals.
//!
//! golden takes from [`systole_isa`] only descriptions (formats, policies, MAC modes). What a
//! code means, what lies next to a number, and which neighbour a mode picks are worked out
//! here a second time, from the definitions, on arbitrary-precision rationals, so that an
//! error in the simulator's integers cannot hide in its own reference. `clippy.toml` refuses
//! calls into the shared reading and rounding code. golden is slow and does not mind.
//!
//! ```
//! use systole_golden::oracle::{self, Operand};
//! use systole_isa::{format::Format, round::{Flags, Policy, Rounding}};
//!
//! let (max, tiny) = (Operand::new(Format::E4M3FN, 0x7e), Operand::new(Format::E4M3FN, 0x01));
//! // 448 * 2^-9 = 0.875 needs three of fp16's bits: exact.
//! assert_eq!(oracle::mul(max, tiny, Format::FP16, Policy::RNE, 0), (0x3b00, Flags::NONE));
//! // 448 + 2^-9 does not fit: the odd neighbour is one up.
//! let odd = Policy::new(Rounding::Rod);
//! assert_eq!(oracle::add(max, tiny, Format::FP16, odd, 0), (0x5f01, Flags::INEXACT));
//! ```
#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod check;
pub mod gemm;
pub mod oracle;
pub mod round;
pub mod scheme;
pub mod value;
pub mod vectors;

pub use value::{Rational, Value};
