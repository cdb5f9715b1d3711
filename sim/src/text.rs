//! Numbers and tables as reports print them.

use comfy_table::{CellAlignment, Table, presets};
use systole_isa::exact::Exact;

/// Columns reports are laid out for.
const WIDTH: usize = 100;

/// A borderless table whose columns after the first are right-aligned.
pub fn numeric_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A table's text, its lines moved by `margin` blanks, without trailing ones.
pub fn indented(table: &Table, margin: usize) -> String {
    table.lines().map(|line| format!("{:margin$}{}\n", "", line.trim_end())).collect()
}

/// One `- ` item per line of thought, wrapped.
pub fn bullets(items: &[String]) -> String {
    let mut out = String::new();
    for item in items {
        let mut line = String::from("  -");
        for word in item.split(' ') {
            if line.len() + 1 + word.len() > WIDTH {
                out.push_str(&line);
                out.push('\n');
                line = String::from("   ");
            }
            line.push(' ');
            line.push_str(word);
        }
        out.push_str(&line);
        out.push('\n');
    }
    out
}

/// An energy given in pJ, with an SI prefix.
pub fn energy(pj: f64) -> String {
    const UNITS: [&str; 6] = ["pJ", "nJ", "uJ", "mJ", "J", "kJ"];
    let (mut value, mut unit) = (pj, 0);
    while value >= 1000.0 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", significant(value), UNITS[unit])
}

/// A value with an SI prefix and three significant digits: `engineering(1.5e-7, "J")` is `150 nJ`.
pub fn engineering(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 9] =
        [(1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n")];
    if value == 0.0 || !value.is_finite() {
        return format!("{value} {unit}");
    }
    let (scale, prefix) = PREFIXES.into_iter().find(|(scale, _)| value.abs() >= *scale).unwrap_or((1e-12, "p"));
    let scaled = value / scale;
    let decimals = if scaled.abs() >= 100.0 {
        0
    } else if scaled.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{scaled:.decimals$} {prefix}{unit}")
}

/// A count with commas between thousands.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share of a whole, to a tenth of a percent.
pub fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 { format!("{:.1} %", 100.0 * part / whole) } else { "-".to_owned() }
}

/// Four significant digits, no exponent.
pub fn significant(value: f64) -> String {
    let magnitude = if value > 0.0 { value.log10().floor() } else { 0.0 };
    let decimals = (3.0 - magnitude).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

/// A name of a part as words.
pub fn words(name: &str) -> String {
    name.replace('_', " ")
}

/// A binary64 exactly if that takes at most 11 characters beside its sign, else in six
/// significant digits.
pub fn short(value: f64) -> String {
    let exact = format!("{value}");
    if exact.trim_start_matches('-').len() <= 11 {
        return exact;
    }
    let rounded = format!("{value:.5e}");
    // 1.00000e9 is 1e9.
    match rounded.split_once('e') {
        Some((digits, exponent)) => format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.')),
        None => rounded,
    }
}

/// `significand x 2^exponent` with the significand odd.
pub fn dyadic(value: Exact) -> String {
    if value.is_zero() {
        return if value.negative { "-0".to_owned() } else { "0".to_owned() };
    }
    let shift = value.significand.trailing_zeros();
    let sign = if value.negative { "-" } else { "" };
    let (odd, exponent) = (value.significand >> shift, value.exponent + shift as i32);
    if odd == 1 { format!("{sign}2^{exponent}") } else { format!("{sign}{odd}*2^{exponent}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (pj, text) in [(0.0, "0.000 pJ"), (0.1234567, "0.1235 pJ"), (999.0, "999.0 pJ"), (1e3, "1.000 nJ"), (2.5e17, "250.0 kJ")] {
            assert_eq!(energy(pj), text);
        }
        for (count, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(count), text);
        }
        assert_eq!((percent(1.0, 8.0), percent(1.0, 0.0)), ("12.5 %".to_owned(), "-".to_owned()));
    }

    #[test]
    fn bullets_wrap() {
        let text = bullets(&["word ".repeat(60).trim_end().to_owned()]);
        assert!(text.lines().count() == 4 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
    }
}
