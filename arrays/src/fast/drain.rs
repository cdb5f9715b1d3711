//! Finished sums on their way out: conversion to the output format and codes.

use super::masked::Places;
use super::rounder::{Counts, Rounder, Tally, power_of_two};
use crate::datapath::{Element, Mac, Output, Register};
use crate::simd::{Lanes, Work};
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::{Block, Site, Stage};
use systole_isa::format::{Format, Subnormals};
use systole_isa::round::Policy;

/// From carried values to codes of the same value.
struct Packer {
    format: Format,
    mantissa_bits: u32,
    magnitude_bits: u32,
    /// Bits of a binary64 exponent and fraction, cut to the format's, less this are a normal code.
    rebias: f64,
    /// Added to a subnormal, it leaves the code in the low bits of the fraction.
    subnormal: f64,
    normal: f64,
    nan: f64,
    infinity: f64,
}

impl Packer {
    /// `nan`: the policy whose NaN is written.
    fn new(format: Format, nan: Policy) -> Self {
        match format {
            Format::Float(f) => {
                let field = match f.subnormals {
                    Subnormals::Gradual => f.min_exponent() - 1,
                    Subnormals::None => f.min_exponent(),
                };
                Self {
                    format,
                    mantissa_bits: f.mantissa_bits,
                    magnitude_bits: f.magnitude_bits(),
                    rebias: f64::from_bits((((field + 1023) as i64) << f.mantissa_bits) as u64),
                    subnormal: power_of_two(52 + f.min_quantum_exponent()),
                    normal: power_of_two(f.min_exponent()),
                    nan: f64::from_bits(nan.nan(format).unwrap_or(0)),
                    infinity: f64::from_bits(f.infinity_magnitude().unwrap_or(0)),
                }
            }
            // Codes of fixed point are made one by one; posits never come here.
            Format::Fixed(_) | Format::Posit(_) | Format::Quire(_) => {
                Self { format, mantissa_bits: 0, magnitude_bits: 0, rebias: 0.0, subnormal: 0.0, normal: 0.0, nan: 0.0, infinity: 0.0 }
            }
        }
    }

    #[inline(always)]
    fn pack<L: Lanes<Number = f64>>(&self, s: L, value: L::V, codes: &mut [u64]) {
        if let Format::Fixed(fixed) | Format::Quire(fixed) = self.format {
            let quanta = power_of_two(fixed.fraction_bits);
            let integers = s.bits(value).map(|x| (f64::from_bits(x) * quanta) as i64);
            codes.iter_mut().zip(integers).for_each(|(code, integer)| *code = fixed.code(integer));
            return;
        }
        let sign_bit = s.splat(-0.0);
        let infinity = s.splat(f64::INFINITY);
        let sign = s.and(value, sign_bit);
        let size = s.xor(value, sign);
        let normal = s.sub_bits(s.shift_right(size, 52 - self.mantissa_bits), s.splat(self.rebias));
        let subnormal = s.splat(self.subnormal);
        let low = s.sub_bits(s.add(size, subnormal), subnormal);
        let finite = s.select(s.less(size, s.splat(self.normal)), low, normal);
        let number = s.select(s.less(size, infinity), finite, s.splat(self.infinity));
        let signed = s.or(number, s.shift_right(sign, 63 - self.magnitude_bits));
        let packed = s.select(s.at_most(size, infinity), signed, s.splat(self.nan));
        codes.iter_mut().zip(s.bits(packed)).for_each(|(code, bits)| *code = bits);
    }
}

/// How sums leave.
enum Exit {
    /// As they are.
    Unconverted,
    /// Rounded in lanes.
    Rounded { rounder: Box<Rounder>, packer: Packer },
    /// Each by [`Mac::finish`].
    OneByOne,
}

/// The drain of one problem.
pub(super) struct Drain<'a> {
    mac: &'a Mac,
    output: Output,
    site: Site,
    places: &'a Places,
    addition: Block,
    outermost: Packer,
    exit: Exit,
}

/// Part of a row of the output.
pub(super) enum Row<'a> {
    U8(&'a mut [u8]),
    U16(&'a mut [u16]),
    U32(&'a mut [u32]),
    U64(&'a mut [u64]),
}

impl Row<'_> {
    /// Codes at `at` and behind it.
    pub fn write(&mut self, at: usize, codes: &[u64]) {
        let end = at + codes.len();
        match self {
            Self::U8(v) => v[at..end].iter_mut().zip(codes).for_each(|(to, &code)| *to = code as u8),
            Self::U16(v) => v[at..end].iter_mut().zip(codes).for_each(|(to, &code)| *to = code as u16),
            Self::U32(v) => v[at..end].iter_mut().zip(codes).for_each(|(to, &code)| *to = code as u32),
            Self::U64(v) => v[at..end].copy_from_slice(codes),
        }
    }

    /// The parts of every row of an output of `n` columns, cut at multiples of `width`:
    /// for each block of `height` rows and `width` columns, row-major, its rows.
    pub fn blocks(d: &mut Codes, n: usize, height: usize, width: usize) -> Vec<Vec<Row<'_>>> {
        fn cut<'a, T>(d: &'a mut [T], n: usize, height: usize, width: usize, row: impl Fn(&'a mut [T]) -> Row<'a>) -> Vec<Vec<Row<'a>>> {
            let mut blocks = Vec::new();
            for band in d.chunks_mut(height * n) {
                let first = blocks.len();
                blocks.resize_with(first + n.div_ceil(width), Vec::new);
                for line in band.chunks_mut(n) {
                    blocks[first..].iter_mut().zip(line.chunks_mut(width)).for_each(|(block, part)| block.push(row(part)));
                }
            }
            blocks
        }
        match d {
            Codes::U8(v) => cut(v, n, height, width, Row::U8),
            Codes::U16(v) => cut(v, n, height, width, Row::U16),
            Codes::U32(v) => cut(v, n, height, width, Row::U32),
            Codes::U64(v) => cut(v, n, height, width, Row::U64),
        }
    }
}

