//! Operands as host numbers: what each code is worth, what rows and columns reach, and panels
//! laid out in the order the kernels read them.

use super::fields::{self, Fields, Side};
use super::reach::{NO_LSB, Reach};
use super::rounder::power_of_two;
use crate::simd::Number;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;
use systole_isa::codes::Codes;
use systole_isa::format::{Decoded, Format, Subnormals};
use systole_isa::round::{SubnormalPolicy, decode_with};

/// A binary64 with its reach, for one code.
#[derive(Clone, Copy, Debug, PartialEq)]
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

/// Every code of a format of up to eight bits.
struct Table {
    values: [f64; 256],
    keys: [Key; 256],
    /// The sizes in ascending order: what a key's rank stands for.
    sizes: [u64; 256],
    zeros: Zeros,
}

/// What a survey asks of a code, such that the lanewise maximum answers for a set of codes:
/// rank of the size, -lsb, special, negative zero, zero.
type Key = [i16; 8];

/// The key below all keys.
const NO_KEY: Key = [0, i16::MIN, 0, 0, 0, 0, 0, 0];

impl Table {
    fn new(format: Format, entry: impl Fn(u64) -> Entry) -> Self {
        let entries: [Entry; 256] = std::array::from_fn(|code| entry(code as u64));
        let mut sizes = entries.map(|e| e.size);
        sizes.sort_unstable();
        let keys = entries.map(|e| {
            let rank = sizes.partition_point(|&size| size < e.size) as i16;
            let low = if e.lsb == NO_LSB { i16::MIN } else { -e.lsb as i16 };
            [rank, low, e.special.into(), e.negative_zero.into(), e.zero.into(), 0, 0, 0]
        });
        let mask = format.mask() as u8;
        let mut zeros = (0..=mask).filter(|&code| entries[usize::from(code)].zero);
        let first = zeros.next().unwrap_or(0);
        // A format has one zero or two.
        let zeros = Zeros { mask, codes: [first, zeros.next().unwrap_or(first)] };
        Self { values: entries.map(|e| e.value), keys, sizes, zeros }
    }

    /// The key of a set of codes.
    fn key_of(&self, seen: &Seen) -> Key {
        let mut gathered = NO_KEY;
        let keys = self.keys.iter().zip(seen).filter(|(_, seen)| **seen);
        keys.for_each(|(key, _)| gathered.take(key));
        gathered
    }

    fn reach(&self, key: &Key) -> Reach {
        Reach {
            max: f64::from_bits(self.sizes[key[0] as usize]),
            lsb: if key[1] == i16::MIN { NO_LSB } else { -i32::from(key[1]) },
            special: key[2] > 0,
            negative_zero: key[3] > 0,
        }
    }
}

/// How codes of one format are read.
pub(super) struct Reader {
    format: Format,
    subnormals: SubnormalPolicy,
    /// Power of two that multiplies every value.
    scale: i32,
    table: Option<Box<Table>>,
    fields: Option<Fields>,
}

impl Reader {
    /// A reader, or `None` where some value has no exact binary64 within 2^±900.
    pub fn new(format: Format, subnormals: SubnormalPolicy, scale: i32) -> Option<Self> {
        let (low, high) = match format {
            Format::Float(f) => (f.min_quantum_exponent(), f.min_exponent() + (1 << f.exponent_bits)),
            Format::Fixed(f) | Format::Quire(f) => (-f.fraction_bits, f.width as i32 - f.fraction_bits),
            Format::Posit(p) => (-p.max_exponent(), p.max_exponent() + 1),
        };
        if format.precision() > 53 || low + scale.min(0) < -900 || high + scale.max(0) > 900 {
            return None;
        }
        let mut reader = Self { format, subnormals, scale, table: None, fields: Fields::new(format, subnormals, scale) };
        if format.bits() <= 8 {
            reader.table = Some(Box::new(Table::new(format, |code| reader.entry(code))));
        }
        Some(reader)
    }

