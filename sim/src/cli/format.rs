//! `systole format`: everything about one number format.

use super::list::plain_table;
use clap::Args;
use miette::{Result, miette};
use serde_json::{Value, json};
use std::process::ExitCode;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format, NAMED, Specials, Subnormals};

/// Arguments of `format`.
#[derive(Args)]
pub struct FormatArgs {
    /// Name of the format, e.g. e4m3fn, e6m9, fp16, int8, fx46.18, p3109_k8p4se.
    name: String,
    /// Print the value of every code even above 8 bits.
    #[arg(long)]
    table: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A binary64 in at most six significant digits, exact where that is shorter.
pub fn short(value: f64) -> String {
    let exact = format!("{value}");
    if exact.len() <= 10 { exact } else { format!("{value:.5e}") }
}

/// `significand x 2^exponent` with the significand odd.
fn dyadic(value: Exact) -> String {
    if value.is_zero() {
        return if value.negative { "-0".to_owned() } else { "0".to_owned() };
    }
    let shift = value.significand.trailing_zeros();
    let sign = if value.negative { "-" } else { "" };
    let (odd, exponent) = (value.significand >> shift, value.exponent + shift as i32);
    if odd == 1 { format!("{sign}2^{exponent}") } else { format!("{sign}{odd}*2^{exponent}") }
}

fn describe(format: Format, code: u64) -> String {
    match format.decode(code) {
        Decoded::Nan => "NaN".to_owned(),
        Decoded::Infinite { negative } => if negative { "-inf" } else { "inf" }.to_owned(),
        Decoded::Finite(x) if x.is_zero() => dyadic(x),
        Decoded::Finite(x) => short(x.to_f64()),
    }
}

/// Label, value and code of each landmark of the format.
fn landmarks(format: Format) -> Vec<(&'static str, u64)> {
    let mut marks = vec![("largest finite", format.max_finite(false)), ("lowest finite", format.max_finite(true))];
    if let Format::Float(f) = format {
        match f.subnormals {
            Subnormals::Gradual => {
                let smallest_normal = 1 << f.mantissa_bits;
                if smallest_normal <= f.max_finite_magnitude() {
                    marks.push(("smallest normal", smallest_normal));
                }
                if f.mantissa_bits > 0 {
                    marks.push(("smallest subnormal", 1));
                }
            }
            Subnormals::None if f.specials == Specials::E8m0 => marks.push(("smallest", 0)),
            Subnormals::None => marks.push(("smallest positive", 1)),
        }
    } else {
        marks.push(("smallest positive", 1));
    }
    if let Some(code) = format.infinity(false) {
        marks.push(("infinity", code));
    }
    if let Some(code) = format.canonical_nan() {
        marks.push(("canonical NaN", code));
    }
    marks
}

fn specials_text(specials: Specials) -> &'static str {
    match specials {
        Specials::Ieee => "infinities and NaNs in the top exponent (IEEE 754)",
        Specials::Fn => "no infinity; only the all-ones magnitude is NaN",
        Specials::Fnuz => "no infinity, no -0; the code of -0 is NaN",
        Specials::F => "every code is finite",
        Specials::P3109e => "NaN at the code of -0, infinities at the all-ones magnitude (IEEE P3109 extended)",
        Specials::P3109f => "NaN at the code of -0, no infinity (IEEE P3109 finite)",
        Specials::MergedTop => "the all-ones magnitude stands for NaN and infinity alike",
        Specials::E8m0 => "unsigned powers of two without a zero; 0xff is NaN",
    }
}

