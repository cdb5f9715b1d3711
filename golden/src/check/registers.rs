//! How C and results of dot products are written: as codes of the unit's format, or as fp32.
//!
//! Some tensor cores accumulate in fewer bits than the fp32 registers that hold C and results
//! (e8m13, the low ten fraction bits zero), and files taken from them hold the registers. A
//! code too wide for the unit's format gives such a file away: then every C and every result
//! of the file is an fp32 code. A C with more bits than the unit's format loses them if the
//! unit would drop them anyway, and is refused otherwise.

use super::CheckError;
use super::batch::Batch;
use super::file::LineError;
use super::show;
use super::subject::{Dot, Subject};
use crate::round::round;
use crate::value::Value;
use systole_isa::design::{Addend, Truncation, Unit};
use systole_isa::format::{FloatFormat, Format};
use systole_isa::round::{Flags, NanCode, Policy, Rounding};

/// How C and results of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registers {
    /// In the unit's formats.
    Unit,
    /// As fp32 codes.
    Fp32,
}

/// Bits a C or a result may have: fp32's where fp32 holds every number of the format.
pub(super) fn bits(subject: &Subject) -> u32 {
    let unit = subject.result();
    let Subject::Dot(dot) = subject else { return unit.bits() };
    match unit {
        Format::Float(f) if dot.addend == unit && f == FloatFormat::ieee(8, f.mantissa_bits) && unit.bits() < 32 => 32,
        _ => unit.bits().max(dot.addend.bits()),
    }
}

/// `code` of `from` in `to`, if `to` has the very number; NaN becomes a NaN of `to`.
pub(super) fn exactly(from: Format, code: u64, to: Format, nan: NanCode) -> Option<u64> {
    let (code, flags) = round(to, &Value::of(from, code), Policy { nan, ..Policy::RNE }, 0);
    (flags == Flags::NONE).then_some(code)
}

/// An fp32 addend in the unit's format.
///
/// A unit that aligns the accumulator as one more term, cutting toward zero no more fraction
/// bits below the largest exponent than its accumulator has, cuts whatever lies below those
/// bits in C: cutting first is the same. Only a C cut to zero would lose its exponent as well.
fn addend(dot: &Dot, c: u64) -> Option<u64> {
    let unit = dot.addend;
    exactly(Format::FP32, c, unit, dot.mode.nan).or_else(|| {
        let Unit::Aligned(aligned) = dot.mode.unit else { return None };
        let drops = aligned.addend == Addend::Together
            && aligned.term_truncation == Truncation::TowardZero
            && aligned.fraction_bits < unit.precision()
            && dot.mode.chunk.is_none();
        let (code, _) = round(unit, &Value::of(Format::FP32, c), Policy::new(Rounding::Rtz), 0);
        (drops && matches!(Value::of(unit, code), Value::Finite { magnitude, .. } if !magnitude.is_zero())).then_some(code)
    })
}

/// Decides for a whole file, and rewrites its addends in the unit's format if need be.
///
/// # Errors
/// An addend that the unit's format cannot hold.
pub(super) fn settle(subject: &Subject, file: &str, batches: &mut [Batch]) -> Result<Registers, CheckError> {
    let Subject::Dot(dot) = subject else { return Ok(Registers::Unit) };
    let unit = dot.result;
    let wide = batches.iter().any(|batch| batch.widest_register() & !unit.mask() != 0);
    if !wide || bits(subject) == unit.bits() {
        return Ok(Registers::Unit);
    }
    for batch in batches {
        batch.rewrite(Format::FP32, |c| addend(dot, c)).map_err(|(line, c)| CheckError::Line {
            file: file.to_owned(),
            line,
            source: LineError::Addend { text: show::code(Format::FP32, c), format: unit.to_string() },
        })?;
    }
    Ok(Registers::Fp32)
}
