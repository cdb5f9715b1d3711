//! Cases read: codes, expected results, flags.

use super::CheckError;
use super::file::{Block, LineError};
use super::subject::Subject;
use std::ops::Range;
use systole_isa::format::Format;
use systole_isa::round::Flags;

/// Every exception there is.
const ALL_FLAGS: u64 = 0x1f;

/// Cases with the same number of fields.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Products of a dot product; 0 for other operations.
    pub k: usize,
    /// Format in which expected results are written: the subject's result format, but fp32 in
    /// files of [`super::Registers::Fp32`].
    pub written: Format,
    operands: usize,
    randoms: usize,
    codes: Vec<u64>,
    expected: Vec<u64>,
    flags: Vec<Option<Flags>>,
    lines: Vec<u64>,
}

/// One case of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// Line in the file, from 1.
    pub line: u64,
    /// Operand codes.
    pub operands: &'a [u64],
    /// R of each stochastic rounding.
    pub random: &'a [u64],
    /// Code expected.
    pub expected: u64,
    /// Exceptions expected, if the file says.
    pub flags: Option<Flags>,
}

/// How a batch is read.
pub(super) struct Layout<'a> {
    subject: &'a Subject,
    k: usize,
    randoms: usize,
    /// Bits allowed to C and results of dot products.
    register_bits: u32,
}

impl<'a> Layout<'a> {
    /// For cases of `k` products whose C and results have up to `register_bits` bits.
    pub fn new(subject: &'a Subject, k: usize, register_bits: u32) -> Result<Self, CheckError> {
        Ok(Self { subject, k, randoms: subject.randoms(k)?, register_bits })
    }

    fn is_register(&self, field: usize) -> bool {
        let operands = self.subject.operand_count(self.k);
        matches!(self.subject, Subject::Dot(_)) && (field + 1 == operands || field == operands + self.randoms)
    }

    fn format(&self, field: usize) -> Format {
        if field < self.subject.operand_count(self.k) { self.subject.operand_format(field, self.k) } else { self.subject.result() }
    }

    /// Bits a field may have, and what to call them.
    fn limit(&self, field: usize) -> (u32, impl Fn() -> String) {
        let operands = self.subject.operand_count(self.k);
        let total = operands + self.randoms;
        let bits = match field {
            _ if field > total => ALL_FLAGS.count_ones(),
            _ if (operands..total).contains(&field) => self.subject.random_bits(),
            _ if self.is_register(field) => self.register_bits,
            _ => self.format(field).bits(),
        };
        (bits, move || match field {
            _ if field > total => "the five flags (1 inexact, 2 underflow, 4 overflow, 8 divide by zero, 10 invalid)".to_owned(),
            _ if (operands..total).contains(&field) => format!("{bits} random bits"),
            _ if self.is_register(field) && bits != self.format(field).bits() => {
                format!("{} ({} bits) and even fp32", self.format(field), self.format(field).bits())
            }
            _ => format!("{} ({bits} bits)", self.format(field)),
        })
    }

    fn name(&self, field: usize) -> String {
        let operands = self.subject.operand_count(self.k);
        match field.checked_sub(operands) {
            None => self.subject.operand_name(field, self.k),
            Some(i) if i < self.randoms => {
                if self.randoms == 1 {
                    "R".to_owned()
                } else {
                    format!("R[{i}]")
                }
            }
            Some(i) if i == self.randoms => "result".to_owned(),
            Some(_) => "flags".to_owned(),
        }
    }

    /// Names of all fields, long runs abridged.
    fn names(&self) -> String {
        let last = self.subject.operand_count(self.k) + self.randoms;
        let name = |fields: Range<usize>| fields.map(|i| self.name(i)).collect::<Vec<_>>().join(" ");
        if self.k > 3 {
            let k = self.k;
            let randoms = match self.randoms {
                0 => String::new(),
                1 => " R".to_owned(),
                n => format!(" R[0]..R[{}]", n - 1),
            };
            return format!("a[0]..a[{0}] b[0]..b[{0}] c{randoms} result", k - 1);
        }
        name(0..last + 1)
    }

    fn code(&self, field: usize, text: &[u8]) -> Result<u64, LineError> {
        let word = || String::from_utf8_lossy(text).into_owned();
        let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
        let mut code = 0u64;
        let mut overflow = false;
        for &digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                b'A'..=b'F' => digit - b'A' + 10,
                _ => return Err(LineError::Digits { field: field + 1, name: self.name(field), text: word() }),
            };
            overflow |= code >> 60 != 0;
            code = code << 4 | u64::from(value);
        }
        if digits.is_empty() {
            return Err(LineError::Digits { field: field + 1, name: self.name(field), text: word() });
        }
        let (bits, what) = self.limit(field);
        if overflow || (bits < 64 && code >> bits != 0) {
            return Err(LineError::Wide { field: field + 1, name: self.name(field), text: word(), what: what() });
        }
        Ok(code)
    }
}

