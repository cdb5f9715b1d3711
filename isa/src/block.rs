//! Block-scaled layouts: small elements that share a scale.
//!
//! A tensor is cut into blocks of `rows` x `cols` elements (one-dimensional blocks have one
//! side 1), each with one scale; an element means code value times scale. Tensors with a
//! second level have one scale for all blocks besides, which divides: code value times scale
//! over tensor scale. Elements and scales are each rounded once from the exact quotient.

use crate::exact::Exact;
use crate::format::{Decoded, Format};
use crate::round::{Overflow, Policy, encode, encode_decoded};

/// How a block's scale follows from its largest magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaleRule {
    /// 2^(floor(log2 amax) - emax), emax the exponent of the element's largest number: the
    /// largest element lands in the top binade and may saturate there (OCP MX v1.0,
    /// section 6.3; block minifloat).
    FloorPower,
    /// The smallest power of two under which nothing saturates: amax over the element's
    /// largest number, rounded up (MXFP8 training, Mishra et al. 2025).
    CeilPower,
    /// amax over the element's largest number, rounded nearest-even to the scale's format.
    Ratio,
}

/// A block-scaled layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockLayout {
    /// Format of the elements; they are rounded nearest-even and saturate.
    pub element: Format,
    /// Format of the scales.
    pub scale: Format,
    /// How scales are found.
    pub rule: ScaleRule,
    /// Rows of a block.
    pub rows: usize,
    /// Columns of a block; a reduction runs along them.
    pub cols: usize,
    /// Format of a tensor scale that spreads the block scales over their own range: the
    /// element's largest number times the scale's, over the tensor's amax.
    pub tensor: Option<Format>,
}

/// A layout known by name.
#[derive(Clone, Copy, Debug)]
pub struct NamedLayout {
    /// Its name.
    pub name: &'static str,
    /// Its element's name.
    element: &'static str,
    /// Its scale's name.
    scale: &'static str,
    rule: ScaleRule,
    sides: (usize, usize),
    tensor: Option<&'static str>,
    /// Where it is defined.
    pub source: &'static str,
}

const fn mx(name: &'static str, element: &'static str) -> NamedLayout {
    NamedLayout { name, element, scale: "e8m0", rule: ScaleRule::FloorPower, sides: (1, 32), tensor: None, source: "OCP MX v1.0" }
}

const fn minifloat(name: &'static str, element: &'static str) -> NamedLayout {
    NamedLayout { name, element, scale: "e8m0", rule: ScaleRule::FloorPower, sides: (48, 48), tensor: None, source: "Fox et al. 2021" }
}

const fn tile(name: &'static str, sides: (usize, usize)) -> NamedLayout {
    NamedLayout { name, element: "e4m3fn", scale: "fp32", rule: ScaleRule::Ratio, sides, tensor: None, source: "DeepSeek-V3 2024" }
}

/// Layouts with names.
pub const LAYOUTS: &[NamedLayout] = &[
    mx("mxfp8_e4m3", "e4m3fn"),
    mx("mxfp8_e5m2", "e5m2"),
    mx("mxfp6_e3m2", "e3m2f"),
    mx("mxfp6_e2m3", "e2m3f"),
    mx("mxfp4_e2m1", "e2m1f"),
    mx("mxint8", "fx8.6"),
    NamedLayout { name: "mxfp8_e4m3_ceil", rule: ScaleRule::CeilPower, source: "Mishra et al. 2025", ..mx("", "e4m3fn") },
    NamedLayout {
        name: "nvfp4",
        element: "e2m1f",
        scale: "e4m3fn",
        rule: ScaleRule::Ratio,
        sides: (1, 16),
        tensor: Some("fp32"),
        source: "NVIDIA Transformer Engine",
    },
    NamedLayout {
        name: "nvfp4_16x16",
        sides: (16, 16),
        element: "e2m1f",
        scale: "e4m3fn",
        rule: ScaleRule::Ratio,
        tensor: Some("fp32"),
        source: "NVIDIA Transformer Engine, weights",
    },
    minifloat("bm8_e2m5", "e2m5b2f"),
    minifloat("bm8_e4m3", "e4m3b8f"),
    minifloat("bm6_e2m3", "e2m3b2f"),
    minifloat("bm6_e3m2", "e3m2b4f"),
    tile("fp8_1x128", (1, 128)),
    tile("fp8_128x128", (128, 128)),
];

