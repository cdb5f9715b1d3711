//! Operands as host numbers: what each code is worth, what rows and columns reach, and panels
//! laid out in the order the kernels read them.

use super::reach::{NO_LSB, Reach};
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{SubnormalPolicy, decode_with};

/// A binary64 with its reach, for one code.
#[derive(Clone, Copy, Debug)]
struct Entry {
    value: f64,
    /// Bits of the finite size: as integers they order as the sizes do.
    size: u64,
    lsb: i32,
    special: bool,
    negative_zero: bool,
    /// True for codes of zero, whatever the subnormal policy reads them as.
    zero: bool,
}

/// The binary64 of an exact value; `None` if it has none.
pub(super) fn exact_f64(value: Decoded) -> Option<f64> {
    match value {
        Decoded::Nan => Some(f64::NAN),
        Decoded::Infinite { negative } => Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        Decoded::Finite(x) if x.significand == 0 => Some(if x.negative { -0.0 } else { 0.0 }),
        Decoded::Finite(x) => {
            let spare = x.significand.trailing_zeros();
            let (significand, exponent) = (x.significand >> spare, x.exponent + spare as i32);
            if significand >> 53 != 0 || exponent < -1022 || x.magnitude_exponent() > 1023 {
                return None;
            }
            // 2^exponent may overflow where the significand could not.
            let half = exponent / 2;
            let power = |e: i32| f64::from_bits(((e + 1023) as u64) << 52);
            let size = significand as u64 as f64 * power(half) * power(exponent - half);
            Some(if x.negative { -size } else { size })
        }
    }
}

/// How codes of one format are read.
pub(super) struct Reader {
    format: Format,
    subnormals: SubnormalPolicy,
    /// Power of two that multiplies every value.
    scale: i32,
    /// Every code of a format of up to eight bits.
    table: Option<Box<[Entry; 256]>>,
}

impl Reader {
    /// A reader, or `None` where some value has no exact binary64 within 2^±900.
    pub fn new(format: Format, subnormals: SubnormalPolicy, scale: i32) -> Option<Self> {
        let (low, high) = match format {
            Format::Float(f) => (f.min_quantum_exponent(), f.min_exponent() + (1 << f.exponent_bits)),
            Format::Fixed(f) => (-f.fraction_bits, f.width as i32 - f.fraction_bits),
        };
        if format.precision() > 53 || low + scale.min(0) < -900 || high + scale.max(0) > 900 {
            return None;
        }
        let mut reader = Self { format, subnormals, scale, table: None };
        if format.bits() <= 8 {
            reader.table = Some(Box::new(std::array::from_fn(|code| reader.entry(code as u64))));
        }
        Some(reader)
    }

    fn entry(&self, code: u64) -> Entry {
        let decoded = match decode_with(self.format, code, self.subnormals) {
            Decoded::Finite(x) => Decoded::Finite(x.scale(self.scale)),
            special => special,
        };
        let lsb = match decoded {
            Decoded::Finite(x) if !x.is_zero() => x.exponent + x.significand.trailing_zeros() as i32,
            _ => NO_LSB,
        };
        // In range by construction.
        let value = exact_f64(decoded).unwrap_or(f64::NAN);
        Entry {
            value,
            size: if value.is_finite() { value.abs().to_bits() } else { 0 },
            lsb,
            special: !value.is_finite(),
            negative_zero: value.to_bits() == (-0.0f64).to_bits(),
            zero: self.format.is_zero(code),
        }
    }

    /// The value of a code.
    pub fn value(&self, code: u64) -> f64 {
        match &self.table {
            Some(table) => table[(code & 0xff) as usize].value,
            None => self.entry(code).value,
        }
    }
}

/// A reach being gathered.
#[derive(Clone, Copy)]
struct Gather {
    size: u64,
    lsb: i32,
    special: bool,
    negative_zero: bool,
}

impl Gather {
    const NOTHING: Self = Self { size: 0, lsb: NO_LSB, special: false, negative_zero: false };

    #[inline(always)]
    fn take(&mut self, entry: &Entry) {
        self.size = self.size.max(entry.size);
        self.lsb = self.lsb.min(entry.lsb);
        self.special |= entry.special;
        self.negative_zero |= entry.negative_zero;
    }

    fn join(&mut self, other: &Self) {
        self.size = self.size.max(other.size);
        self.lsb = self.lsb.min(other.lsb);
        self.special |= other.special;
        self.negative_zero |= other.negative_zero;
    }

    fn reach(&self) -> Reach {
        Reach { max: f64::from_bits(self.size), lsb: self.lsb, special: self.special, negative_zero: self.negative_zero }
    }
}

/// Calls `$body` with the slice of codes in `$v` and a closure from one of them to its entry.
macro_rules! with_entries {
    ($codes:expr, $reader:expr, |$v:ident, $entry:ident| $body:expr) => {
        match ($codes, &$reader.table) {
            (Codes::U8($v), Some(table)) => {
                let $entry = |code: u8| table[code as usize];
                $body
            }
            (Codes::U8($v), None) => {
                let $entry = |code: u8| $reader.entry(code.into());
                $body
            }
            (Codes::U16($v), _) => {
                let $entry = |code: u16| $reader.entry(code.into());
                $body
            }
            (Codes::U32($v), _) => {
                let $entry = |code: u32| $reader.entry(code.into());
                $body
            }
            (Codes::U64($v), _) => {
                let $entry = |code: u64| $reader.entry(code);
                $body
            }
        }
    };
}

