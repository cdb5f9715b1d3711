//! `systole list`: what is built in.

use super::refuse;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use miette::Result;
use std::process::ExitCode;
use systole_isa::design::{DESIGNS, find};
use systole_isa::format::{Format, NAMED};
use systole_trainer::model::MODELS;
use systole_trainer::recipe::{RECIPES, Recipe};

/// Arguments of `list`.
#[derive(Args)]
pub struct ListArgs {
    /// What to list; everything if left out.
    what: Option<What>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Designs,
    Recipes,
    Models,
    Formats,
}

/// A borderless table with a header.
pub fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    table
}

/// Prints the lists.
pub fn run(args: &ListArgs) -> Result<ExitCode> {
    let wanted = |what| args.what.is_none() || args.what == Some(what);
    let mut sections = Vec::new();
    if wanted(What::Designs) {
        let mut table = plain_table(&["design", "summary"]);
        for built_in in DESIGNS {
            let summary = find(built_in.name).map(|d| d.summary).unwrap_or_default();
            table.add_row([built_in.name, &summary]);
        }
        sections.push(table.to_string());
    }
    if wanted(What::Recipes) {
        let mut table = plain_table(&["recipe", "native design", "summary"]);
        for built_in in RECIPES {
            let recipe = Recipe::builtin(built_in.name).map_err(refuse)?;
            table.add_row([recipe.name, recipe.design, recipe.summary]);
        }
        sections.push(table.to_string());
    }
    if wanted(What::Models) {
        let mut table = plain_table(&["model", "summary"]);
        for model in MODELS {
            table.add_row([model.name, model.summary]);
        }
        sections.push(table.to_string());
    }
    if wanted(What::Formats) {
        let mut table = plain_table(&["format", "bits", "exponent", "mantissa", "bias", "largest", "also called", "source"]);
        for named in NAMED {
            let (exponent, mantissa, bias) = match named.format {
                Format::Float(f) => (f.exponent_bits.to_string(), f.mantissa_bits.to_string(), f.bias.to_string()),
                Format::Posit(p) => (p.exponent_bits.to_string(), String::new(), String::new()),
                Format::Fixed(_) | Format::Quire(_) => (String::new(), String::new(), String::new()),
            };
            let largest = named.format.to_f64(named.format.max_finite(false));
            table.add_row([
                named.name.to_owned(),
                named.format.bits().to_string(),
                exponent,
                mantissa,
                bias,
                super::format::short(largest),
                named.aliases.join(" "),
                named.source.to_owned(),
            ]);
        }
        sections.push(table.to_string());
    }
    let text: Vec<String> = sections.iter().map(|s| s.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")).collect();
    println!("{}", text.join("\n\n"));
    Ok(ExitCode::SUCCESS)
}
