//! Codes as host numbers: what each is worth, and what a survey asks of it.

use super::fields::Fields;
use super::reach::{NO_LSB, Reach};
use super::rounder::power_of_two;
use systole_isa::format::{Decoded, Format, Subnormals};
use systole_isa::round::{SubnormalPolicy, decode_with};

/// A binary64 with its reach, for one code.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Entry {
    pub value: f64,
    /// Bits of the finite size: as integers they order as the sizes do.
    size: u64,
    lsb: i32,
    pub special: bool,
    negative_zero: bool,
    /// True for codes of zero, whatever the subnormal policy reads them as.
    pub zero: bool,
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
pub(super) struct Table {
    pub values: [f64; 256],
    pub keys: [Key; 256],
    /// The sizes in ascending order: what a key's rank stands for.
    sizes: [u64; 256],
    pub zeros: Zeros,
}

/// What a survey asks of a code, such that the lanewise maximum answers for a set of codes:
/// rank of the size, -lsb, special, negative zero, zero.
pub(super) type Key = [i16; 8];

/// The key below all keys.
pub(super) const NO_KEY: Key = [0, i16::MIN, 0, 0, 0, 0, 0, 0];

/// The codes that occur.
pub(super) type Seen = [bool; 256];

/// Codes of zero: their bits under the mask are one of the two.
pub(super) struct Zeros {
    mask: u8,
    codes: [u8; 2],
}

impl Zeros {
    #[inline(always)]
    pub const fn holds(&self, code: u8) -> u8 {
        let code = code & self.mask;
        (code == self.codes[0]) as u8 | (code == self.codes[1]) as u8
    }
}

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
    pub fn key_of(&self, seen: &Seen) -> Key {
        let mut gathered = NO_KEY;
        let keys = self.keys.iter().zip(seen).filter(|(_, seen)| **seen);
        keys.for_each(|(key, _)| gathered.take(key));
        gathered
    }

    pub fn reach(&self, key: &Key) -> Reach {
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
    /// Of formats of up to 8 bits.
    pub table: Option<Box<Table>>,
    /// Of wider floats.
    pub fields: Option<Fields>,
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

    pub fn entry(&self, code: u64) -> Entry {
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

    pub fn any_entry(&self, code: u64) -> Entry {
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
pub(super) trait Gather: Copy + Send + Sync {
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
    pub fn reach(&self) -> Reach {
        Reach { max: f64::from_bits(self.size), lsb: self.lsb, special: self.special, negative_zero: self.negative_zero }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
