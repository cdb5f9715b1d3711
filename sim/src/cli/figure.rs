//! `systole figure`: tables and figures of lectures and papers, computed. One file per figure.

mod formats;
mod methods;
mod resolution;

use super::Common;
use clap::{Args, Subcommand};
use miette::Result;
use std::process::ExitCode;

/// Arguments of `figure`.
#[derive(Args)]
pub struct FigureArgs {
    #[command(subcommand)]
    figure: Figure,
}

#[derive(Subcommand)]
enum Figure {
    /// How far apart a format's numbers lie, range by range.
    Resolution(resolution::ResolutionArgs),
    /// Formats side by side: bits, range, unit roundoff, and what arrays of them reach.
    Formats(formats::FormatsArgs),
    /// Methods side by side: format of each role, accumulator, accuracy against fp32.
    Methods(methods::MethodsArgs),
}

/// Makes the figure.
pub fn run(args: &FigureArgs, common: &Common) -> Result<ExitCode> {
    match &args.figure {
        Figure::Resolution(args) => resolution::run(args),
        Figure::Formats(args) => formats::run(args, common),
        Figure::Methods(args) => methods::run(args, common),
    }
}
