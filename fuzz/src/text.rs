//! Operands in words, and the `systole golden check` command that repeats a case.

use serde_json::json;
use std::fmt::{self, Write as _};
use systole::run::golden::{dot_of, site_of};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_golden::Value;
use systole_golden::check::{Settings, Subject};
use systole_isa::codes::Codes;
use systole_isa::design::{EntropySource, MacMode, OutputSpec, Scaling, find};
use systole_isa::format::Format;
use systole_isa::round::{Flags, NanCode, Policy, Rounding};

/// A code with its format and its exact value: `0x7e e4m3fn = 7*2^6`.
pub fn operand(format: Format, code: u64) -> String {
    format!("{code:#x} {format} = {}", Value::of(format, code))
}

fn hex(code: u64, bits: u32) -> String {
    format!("{code:0digits$x}", digits = bits.div_ceil(4) as usize)
}

/// A word as settings spell it.
fn word(value: serde_json::Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A file of one case as a here-document.
fn command(settings: &Settings, line: &str) -> String {
    format!("systole golden check - <<END\n{}\n{line}\nEND\n", settings.header().join("\n"))
}

/// The command for one operation, `truth` being the oracle's result.
pub fn golden_check(op: &str, formats: &[Format], to: Format, policy: Policy, codes: &[u64], random: u64, truth: (u64, Flags)) -> String {
    let names: Vec<String> = formats.iter().map(Format::to_string).collect();
    let settings = Settings {
        op: Some(op.to_owned()),
        operands: Some(names.join(",")),
        result: Some(to.to_string()),
        round: Some(policy.rounding.to_string()),
        overflow: word(json!(policy.overflow)),
        no_infinity: word(json!(policy.no_infinity)),
        subnormals: word(json!(policy.subnormals)),
        tininess: word(json!(policy.tininess)),
        ..Settings::default()
    };
    let mut fields: Vec<String> = formats.iter().zip(codes).map(|(format, &code)| hex(code, format.bits())).collect();
    if let Rounding::Sr(bits) = policy.rounding {
        fields.push(hex(random, bits));
    }
    fields.push(hex(truth.0, to.bits()));
    let mut text = format!("{} {:x}", fields.join(" "), truth.1.0);
    if policy.nan == NanCode::AllOnes {
        text.push_str("  # its NaNs are all ones, which the command cannot ask for");
    }
    command(&settings, &text)
}

/// Operands of a matrix product, and the command for the sum behind one of its elements: up to
/// the outermost accumulator where that has codes, else up to the output.
pub fn sums(f: &mut fmt::Formatter<'_>, setup: &Setup, shape: Shape, operands: &Operands<'_>, fold: Option<u32>) -> fmt::Result {
    writeln!(f, "mode {:?}", setup.mode)?;
    writeln!(f, "biases {} and {}, output {:?}, {:?}", setup.bias_a, setup.bias_b, setup.output, setup.site)?;
    let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
    for (name, format, codes, rows, cols) in [
        ("A", setup.mode.a, Some(operands.a), m, k),
        ("B", setup.mode.b, Some(operands.b), k, n),
        ("C", setup.addend_format(), operands.c, m, n),
    ] {
        let Some(codes) = codes else { continue };
        writeln!(f, "{name}, {rows} x {cols} of {format}:")?;
        matrix(f, format, codes, cols)?;
    }
    for (name, scales) in [("A", operands.scales.a), ("B", operands.scales.b)] {
        let Some(scales) = scales else { continue };
        writeln!(f, "scales of {name}, {} of {}:", scales.len(), setup.mode.scale_format)?;
        matrix(f, setup.mode.scale_format, scales, scales.len())?;
    }
    match dot(setup, shape, operands, fold) {
        Ok(text) => f.write_str(&text),
        Err(reason) => writeln!(f, "no `golden check`: {reason}"),
    }
}

fn matrix(f: &mut fmt::Formatter<'_>, format: Format, codes: &Codes, cols: usize) -> fmt::Result {
    let all: Vec<u64> = codes.iter().collect();
    for row in all.chunks(cols) {
        let words: Vec<String> = row.iter().map(|&code| format!("{code:#x} = {}", Value::of(format, code))).collect();
        writeln!(f, "  {}", words.join(", "))?;
    }
    Ok(())
}

/// The command for element (0, 0).
fn dot(setup: &Setup, shape: Shape, operands: &Operands<'_>, fold: Option<u32>) -> Result<String, String> {
    let mode = MacMode { bias_a: setup.bias_a, bias_b: setup.bias_b, ..setup.mode.clone() };
    if fold.is_some_and(|fold| fold < shape.k) {
        return Err("its sums are cut into folds".to_owned());
    }
    if mode.scale != Scaling::None {
        return Err("its operands have block scales".to_owned());
    }
    if mode.entropy != EntropySource::Counter && mode.random_bits() > 0 {
        return Err("its random bits come from shift registers".to_owned());
    }
    let mut design = find("fp8-16x16").ok_or("no design fp8-16x16")?;
    let Policy { rounding, overflow, no_infinity, .. } = setup.output.policy;
    design.output = OutputSpec { format: Some(setup.output.format), rounding, overflow, no_infinity };
    let json = |value: serde_json::Result<String>| value.map_err(|e| e.to_string());
    let set =
        vec![format!("mac={}", json(serde_json::to_string(&mode))?), format!("output={}", json(serde_json::to_string(&design.output))?)];
    design.mac = mode.clone();
    let dot = dot_of(&design).map_err(|e| e.to_string())?;

    let k = shape.k as usize;
    let at = |codes: &Codes, step: usize| (0..k).map(|i| codes.get(i * step)).collect::<Vec<u64>>();
    let (a, b) = (at(operands.a, 1), at(operands.b, shape.n as usize));
    let c = operands.c.map_or_else(|| dot.addend.zero(false), |c| c.get(0));
    let mut random = Vec::new();
    if mode.random_bits() > 0 {
        for step in dot.roundings(k).map_err(|e| e.to_string())? {
            let drawn = |(stage, index)| setup.site.random(mode.rounding_of(stage).random_bits(), 0, 0, stage, index);
            random.push(site_of(step, None, k).map_or(0, drawn));
        }
    }
    let codes: Vec<u64> = a.iter().chain(&b).copied().chain([c]).collect();
    let (result, formats) = (dot.result, [mode.a, mode.b, dot.addend]);
    let truth = Subject::Dot(dot).apply(&codes, &random).map_err(|e| e.to_string())?;
    let mut line = format!("#k {k}\n");
    for (i, &code) in codes.iter().enumerate() {
        let _ = write!(line, "{} ", hex(code, formats[i / k].bits()));
    }
    for &random in &random {
        let _ = write!(line, "{} ", hex(random, mode.random_bits()));
    }
    let _ = write!(line, "{} {:x}", hex(truth.code, result.bits()), truth.flags.0);
    let settings = Settings { op: Some("dot".to_owned()), design: Some("fp8-16x16".to_owned()), set, ..Settings::default() };
    Ok(command(&settings, &line))
}