    fn entry(&self, code: u64) -> Entry {
        self.finite_float(code).unwrap_or_else(|| self.any_entry(code))
    }

    /// Finite codes of IEEE 754 layout, by their fields.
    #[inline(always)]
    fn finite_float(&self, code: u64) -> Option<Entry> {
        let Format::Float(f) = self.format else { return None };
        let magnitude = code & ((1 << f.magnitude_bits()) - 1);
        let known = f.signed && f.subnormals == Subnormals::Gradual && self.subnormals == SubnormalPolicy::Gradual;
        if !known || magnitude > f.max_finite_magnitude() || code >> f.magnitude_bits() > 1 {
            return None;
        }
        let (zero, negative) = (magnitude == 0, code >> f.magnitude_bits() != 0);
        // The code of -0 may be a NaN.
        if zero && negative && !f.has_negative_zero() {
            return None;
        }
        let normal = magnitude >> f.mantissa_bits != 0;
        let rebias = ((f.min_exponent() - 1 + 1023) as u64) << 52;
        let shifted = f64::from_bits((magnitude << (52 - f.mantissa_bits)) + rebias);
        let size = if normal { shifted } else { magnitude as f64 * power_of_two(f.min_quantum_exponent()) } * power_of_two(self.scale);
        let significand = size.to_bits() & ((1 << 52) - 1) | 1 << 52;
        let lsb = (size.to_bits() >> 52) as i32 - 1075 + significand.trailing_zeros() as i32;
        Some(Entry {
            value: if negative { -size } else { size },
            size: size.to_bits(),
            lsb: if zero { NO_LSB } else { lsb },
            special: false,
            negative_zero: zero && negative,
            zero,
        })
    }

    fn any_entry(&self, code: u64) -> Entry {
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
            Some(table) => table.values[(code & 0xff) as usize],
            None => self.entry(code).value,
        }
    }
}

/// A reach being gathered from what a survey asks of each code.
trait Gather: Copy + Send + Sync {
    const NOTHING: Self;
    fn take(&mut self, other: &Self);
    fn is_zero(&self) -> u32;
}

impl Gather for Key {
    const NOTHING: Self = NO_KEY;

    #[inline(always)]
    fn take(&mut self, other: &Self) {
        for (mine, &other) in self.iter_mut().zip(other) {
            *mine = (*mine).max(other);
        }
    }

    #[inline(always)]
    fn is_zero(&self) -> u32 {
        self[4] as u32
    }
}

impl Gather for Entry {
    const NOTHING: Self = Self { value: 0.0, size: 0, lsb: NO_LSB, special: false, negative_zero: false, zero: false };

    #[inline(always)]
    fn take(&mut self, other: &Self) {
        self.size = self.size.max(other.size);
        self.lsb = self.lsb.min(other.lsb);
        self.special |= other.special;
        self.negative_zero |= other.negative_zero;
    }

    #[inline(always)]
    fn is_zero(&self) -> u32 {
        self.zero.into()
    }
}

impl Entry {
    fn reach(&self) -> Reach {
        Reach { max: f64::from_bits(self.size), lsb: self.lsb, special: self.special, negative_zero: self.negative_zero }
    }
}

/// Calls `$body` with the slice of codes in `$v` and, in `$numbers`, what writes the numbers of some.
macro_rules! with_numbers {
    ($codes:expr, $reader:expr, |$v:ident, $numbers:ident| $body:expr) => {
        match ($codes, &$reader.table) {
            (Codes::U8($v), Some(table)) => {
                let numbers = table.values.map(T::from_f64);
                let $numbers = |codes: &[u8], out: &mut [T]| {
                    out.iter_mut().zip(codes).for_each(|(out, &code)| *out = numbers[usize::from(code)]);
                };
                $body
            }
            (Codes::U8($v), None) => {
                let $numbers = |codes: &[u8], out: &mut [T]| $reader.one_by_one(codes, out);
                $body
            }
            (Codes::U16($v), _) => {
                let $numbers = |codes: &[u16], out: &mut [T]| $reader.by_fields(codes, out);
                $body
            }
            (Codes::U32($v), _) => {
                let $numbers = |codes: &[u32], out: &mut [T]| $reader.by_fields(codes, out);
                $body
            }
            (Codes::U64($v), _) => {
                let $numbers = |codes: &[u64], out: &mut [T]| $reader.one_by_one(codes, out);
                $body
            }
        }
    };
}

