//! `systole evidence`: tables and histories of a run's evidence.

use super::{print_json, refuse};
use crate::report::evidence as report;
use crate::run::evidence::{self, Summary};
use clap::Args;
use miette::{Result, miette};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `evidence`.
#[derive(Args)]
pub struct EvidenceArgs {
    /// A file of evidence, or a directory that `train --out` wrote one in.
    #[arg(value_name = "FILE_OR_DIR")]
    path: PathBuf,
    /// Draw histories: amax and range, saturation, errors, gradients, flips, MACs, loss.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads, prints and draws.
pub fn run(args: &EvidenceArgs) -> Result<ExitCode> {
    let lines = evidence::read(&args.path).map_err(refuse)?;
    let mut summary = Summary::default();
    lines.iter().for_each(|line| summary.add(line));
    if let Some(path) = &args.svg {
        let svg = report::plot(&lines).map_err(refuse)?;
        std::fs::write(path, svg).map_err(|e| miette!("`{}`: {e}", path.display()))?;
    }
    if args.json {
        print_json(&json!({"run": lines.first().map(|line| &line.run), "evidence": summary}))?;
    } else {
        out!("{}", report::tables(&lines, &summary));
    }
    Ok(ExitCode::SUCCESS)
}
