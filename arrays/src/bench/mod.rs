//! What speed is measured on: arithmetic modes with operands, conversions, and the host's own
//! f32 product.
//!
//! One table of each, [`cases`] and [`conversions`], for every measurement: `systole bench`, the criterion benches and the
//! counts of instructions.

mod cases;
mod conversions;
mod native;

pub use cases::{ARRAY, Case, Data, Problem, cases};
pub use conversions::{Conversion, conversions};
pub use native::sgemm;