impl Reader {
    fn one_by_one<T: Number, C: Copy + Into<u64>>(&self, codes: &[C], out: &mut [T]) {
        out.iter_mut().zip(codes).for_each(|(out, &code)| *out = T::from_f64(self.entry(code.into()).value));
    }

    fn by_fields<T: Number, C: Copy + Into<u32> + Into<u64>>(&self, codes: &[C], out: &mut [T]) {
        const STEP: usize = 64;
        let Some(fields) = &self.fields else {
            return self.one_by_one(codes, out);
        };
        for (codes, out) in codes.chunks(STEP).zip(out.chunks_mut(STEP)) {
            let mut values = [0.0; STEP];
            if fields::values(fields, codes, &mut values) {
                out.iter_mut().zip(values).for_each(|(out, value)| *out = T::from_f64(value));
            } else {
                self.one_by_one(codes, out);
            }
        }
    }
}

/// What an operand reaches, and its zeros at each k.
pub(super) struct Survey {
    /// The union over all lines: rows of A, columns of B.
    pub all: Reach,
    /// Zeros among the lines at each k.
    pub zeros: Vec<u32>,
    /// One per line; of narrow codes gathered only if asked for.
    lines: OnceLock<Vec<Reach>>,
}

/// Which lines of a matrix run along k.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lines {
    /// Of an M x K matrix the rows.
    Rows,
    /// Of a K x N matrix the columns.
    Columns,
}

impl Survey {
    /// Surveys a row-major matrix of `width` columns.
    pub fn new(codes: &Codes, reader: &Reader, along: Lines, width: usize) -> Self {
        if let (Codes::U8(v), Some(table)) = (codes, &reader.table) {
            let (seen, zeros) = match along {
                Lines::Rows => scan_rows(v, width, &table.zeros),
                Lines::Columns => scan_columns(v, width, &table.zeros),
            };
            return Self { all: table.reach(&table.key_of(&seen)), zeros, lines: OnceLock::new() };
        }
        let (lines, zeros) = along.survey(codes, reader, width);
        Self { all: Self::union(&lines), zeros, lines: lines.into() }
    }

    fn union(lines: &[Reach]) -> Reach {
        lines.iter().fold(Reach::ZERO, |all, &line| all.union(line))
    }

    /// The union over `lines`, which [`Survey::gather`] has gathered.
    pub fn of(&self, lines: Range<usize>) -> Reach {
        self.lines.get().map_or(self.all, |all| Self::union(&all[lines]))
    }

    /// Gathers what each line reaches, if that has not been done: the operand and scale once more.
    pub fn gather(&self, codes: &Codes, reader: &Reader, along: Lines, width: usize, scale: Option<Reach>) {
        self.lines.get_or_init(|| {
            let (mut lines, _) = along.survey(codes, reader, width);
            if let Some(scale) = scale {
                lines.iter_mut().for_each(|line| *line = line.scaled(scale));
            }
            lines
        });
    }

    /// The same with lines multiplied by scales within `scale`.
    #[must_use]
    pub fn scaled(mut self, scale: Reach) -> Self {
        self.all = self.all.scaled(scale);
        if let Some(lines) = self.lines.get_mut() {
            lines.iter_mut().for_each(|line| *line = line.scaled(scale));
        }
        self
    }
}