/// Where a row of a tile stands in the problem.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub row: usize,
    pub column: usize,
    /// Position blocks of the row, one per four columns; empty without stochastic rounding.
    pub positions: &'a [Block],
}

impl<'a> Drain<'a> {
    pub fn new(mac: &'a Mac, output: Output, site: Site, places: &'a Places) -> Self {
        let from = mac.mode().outermost();
        let exit = if !output.converts(from) {
            Exit::Unconverted
        } else {
            match Rounder::new(output.format, output.policy) {
                Ok(rounder) if rounder.floating && rounder.holds_nan => {
                    Exit::Rounded { packer: Packer::new(output.format, mac.policy()), rounder: Box::new(rounder) }
                }
                _ => Exit::OneByOne,
            }
        };
        Self { mac, output, site, places, addition: site.addition(Stage::Output, 0), outermost: Packer::new(from, mac.policy()), exit }
    }

    /// True if sums are rounded in lanes, so that none needs a code of the accumulator.
    pub const fn rounds_lanes(&self) -> bool {
        matches!(self.exit, Exit::Rounded { .. })
    }

    /// True if the drain takes random bits.
    pub fn draws(&self) -> bool {
        matches!(self.exit, Exit::Rounded { .. }) && self.output.policy.rounding.random_bits() > 0
    }

    /// Writes the codes of the first `width` of a row of sums to `to`, from `at` on.
    #[allow(clippy::too_many_arguments, reason = "a row, where it stands and where it goes")]
    pub fn row<L: Lanes<Number = f64>>(
        &self,
        s: L,
        sums: &[f64],
        width: usize,
        place: Place<'_>,
        to: &mut Row<'_>,
        at: usize,
        activity: &mut Activity,
    ) {
        activity.accumulator_nans += sums[..width].iter().filter(|x| x.is_nan()).count() as u64;
        let mut codes = [0; 64];
        let codes = &mut codes[..sums.len()];
        let counts = s.enter(Convert { drain: self, sums, positions: place.positions, codes });
        activity.conversion_overflows += counts.overflows;
        activity.conversion_underflows += counts.underflows;
        if matches!(self.exit, Exit::OneByOne) {
            for (i, code) in codes[..width].iter_mut().enumerate() {
                let (row, column) = (self.places.row(place.row as u32), self.places.column((place.column + i) as u32));
                let element = Element { site: self.site, row, column };
                // `finish` counts the NaN again.
                let mut finished = Activity::default();
                *code = self.mac.finish(&Register::Narrow(*code), &self.output, &element, &mut finished);
                finished.accumulator_nans = 0;
                *activity += finished;
            }
        }
        let codes = &codes[..width];
        to.write(at, codes);
    }
}

struct Convert<'a> {
    drain: &'a Drain<'a>,
    sums: &'a [f64],
    positions: &'a [Block],
    codes: &'a mut [u64],
}

impl<L: Lanes<Number = f64>> Work<L> for Convert<'_> {
    type Out = Counts;

    #[inline(always)]
    fn run(self, s: L) -> Counts {
        let lanes = self.sums.chunks_exact(L::LANES).zip(self.codes.chunks_exact_mut(L::LANES));
        match &self.drain.exit {
            Exit::Unconverted | Exit::OneByOne => {
                for (sums, codes) in lanes {
                    self.drain.outermost.pack(s, s.load(sums), codes);
                }
                Counts::default()
            }
            Exit::Rounded { rounder, packer } => {
                let constants = rounder.constants(s);
                let bits = rounder.rounding.random_bits();
                let mut tally = Tally::new(s);
                for (i, (sums, codes)) in lanes.enumerate() {
                    let draw = match bits {
                        0 => constants.zero,
                        _ => s.draw(&self.positions[i * L::LANES / 4..], &self.drain.addition, bits),
                    };
                    let sums = s.load(sums);
                    let rounded = if rounder.is_nearest_even() {
                        rounder.checked_sum::<L, true>(s, &constants, sums, draw, &mut tally)
                    } else {
                        rounder.checked_sum::<L, false>(s, &constants, sums, draw, &mut tally)
                    };
                    packer.pack(s, rounded, codes);
                }
                tally.counts(s)
            }
        }
    }
}
