//! The parametric circuit model: energy and area of arithmetic from widths alone.
//!
//! Every law is a physical form (partial products for multipliers, barrel shifters and
//! carry chains for adders) with two coefficients, solved from the technology table when the
//! model is made, so the table's own operations come out exactly. p is the number of
//! significand bits with the hidden one, e the number of exponent bits.

use super::basis::{Basis, Place};
use super::table::Table;
use std::ops::{Add, Mul, Sub};
use std::sync::Arc;
use systole_isa::design::Calibration;
use systole_isa::design::technology::FloatAnchor;
use systole_isa::round::Rounding;

/// PEs that share one random source of stochastic rounding.
pub const PES_PER_LFSR: f64 = 1.0;
/// Share of register bits that change in one write of random data.
pub const TOGGLE_RATE: f64 = 0.5;

/// Energy of one operation and area of the unit that does it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Energy of one operation, pJ.
    pub pj: f64,
    /// Area of the unit, um2.
    pub um2: f64,
    /// What both rest on.
    pub basis: Basis,
}

impl Cost {
    /// No circuit.
    pub const ZERO: Self = Self { pj: 0.0, um2: 0.0, basis: Basis::law(Place::None) };

    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { pj: self.pj.max(other.pj), um2: self.um2.max(other.um2), basis: self.basis.with(other.basis) }
    }

    /// The same cost as a law gives it at this place, whatever its terms rest on.
    #[must_use]
    const fn on(self, place: Place) -> Self {
        Self { basis: Basis::law(place), ..self }
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { pj: self.pj + other.pj, um2: self.um2 + other.um2, basis: self.basis.with(other.basis) }
    }
}

impl Sub for Cost {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { pj: self.pj - other.pj, um2: self.um2 - other.um2, basis: self.basis.with(other.basis) }
    }
}

impl Mul<f64> for Cost {
    type Output = Self;
    fn mul(self, factor: f64) -> Self {
        let basis = if factor == 0.0 { Basis::default() } else { self.basis };
        Self { pj: self.pj * factor, um2: self.um2 * factor, basis }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::ZERO, Add::add)
    }
}

/// Which bits of a wide fixed-point accumulator are taken to switch in one addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switching {
    /// The bits a product can move: at most twice its width.
    Active,
    /// All of them: an upper bound.
    Full,
}

/// A law through two points: both coefficients solved, or where one of them would be negative a
/// power of the leading term, which grows and stays positive as circuits do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    /// Coefficients of two terms.
    Terms([f64; 2]),
    /// Factor and exponent of the first term.
    Power([f64; 2]),
}

impl Law {
    /// The law that gives `values` where its terms have these values.
    fn through(terms: [[f64; 2]; 2], values: [f64; 2]) -> Self {
        let coefficients = solve(terms, values);
        if coefficients.iter().all(|&c| c >= 0.0) {
            return Self::Terms(coefficients);
        }
        let exponent = (values[1] / values[0]).ln() / (terms[1][0] / terms[0][0]).ln();
        Self::Power([values[0] / terms[0][0].powf(exponent), exponent])
    }

    /// Its value where the terms are the products of these factors.
    fn at(self, [first, second]: [[f64; 2]; 2]) -> f64 {
        match self {
            Self::Terms([a, b]) => a * first[0] * first[1] + b * second[0] * second[1],
            Self::Power([factor, exponent]) => factor * (first[0] * first[1]).powf(exponent),
        }
    }
}

/// The circuit model of one technology table under one calibration.
#[derive(Clone, Debug)]
pub struct Model {
    /// The table it was solved from.
    pub table: Arc<Table>,
    calibration: Calibration,
    /// Energy and area over p q and (p + q) / 2.
    multiplier: [Law; 2],
    /// pJ over p log2 p and p.
    multiplier_finish_pj: Law,
    /// Factor and exponent of um2 over p.
    multiplier_finish_um2: [f64; 2],
    /// pJ over shifter bit-stages and p.
    float_adder_pj: Law,
    /// um2 over shifter bit-stages and p^2.
    float_adder_um2: Law,
}