impl Lines {
    /// What each line reaches, and zeros at each k.
    fn survey(self, codes: &Codes, reader: &Reader, width: usize) -> (Vec<Reach>, Vec<u32>) {
        match (codes, &reader.table, &reader.fields) {
            (Codes::U8(v), Some(table), _) => self.by_code(v, width, |code| table.keys[code as usize], |key| table.reach(key)),
            (Codes::U8(v), None, _) => self.by_code(v, width, |code| reader.entry(code.into()), Entry::reach),
            (Codes::U16(v), _, Some(fields)) => self.by_fields(v, width, fields, |code| reader.entry(code.into())),
            (Codes::U32(v), _, Some(fields)) => self.by_fields(v, width, fields, |code| reader.entry(code.into())),
            (Codes::U16(v), _, None) => self.by_code(v, width, |code| reader.entry(code.into()), Entry::reach),
            (Codes::U32(v), _, None) => self.by_code(v, width, |code| reader.entry(code.into()), Entry::reach),
            (Codes::U64(v), ..) => self.by_code(v, width, |code| reader.entry(code), Entry::reach),
        }
    }

    fn by_code<C: Copy + Sync, G: Gather>(
        self,
        v: &[C],
        width: usize,
        ask: impl Fn(C) -> G + Sync,
        reach: impl Fn(&G) -> Reach + Sync,
    ) -> (Vec<Reach>, Vec<u32>) {
        match self {
            Self::Rows => survey_rows(v, width, |row, zeros| {
                let mut gathered = G::NOTHING;
                for (&code, zero) in row.iter().zip(zeros) {
                    let asked = ask(code);
                    gathered.take(&asked);
                    *zero += asked.is_zero();
                }
                reach(&gathered)
            }),
            Self::Columns => {
                let nothing = || vec![G::NOTHING; width];
                let row = |row: &[C], lines: &mut Vec<G>| {
                    let mut zeros = 0;
                    for (&code, line) in row.iter().zip(lines) {
                        let asked = ask(code);
                        line.take(&asked);
                        zeros += asked.is_zero();
                    }
                    zeros
                };
                let merge = |mut lines: Vec<G>, part: Vec<G>| {
                    lines.iter_mut().zip(&part).for_each(|(line, part)| line.take(part));
                    lines
                };
                let (lines, zeros) = survey_columns(v, width, nothing, row, merge);
                (lines.iter().map(reach).collect(), zeros)
            }
        }
    }

    fn by_fields<C: Copy + Sync + Into<u32>>(
        self,
        v: &[C],
        width: usize,
        fields: &Fields,
        entry: impl Fn(C) -> Entry + Sync,
    ) -> (Vec<Reach>, Vec<u32>) {
        let one_by_one = |codes: &mut dyn Iterator<Item = C>| {
            let mut gathered = Entry::NOTHING;
            codes.for_each(|code| gathered.take(&entry(code)));
            gathered.reach()
        };
        match self {
            Self::Rows => survey_rows(v, width, |row, zeros| {
                fields::along(fields, row, zeros).unwrap_or_else(|| one_by_one(&mut row.iter().copied()))
            }),
            Self::Columns => {
                let row = |row: &[C], lines: &mut Side| fields::across(fields, row, lines);
                let (lines, zeros) = survey_columns(v, width, || Side::new(width), row, |lines, part| lines.merged(&part));
                let lines = lines.reaches(fields).into_iter().enumerate();
                let reach = |(column, line): (usize, Option<Reach>)| {
                    line.unwrap_or_else(|| one_by_one(&mut v[column..].iter().step_by(width).copied()))
                };
                (lines.map(reach).collect(), zeros)
            }
        }
    }
}

/// The codes that occur.
type Seen = [bool; 256];

fn merge(mut seen: Seen, other: &Seen) -> Seen {
    seen.iter_mut().zip(other).for_each(|(seen, other)| *seen |= other);
    seen
}

