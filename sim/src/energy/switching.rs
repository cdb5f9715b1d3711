//! Energy by counted toggles: what operands' changes of bits say beside the table's random data.
//!
//! A part's table value is taken to be that of random data, in which half of the written register
//! bits change and 3/8 of the partial products. Of a multiplier a share is paid whatever its
//! operands do; registers' data and wires follow their bits alone.

use systole_isa::device::Toggles;

/// Share of a multiplier's energy that does not follow its operands.
pub const FIXED_SHARE: f64 = 0.2;
/// Share of partial products that change between products of random data: each is on for a quarter
/// of them.
pub const RANDOM_PARTIAL_PRODUCTS: f64 = 0.375;
/// Share of written bits that change in random data.
const RANDOM_BITS: f64 = 0.5;

/// Toggles over those of random data, by part; 1 where nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratios {
    /// Data of streaming operand registers, and the wires between them.
    pub streaming: f64,
    /// Of the other operand's.
    pub stationary: f64,
    /// Of the skew registers of A and B.
    pub skew: f64,
    /// Bits of A and B written to skew registers.
    pub skew_bits: f64,
    /// Arrays of partial products.
    pub partial_products: f64,
}

impl Ratios {
    /// Those of random data.
    pub const RANDOM: Self = Self { streaming: 1.0, stationary: 1.0, skew: 1.0, skew_bits: 0.0, partial_products: 1.0 };

    /// Those counted.
    pub fn of(toggles: &Toggles) -> Self {
        let ratio = |toggles: u64, of: u64, random: f64| if of == 0 { 1.0 } else { toggles as f64 / (random * of as f64) };
        let products = ratio(toggles.partial_product_toggles, toggles.partial_product_cells, RANDOM_PARTIAL_PRODUCTS);
        Self {
            streaming: ratio(toggles.streaming_register_toggles, toggles.streaming_register_bits, RANDOM_BITS),
            stationary: ratio(toggles.stationary_register_toggles, toggles.stationary_register_bits, RANDOM_BITS),
            skew: ratio(toggles.skew_register_toggles, toggles.skew_register_bits, RANDOM_BITS),
            skew_bits: toggles.skew_register_bits as f64,
            partial_products: FIXED_SHARE + (1.0 - FIXED_SHARE) * products,
        }
    }
}
