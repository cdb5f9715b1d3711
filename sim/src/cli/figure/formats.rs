//! `systole figure formats`: formats side by side, and what arrays of them reach.

use crate::cli::{Common, load_design, print_json, refuse};
use crate::report::figure::formats as report;
use crate::run::figure::formats::{self, FORMATS};
use clap::Args;
use miette::{Result, miette};
use std::process::ExitCode;
use systole_isa::format::Format;

/// Arguments of `figure formats`.
#[derive(Args)]
pub struct FormatsArgs {
    /// Formats, in this order [default: those of the lecture and of its methods].
    #[arg(value_name = "FORMAT")]
    formats: Vec<String>,
    /// Design whose array is the yardstick: its area is filled with MACs of each format.
    #[arg(long, value_name = "DESIGN", default_value = "fp32-16x16")]
    design: String,
    /// Accumulator of floats up to fp32; wider ones have their own.
    #[arg(long, value_name = "FORMAT", default_value = "fp32")]
    accumulator: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the table.
pub fn run(args: &FormatsArgs, common: &Common) -> Result<ExitCode> {
    let parse = |name: &str| name.parse::<Format>().map_err(|e| miette!("{e}"));
    let names: Vec<&str> = if args.formats.is_empty() { FORMATS.to_vec() } else { args.formats.iter().map(String::as_str).collect() };
    let formats = names.into_iter().map(parse).collect::<Result<Vec<_>>>()?;
    let design = load_design(&args.design, &common.settings()?)?;
    let table = formats::table(&design, &formats, parse(&args.accumulator)?).map_err(refuse)?;
    if args.json {
        print_json(&report::json(&table))?;
    } else {
        out!("{}", report::text(&table));
    }
    Ok(ExitCode::SUCCESS)
}
