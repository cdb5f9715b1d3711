//! A format's numbers, range by range.

use crate::run::figure::resolution::{Kind, Range, Resolution};
use crate::text::{dyadic, grouped, indented, numeric_table};
use serde_json::{Value, json};
use systole_isa::exact::Exact;
use systole_isa::format::Format;

/// More ranges than this are not all printed.
const SHOWN: usize = 48;
/// Ranges at either end, and on either side of 1, of those that are printed then.
const ENDS: usize = 3;
const MIDDLE: usize = 16;
/// Integers below this are printed in decimal.
const DECIMAL: f64 = 1e7;

impl Kind {
    const fn text(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::Subnormal => "subnormal",
            Self::Normal => "",
        }
    }
}

/// Integers in decimal, others as integers times powers of two.
fn exactly(value: Exact) -> String {
    let number = value.to_f64();
    if number.fract() == 0.0 && number.abs() < DECIMAL { format!("{number}") } else { dyadic(value) }
}

fn cells(range: &Range) -> [String; 5] {
    [exactly(range.from), exactly(range.to), exactly(range.spacing), grouped(range.numbers), range.kind.text().to_owned()]
}

/// Which of the ranges are printed: all, or both ends and those about 1.
fn shown(ranges: &[Range], all: bool) -> Vec<bool> {
    if all || ranges.len() <= SHOWN {
        return vec![true; ranges.len()];
    }
    let one = ranges.iter().position(|range| range.to.to_f64() > 1.0).unwrap_or(ranges.len());
    let near = |i: usize| i + MIDDLE >= one && i < one + MIDDLE;
    (0..ranges.len()).map(|i| i < ENDS || i + ENDS >= ranges.len() || near(i)).collect()
}

/// What follows from the table, a line each.
fn consequences(resolution: &Resolution) -> Vec<String> {
    let format = resolution.format;
    let mut lines = Vec::new();
    if let Some(threshold) = resolution.overflow {
        let from = if threshold.included { "from" } else { "above" };
        let largest = exactly(resolution.largest());
        lines.push(format!("largest number {largest}; rounded to nearest, results overflow {from} {}", exactly(threshold.at)));
    } else {
        lines.push(format!("largest number {}; nothing overflows", exactly(resolution.largest())));
    }
    if let Format::Float(f) = format {
        let p = f.precision();
        lines.push(format!(
            "unit roundoff 2^-{p}: x + d rounds to x (rne) for every x if x/d is above 2^{}, for powers of two if it is above 2^{p}",
            p + 1
        ));
    }
    lines
}

/// The report `systole figure resolution` prints.
pub fn text(resolution: &Resolution, all: bool) -> String {
    let mut table = numeric_table(&["from", "to", "spacing", "numbers", ""]);
    let shown = shown(&resolution.ranges, all);
    for (i, range) in resolution.ranges.iter().enumerate() {
        if shown[i] {
            table.add_row(cells(range));
        } else if shown[i - 1] {
            table.add_row(["...", "...", "...", "...", ""]);
        }
    }
    let mut text = format!("{}: distance from each positive number to the next\n\n{}\n", resolution.format, indented(&table, 1));
    consequences(resolution).iter().for_each(|line| text += &format!("  {line}\n"));
    if shown.contains(&false) {
        text += &format!("  {} ranges in all; --all prints every one\n", resolution.ranges.len());
    }
    text
}

/// The object `systole figure resolution --json` prints.
pub fn json(resolution: &Resolution) -> Value {
    let number = |x: Exact| json!({"value": x.to_f64(), "exactly": dyadic(x)});
    let range = |range: &Range| {
        json!({
            "from": number(range.from),
            "to": number(range.to),
            "spacing": number(range.spacing),
            "numbers": range.numbers,
            "subnormal": range.kind == Kind::Subnormal,
        })
    };
    json!({
        "format": resolution.format.to_string(),
        "ranges": resolution.ranges.iter().map(range).collect::<Vec<_>>(),
        "largest": number(resolution.largest()),
        "overflow": resolution.overflow.map(|t| json!({"threshold": number(t.at), "included": t.included})),
    })
}
