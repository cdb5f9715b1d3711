//! `systole quantize`: one tensor through a published quantiser.

use super::list::plain_table;
use super::{Common, print_json, refuse};
use crate::run::quantize::{self, Files, Outcome};
use crate::text::{numeric_table, short};
use clap::Args;
use miette::{Result, miette};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use systole_golden::scheme::{Parameters, Scheme};

/// Arguments of `quantize`.
#[derive(Args)]
pub struct QuantizeArgs {
    /// Published quantiser: see `systole list schemes`.
    #[arg(long, value_name = "SCHEME")]
    scheme: String,
    /// Tensor as .npy, floats of up to four dimensions, each a binary32 number.
    #[arg(long = "in", value_name = "NPY")]
    input: Option<PathBuf>,
    /// Values the tensor was quantised to before, of its shape (hysteresis).
    #[arg(long, value_name = "NPY", requires = "input")]
    prev: Option<PathBuf>,
    /// A uniform number in [0, 1) for each element: stochastic rounding.
    #[arg(long, value_name = "NPY", requires = "input")]
    uniforms: Option<PathBuf>,
    /// Write the values as .npy, float32, of the tensor's shape.
    #[arg(long, value_name = "NPY")]
    out: Option<PathBuf>,
    /// Write the codes as .npy, of the tensor's shape.
    #[arg(long, value_name = "NPY")]
    codes: Option<PathBuf>,
    /// Write the scales as .npy.
    #[arg(long, value_name = "NPY")]
    scales: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Columns the help is laid out for.
const WIDTH: usize = 100;

/// `text` in lines that start at `margin`, the first already begun there.
fn wrapped(text: &str, margin: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if line.is_empty() {
            line.push_str(word);
        } else if margin + line.len() + 1 + word.len() <= WIDTH {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join(&format!("\n{:margin$}", ""))
}

/// Every scheme with its files and parameters.
pub fn schemes_help() -> String {
    let mut out = String::from("Schemes, with the default of every --set:\n");
    for &scheme in Scheme::ALL {
        out.push_str(&format!("\n{}: {}\n", scheme.name(), wrapped(scheme.about().summary, 2)));
        for (name, text) in quantize::describe(scheme) {
            const MARGIN: usize = 34;
            // A default too long for its column has the line to itself.
            let gap = if name.len() + 3 > MARGIN { format!("\n{:MARGIN$}", "") } else { " ".repeat(MARGIN - 2 - name.len()) };
            out.push_str(&format!("  {name}{gap}{}\n", wrapped(&text, MARGIN)));
        }
    }
    out.trim_end().to_owned()
}

/// The schemes, a line each.
pub fn schemes_table() -> String {
    let mut table = plain_table(&["scheme", "summary", "source"]);
    for &scheme in Scheme::ALL {
        table.add_row([scheme.name(), scheme.about().summary, scheme.about().source]);
    }
    table.to_string()
}

fn find(name: &str) -> Result<Scheme> {
    Scheme::find(name).ok_or_else(|| {
        let names: Vec<&str> = Scheme::ALL.iter().map(|s| s.name()).collect();
        let suggestion = names
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), known))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, known)| format!(" (did you mean `{known}`?)"))
            .unwrap_or_default();
        miette!(
            help = format!("there are {}; `systole list schemes` describes them", names.join(", ")),
            "no scheme is called `{name}`{suggestion}"
        )
    })
}

fn print_constants(args: &QuantizeArgs, parameters: &Parameters, files: &Files) -> Result<()> {
    let (map, digest) = quantize::constants(parameters, files).map_err(refuse)?;
    let scheme = parameters.scheme().name();
    if args.json {
        print_json(&json!({"scheme": scheme, "parameters": parameters, "map": map.map(f64::from).as_slice(), "digest": digest}))?;
    } else {
        outln!("{scheme}: code and value");
        for (i, row) in map.chunks(4).enumerate() {
            let line: Vec<String> = row.iter().enumerate().map(|(j, value)| format!("{:>3} {value:<13e}", 4 * i + j)).collect();
            outln!("  {}", line.join("  ").trim_end());
        }
        outln!("values sha256 {digest}");
    }
    Ok(())
}

fn print_outcome(args: &QuantizeArgs, parameters: &Parameters, outcome: &Outcome) -> Result<()> {
    let quantized = &outcome.quantized;
    if args.json {
        print_json(&json!({
            "scheme": parameters.scheme().name(),
            "parameters": parameters,
            "shape": outcome.shape,
            "counts": quantized.counts,
            "scales_shape": quantized.scales_shape,
            "state": quantized.state,
            "digest": outcome.digest(),
        }))?;
        return Ok(());
    }
    let shape: Vec<String> = outcome.shape.iter().map(usize::to_string).collect();
    outln!("{} of {}", parameters.scheme().name(), if shape.is_empty() { "a scalar".to_owned() } else { shape.join(" x ") });
    let mut table = numeric_table(&["", "elements"]);
    let counts = &quantized.counts;
    for (name, count) in
        [("quantised", counts.elements), ("cut to the largest", counts.saturated), ("flushed to zero", counts.flushed), ("NaN", counts.nan)]
    {
        table.add_row([name.to_owned(), count.to_string()]);
    }
    out!("{}", crate::text::indented(&table, 2));
    outln!("  {} blocks, {} of zeros", counts.blocks, counts.zero_blocks);
    for (name, value) in &quantized.state {
        let shown = match value {
            Value::Number(n) if n.is_f64() => short(n.as_f64().unwrap_or(f64::NAN)),
            other => other.to_string(),
        };
        outln!("  {} {shown}", name.replace('_', " "));
    }
    outln!("values sha256 {}", outcome.digest());
    Ok(())
}

/// Quantises and reports.
pub fn run(args: &QuantizeArgs, common: &Common) -> Result<ExitCode> {
    let scheme = find(&args.scheme)?;
    let parameters = Parameters::of(scheme).with_overrides(&common.settings()?).map_err(refuse)?;
    let files = Files {
        input: args.input.clone(),
        previous: args.prev.clone(),
        uniforms: args.uniforms.clone(),
        out: args.out.clone(),
        codes: args.codes.clone(),
        scales: args.scales.clone(),
    };
    if files.input.is_none() {
        print_constants(args, &parameters, &files)?;
    } else {
        let outcome = quantize::run(&parameters, &files).map_err(refuse)?;
        print_outcome(args, &parameters, &outcome)?;
    }
    Ok(ExitCode::SUCCESS)
}