/// Solves [[a, b], [c, d]] (x, y) = (right) by Cramer's rule.
fn solve([[a, b], [c, d]]: [[f64; 2]; 2], right: [f64; 2]) -> [f64; 2] {
    let determinant = a * d - b * c;
    [(right[0] * d - b * right[1]) / determinant, (a * right[1] - right[0] * c) / determinant]
}

fn log2_at_least_one(x: f64) -> f64 {
    x.max(1.0).log2()
}

/// Bit-stages of the aligner and the normaliser of a `width`-bit significand adder.
fn shifter_bit_stages(width: f64) -> f64 {
    2.0 * (width + 3.0) * (width + 3.0).log2()
}

/// The first two points of a validated table's list.
fn pair<T>(anchors: &[T]) -> [&T; 2] {
    [&anchors[0], &anchors[1]]
}

impl Model {
    /// Solves the coefficients from a validated table.
    pub fn new(table: &Table, calibration: Calibration) -> Self {
        let none = Law::Terms([0.0; 2]);
        let mut model = Self {
            table: Arc::new(table.clone()),
            calibration,
            multiplier: [none; 2],
            multiplier_finish_pj: none,
            multiplier_finish_um2: [0.0; 2],
            float_adder_pj: none,
            float_adder_um2: none,
        };
        let integers = pair(&table.integer_multipliers);
        let widths = integers.map(|a| [a.width * a.width, a.width]);
        model.multiplier = [Law::through(widths, integers.map(|a| a.energy.value)), Law::through(widths, integers.map(|a| a.area.value))];

        let floats = pair(&table.float_multipliers);
        let (finish_pj, finish_um2) = model.finishes();
        let power = (finish_um2[1] / finish_um2[0]).ln() / (floats[1].precision / floats[0].precision).ln();
        let finish = floats.map(|a| [a.precision * a.precision.log2(), a.precision]);

        let adders = pair(&table.float_adders);
        let (rest_pj, rest_um2) = model.adder_rests();
        let stages = adders.map(|a| [shifter_bit_stages(a.precision), a.precision]);
        let squares = adders.map(|a| [shifter_bit_stages(a.precision), a.precision * a.precision]);

        model.multiplier_finish_pj = Law::through(finish, finish_pj);
        model.multiplier_finish_um2 = [finish_um2[0] / floats[0].precision.powf(power), power];
        model.float_adder_pj = Law::through(stages, rest_pj);
        model.float_adder_um2 = Law::through(squares, rest_um2);
        model
    }

    /// What the table's floating-point multipliers cost beyond exact products: pJ and um2.
    fn finishes(&self) -> ([f64; 2], [f64; 2]) {
        let floats = pair(&self.table.float_multipliers);
        let bare = |a: &FloatAnchor| self.multiply_exact(a.exponent, a.precision);
        (floats.map(|a| a.energy.value - bare(a).pj), floats.map(|a| a.area.value - bare(a).um2))
    }

    /// What its floating-point adders cost beyond two carry chains.
    fn adder_rests(&self) -> ([f64; 2], [f64; 2]) {
        let adders = pair(&self.table.float_adders);
        let chains = |a: &FloatAnchor| self.adder(a.exponent) + self.adder(a.precision + 3.0);
        (adders.map(|a| a.energy.value - chains(a).pj), adders.map(|a| a.area.value - chains(a).um2))
    }

    /// Figures of the table that contradict one another, in words: a floating-point unit holds an
    /// integer one, and what it has besides grows with its width.
    pub fn contradictions(&self) -> Vec<String> {
        let mut list = Vec::new();
        let parts = [
            ("float_multipliers", "the exact product by integer_multipliers and integer_adders", self.finishes()),
            ("float_adders", "the carry chains by integer_adders", self.adder_rests()),
        ];
        for (field, within, (pj, um2)) in parts {
            for (what, [small, large]) in [("energy", pj), ("area", um2)] {
                if !(small > 0.0 && large > small) {
                    list.push(format!(
                        "{field}: {what} less {within} must be positive and grow from the first entry to the second, is {small:.6} and {large:.6}; check these entries"
                    ));
                }
            }
        }
        list
    }