/// Codes of zero: their bits under the mask are one of the two.
struct Zeros {
    mask: u8,
    codes: [u8; 2],
}

impl Zeros {
    #[inline(always)]
    const fn holds(&self, code: u8) -> u8 {
        let code = code & self.mask;
        (code == self.codes[0]) as u8 | (code == self.codes[1]) as u8
    }
}

/// The codes of a matrix whose rows run along k, and zeros in each column.
fn scan_rows(v: &[u8], k: usize, zero: &Zeros) -> (Seen, Vec<u32>) {
    let rows = rows_per_part(k);
    let none = || ([false; 256], vec![0u32; k]);
    v.par_chunks(k * rows)
        .fold(none, |(mut seen, mut zeros), rows| {
            rows.iter().for_each(|&code| seen[usize::from(code)] = true);
            // Counts of as many rows as a byte can count.
            let mut few = vec![0u8; k];
            for rows in rows.chunks(k * usize::from(u8::MAX)) {
                few.fill(0);
                for row in rows.chunks_exact(k) {
                    few.iter_mut().zip(row).for_each(|(few, &code)| *few += zero.holds(code));
                }
                zeros.iter_mut().zip(&few).for_each(|(zeros, &few)| *zeros += u32::from(few));
            }
            (seen, zeros)
        })
        .reduce(none, |(seen, mut sum), (other, part)| {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            (merge(seen, &other), sum)
        })
}

/// The codes of a matrix whose columns run along k, and zeros in each row.
fn scan_columns(v: &[u8], n: usize, zero: &Zeros) -> (Seen, Vec<u32>) {
    let rows = rows_per_part(n);
    let mut zeros = vec![0u32; v.len() / n];
    let none = || [false; 256];
    let seen = v
        .par_chunks(n * rows)
        .zip(zeros.par_chunks_mut(rows))
        .fold(none, |mut seen, (rows, zeros)| {
            rows.iter().for_each(|&code| seen[usize::from(code)] = true);
            for (row, zeros) in rows.chunks_exact(n).zip(zeros) {
                let few = |codes: &[u8]| codes.iter().fold(0u8, |few, &code| few + zero.holds(code));
                *zeros = row.chunks(usize::from(u8::MAX)).map(|codes| u32::from(few(codes))).sum();
            }
            seen
        })
        .reduce(none, |seen, other| merge(seen, &other));
    (seen, zeros)
}

/// What rows along k reach, and zeros at each k: `row` reads one and counts its zeros.
fn survey_rows<C: Sync>(v: &[C], k: usize, row: impl Fn(&[C], &mut [u32]) -> Reach + Sync) -> (Vec<Reach>, Vec<u32>) {
    let rows = rows_per_part(k);
    let mut lines = vec![Reach::ZERO; v.len() / k];
    let none = || vec![0u32; k];
    let zeros = v
        .par_chunks(k * rows)
        .zip(lines.par_chunks_mut(rows))
        .fold(none, |mut zeros, (rows, lines)| {
            rows.chunks_exact(k).zip(lines).for_each(|(codes, line)| *line = row(codes, &mut zeros));
            zeros
        })
        .reduce(none, |mut sum, part| {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            sum
        });
    (lines, zeros)
}

/// What is gathered of columns along k, and zeros at each k: `row` reads one code of each column.
fn survey_columns<C: Sync, G: Send>(
    v: &[C],
    n: usize,
    nothing: impl Fn() -> G + Sync + Send,
    row: impl Fn(&[C], &mut G) -> u32 + Sync,
    merge: impl Fn(G, G) -> G + Sync + Send,
) -> (G, Vec<u32>) {
    let rows = rows_per_part(n);
    let mut zeros = vec![0u32; v.len() / n];
    let lines = v
        .par_chunks(n * rows)
        .zip(zeros.par_chunks_mut(rows))
        .fold(&nothing, |mut lines, (rows, zeros)| {
            rows.chunks_exact(n).zip(zeros).for_each(|(codes, zeros)| *zeros = row(codes, &mut lines));
            lines
        })
        .reduce(&nothing, &merge);
    (lines, zeros)
}

