//! `systole format`: everything about one number format.

mod landmarks;
mod policy;

use super::list::plain_table;
use crate::text::{dyadic, short};
use clap::Args;
use comfy_table::Table;
use landmarks::{Landmark, binades, landmarks, nan_codes};
use miette::{Result, miette};
use policy::{cases, overflows};
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, FixedFormat, Format, NAMED, PositFormat, Specials, Subnormals};

/// Arguments of `format`.
#[derive(Args)]
pub struct FormatArgs {
    /// Name of the format, e.g. e4m3fn, e6m9, fp16, posit8_0, int8, fx46.18, quire32_2, p3109_k8p4se.
    name: String,
    /// Print the value of every code even above 8 bits.
    #[arg(long)]
    table: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A code's value in words.
fn describe(format: Format, code: u64) -> String {
    match format.decode(code) {
        Decoded::Nan if matches!(format, Format::Posit(_) | Format::Quire(_)) => "NaR".to_owned(),
        Decoded::Nan => "NaN".to_owned(),
        Decoded::Infinite { negative } => if negative { "-inf" } else { "inf" }.to_owned(),
        Decoded::Finite(x) if x.is_zero() => dyadic(x),
        Decoded::Finite(x) => short(x.to_f64()),
    }
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

fn source(format: Format) -> &'static str {
    match (NAMED.iter().find(|n| n.format == format), format) {
        (Some(named), _) => named.source,
        (None, Format::Fixed(_)) => "two's complement",
        (None, Format::Posit(p)) if p.exponent_bits == 2 => "Standard for Posit Arithmetic 2022",
        (None, Format::Posit(_)) => "Gustafson and Yonemoto 2017",
        (None, Format::Quire(_)) => "a posit's accumulator",
        (None, Format::Float(f)) => match f.specials {
            Specials::P3109e | Specials::P3109f => "IEEE P3109 interim report",
            _ => "named by its widths",
        },
    }
}

/// Other names; of a quire, those of the posits it is wide enough for.
fn aliases(format: Format) -> Vec<String> {
    if let Format::Quire(quire) = format {
        let posits = (3..=32).rev().flat_map(|width| (0..=3).map(move |exponent_bits| PositFormat { width, exponent_bits }));
        return posits.filter(|p| FixedFormat::quire(*p) == quire).map(|p| format!("quire{}_{}", p.width, p.exponent_bits)).collect();
    }
    let named = NAMED.iter().find(|n| n.format == format);
    named.into_iter().flat_map(|n| n.aliases).map(|alias| (*alias).to_owned()).collect()
}

/// The weight of a format's lowest bit, as a power of two.
fn lowest_bit(fixed: FixedFormat) -> String {
    format!("2^{}", -fixed.fraction_bits)
}

/// Name and text of each property.
fn properties(format: Format) -> Vec<(&'static str, String)> {
    let mut list = Vec::new();
    let power = |exponent: i32| dyadic(Exact { negative: false, significand: 1, exponent });
    let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    match format {
        Format::Float(f) => {
            let sign = if f.signed { "sign, " } else { "" };
            let (exponent, mantissa) = (count(f.exponent_bits.into(), "exponent bit"), count(f.mantissa_bits.into(), "mantissa bit"));
            list.push(("layout", format!("{sign}{exponent} (bias {}), {mantissa}", f.bias)));
            let nans = if nan_codes(format) > 0 { format!("; {}", count(nan_codes(format), "NaN code")) } else { String::new() };
            list.push(("specials", format!("{}{nans}", specials_text(f.specials))));
            let subnormals = match (f.subnormals, f.specials) {
                (Subnormals::Gradual, _) => "gradual",
                (Subnormals::None, _) => "none: exponent field 0 is an ordinary binade",
            };
            list.push(("subnormals", subnormals.to_owned()));
            list.push(("unit roundoff", power(-(f.precision() as i32))));
        }
        Format::Fixed(f) => {
            list.push(("layout", format!("two's complement, lowest bit {}", lowest_bit(f))));
            list.push(("specials", "none".to_owned()));
            list.push(("roundoff", format!("{} (absolute)", power(-f.fraction_bits - 1))));
        }
        Format::Quire(f) => {
            list.push(("layout", format!("two's complement, lowest bit {}", lowest_bit(f))));
            list.push(("specials", "the most negative code is NaR".to_owned()));
            list.push(("roundoff", format!("{} (absolute)", power(-f.fraction_bits - 1))));
        }
        Format::Posit(p) => {
            let es = match p.exponent_bits {
                0 => String::new(),
                es => format!("up to {}, ", count(es.into(), "exponent bit")),
            };
            list.push(("layout", format!("sign, regime, {es}fraction; negative numbers in two's complement")));
            list.push(("specials", "one NaR, one zero, no infinity, no -0".to_owned()));
            list.push(("useed", power(1 << p.exponent_bits)));
            list.push(("precision", format!("{} significant bits at 1, 1 at either end", p.precision())));
            list.push(("unit roundoff", format!("{} at 1", power(-(p.precision() as i32)))));
        }
    }
    list
}

/// Prints limits, specials, unit roundoff, policies, and the value table of small formats.
pub fn run(args: &FormatArgs) -> Result<ExitCode> {
    let format: Format = args.name.parse().map_err(|e| miette!("{e}"))?;
    if args.table && format.bits() > 16 {
        return Err(miette!("a table of 2^{} codes is too long; formats of up to 16 bits have one", format.bits()));
    }
    let with_table = format.bits() <= 8 || args.table;
    match (format, args.json) {
        (Format::Fixed(f) | Format::Quire(f), false) if format.is_wide() => out!("{}", wide_text(format, f)),
        (Format::Fixed(f) | Format::Quire(f), true) if format.is_wide() => super::print_json(&wide_json(format, f))?,
        (_, true) => super::print_json(&json(format, with_table))?,
        (_, false) => out!("{}", text(format, with_table)),
    }
    Ok(ExitCode::SUCCESS)
}

fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn header(format: Format) -> String {
    let mut text = format!("{format}: {} bits, {}\n", format.bits(), source(format));
    let also = aliases(format);
    let also = if also.is_empty() { None } else { Some(("also called", also.join(", "))) };
    for (name, value) in also.into_iter().chain(properties(format)) {
        text += &format!("  {name:16}{value}\n");
    }
    text
}

fn hex(format: Format, code: u64) -> String {
    let digits = (format.bits() as usize).div_ceil(4);
    format!("0x{code:0digits$x}")
}

fn text(format: Format, with_table: bool) -> String {
    let mut text = header(format);
    if let Some(binades) = binades(format) {
        text += &format!("  {:16}{binades:.1} binades, {:.1} decades\n", "range", binades * 2f64.log10());
    }
    let mut table = plain_table(&["", "code", "value", "exactly"]);
    for Landmark { name, code } in landmarks(format) {
        let exactly = match format.decode(code) {
            Decoded::Finite(x) => dyadic(x),
            _ => String::new(),
        };
        table.add_row([name.to_owned(), hex(format, code), describe(format, code), exactly]);
    }
    text += &format!("\n{}", trimmed(&table));

    let mut sources: Vec<String> = Vec::new();
    let mut cite = |source: &str| {
        let known = sources.iter().position(|s| s == source).unwrap_or_else(|| {
            sources.push(source.to_owned());
            sources.len() - 1
        });
        format!("[{}]", known + 1)
    };
    let below = if matches!(format, Format::Float(f) if !f.signed) { "a negative number" } else { "below the lowest" };
    let mut table = plain_table(&["overflow", "above the largest", below, "infinity", "-infinity", "source"]);
    for row in overflows(format) {
        let no_infinity = row.no_infinity.map(|word| format!(", no_infinity {word}")).unwrap_or_default();
        let roundings = if row.roundings.is_empty() { String::new() } else { format!(", {}", row.roundings) };
        let [above, below, infinity, negative] = row.becomes;
        table.add_row([format!("{}{roundings}{no_infinity}", row.overflow), above, below, infinity, negative, cite(&row.source)]);
    }
    text += &format!("\n{}", trimmed(&table));
    let mut table = plain_table(&["what comes", "becomes", "source"]);
    for case in cases(format) {
        table.add_row([case.comes, case.becomes, cite(case.source)]);
    }
    text += &format!("\n{}\n", trimmed(&table));
    for (i, source) in sources.iter().enumerate() {
        text += &format!(" [{}] {source}\n", i + 1);
    }
    if with_table {
        text += &format!("\n{}", value_table(format));
    }
    text
}

/// Values in rows of eight codes.
fn value_table(format: Format) -> String {
    let columns = 8u64.min(format.mask() + 1);
    let header: Vec<String> = std::iter::once("code".to_owned()).chain((0..columns).map(|c| format!("+{c}"))).collect();
    let mut table = plain_table(&header.iter().map(String::as_str).collect::<Vec<_>>());
    for row in (0..=format.mask()).step_by(columns as usize) {
        let cells = std::iter::once(hex(format, row)).chain((row..row + columns).map(|code| describe(format, code)));
        table.add_row(cells.collect::<Vec<_>>());
    }
    trimmed(&table)
}

fn json(format: Format, with_table: bool) -> Value {
    let mut object = json!({
        "format": format.to_string(),
        "bits": format.bits(),
        "source": source(format),
        "also_called": aliases(format),
        "nan_codes": nan_codes(format),
    });
    if let Format::Float(f) = format {
        object["signed"] = json!(f.signed);
        object["exponent_bits"] = json!(f.exponent_bits);
        object["mantissa_bits"] = json!(f.mantissa_bits);
        object["bias"] = json!(f.bias);
        object["specials"] = json!(specials_text(f.specials));
        object["subnormals"] = json!(f.subnormals == Subnormals::Gradual);
        object["unit_roundoff"] = json!((-(f.precision() as f64)).exp2());
    }
    for Landmark { name, code } in landmarks(format) {
        let value = format.to_f64(code);
        let value = if value.is_finite() { json!(value) } else { json!(describe(format, code)) };
        object[name.replace(' ', "_")] = json!({"code": hex(format, code), "value": value});
    }
    object["overflow"] = overflows(format)
        .into_iter()
        .map(|row| {
            let mut object = Map::new();
            object.insert("policy".to_owned(), json!(row.overflow));
            if !row.roundings.is_empty() {
                object.insert("rounding".to_owned(), row.roundings.split(' ').collect());
            }
            if let Some(no_infinity) = row.no_infinity {
                object.insert("no_infinity".to_owned(), json!(no_infinity));
            }
            for (name, becomes) in ["above_largest", "below_lowest", "infinity", "negative_infinity"].into_iter().zip(row.becomes) {
                object.insert(name.to_owned(), json!(becomes));
            }
            object.insert("source".to_owned(), json!(row.source));
            Value::Object(object)
        })
        .collect();
    object["cases"] =
        cases(format).into_iter().map(|case| json!({"comes": case.comes, "becomes": case.becomes, "source": case.source})).collect();
    if with_table {
        object["values"] = (0..=format.mask()).map(|code| describe(format, code)).collect();
    }
    object
}

/// Largest and lowest number of an accumulator too wide for codes.
fn wide_limits(format: Format, fixed: FixedFormat) -> [(&'static str, String); 2] {
    let top = fixed.width as i32 - 1 - fixed.fraction_bits;
    let low = -fixed.fraction_bits;
    let largest = format!("2^{top} - 2^{low}");
    let lowest = if matches!(format, Format::Quire(_)) { format!("-({largest})") } else { format!("-2^{top}") };
    [("largest", largest), ("lowest", lowest)]
}

/// What the overflow policies do to it.
fn wide_overflow(format: Format) -> [(&'static str, &'static str); 2] {
    let nar = matches!(format, Format::Quire(_));
    let wraps = if nar { "wraps; at the most negative code it is NaR" } else { "wraps" };
    [("ieee, infinity", wraps), ("saturate, propagate", "the largest or lowest number")]
}

fn wide_text(format: Format, fixed: FixedFormat) -> String {
    let mut text = header(format);
    for (name, limit) in wide_limits(format, fixed) {
        text += &format!("  {name:16}{limit}\n");
    }
    text += &format!(
        "\nWider than the 64 bits of a code, so it has none: it is an accumulator's only, for mac.accumulator\n\
         and mac.outer. Results leave in output.format, which must be given, and C comes in it.\n\n{}",
        {
            let mut table = plain_table(&["overflow", "beyond its limits"]);
            for row in wide_overflow(format) {
                table.add_row([row.0, row.1]);
            }
            trimmed(&table)
        }
    );
    text
}

fn wide_json(format: Format, fixed: FixedFormat) -> Value {
    let mut object = json!({
        "format": format.to_string(),
        "bits": format.bits(),
        "source": source(format),
        "codes": false,
        "lowest_bit": lowest_bit(fixed),
    });
    for (name, limit) in wide_limits(format, fixed) {
        object[name] = json!(limit);
    }
    object["overflow"] = wide_overflow(format).iter().map(|(policy, becomes)| json!({"policy": policy, "beyond": becomes})).collect();
    object
}
