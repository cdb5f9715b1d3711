//! Reports of sweeps: in the terminal, and as one file with pictures.

mod chart;
mod detail;
mod front;
mod histogram;
pub mod page;
pub mod text;