/// Rows of `width` codes that make a part worth a thread's while.
fn rows_per_part(width: usize) -> usize {
    (1usize << 15).div_ceil(width)
}

/// A number kernels compute with.
pub(super) trait Carrier: Number {
    /// Buffers of earlier products on this thread: fresh pages cost more than small products.
    fn spare() -> &'static std::thread::LocalKey<Spare<Self>>;
}

/// Buffers kept for the next product.
pub(super) type Spare<T> = std::cell::RefCell<Vec<Vec<T>>>;

/// Bytes of the largest buffer worth keeping.
const SPARE_BYTES: usize = 24 << 20;

/// A binary16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Half(u16);

impl Half {
    /// Its code.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// False for infinities and NaNs.
    pub const fn is_finite(self) -> bool {
        self.0 & 0x7c00 != 0x7c00
    }
}

/// The power of two between the exponents of binary32 and binary16 codes of the same fields.
const HALF_SCALE: f32 = power_of_two(112) as f32;

impl Number for Half {
    const BITS: u32 = 16;
    const SIGNIFICAND: u32 = 11;
    const EXPONENT_BIAS: u32 = 15;
    #[inline(always)]
    fn from_f64(value: f64) -> Self {
        let value = value as f32;
        let sign = (value.to_bits() >> 16 & 0x8000) as u16;
        let scaled = (value.abs() * (1.0 / HALF_SCALE)).to_bits() >> 13;
        let special = 0x7c00 | if value.is_nan() { 0x0200 } else { 0 };
        Self(sign | if value.is_finite() { scaled as u16 } else { special })
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        let size = f32::from_bits(u32::from(self.0 & 0x7fff) << 13) * HALF_SCALE;
        let special = if self.is_finite() { 0 } else { f32::INFINITY.to_bits() };
        f32::from_bits(size.to_bits() | special | u32::from(self.0 & 0x8000) << 16).into()
    }
    #[inline(always)]
    fn from_bits(bits: u64) -> Self {
        Self(bits as u16)
    }
    fn next_up(self) -> Self {
        match self.0 {
            0x8000 => Self(1),
            negative if negative & 0x8000 != 0 => Self(negative - 1),
            positive => Self(positive + 1),
        }
    }
}

impl Carrier for Half {
    fn spare() -> &'static std::thread::LocalKey<Spare<Self>> {
        &SPARE_16
    }
}

thread_local! {
    static SPARE_16: Spare<Half> = const { Spare::new(Vec::new()) };
    static SPARE_32: Spare<f32> = const { Spare::new(Vec::new()) };
    static SPARE_64: Spare<f64> = const { Spare::new(Vec::new()) };
}

impl Carrier for f32 {
    fn spare() -> &'static std::thread::LocalKey<Spare<Self>> {
        &SPARE_32
    }
}

impl Carrier for f64 {
    fn spare() -> &'static std::thread::LocalKey<Spare<Self>> {
        &SPARE_64
    }
}

/// Numbers of a row made at a time.
const PART: usize = 256;

/// Panels of `lines` lines each, k-major, zeros past the last line.
pub(super) struct Panels<T: Carrier> {
    /// Of which the first `len` are panels.
    numbers: Vec<T>,
    len: usize,
    /// Numbers of one panel.
    stride: usize,
    /// The first line; a multiple of `lines`.
    first: usize,
}

