//! The bench: memory and scheduler around the arrays, energy and area, reports, the command.
//!
//! [`machine`] is the device that runs programs; [`run`] turns a specification into a
//! result; [`sweep`] makes many of them; [`energy`] prices records; [`report`] prints them; [`trace`]
//! looks at registers and cycles; [`lint`] at what was surely not meant; [`cli`] is `systole` itself.
#![forbid(unsafe_code)]

pub mod cli;
pub mod energy;
pub mod lint;
pub mod machine;
pub mod report;
pub mod run;
pub mod sweep;
mod text;
pub mod trace;
