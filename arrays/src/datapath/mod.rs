//! The one semantics of a MAC array's arithmetic, on codes and in integers, for reading.
//!
//! [`Mac`] forms products and adds to accumulators of any width ([`Register`]); a block of
//! products meets its accumulator as the mode's unit says; [`Chain`] strings blocks into the
//! sums of one output, and [`dot`] is an output from first operand to last rounding. Both
//! engines are held to it.

mod chain;
mod entropy;
mod mac;
pub mod operation;
mod register;
mod sums;
mod unit;
mod wide;
mod words;

pub(crate) use chain::scaled_dots;
pub use chain::{Chain, Output, dot, scaled_dot};
pub use entropy::{Element, Entropy, Registers};
pub use mac::{Factor, Mac};
pub use register::Register;
pub(crate) use register::add_to_fixed;
pub(crate) use sums::Counting;
pub use unit::Block;
