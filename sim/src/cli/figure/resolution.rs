//! `systole figure resolution`: a format's numbers, range by range.

use crate::cli::print_json;
use crate::report::figure::resolution as report;
use crate::run::figure::resolution::Resolution;
use clap::Args;
use miette::{Result, miette};
use std::process::ExitCode;
use systole_isa::format::Format;

/// Arguments of `figure resolution`.
#[derive(Args)]
pub struct ResolutionArgs {
    /// Name of the format, as `systole format` takes it.
    #[arg(long, value_name = "FORMAT", default_value = "fp16")]
    format: String,
    /// Print every range, however many.
    #[arg(long)]
    all: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the table.
pub fn run(args: &ResolutionArgs) -> Result<ExitCode> {
    let format: Format = args.format.parse().map_err(|e| miette!("{e}"))?;
    let resolution = Resolution::of(format).map_err(|e| miette!("{e}"))?;
    if args.json {
        print_json(&report::json(&resolution))?;
    } else {
        out!("{}", report::text(&resolution, args.all));
    }
    Ok(ExitCode::SUCCESS)
}
