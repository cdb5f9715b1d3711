//! Panels: operands as host numbers, laid out in the order the kernels read them.

use super::fields;
use super::reader::Reader;
use super::rounder::power_of_two;
use crate::simd::Number;
use rayon::prelude::*;
use std::ops::Range;
use systole_isa::codes::Codes;

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
        const STEP: usize = 256;
        let Some(fields) = &self.fields else {
            return self.one_by_one(codes, out);
        };
        for (codes, out) in codes.chunks(STEP).zip(out.chunks_mut(STEP)) {
            if !fields::values(fields, codes, out) {
                self.one_by_one(codes, out);
            }
        }
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
    use systole_isa::format::Format;

    #[test]
    fn halves_have_the_values_of_binary16() {
        for code in 0..=u16::MAX {
            let (half, value) = (Half(code), Format::FP16.to_f64(code.into()));
            assert!(half.to_f64() == value || half.to_f64().is_nan() && value.is_nan(), "{code:#x}");
            assert!(Half::from_f64(value) == half || value.is_nan() && Half::from_f64(value).to_f64().is_nan(), "{code:#x}");
            assert_eq!(half.to_f64().is_sign_negative(), code >> 15 == 1, "{code:#x}");
        }
    }
}
