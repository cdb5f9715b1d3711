//! How C and results of dot products are written: as codes of the unit's format, or as fp32.
//!
//! Some tensor cores accumulate in fewer bits than the fp32 registers that hold C and results
//! (e8m13, the low ten fraction bits zero), and files taken from them hold the registers. A
//! code too wide for the unit's format gives such a file away: then every C and every result
//! of the file is an fp32 code. A C with more bits than the unit's format is refused.

use super::CheckError;
use super::batch::Batch;
use super::file::LineError;
use super::show;
use super::subject::Subject;
use crate::round::round;
use crate::value::Value;
use systole_isa::format::{FloatFormat, Format};
use systole_isa::round::{Flags, Policy};

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

/// `code` of `from` in `to`, if `to` has the very number; NaN becomes `to`'s NaN.
pub(super) fn exactly(from: Format, code: u64, to: Format) -> Option<u64> {
    let (code, flags) = round(to, &Value::of(from, code), Policy::RNE, 0);
    (flags == Flags::NONE).then_some(code)
}

/// Decides for a whole file, and rewrites its addends in the unit's format if need be.
///
/// # Errors
/// An addend that the unit's format cannot hold.
pub(super) fn settle(subject: &Subject, file: &str, batches: &mut [Batch]) -> Result<Registers, CheckError> {
    let unit = subject.result();
    let wide = batches.iter().any(|batch| batch.widest_register() & !unit.mask() != 0);
    if !wide || bits(subject) == unit.bits() {
        return Ok(Registers::Unit);
    }
    for batch in batches {
        batch.rewrite(Format::FP32, |c| exactly(Format::FP32, c, unit)).map_err(|(line, c)| CheckError::Line {
            file: file.to_owned(),
            line,
            source: LineError::Addend { text: show::code(Format::FP32, c), format: unit.to_string() },
        })?;
    }
    Ok(Registers::Fp32)
}
