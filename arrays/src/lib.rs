//! The hardware: MAC datapaths, systolic arrays and their dataflows, the vector unit.
//!
//! It knows nothing of training, memory systems or programs. [`datapath`] defines what every
//! operation computes; the engines around it give the same bits at different speeds.

#[cfg(feature = "bench")]
pub mod bench;
pub mod dataflow;
pub mod datapath;
pub mod fast;
pub mod mask;
mod ordinal;
pub mod problem;
mod simd;
pub mod sums;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod testing;
pub mod ticked;
pub mod toggles;
#[cfg(test)]
mod truth;
pub mod vector;
