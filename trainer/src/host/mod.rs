//! The reference: training in binary32 on this machine, in plain loops.
//!
//! Simulated runs are compared with it; it simulates nothing. It uses IEEE basic operations
//! in a fixed order only, so it gives the same bits on every platform.

pub(crate) mod functions;
mod loss;
mod matrix;
mod network;
mod optimizer;
mod search;
mod training;

pub use loss::{Loss, cross_entropy};
pub use matrix::{Matrix, Real};
pub(crate) use matrix::{Packed, View, product, product_of_transposed, product_with_transposed};
pub use network::{Network, Trace};
pub use optimizer::State;
pub(crate) use training::check;
pub use training::{Epoch, Hyperparameters, Run, TrainError, evaluate, train, train_while};
