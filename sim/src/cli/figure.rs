//! `systole figure`: measurements that one command makes and draws, a file for each.

mod condition;
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
}

/// Makes a figure.
pub fn run(args: &FigureArgs, common: &Common) -> Result<ExitCode> {
    match &args.figure {
        Figure::Condition(args) => condition::run(args, common),
        Figure::TrustRegion(args) => trust_region::run(args, common),
    }
}
