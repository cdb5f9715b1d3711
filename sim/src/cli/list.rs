//! `systole list`: what is built in.

use super::{quantize, refuse};
use crate::sweep::{SWEEPS, Spec};
use crate::text::short;
use clap::{Args, ValueEnum};
use comfy_table::{Table, presets};
use miette::Result;
use std::process::ExitCode;
use systole_isa::design::{DESIGNS, find};
use systole_isa::format::{Format, NAMED, NamedFormat, Specials};
use systole_trainer::model::{MODELS, WORKLOADS};
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
    Workloads,
    Sweeps,
    Formats,
    Schemes,
}

/// A borderless table with a header.
pub fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    table
}

/// Families of formats, in the order they are listed.
const FAMILIES: [&str; 5] = [
    "floats of 8 bits",
    "elements and scales of blocks, and floats with a shared bias",
    "floats of 16 bits and more",
    "posits (quire<N>_<ES> is the accumulator)",
    "integers (fx<WIDTH>.<FRACTION> with fraction bits)",
];

fn family(named: &NamedFormat) -> usize {
    match named.format {
        Format::Float(f) => match f.specials {
            Specials::F | Specials::E8m0 => 1,
            _ if named.format.bits() > 8 => 2,
            _ => 0,
        },
        Format::Posit(_) => 3,
        Format::Fixed(_) | Format::Quire(_) => 4,
    }
}

/// A table for each family: widths, limits, specials, other names, sources.
fn formats() -> Vec<String> {
    let yes = |has: bool| if has { "yes" } else { "-" }.to_owned();
    let mut sections: Vec<String> = FAMILIES
        .iter()
        .enumerate()
        .map(|(index, title)| {
            let floats = index < 3;
            let mut header = vec!["format", "bits"];
            if floats {
                header.extend(["layout", "bias", "smallest", "largest", "inf", "NaN", "-0"]);
            } else {
                header.extend(["smallest", "largest"]);
            }
            header.extend(["source", "also called"]);
            let mut table = plain_table(&header);
            for named in NAMED.iter().filter(|named| family(named) == index) {
                let format = named.format;
                let value = |code| short(format.to_f64(code));
                let mut row = vec![named.name.to_owned(), format.bits().to_string()];
                if let Format::Float(f) = format {
                    row.extend([format!("{}.{}.{}", u32::from(f.signed), f.exponent_bits, f.mantissa_bits), f.bias.to_string()]);
                }
                row.extend([value(format.smallest_positive()), value(format.max_finite(false))]);
                if floats {
                    let negative_zero = format.is_zero(0) && format.zero(true) != 0;
                    row.extend([yes(format.infinity(false).is_some()), yes(format.canonical_nan().is_some()), yes(negative_zero)]);
                }
                row.extend([named.source.to_owned(), named.aliases.join(" ")]);
                table.add_row(row);
            }
            format!("{title}\n{table}")
        })
        .collect();
    sections.push(
        "any other: e<E>m<M>[b<BIAS>][fn|fnuz|f], p3109_k<K>p<P>s<e|f>, posit<N>_<ES>, quire<N>_<ES>,\n\
         quire<WIDTH>.<FRACTION>, fx<WIDTH>.<FRACTION>, int<N>; `systole format NAME` shows one whole"
            .to_owned(),
    );
    sections
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
    if wanted(What::Workloads) {
        let mut table = plain_table(&["workload", "batch", "summary"]);
        for workload in WORKLOADS {
            table.add_row([workload.name, &workload.batch.to_string(), workload.summary]);
        }
        sections.push(table.to_string());
    }
    if wanted(What::Sweeps) {
        let mut table = plain_table(&["sweep", "summary"]);
        for built_in in SWEEPS {
            let spec = Spec::from_ron(built_in.name, built_in.ron).map_err(refuse)?;
            table.add_row([spec.name, spec.summary]);
        }
        sections.push(table.to_string());
    }
    if wanted(What::Formats) {
        sections.extend(formats());
    }
    if wanted(What::Schemes) {
        sections.push(quantize::schemes_table());
        if args.what.is_some() {
            sections.push(quantize::schemes_help());
        }
    }
    let text: Vec<String> = sections.iter().map(|s| s.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")).collect();
    outln!("{}", text.join("\n\n"));
    Ok(ExitCode::SUCCESS)
}