/// Prints limits, specials, unit roundoff, and the value table of small formats.
pub fn run(args: &FormatArgs) -> Result<ExitCode> {
    let format: Format = args.name.parse().map_err(|e| miette!("{e}"))?;
    if args.table && format.bits() > 16 {
        return Err(miette!("a table of 2^{} codes is too long; formats of up to 16 bits have one", format.bits()));
    }
    let source = NAMED.iter().find(|n| n.format == format).map_or("named by its widths", |n| n.source);
    let digits = (format.bits() as usize).div_ceil(4);
    let hex = |code: u64| format!("0x{code:0digits$x}");
    let roundoff = dyadic(Exact { negative: false, significand: 1, exponent: -(format.precision() as i32) });
    if args.json {
        let mut object = json!({"format": format.to_string(), "bits": format.bits(), "source": source});
        if let Format::Float(f) = format {
            object["signed"] = json!(f.signed);
            object["exponent_bits"] = json!(f.exponent_bits);
            object["mantissa_bits"] = json!(f.mantissa_bits);
            object["bias"] = json!(f.bias);
            object["specials"] = json!(specials_text(f.specials));
            object["subnormals"] = json!(f.subnormals == Subnormals::Gradual);
            object["unit_roundoff"] = json!((-(f.precision() as f64)).exp2());
        }
        for (label, code) in landmarks(format) {
            let value = format.to_f64(code);
            let value = if value.is_finite() { json!(value) } else { json!(value.to_string()) };
            object[label.replace(' ', "_")] = json!({"code": hex(code), "value": value});
        }
        if format.bits() <= 8 || args.table {
            let values: Vec<Value> = (0..=format.mask()).map(|c| json!(describe(format, c))).collect();
            object["values"] = Value::Array(values);
        }
        super::print_json(&object);
        return Ok(ExitCode::SUCCESS);
    }
    println!("{format}: {} bits, {source}", format.bits());
    match format {
        Format::Float(f) => {
            let sign = if f.signed { "sign, " } else { "" };
            println!("  layout          {sign}{} exponent bits (bias {}), {} mantissa bits", f.exponent_bits, f.bias, f.mantissa_bits);
            println!("  specials        {}", specials_text(f.specials));
            println!(
                "  subnormals      {}",
                if f.subnormals == Subnormals::Gradual { "gradual" } else { "none: exponent field 0 is an ordinary binade" }
            );
            println!("  unit roundoff   {roundoff}");
        }
        Format::Fixed(f) => println!("  layout          two's complement, lowest bit 2^{}", -f.fraction_bits),
        Format::Quire(f) => println!("  layout          two's complement, lowest bit 2^{}; the most negative code is NaR", -f.fraction_bits),
        Format::Posit(p) => {
            println!("  layout          sign, regime, up to {} exponent bits, fraction; negatives in two's complement", p.exponent_bits);
            println!("  specials        one NaR, one zero, no infinity");
            println!("  precision       up to {} significant bits, {} at 1", p.precision(), p.precision());
        }
    }
    let mut table = plain_table(&["", "code", "value", "exactly"]);
    for (label, code) in landmarks(format) {
        let exactly = match format.decode(code) {
            Decoded::Finite(x) => dyadic(x),
            _ => String::new(),
        };
        table.add_row([label.to_owned(), hex(code), describe(format, code), exactly]);
    }
    println!("\n{}", trimmed(&table.to_string()));
    if format.bits() <= 8 || args.table {
        println!("\n{}", trimmed(&value_table(format)));
    }
    Ok(ExitCode::SUCCESS)
}

fn trimmed(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Values in rows of eight codes.
fn value_table(format: Format) -> String {
    let columns = 8u64.min(format.mask() + 1);
    let header: Vec<String> = std::iter::once("code".to_owned()).chain((0..columns).map(|c| format!("+{c}"))).collect();
    let mut table = plain_table(&header.iter().map(String::as_str).collect::<Vec<_>>());
    let digits = (format.bits() as usize).div_ceil(4);
    for row in (0..=format.mask()).step_by(columns as usize) {
        let cells = std::iter::once(format!("0x{row:0digits$x}")).chain((row..row + columns).map(|code| describe(format, code)));
        table.add_row(cells.collect::<Vec<_>>());
    }
    table.to_string()
}