impl Batch {
    /// An empty batch.
    pub(super) fn new(layout: &Layout<'_>) -> Self {
        Self {
            k: layout.k,
            written: layout.subject.result(),
            operands: layout.subject.operand_count(layout.k),
            randoms: layout.randoms,
            codes: Vec::new(),
            expected: Vec::new(),
            flags: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Reads the cases of a block.
    pub(super) fn read(layout: &Layout<'_>, block: &Block, range: Range<usize>) -> Result<Self, (u64, LineError)> {
        let mut batch = Self::new(layout);
        block.cases(range).try_for_each(|(line, text)| batch.push(layout, line, text).map_err(|e| (line, e)))?;
        Ok(batch)
    }

    fn push(&mut self, layout: &Layout<'_>, line: u64, text: &[u8]) -> Result<(), LineError> {
        let inputs = self.operands + self.randoms;
        let fields = || text.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let found = fields().count();
        if found != inputs + 1 && found != inputs + 2 {
            return Err(LineError::Fields { found, expected: inputs + 1, fields: layout.names() });
        }
        let mut flags = None;
        for (i, field) in fields().enumerate() {
            let code = layout.code(i, field)?;
            match i {
                _ if i < inputs => self.codes.push(code),
                _ if i == inputs => self.expected.push(code),
                _ => flags = Some(Flags(code as u8)),
            }
        }
        self.flags.push(flags);
        self.lines.push(line);
        Ok(())
    }

    /// Number of cases.
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// True if there are none.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Case `i`.
    ///
    /// # Panics
    /// If `i` is not below [`Batch::len`].
    pub fn case(&self, i: usize) -> Case<'_> {
        let stride = self.operands + self.randoms;
        let (operands, random) = self.codes[i * stride..(i + 1) * stride].split_at(self.operands);
        Case { line: self.lines[i], operands, random, expected: self.expected[i], flags: self.flags[i] }
    }

    /// All cases in order.
    pub fn cases(&self) -> impl Iterator<Item = Case<'_>> {
        (0..self.len()).map(|i| self.case(i))
    }

    /// Operand `i` of every case in order.
    pub fn operand(&self, i: usize) -> impl Iterator<Item = u64> + '_ {
        self.codes.iter().skip(i).step_by(self.operands + self.randoms).copied()
    }

    /// The widest code among the addends and expected results of dot products.
    pub(super) fn widest_register(&self) -> u64 {
        let addends = self.operand(self.operands - 1).max().unwrap_or(0);
        addends.max(self.expected.iter().copied().max().unwrap_or(0))
    }

    /// Rewrites every addend, and says in which format results are written.
    pub(super) fn rewrite(&mut self, written: Format, addend: impl Fn(u64) -> Option<u64>) -> Result<(), (u64, u64)> {
        self.written = written;
        let stride = self.operands + self.randoms;
        for (case, line) in self.codes.chunks_mut(stride).zip(&self.lines) {
            let c = &mut case[self.operands - 1];
            *c = addend(*c).ok_or((*line, *c))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::settings::Settings;

    fn subject(header: &str) -> Subject {
        let mut settings = Settings::default();
        settings.read_header(header).unwrap();
        Subject::Operation(settings.operation().unwrap())
    }

    fn read(header: &str, line: &str) -> Result<Batch, LineError> {
        let subject = subject(header);
        let layout = Layout::new(&subject, 0, 0).unwrap();
        let mut batch = Batch::new(&layout);
        batch.push(&layout, 7, line.as_bytes()).map(|()| batch)
    }

    #[test]
    fn every_way_to_write_a_case() {
        let fma = "op=fma in=e5m2 out=fp16 round=rne";
        let stochastic = "op=mul in=fp32 out=fp16 round=sr9";
        for (header, line, operands, random, expected, flags) in [
            (fma, "7b 0x7B 7bff 7c00", &[0x7b, 0x7b, 0x7bff][..], &[][..], 0x7c00, None),
            (fma, "7B 7B 7BFF 7C00 05", &[0x7b, 0x7b, 0x7bff], &[], 0x7c00, Some(Flags(5))),
            (fma, "  007b\t0X07B 7bff  0007c00 0x1f\r\n", &[0x7b, 0x7b, 0x7bff], &[], 0x7c00, Some(Flags(0x1f))),
            (stochastic, "3f800000 3f800001 1ff 3c01", &[0x3f80_0000, 0x3f80_0001], &[0x1ff], 0x3c01, None),
            (stochastic, "3f800000 3f800001 0 3c00 1", &[0x3f80_0000, 0x3f80_0001], &[0], 0x3c00, Some(Flags(1))),
            ("op=convert in=fp64 out=fp64 round=rne", "ffffffffffffffff 7ff8000000000000", &[u64::MAX], &[], 0x7ff8 << 48, None),
        ] {
            let batch = read(header, line).unwrap();
            let case = batch.case(0);
            assert_eq!((case.operands, case.random, case.expected, case.flags), (operands, random, expected, flags), "{line}");
        }
    }

    #[test]
    fn every_way_to_get_a_case_wrong() {
        let add = "op=add in=e4m3fn out=fp16 round=rne";
        for (header, line, needle) in [
            (add, "38 38", "2 fields where a case has 3, or 4 with flags: a b result"),
            (add, "38 38 3c00 00 00", "5 fields"),
            (add, "138 38 3c00", "field 1 (a): 138 is wider than e4m3fn (8 bits)"),
            (add, "38 38 13c00", "field 3 (result): 13c00 is wider than fp16 (16 bits)"),
            (add, "38 38 3c00 20", "field 4 (flags): 20 is wider than the five flags"),
            (add, "38 0x 3c00", "field 2 (b): `0x` is not a hexadecimal code"),
            (add, "38 +8 3c00", "field 2 (b): `+8`"),
            (add, "38 3g 3c00", "field 2 (b): `3g`"),
            (add, "38 10000000000000000038 3c00", "field 2 (b): 10000000000000000038 is wider"),
            ("op=add in=e4m3fn out=fp16 round=sr3", "38 38 8 3c00", "field 3 (R): 8 is wider than 3 random bits"),
            ("op=add in=e4m3fn out=fp16 round=sr3", "38 38 3c00", "3 fields where a case has 4"),
        ] {
            let message = read(header, line).unwrap_err().to_string();
            assert!(message.contains(needle), "{line}: {message}");
        }
    }
}
