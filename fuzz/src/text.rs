//! Operands in words, and the `systole golden check` command that repeats a case.

use std::fmt::{self, Write as _};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_golden::Value;
use systole_isa::format::Format;
use systole_isa::round::{Flags, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess};

/// A code with its format and its exact value: `0x7e e4m3fn = 7*2^6`.
pub fn operand(format: Format, code: u64) -> String {
    format!("{code:#x} {format} = {}", Value::of(format, code))
}

/// The command and the line of its file for one operation, `truth` being the oracle's result.
/// Policies without a switch on the command are said instead.
pub fn golden_check(op: &str, formats: &[Format], to: Format, policy: Policy, codes: &[u64], random: u64, truth: (u64, Flags)) -> String {
    let names: Vec<String> = formats.iter().map(Format::to_string).collect();
    let mut line = String::new();
    for (format, code) in formats.iter().zip(codes) {
        let _ = write!(line, "{code:0digits$x} ", digits = format.bits().div_ceil(4) as usize);
    }
    if let Rounding::Sr(bits) = policy.rounding {
        let _ = write!(line, "{random:0digits$x} ", digits = bits.div_ceil(4) as usize);
    }
    let _ = write!(line, "{:0digits$x} {:x}", truth.0, truth.1.0, digits = to.bits().div_ceil(4) as usize);
    let mut command = format!("systole golden check --op {op} --in {} --out {to} --round {}", names.join(","), policy.rounding);
    if policy.overflow == Overflow::Saturate {
        command.push_str(" --overflow saturate");
    }
    if policy.tininess == Tininess::Before {
        command.push_str(" --tininess before");
    }
    if policy.subnormals != SubnormalPolicy::Gradual || policy.no_infinity != NoInfinity::Nan {
        let _ = write!(command, "  # has no switch for {:?}, {:?}", policy.subnormals, policy.no_infinity);
    }
    format!("  echo {line} > case; {command} case")
}

/// Operands of a matrix product and the `dot` cases of its first elements.
pub fn sums(f: &mut fmt::Formatter<'_>, setup: &Setup, shape: Shape, operands: &Operands<'_>) -> fmt::Result {
    writeln!(f, "mode {:?}", setup.mode)?;
    writeln!(f, "biases {} and {}, output {:?}, {:?}", setup.bias_a, setup.bias_b, setup.output, setup.site)?;
    let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
    for (name, format, codes, rows, cols) in [
        ("A", setup.mode.a, Some(operands.a), m, k),
        ("B", setup.mode.b, Some(operands.b), k, n),
        ("C", setup.mode.outermost(), operands.c, m, n),
    ] {
        let Some(codes) = codes else { continue };
        writeln!(f, "{name}, {rows} x {cols} of {format}:")?;
        for row in 0..rows {
            let words: Vec<String> = (0..cols)
                .map(|col| {
                    let code = codes.get(row * cols + col);
                    format!("{code:#x} = {}", Value::of(format, code))
                })
                .collect();
            writeln!(f, "  {}", words.join(", "))?;
        }
    }
    Ok(())
}