/// What the lines of a matrix along k reach, and its zeros at each k.
pub(super) struct Survey {
    /// One per row of A or column of B.
    pub lines: Vec<Reach>,
    /// Zeros among the lines at each k.
    pub zeros: Vec<u32>,
}

impl Survey {
    /// The union over `lines`.
    pub fn of(&self, lines: std::ops::Range<usize>) -> Reach {
        self.lines[lines].iter().fold(Reach::ZERO, |all, &line| all.union(line))
    }

    /// Surveys an M x K matrix whose lines are its rows.
    pub fn rows(codes: &Codes, reader: &Reader, k: usize) -> Self {
        with_entries!(codes, reader, |v, entry| {
            let parts: Vec<(Vec<Reach>, Vec<u32>)> = v
                .par_chunks(k * rows_per_part(k))
                .map(|rows| {
                    let mut zeros = vec![0; k];
                    let lines = rows
                        .chunks_exact(k)
                        .map(|row| {
                            let mut line = Gather::NOTHING;
                            for (&code, zero) in row.iter().zip(&mut zeros) {
                                let entry = entry(code);
                                line.take(&entry);
                                *zero += u32::from(entry.zero);
                            }
                            line.reach()
                        })
                        .collect();
                    (lines, zeros)
                })
                .collect();
            let mut all = Self { lines: Vec::new(), zeros: vec![0; k] };
            for (lines, zeros) in parts {
                all.lines.extend(lines);
                all.zeros.iter_mut().zip(zeros).for_each(|(sum, part)| *sum += part);
            }
            all
        })
    }

    /// Surveys a K x N matrix whose lines are its columns.
    pub fn columns(codes: &Codes, reader: &Reader, n: usize) -> Self {
        with_entries!(codes, reader, |v, entry| {
            let parts: Vec<(Vec<Gather>, Vec<u32>)> = v
                .par_chunks(n * rows_per_part(n))
                .map(|rows| {
                    let mut lines = vec![Gather::NOTHING; n];
                    let zeros = rows
                        .chunks_exact(n)
                        .map(|row| {
                            let mut zeros = 0;
                            for (&code, line) in row.iter().zip(&mut lines) {
                                let entry = entry(code);
                                line.take(&entry);
                                zeros += u32::from(entry.zero);
                            }
                            zeros
                        })
                        .collect();
                    (lines, zeros)
                })
                .collect();
            let mut lines = vec![Gather::NOTHING; n];
            let mut zeros = Vec::new();
            for (part, part_zeros) in parts {
                lines.iter_mut().zip(&part).for_each(|(line, part)| line.join(part));
                zeros.extend(part_zeros);
            }
            Self { lines: lines.iter().map(Gather::reach).collect(), zeros }
        })
    }
}

/// Rows of `width` codes that make a part worth a thread's while.
fn rows_per_part(width: usize) -> usize {
    (1usize << 15).div_ceil(width)
}

/// A number kernels compute with.
pub(super) trait Carrier: Copy + Default + Send + Sync {
    /// The number of this value; exact inside the kernel's domain.
    fn from_f64(value: f64) -> Self;
    /// The value of this number.
    fn to_f64(self) -> f64;
}

impl Carrier for f32 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value as Self
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Carrier for f64 {
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
}

/// Panels of `lines` lines each, k-major, zeros past the last line.
pub(super) struct Panels<T> {
    numbers: Vec<T>,
    /// Numbers of one panel.
    stride: usize,
}

impl<T: Carrier> Panels<T> {
    /// Panels of the rows of an M x K matrix.
    pub fn rows(codes: &Codes, reader: &Reader, k: usize, lines: usize) -> Self {
        let stride = lines * k;
        let mut numbers = vec![T::default(); (codes.len() / k).div_ceil(lines) * stride];
        with_entries!(codes, reader, |v, entry| {
            numbers.par_chunks_mut(stride).zip(v.par_chunks(stride)).for_each(|(panel, rows)| {
                for (line, row) in rows.chunks_exact(k).enumerate() {
                    for (to, &code) in panel[line..].iter_mut().step_by(lines).zip(row) {
                        *to = T::from_f64(entry(code).value);
                    }
                }
            });
        });
        Self { numbers, stride }
    }

    /// Panels of the columns of a K x N matrix.
    pub fn columns(codes: &Codes, reader: &Reader, n: usize, lines: usize) -> Self {
        let k = codes.len() / n;
        let stride = lines * k;
        let mut numbers = vec![T::default(); n.div_ceil(lines) * stride];
        with_entries!(codes, reader, |v, entry| {
            numbers.par_chunks_mut(stride).enumerate().for_each(|(index, panel)| {
                let first = index * lines;
                let width = lines.min(n - first);
                for (to, row) in panel.chunks_exact_mut(lines).zip(v.chunks_exact(n)) {
                    for (to, &code) in to.iter_mut().zip(&row[first..first + width]) {
                        *to = T::from_f64(entry(code).value);
                    }
                }
            });
        });
        Self { numbers, stride }
    }

    /// Panel `index`.
    pub fn panel(&self, index: usize) -> &[T] {
        &self.numbers[index * self.stride..][..self.stride]
    }
}