    /// Integer adder of `bits`: linear between the table's widths and beyond the last.
    pub fn adder(&self, bits: f64) -> Cost {
        let points = &self.table.integer_adders;
        let at = |i: usize| (points[i].width, Cost { pj: points[i].energy.value, um2: points[i].area.value, ..Cost::ZERO });
        let last = points.len() - 1;
        let above = (0..last).find(|&i| bits <= points[i].width).unwrap_or(last);
        let (low, high) = if above == 0 { ((0.0, Cost::ZERO), at(0)) } else { (at(above - 1), at(above)) };
        // No bits cost nothing, which is a point of the law as well.
        let widths: Vec<f64> = std::iter::once(0.0).chain(points.iter().map(|a| a.width)).collect();
        (low.1 + (high.1 - low.1) * ((bits - low.0) / (high.0 - low.0))).on(Place::among(bits, &widths))
    }

    /// Multiplier of p by q bits.
    pub fn integer_multiplier(&self, p: f64, q: f64) -> Cost {
        let [pj, um2] = self.multiplier.map(|law| law.at([[p * q, 1.0], [(p + q) / 2.0, 1.0]]));
        let widths = pair(&self.table.integer_multipliers).map(|a| a.width);
        let place = match Place::among((p * q).sqrt(), &widths) {
            Place::Point if p != q => Place::Interpolated,
            place => place,
        };
        Cost { pj, um2, ..Cost::ZERO }.on(place)
    }

    /// The place of a float of e and p bits among a law's anchors.
    fn place(e: f64, p: f64, anchors: &[FloatAnchor]) -> Place {
        let precisions: Vec<f64> = anchors.iter().map(|a| a.precision).collect();
        match Place::among(p, &precisions) {
            Place::Point if anchors.iter().all(|a| (a.exponent, a.precision) != (e, p)) => Place::Interpolated,
            place => place,
        }
    }

    /// Exponent path of a floating-point product: the sum, and the bias taken off.
    pub fn exponent_path(&self, e: f64) -> Cost {
        self.adder(e + 1.0) * 2.0
    }

    /// Floating-point multiplier whose product stays exact: what a MAC needs.
    pub fn multiply_exact(&self, e: f64, p: f64) -> Cost {
        self.integer_multiplier(p, p) + self.exponent_path(e)
    }

    /// Floating-point multiplier as the table has it: rounded and packed.
    pub fn multiply_rounded(&self, e: f64, p: f64) -> Cost {
        let [factor, power] = self.multiplier_finish_um2;
        let finish =
            Cost { pj: self.multiplier_finish_pj.at([[p, log2_at_least_one(p)], [p, 1.0]]), um2: factor * p.powf(power), ..Cost::ZERO };
        (self.multiply_exact(e, p) + finish).on(Self::place(e, p, &self.table.float_multipliers))
    }

    /// Floating-point adder with nearest-even rounding.
    pub fn float_adder(&self, e: f64, p: f64) -> Cost {
        self.float_adder_of_width(e, p, p)
    }

    /// Floating-point adder that rounds to p bits a sum held in `width` >= p bits, as a fused
    /// multiply-add does whose exact product is wider than its accumulator.
    pub fn float_adder_of_width(&self, e: f64, p: f64, width: f64) -> Cost {
        let stages = shifter_bit_stages(width);
        let chains = self.adder(e) + self.adder(width + 3.0);
        let rest = match self.calibration {
            Calibration::Table => Cost {
                pj: self.float_adder_pj.at([[stages, 1.0], [p, 1.0]]),
                um2: self.float_adder_um2.at([[stages, 1.0], [p, p]]),
                ..Cost::ZERO
            },
            Calibration::Structural => {
                let swap_and_complement = self.mux(2.0 * p, 1.0) + self.mux(width + 3.0, 1.0);
                // A leading-zero counter is as large as an adder and switches on cancellation only.
                let counter = self.adder(width + 3.0);
                let counter = Cost { pj: 0.25 * counter.pj, ..counter };
                self.mux(1.0, stages) + swap_and_complement + counter + self.rounder(Rounding::Rne, p)
            }
        };
        let sum = chains + rest;
        match self.calibration {
            // A sum held wider than its result is no operation of the table.
            Calibration::Table => {
                let place = Self::place(e, p, &self.table.float_adders).max(Self::place(e, width, &self.table.float_adders));
                sum.on(if width == p { place } else { place.max(Place::Interpolated) })
            }
            Calibration::Structural => sum,
        }
    }

