//! The bench: memory and scheduler around the arrays, energy and area, reports, the command.
//!
//! [`machine`] is the device that runs programs; [`run`] turns a specification into a
//! result; [`energy`] prices records; [`report`] prints them; [`trace`] looks at registers and
//! cycles; [`cli`] is `systole` itself.
#![forbid(unsafe_code)]

pub mod cli;
pub mod energy;
pub mod machine;
pub mod report;
pub mod run;
mod text;
pub mod trace;