impl NamedLayout {
    /// The layout.
    pub fn layout(&self) -> BlockLayout {
        let format = |name: &str| name.parse().unwrap_or_else(|e| unreachable!("built-in layout: {e}"));
        BlockLayout {
            element: format(self.element),
            scale: format(self.scale),
            rule: self.rule,
            rows: self.sides.0,
            cols: self.sides.1,
            tensor: self.tensor.map(format),
        }
    }
}

/// The layout of that name.
pub fn find(name: &str) -> Option<BlockLayout> {
    LAYOUTS.iter().find(|l| l.name == name).map(NamedLayout::layout)
}

/// A tensor in a block-scaled layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// How it is laid out.
    pub layout: BlockLayout,
    /// Extents of the tensor.
    pub shape: (usize, usize),
    /// Codes of the elements, row-major.
    pub elements: Vec<u64>,
    /// Codes of the scales, one per block, row-major.
    pub scales: Vec<u64>,
    /// Code of the tensor scale, where there is one.
    pub tensor: Option<u64>,
}

const NEAREST: Policy = Policy::RNE.overflow(Overflow::Saturate);

impl BlockLayout {
    /// Blocks along the rows and the columns of a tensor.
    pub const fn blocks(&self, (rows, cols): (usize, usize)) -> (usize, usize) {
        (rows.div_ceil(self.rows), cols.div_ceil(self.cols))
    }

    /// The largest number of the element's format.
    fn largest(format: Format) -> Exact {
        match format.decode(format.max_finite(false)) {
            Decoded::Finite(x) => x,
            _ => unreachable!("a largest finite number"),
        }
    }

    /// The code of the scale of a block whose largest magnitude is `amax`; `factor` is the
    /// tensor scale. A block of zeros gets the smallest scale there is (0 where that exists).
    fn scale_code(&self, amax: Exact, factor: Exact) -> u64 {
        let largest = Self::largest(self.element);
        if amax.is_zero() {
            return self.scale.zero(false);
        }
        let exact = match self.rule {
            ScaleRule::FloorPower => power(amax.magnitude_exponent() - largest.magnitude_exponent()),
            ScaleRule::CeilPower => {
                let exponent = amax.magnitude_exponent() - largest.magnitude_exponent();
                let fits = !compare_greater(amax, largest.scale(exponent));
                power(if fits { exponent } else { exponent + 1 })
            }
            ScaleRule::Ratio => amax.multiply(factor).divide(largest),
        };
        encode(self.scale, exact, NEAREST, 0).0
    }

