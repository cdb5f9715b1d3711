//! What a MAC mode computes, in words: unit, scales, policies, a line each.

use serde::Serialize;
use std::fmt::Write;
use systole_isa::design::{Addend, Aligned, Design, EntropySource, MacMode, Product, Scaling, Truncation, Unit};
use systole_isa::round::{Policy, Rounding};

/// Columns that hold the names of lines.
const LABEL: usize = 13;
/// Columns reports are laid out for.
const WIDTH: usize = 100;

/// The word that stands for a choice in a design file.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The sums of a mode: formats, chunks, and where results leave.
fn sums(mode: &MacMode) -> String {
    let product = match mode.product {
        Product::Exact => "exact products".to_owned(),
        Product::Rounded(format) => format!("products rounded to {format}"),
    };
    let outer = mode.outer_rounding.map(|rounding| format!(" by {rounding}")).unwrap_or_default();
    let chunk = mode.chunk.map(|n| format!(", chunks of {n} into {}{outer}", mode.outermost())).unwrap_or_default();
    format!("{} x {}, {product}, {} accumulator{chunk}", mode.a, mode.b, mode.accumulator)
}

/// How a PE adds its products.
pub fn unit(mode: &MacMode) -> String {
    let lanes = mode.lanes;
    match mode.unit {
        Unit::Chain if lanes == 1 => match mode.product {
            Product::Exact => "one fused multiply-add".to_owned(),
            Product::Rounded(_) => "one multiplier and one adder".to_owned(),
        },
        Unit::Chain => format!("{lanes}-term chain, every sum rounded"),
        Unit::Descending => format!("{lanes}-term chain, each block's last product first, every sum rounded"),
        Unit::Interleaved { ways } => format!("{lanes}-term block as {ways} interleaved chains, every sum rounded"),
        Unit::Exact => format!("{lanes}-term exact sum with the accumulator, rounded once"),
        Unit::ExactApart => format!("{lanes}-term exact sum, rounded, then added to the accumulator"),
        Unit::Aligned(aligned) => format!("{lanes}-term aligned unit, {}", aligned_text(aligned)),
    }
}

fn aligned_text(unit: Aligned) -> String {
    let floored = |truncation, what: &str| if truncation == Truncation::Floor { format!(", {what} floored") } else { String::new() };
    let mut text = format!("{} fraction bits{}", unit.fraction_bits, floored(unit.term_truncation, "products"));
    if unit.groups > 1 {
        let _ = write!(text, ", {} groups", unit.groups);
    }
    match unit.addend {
        Addend::Together => text += ", the accumulator one term more",
        Addend::Apart => text += ", the sum rounded and then added to the accumulator",
        Addend::Aligned { sum_bits, addend_bits, reach } => {
            let dropped = reach.map(|reach| format!(", dropped if more than {reach} binades below")).unwrap_or_default();
            let _ = write!(text, ", then sum ({sum_bits} bits) and accumulator ({addend_bits} bits{dropped}) are aligned");
        }
    }
    text += &floored(unit.sum_truncation, "sums");
    if let Some(exponent) = unit.zero_exponent {
        let _ = write!(text, ", zeros aligned as 2^{exponent}");
    }
    if let Some(exponent) = unit.infinite_from {
        let _ = write!(text, ", products from 2^{exponent} infinite");
    }
    if unit.negative_zero {
        text += ", -0 kept";
    }
    text
}

/// Block scales of a mode; `None` where it takes none.
pub fn scales(mode: &MacMode) -> Option<String> {
    let enter = match mode.scale {
        Scaling::None => return None,
        Scaling::Exponent => "added to the products' exponents",
        Scaling::Chunk => "times a closing chunk, rounded once with its addition",
        Scaling::ChunkRounded => "times a closing chunk, rounded before its addition",
    };
    let length = mode.chunk.unwrap_or_default();
    let block = |rows: u32, cols: u32| format!("{rows} x {cols}");
    Some(format!(
        "{}, one per {} block of A and {} of B, {enter}",
        mode.scale_format,
        block(mode.scale_rows, length),
        block(length, mode.scale_cols)
    ))
}

fn entropy(source: EntropySource) -> String {
    match source {
        EntropySource::Counter => "counter".to_owned(),
        EntropySource::Lfsr { width, taps, shared } => format!("lfsr of {width} bits, taps {taps:#x}, one per {}", word(shared)),
    }
}

/// Every policy of the sums, by the names of the design's fields.
pub fn policies(mode: &MacMode) -> String {
    let MacMode { rounding, overflow, no_infinity, subnormals, tininess, nan, .. } = mode;
    let [overflow, no_infinity, subnormals, tininess, nan] =
        [word(overflow), word(no_infinity), word(subnormals), word(tininess), word(nan)];
    format!(
        "rounding {rounding}, overflow {overflow}, no_infinity {no_infinity}, subnormals {subnormals}, tininess {tininess}, nan {nan}, entropy {}",
        entropy(mode.entropy)
    )
}

fn output(design: &Design) -> String {
    let Policy { rounding, overflow, no_infinity, .. } = design.output.policy();
    let random = if matches!(rounding, Rounding::Sr(_)) { ", entropy counter" } else { "" };
    format!(
        "{}, rounding {rounding}, overflow {}, no_infinity {}{random}",
        design.output_format(&design.mac),
        word(overflow),
        word(no_infinity)
    )
}

/// A labelled line, wrapped under itself.
fn line(label: &str, text: &str) -> String {
    let mut out = format!("  {label:LABEL$}");
    let mut column = out.len();
    let begin = column;
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 && column + 1 + word.len() > WIDTH {
            let _ = write!(out, "\n{:begin$}", "");
            column = begin;
        } else if i > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out.push('\n');
    out
}

/// The arithmetic of a design's mode 0, a line for each matter.
pub fn text(design: &Design) -> String {
    let mode = &design.mac;
    let mut text = line("arithmetic", &sums(mode)) + &line("unit", &unit(mode));
    if let Some(scales) = scales(mode) {
        text += &line("scales", &scales);
    }
    text + &line("policies", &policies(mode)) + &line("output", &output(design))
}
