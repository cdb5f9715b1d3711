//! Which outputs of a product are wanted.

use std::ops::Range;
use systole_isa::codes::Codes;
use systole_isa::format::{Decoded, Format};

/// The mask of a product: a bit per output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    rows: u32,
    columns: u32,
    /// Storage bytes of an element, as the sequencer reads it.
    element_bytes: u32,
    /// 64-bit words of a row.
    pitch: usize,
    bits: Vec<u64>,
}

/// True if an element of a mask selects its output: it is not a zero of either sign. NaN is none,
/// and subnormal values are none, whatever the design makes of them elsewhere.
pub fn selects(format: Format, code: u64) -> bool {
    !matches!(format.decode(code), Decoded::Finite(x) if x.significand == 0)
}

impl Mask {
    /// The mask that M x N `codes` of a format are, row-major.
    ///
    /// # Panics
    /// If there are not `rows` x `columns` codes.
    pub fn new(format: Format, codes: &Codes, rows: u32, columns: u32) -> Self {
        assert_eq!(codes.len(), rows as usize * columns as usize, "a mask has an element for each output");
        // Narrow formats by a table: decoding costs more than a product's inner loop.
        let table: Vec<bool> =
            if format.bits() <= 8 { (0..256).map(|code| selects(format, code & format.mask())).collect() } else { Vec::new() };
        let mut mask = Self::none(rows, columns, format.storage_bytes());
        for index in 0..codes.len() {
            let code = codes.get(index);
            if table.get(code as usize).copied().unwrap_or_else(|| selects(format, code)) {
                mask.select((index / columns as usize) as u32, (index % columns as usize) as u32);
            }
        }
        mask
    }

    /// A mask that selects nothing yet; its elements take `element_bytes` of storage each.
    pub fn none(rows: u32, columns: u32, element_bytes: u32) -> Self {
        let pitch = (columns as usize).div_ceil(64);
        Self { rows, columns, element_bytes, pitch, bits: vec![0; rows as usize * pitch] }
    }

    /// Selects one more output.
    ///
    /// # Panics
    /// If the mask has no such element.
    pub fn select(&mut self, row: u32, column: u32) {
        assert!(row < self.rows && column < self.columns, "an output of the product");
        self.bits[row as usize * self.pitch + column as usize / 64] |= 1 << (column % 64);
    }

    /// Rows and columns.
    pub const fn extents(&self) -> (u32, u32) {
        (self.rows, self.columns)
    }

    /// Storage bytes of an element.
    pub const fn element_bytes(&self) -> u32 {
        self.element_bytes
    }

    /// True if an output is selected.
    #[inline]
    pub fn holds(&self, row: u32, column: u32) -> bool {
        self.bits[row as usize * self.pitch + column as usize / 64] >> (column % 64) & 1 == 1
    }

    /// A row's words, columns ascending from the lowest bit of the first.
    pub fn words(&self, row: u32) -> &[u64] {
        &self.bits[row as usize * self.pitch..][..self.pitch]
    }

    /// Selected outputs of a row within columns.
    pub fn count(&self, row: u32, columns: Range<u32>) -> u64 {
        self.parts(row, columns).map(|(_, part)| u64::from(part.count_ones())).sum()
    }

    /// Selected outputs.
    pub fn selected(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Selected columns of a row, ascending, of those in a range.
    pub fn columns(&self, row: u32, columns: Range<u32>) -> impl Iterator<Item = u32> + '_ {
        self.parts(row, columns).flat_map(|(first, mut part)| {
            std::iter::from_fn(move || {
                let lowest = part.trailing_zeros();
                (part != 0).then(|| {
                    part &= part - 1;
                    first + lowest
                })
            })
        })
    }

    /// The part of the mask for some outputs.
    #[must_use]
    pub fn of(&self, rows: Range<u32>, columns: Range<u32>) -> Self {
        let mut part = Self::none(rows.len() as u32, columns.len() as u32, self.element_bytes);
        for row in rows.clone() {
            self.columns(row, columns.clone()).for_each(|column| part.select(row - rows.start, column - columns.start));
        }
        part
    }

    /// The words of a row that hold columns of a range, others cleared, each with its first column.
    fn parts(&self, row: u32, columns: Range<u32>) -> impl Iterator<Item = (u32, u64)> + '_ {
        let words = columns.start as usize / 64..(columns.end as usize).div_ceil(64);
        let words = if columns.is_empty() { 0..0 } else { words };
        let of_row = self.words(row);
        words.map(move |i| {
            let first = (i * 64) as u32;
            let low = u64::MAX << columns.start.saturating_sub(first);
            let high = u64::MAX >> (first + 63).saturating_sub(columns.end - 1).min(63);
            (first, of_row[i] & low & high)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::round::encode_f64;

    #[test]
    fn zeros_alone_select_nothing() {
        for name in ["int8", "e4m3fn", "e4m3fnuz", "fp32", "e8m0", "posit8_0", "fx12.5", "e5m2", "e6m9f"] {
            let format: Format = name.parse().unwrap();
            let zero = |code| code == format.zero(false) || code == format.zero(true);
            let codes: Vec<u64> = (0..256u64).map(|i| (i ^ i << (format.bits().max(8) - 8)) & format.mask()).collect();
            for &code in &codes {
                // e8m0 has no zero; its code 0 is 2^-127.
                assert_eq!(selects(format, code), !zero(code) || name == "e8m0", "{name} {code:#x}");
            }
            let mask = Mask::new(format, &Codes::from_fn(format, 256, |i| codes[i]), 2, 128);
            assert_eq!(mask.selected(), codes.iter().filter(|&&code| selects(format, code)).count() as u64);
            assert!((0..256).all(|i| mask.holds(i / 128, i % 128) == selects(format, codes[i as usize])));
        }
        // A NaN, and the smallest value there is.
        assert!(selects(Format::E4M3FN, 0x7f) && selects(Format::FP32, 1));
        assert!(selects(Format::FP16, encode_f64(Format::FP16, f64::NAN)));
    }

    #[test]
    fn parts_are_those_of_the_elements() {
        let columns = 150;
        let mut mask = Mask::none(3, columns, 1);
        let chosen = |row: u32, column: u32| (row * 7 + column * column) % 5 < 2;
        (0..3 * columns).filter(|i| chosen(i / columns, i % columns)).for_each(|i| mask.select(i / columns, i % columns));
        for (first, last) in [(0, columns), (0, 0), (63, 64), (64, 65), (0, 64), (1, 128), (65, 149), (128, columns), (70, 70)] {
            for row in 0..3 {
                let expected: Vec<u32> = (first..last).filter(|&column| chosen(row, column)).collect();
                assert_eq!(mask.columns(row, first..last).collect::<Vec<_>>(), expected);
                assert_eq!(mask.count(row, first..last), expected.len() as u64);
                let part = mask.of(row..3, first..last);
                assert_eq!(part.extents(), (3 - row, last - first));
                assert!((first..last).all(|column| part.holds(0, column - first) == chosen(row, column)));
            }
        }
    }
}