    /// Lays a row-major tensor out. NaNs and infinities make their block's scale NaN, where the
    /// scale's format has one, and its elements zeros; else they are rounded as elements.
    ///
    /// # Panics
    /// If `values` does not have the shape's extents.
    pub fn encode(&self, values: &[f64], shape: (usize, usize)) -> Blocks {
        let (rows, cols) = shape;
        assert_eq!(values.len(), rows * cols, "a value per element");
        let exact = |x: f64| Exact::from_f64(x).map(|x| Exact { negative: false, ..x });
        let larger = |x: Exact, y: Exact| if compare_greater(y, x) { y } else { x };
        let tensor = self.tensor.map(|format| {
            let amax = values.iter().filter_map(|x| exact(*x)).fold(Exact::zero(false), larger);
            let span = Self::largest(self.element).multiply(Self::largest(self.scale));
            let scale = if amax.is_zero() { Exact::from_i128(1) } else { span.divide(amax) };
            encode(format, scale, NEAREST, 0).0
        });
        let factor = match (self.tensor, tensor) {
            (Some(format), Some(code)) => finite(format.decode(code)),
            _ => Exact::from_i128(1),
        };
        let (block_rows, block_cols) = self.blocks(shape);
        let mut blocks = Blocks { layout: *self, shape, elements: vec![0; rows * cols], scales: Vec::new(), tensor };
        for (block_row, block_col) in (0..block_rows).flat_map(|r| (0..block_cols).map(move |c| (r, c))) {
            let indices = || {
                let row_range = block_row * self.rows..rows.min((block_row + 1) * self.rows);
                let col_range = block_col * self.cols..cols.min((block_col + 1) * self.cols);
                row_range.flat_map(move |r| col_range.clone().map(move |c| r * cols + c))
            };
            let special = indices().any(|i| !values[i].is_finite());
            if let (true, Some(nan)) = (special, self.scale.canonical_nan()) {
                blocks.scales.push(nan);
                indices().for_each(|i| blocks.elements[i] = self.element.zero(false));
                continue;
            }
            let amax = indices().filter_map(|i| exact(values[i])).fold(Exact::zero(false), larger);
            let code = self.scale_code(amax, factor);
            let scale = finite(self.scale.decode(code));
            blocks.scales.push(code);
            for i in indices() {
                blocks.elements[i] = match Exact::from_f64(values[i]) {
                    Some(x) if scale.is_zero() => self.element.zero(x.negative),
                    Some(x) => encode(self.element, scaled_down(x, factor, scale), NEAREST, 0).0,
                    None => encode_decoded(self.element, Decoded::from_f64(values[i]), NEAREST, 0).0,
                };
            }
        }
        blocks
    }
}

/// x factor / scale, to more bits than any rounding to an element can tell.
fn scaled_down(x: Exact, factor: Exact, scale: Exact) -> Exact {
    let product = if factor == Exact::from_i128(1) { x } else { x.multiply(factor) };
    if product.is_zero() {
        product
    } else if scale.significand.is_power_of_two() {
        product.scale(-(scale.exponent + scale.significand.trailing_zeros() as i32))
    } else {
        product.divide(scale)
    }
}

const fn power(exponent: i32) -> Exact {
    Exact { negative: false, significand: 1, exponent }
}

fn finite(value: Decoded) -> Exact {
    match value {
        Decoded::Finite(x) => x,
        _ => unreachable!("saturated to a finite number"),
    }
}

fn compare_greater(x: Exact, y: Exact) -> bool {
    let difference = x.add(y.negate(), false);
    !difference.is_zero() && !difference.negative
}

impl Blocks {
    /// Index of the scale of an element.
    pub const fn scale_index(&self, row: usize, col: usize) -> usize {
        let (_, across) = self.layout.blocks(self.shape);
        row / self.layout.rows * across + col / self.layout.cols
    }