impl<T: Carrier> Panels<T> {
    /// Panels to be filled for a range of lines; only what lies past the last line is zeroed.
    fn unfilled(range: &Range<usize>, lines: usize, k: usize) -> Self {
        let stride = lines * k;
        let mut numbers = T::spare().with_borrow_mut(Vec::pop).unwrap_or_default();
        let len = range.len().div_ceil(lines) * stride;
        if numbers.len() < len {
            numbers.resize(len, T::default());
        }
        if !range.len().is_multiple_of(lines) {
            numbers[len - stride..len].fill(T::default());
        }
        Self { numbers, len, stride, first: range.start }
    }

    /// Panels of rows of an M x K matrix.
    pub fn rows(codes: &Codes, reader: &Reader, k: usize, lines: usize, range: Range<usize>) -> Self {
        let mut panels = Self::unfilled(&range, lines, k);
        let stride = panels.stride;
        with_numbers!(codes, reader, |v, numbers| {
            let panels = panels.numbers[..panels.len].par_chunks_mut(stride).zip(v[range.start * k..range.end * k].par_chunks(stride));
            panels.for_each(|(panel, rows)| {
                let mut part = [T::default(); PART];
                for (line, row) in rows.chunks_exact(k).enumerate() {
                    for (codes, panel) in row.chunks(PART).zip(panel.chunks_mut(PART * lines)) {
                        numbers(codes, &mut part);
                        panel.chunks_exact_mut(lines).zip(&part).for_each(|(to, &number)| to[line] = number);
                    }
                }
            });
        });
        panels
    }

    /// Panels of columns of a K x N matrix.
    pub fn columns(codes: &Codes, reader: &Reader, n: usize, lines: usize, range: Range<usize>) -> Self {
        let mut panels = Self::unfilled(&range, lines, codes.len() / n);
        let stride = panels.stride;
        with_numbers!(codes, reader, |v, numbers| {
            panels.numbers[..panels.len].par_chunks_mut(stride).enumerate().for_each(|(index, panel)| {
                let first = range.start + index * lines;
                let width = lines.min(range.end - first);
                for (to, row) in panel.chunks_exact_mut(lines).zip(v.chunks_exact(n)) {
                    numbers(&row[first..first + width], &mut to[..width]);
                }
            });
        });
        panels
    }

    /// Behind the numbers of each k, the powers of two of their exponents: 0 for zeros, and
    /// 2^`smallest` for those below it.
    #[must_use]
    pub fn with_powers(self, lines: usize, smallest: i32) -> Self {
        // Beyond these there are zeros only.
        let smallest = power_of_two(smallest.clamp(-1022, 1023));
        let power = |number: &T| {
            let size = number.to_f64().abs();
            let binade = f64::from_bits(size.to_bits() & f64::INFINITY.to_bits());
            T::from_f64(if size == 0.0 { 0.0 } else { binade.max(smallest) })
        };
        let mut numbers = Vec::with_capacity(2 * self.len);
        for line in self.numbers[..self.len].chunks_exact(lines) {
            numbers.extend_from_slice(line);
            numbers.extend(line.iter().map(power));
        }
        Self { stride: 2 * self.stride, len: 2 * self.len, numbers, first: self.first }
    }

    /// Every number twice.
    #[must_use]
    pub fn paired(self) -> Self {
        let numbers = self.numbers[..self.len].iter().flat_map(|&number| [number; 2]).collect();
        Self { stride: 2 * self.stride, len: 2 * self.len, numbers, first: self.first }
    }

    /// Multiplies the numbers of lines below `end`, `lines` a panel, by `scale` of line and k.
    pub fn scale(&mut self, end: usize, lines: usize, scale: impl Fn(usize, usize) -> f64 + Sync) {
        let first = self.first;
        self.numbers[..self.len].par_chunks_mut(self.stride).enumerate().for_each(|(index, panel)| {
            for (k, numbers) in panel.chunks_exact_mut(lines).enumerate() {
                for (line, number) in (first + index * lines..end).zip(numbers) {
                    *number = T::from_f64(number.to_f64() * scale(line, k));
                }
            }
        });
    }

