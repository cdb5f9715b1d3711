//! The hardware: MAC datapaths, systolic arrays and their dataflows, the vector unit.
//!
//! It knows nothing of training, memory systems or programs. [`datapath`] defines what every
//! operation computes; the engines around it give the same bits at different speeds.

pub mod datapath;
pub mod problem;
pub mod vector;
