//! `systole figure`: tables and figures of lectures and papers, measured or computed. One file per figure.

mod condition;
mod formats;
mod methods;
mod resolution;
mod trust_region;

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
    /// Precision by condition number: error, accuracy and energy over the share of dot products in low precision.
    ///
    /// Networks are trained once a seed in the finer precision, and evaluated with the same weights under
    /// every threshold, and with as many outputs chosen by lot.
    Condition(condition::ConditionArgs),
    /// Trust regions beside stochastic gradient descent: test error, loss and precision, epoch by epoch.
    TrustRegion(trust_region::TrustRegionArgs),
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
        Figure::Condition(args) => condition::run(args, common),
        Figure::TrustRegion(args) => trust_region::run(args, common),
        Figure::Resolution(args) => resolution::run(args),
        Figure::Formats(args) => formats::run(args, common),
        Figure::Methods(args) => methods::run(args, common),
    }
}