    /// A floating-point adder without its rounder, and the rounder of `rounding` in its place.
    pub fn float_adder_and_rounder(&self, e: f64, p: f64, width: f64, rounding: Rounding) -> (Cost, Cost) {
        let adder = self.float_adder_of_width(e, p, width) - self.rounder(Rounding::Rne, p);
        (adder, self.rounder(rounding, p))
    }

    /// What rounding to p bits adds to truncation: incrementer and sticky bit, or the
    /// addition of random bits.
    pub fn rounder(&self, rounding: Rounding, p: f64) -> Cost {
        let incrementer = self.adder(p) * 0.5;
        let sticky = self.mux(p, 0.5);
        match rounding {
            Rounding::Rne | Rounding::Rdn | Rounding::Rup => incrementer + sticky,
            Rounding::Rmm => incrementer,
            Rounding::Rod => sticky,
            Rounding::Rtz => Cost::ZERO,
            Rounding::Sr(bits) => {
                let bits = f64::from(bits);
                let taps =
                    Cost { pj: self.mux(bits, 1.0).pj, um2: 4.0 * self.table.mux_area.value / PES_PER_LFSR, basis: Basis::COMPONENTS };
                self.adder(bits) + taps + self.flip_flops(bits) * (1.0 / PES_PER_LFSR)
            }
        }
    }

    /// `stages` rows of 2:1 multiplexers of `bits`.
    pub fn mux(&self, bits: f64, stages: f64) -> Cost {
        Cost { pj: self.table.mux_energy.value, um2: self.table.mux_area.value, basis: Basis::COMPONENTS } * (bits * stages)
    }

    /// A shifter of `bits` by up to `range` places.
    pub fn shifter(&self, bits: f64, range: f64) -> Cost {
        self.mux(bits, log2_at_least_one(range))
    }

    /// Normalising a subnormal operand or denormalising a tiny result of p bits.
    pub fn subnormal_shifter(&self, p: f64) -> Cost {
        self.shifter(p, p)
    }

    /// Registers of `bits`, clocked and written once with random data.
    pub fn flip_flops(&self, bits: f64) -> Cost {
        let pj = self.table.flip_flop_clock.value + TOGGLE_RATE * self.table.flip_flop_toggle.value;
        Cost { pj, um2: self.table.flip_flop_area.value, basis: Basis::COMPONENTS } * bits
    }

    /// Clock energy of `bits` ungated register bits in one cycle, pJ.
    pub fn clock_pj(&self, bits: f64) -> f64 {
        self.table.flip_flop_clock.value * bits
    }

    /// Energy beyond the clock of writing `bits` register bits with random data, pJ.
    pub fn write_pj(&self, bits: f64) -> f64 {
        TOGGLE_RATE * self.table.flip_flop_toggle.value * bits
    }

    /// Adding a product of `product_bits` to a fixed-point accumulator of `width` bits.
    /// `places` positions are possible for the product (1: no shifter, as for integers).
    pub fn fixed_accumulator(&self, width: f64, product_bits: f64, places: f64, switching: Switching) -> Cost {
        let places = places.min(width).max(1.0);
        let moving = match switching {
            Switching::Active => width.min(2.0 * product_bits),
            Switching::Full => width,
        };
        let shifter = Cost { pj: self.shifter(moving, places).pj, ..self.shifter(width, places) };
        shifter + self.adder(width)
    }
}
