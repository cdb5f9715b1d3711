//! `systole cost`: what a design costs, or the technology table behind the figures.

use super::{Common, load_design, print_json, refuse};
use crate::energy::table::{self, HOROWITZ_45NM};
use crate::energy::{cost_report, table_json, table_text, technology};
use crate::lint;
use crate::report::notes_text;
use clap::Args;
use miette::Result;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Arguments of `cost`.
#[derive(Args)]
pub struct CostArgs {
    /// Built-in design or RON file.
    #[arg(long, value_name = "DESIGN", default_value = "fp8-16x16")]
    design: String,
    /// Print a technology table instead, built in or a RON file: every figure with its source and status.
    #[arg(long, value_name = "TABLE", num_args = 0..=1, default_missing_value = HOROWITZ_45NM, conflicts_with = "design")]
    table: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the cost of a design, or a table.
pub fn run(args: &CostArgs, common: &Common) -> Result<ExitCode> {
    if let Some(name) = &args.table {
        let table = if name.ends_with(".ron") || name.contains(['/', '\\']) {
            table::read(Path::new(name)).map_err(refuse)?
        } else {
            technology(name).map_err(refuse)?.clone()
        };
        if args.json {
            print_json(&table_json(&table))?
        } else {
            out!("{}", table_text(&table))
        }
        return Ok(ExitCode::SUCCESS);
    }
    let design = load_design(&args.design, &common.settings()?)?;
    let report = cost_report(&design).map_err(refuse)?;
    let notes = lint::of_design(&design);
    if args.json {
        let mut object = report.json();
        object["notes"] = json!(notes);
        print_json(&object)?
    } else {
        out!("{}{}", report.text(), notes_text(&notes))
    }
    Ok(ExitCode::SUCCESS)
}
