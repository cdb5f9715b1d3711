//! Reports of sweeps: in the terminal, and as one file with pictures.

mod chart;
mod detail;
mod front;
pub mod page;
pub mod text;
