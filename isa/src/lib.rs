//! The contract between training software and simulated hardware.
//!
//! What the hardware *is* ([`design::Design`]), what it is *told* ([`program::Program`]),
//! and what it *answers* ([`device::Record`]). This crate depends on nothing else of systole.
#![forbid(unsafe_code)]

pub mod asm;
pub mod block;
pub mod codes;
pub mod design;
pub mod device;
pub mod entropy;
pub mod exact;
pub mod field;
pub mod format;
pub mod instruction;
pub mod lfsr;
pub mod overrides;
pub mod program;
pub mod round;
pub mod view;