    /// The panel that begins with `line`, `lines` a panel.
    pub fn panel(&self, line: usize, lines: usize) -> &[T] {
        &self.numbers[(line - self.first) / lines * self.stride..][..self.stride]
    }
}

impl<T: Carrier> Drop for Panels<T> {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        if size_of_val(numbers.as_slice()) <= SPARE_BYTES {
            T::spare().with_borrow_mut(|spare| {
                if spare.len() < 2 {
                    spare.push(numbers);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_have_the_values_of_binary16() {
        for code in 0..=u16::MAX {
            let (half, value) = (Half(code), Format::FP16.to_f64(code.into()));
            assert!(half.to_f64() == value || half.to_f64().is_nan() && value.is_nan(), "{code:#x}");
            assert!(Half::from_f64(value) == half || value.is_nan() && Half::from_f64(value).to_f64().is_nan(), "{code:#x}");
            assert_eq!(half.to_f64().is_sign_negative(), code >> 15 == 1, "{code:#x}");
        }
    }

    /// Lines of one code and of many, values, and lines that are not finite.
    #[test]
    fn many_at_a_time_are_one_by_one() {
        let mut read = 0;
        for (name, scale) in
            [("fp16", 0), ("bf16", 3), ("e6m9", -7), ("e5m9f", 40), ("e8m3", 1), ("tf32", -20), ("fp32", 0), ("e6m9b40", 0)]
        {
            let format: Format = name.parse().unwrap();
            let reader = Reader::new(format, SubnormalPolicy::Gradual, scale).unwrap();
            let fields = reader.fields.as_ref().unwrap();
            let spread = |i: u64| if format.bits() <= 16 { i & format.mask() } else { i.wrapping_mul(0x9e37_79b9) & format.mask() };
            let codes: Vec<u32> = (0..1 << 16).map(|i| spread(i) as u32).collect();
            for &code in &codes {
                let (entry, mut zeros, mut value) = (reader.any_entry(code.into()), [0], [0.0]);
                let reach = fields::along(fields, &[code], &mut zeros);
                assert_eq!(reach, (!entry.special).then(|| entry.reach()), "{name} {code:#x}");
                assert_eq!(zeros[0], u32::from(entry.zero));
                if fields::values(fields, &[code], &mut value) {
                    assert_eq!(value[0].to_bits(), entry.value.to_bits(), "{name} {code:#x}");
                    read += 1;
                }
            }
            for (along, width) in [(Lines::Rows, 64), (Lines::Columns, 64), (Lines::Rows, 4096), (Lines::Columns, 4096)] {
                let surveyed = along.survey(&Codes::U32(codes.clone()), &reader, width);
                let one_by_one = along.by_code(&codes, width, |code| reader.any_entry(code.into()), Entry::reach);
                assert_eq!(surveyed, one_by_one, "{name} {along:?} {width}");
            }
        }
        assert!(read > 400_000, "{read}");
    }

    #[test]
    fn finite_floats_by_their_fields() {
        for (name, scale) in [("fp16", 0), ("bf16", 3), ("e6m9", -7), ("dlfloat16", 0), ("e4m3fn", 40), ("e5m2fnuz", -20), ("e6m9f", 1)] {
            let format: Format = name.parse().unwrap();
            let reader = Reader::new(format, SubnormalPolicy::Gradual, scale).unwrap();
            let mut read = 0u64;
            for code in 0..=format.mask() {
                if let Some(entry) = reader.finite_float(code) {
                    assert_eq!(entry, reader.any_entry(code), "{name} {code:#x}");
                    assert_eq!(entry.value.is_sign_negative(), reader.any_entry(code).value.is_sign_negative(), "{name} {code:#x}");
                    read += 1;
                }
            }
            assert!(name == "dlfloat16" || read > format.mask() / 2, "{name}: {read}");
        }
    }
}