    /// The value of an element as binary64, for reports and host-side comparison: exact but
    /// for a tensor scale that does not divide, where it is the nearest.
    pub fn value(&self, row: usize, col: usize) -> f64 {
        let element = self.layout.element.decode(self.elements[row * self.shape.1 + col]);
        let scale = self.layout.scale.decode(self.scales[self.scale_index(row, col)]);
        match (element, scale) {
            (Decoded::Finite(x), Decoded::Finite(s)) => {
                let product = x.multiply(s);
                match self.layout.tensor.zip(self.tensor) {
                    Some((format, code)) if !product.is_zero() => product.divide(finite(format.decode(code))).to_f64(),
                    _ => product.to_f64(),
                }
            }
            _ => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(name: &str) -> BlockLayout {
        find(name).unwrap_or_else(|| panic!("{name}"))
    }

    #[test]
    fn names_are_sound() {
        for named in LAYOUTS {
            let layout = named.layout();
            assert!(!layout.element.is_wide() && layout.rows * layout.cols > 1, "{}", named.name);
        }
    }

    /// Worked by hand: amax, values in, scale and values out.
    #[test]
    fn scales_by_rule() {
        for (name, values, scale, out) in [
            // floor(log2 500) - 8 = 0: 500 saturates at 448.
            ("mxfp8_e4m3", vec![500.0, 1.0, -0.1], 127, vec![448.0, 1.0, -0.1015625]),
            ("mxfp8_e4m3_ceil", vec![500.0, 1.0, -0.1], 128, vec![512.0, 1.0, -0.1015625]),
            ("mxfp8_e4m3_ceil", vec![448.0, 1.0], 127, vec![448.0, 1.0]),
            // 2^(2 - 2): 7 rounds to 8 and saturates at 6; 5 is a tie between 4 and 6.
            ("mxfp4_e2m1", vec![7.0, 5.0, 0.25, 0.3], 127, vec![6.0, 4.0, 0.0, 0.5]),
            ("mxint8", vec![1.0, 0.5, -1.99], 127, vec![1.0, 0.5, -1.984375]),
            // A block of zeros has the smallest scale.
            ("mxfp8_e5m2", vec![0.0, -0.0], 0, vec![0.0, -0.0]),
            ("bm8_e2m5", vec![3.0, 0.1], 127, vec![3.0, 0.09375]),
        ] {
            let blocks = layout(name).encode(&values, (1, values.len()));
            assert_eq!(blocks.scales, [scale], "{name} {values:?}");
            let decoded: Vec<f64> = (0..values.len()).map(|i| blocks.value(0, i)).collect();
            assert_eq!(decoded, out, "{name} {values:?}");
        }
    }

    #[test]
    fn blocks_are_cut_along_both_sides() {
        let layout = BlockLayout { rows: 2, cols: 3, ..layout("mxfp8_e4m3") };
        let values: Vec<f64> = (0..5 * 7).map(|i| 2f64.powi(i % 11)).collect();
        let blocks = layout.encode(&values, (5, 7));
        assert_eq!(blocks.scales.len(), 3 * 3);
        for (i, x) in values.iter().enumerate() {
            assert_eq!(blocks.value(i / 7, i % 7), *x);
        }
        assert_eq!(blocks.scale_index(4, 6), 8);
    }

    #[test]
    fn two_levels_use_the_scales_range() {
        let values = [6.0, 1.0, -3.0, 0.5];
        let blocks = layout("nvfp4").encode(&values, (1, 4));
        // The tensor's amax is the block's: tensor scale 448, block scale 448.
        assert_eq!((blocks.tensor, blocks.scales[0]), (Some(0x43e0_0000), 0x7e));
        assert_eq!((0..4).map(|i| blocks.value(0, i)).collect::<Vec<_>>(), values);
    }

    #[test]
    fn a_special_value_spoils_its_block_only() {
        let mut values = vec![1.0; 64];
        values[40] = f64::NAN;
        let blocks = layout("mxfp8_e4m3").encode(&values, (1, 64));
        assert_eq!(blocks.scales, [127 - 8, 0xff]);
        assert!(blocks.value(0, 0) == 1.0 && blocks.value(0, 33).is_nan());
    }

    /// Every element lies within half a quantum of its format at its scale, or saturates.
    #[test]
    fn elements_are_nearest() {
        let mut seed = 3u64;
        let mut draw = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 11) as f64 / 2f64.powi(53) - 0.5
        };
        for named in LAYOUTS {
            let layout = named.layout();
            let values: Vec<f64> = (0..130 * 150).map(|i| f64::from((draw() * 2f64.powi(i % 9)) as f32)).collect();
            let blocks = layout.encode(&values, (130, 150));
            let tensor = blocks.tensor.map_or(1.0, |code| Format::FP32.to_f64(code));
            for (i, x) in values.iter().enumerate() {
                let (row, col) = (i / 150, i % 150);
                let scale = layout.scale.to_f64(blocks.scales[blocks.scale_index(row, col)]) / tensor;
                let code = blocks.elements[i];
                let error = (blocks.value(row, col) - x).abs();
                let limit = layout.element.to_f64(layout.element.max_finite(x.is_sign_negative())).abs() * scale;
                let quantum = match layout.element.decode(code) {
                    Decoded::Finite(e) => 2f64.powi(e.exponent) * scale,
                    _ => unreachable!("elements are finite"),
                };
                assert!(error <= quantum * 0.5000001 || x.abs() >= limit * 0.999, "{} {x} -> {}", named.name, blocks.value(row, col));
            }
        }
    }
}
