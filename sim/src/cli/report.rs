//! `systole report`: a sweep as one file with pictures.

use super::refuse;
use super::sweep::write_table;
use crate::report::sweep::page::{Provenance, page, pictures};
use crate::report::sweep::text::text;
use crate::sweep::{self, Table};
use clap::Args;
use miette::{Result, miette};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `report`.
#[derive(Args)]
pub struct ReportArgs {
    /// The --out directory of `systole sweep`, finished or not.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes the page, its pictures and the table, and prints the small form.
pub fn run(args: &ReportArgs) -> Result<ExitCode> {
    let directory = &args.directory;
    let (plan, records) = sweep::read(std::slice::from_ref(directory)).map_err(refuse)?;
    let table = Table::new(&plan, &records);
    let pictures = pictures(&table).map_err(refuse)?;
    let spec = std::fs::read_to_string(directory.join("sweep.ron")).unwrap_or_default();
    let provenance = Provenance { spec, pictures };
    let html = page(&plan, &table, &provenance).map_err(refuse)?;
    let write = |name: &str, contents: &str| {
        let path = directory.join(name);
        std::fs::write(&path, contents).map_err(|e| miette!("`{}`: {e}", path.display()))
    };
    for (name, svg) in &provenance.pictures {
        write(&format!("{name}.svg"), svg)?;
    }
    write("report.html", &html)?;
    write_table(directory, &table)?;
    out!("{}", text(&plan, &table));
    outln!("\nreport: {}", directory.join("report.html").display());
    Ok(ExitCode::SUCCESS)
}
