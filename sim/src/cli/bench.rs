//! `systole bench`: how fast this machine simulates.

use super::{Common, print_json, refuse};
use crate::run::bench::{self, Options};
use clap::Args;
use indicatif::ProgressBar;
use miette::{Result, miette};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `bench`.
#[derive(Args)]
pub struct BenchArgs {
    /// Extent of the products in every direction; slow kernels get less.
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(32..=8192))]
    size: u32,
    /// Fewer and shorter rounds, products of at most 512.
    #[arg(long)]
    quick: bool,
    /// Only what has this in its name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Do not look for other programs.
    #[arg(long)]
    no_peers: bool,
    /// Also keep the report as a page of this directory, by date and processor.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The command as it was typed.
fn command() -> String {
    let plain = |arg: &String| !arg.is_empty() && arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_=./,".contains(c));
    let words = std::env::args().skip(1).map(|arg| if plain(&arg) { arg } else { format!("'{}'", arg.replace('\'', r"'\''")) });
    std::iter::once("systole".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Measures and reports; wrong bits give exit status 1.
pub fn run(args: &BenchArgs, common: &Common) -> Result<ExitCode> {
    if !common.settings()?.is_empty() {
        return Err(miette!(help = "`systole list` shows the designs; the cases are fixed", "bench takes no --set"));
    }
    let options = Options {
        size: if args.quick { args.size.min(512) } else { args.size },
        quick: args.quick,
        kernel: common.kernel()?,
        threads: common.threads.map_or(1, usize::from),
        peers: !args.no_peers,
        only: args.only.clone(),
    };
    let spinner = ProgressBar::new_spinner();
    let report = bench::run(options, |next| {
        spinner.set_message(next.to_owned());
        spinner.tick();
    })
    .map_err(|e| miette!("threads: {e}"))?;
    spinner.finish_and_clear();
    if args.json {
        print_json(&report.json())?;
    } else {
        out!("{}", report.text());
    }
    if let Some(directory) = &args.record {
        let page = bench::write_record(directory, &report, &command()).map_err(refuse)?;
        tell!("wrote {}", page.display());
    }
    let wrong = report.wrong();
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    tell!("wrong bits: {}", wrong.join(", "));
    Ok(ExitCode::from(1))
}
