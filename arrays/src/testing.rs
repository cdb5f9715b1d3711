//! Test support: random matrix problems that favour extremes.
//!
//! Designs lean on what engines get wrong: one-row arrays, ragged edges, reductions shorter
//! than the array, special codes, cancellation. A problem is small and shrinks; its operands
//! follow from a seed and a [`Pattern`], so a failure prints as a few lines.

use crate::dataflow;
use crate::datapath::{Mac, Output, scaled_dot};
use crate::mask::Mask;
use crate::ordinal::Draws;
use crate::problem::{Operands, Scales, Setup, Shape, Values, scale_extents};
use proptest::prelude::*;
use proptest::sample::select;
use systole_isa::codes::Codes;
use systole_isa::design::{
    Addend, Aligned, ArraySpec, Convention, Dataflow, Drain, EntropySource, LfsrShare, MacMode, PartialSums, Preload, Product, Scaling,
    Truncation, Unit,
};
use systole_isa::device::Activity;
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{NanCode, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess, encode_f64};

/// Operand formats: FP8 and its neighbours first, then whatever else an operand may be.
pub const OPERANDS: &[&str] = &[
    "e4m3fn",
    "e5m2",
    "e4m3",
    "e3m4",
    "e4m3fnuz",
    "e5m2fnuz",
    "e4m3b11fnuz",
    "e2m1f",
    "e2m3f",
    "e3m2f",
    "e2m5b2f",
    "p3109_k8p4se",
    "p3109_k8p3sf",
    "int8",
    "int4",
    "e6m9",
    "dlfloat16",
    "fp16",
    "bf16",
    "fp32",
    "fx12.5",
];

/// Accumulator, product and output formats, from 8 bits to 64.
pub const ACCUMULATORS: &[&str] = &[
    "e6m9",
    "e6m9f",
    "fp16",
    "bf16",
    "dlfloat16",
    "e8m13",
    "e6m5",
    "e5m6",
    "fp32",
    "tf32",
    "fp64",
    "e4m3fn",
    "e5m2",
    "e4m3fnuz",
    "int16",
    "int32",
    "fx46.18",
    "fx24.6",
    "p3109_k8p4se",
];

/// Accumulators that only the definition has: posits, quires, wide fixed point.
pub const WIDE: &[&str] =
    &["posit16_1", "posit8_0", "posit32_2", "quire8_0", "quire16_1", "quire32_2", "fx80.20", "fx64.70", "fx200.100", "fx1200.560"];

/// How operand codes are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Every code alike.
    Uniform,
    /// Finite values within a few binades of 1.
    Moderate,
    /// Zeros of both signs, smallest and largest values, infinities, NaNs, all-ones.
    Specials,
    /// A few magnitudes of both signs, so that sums cancel and tie.
    Cancelling,
    /// Half of the codes zero.
    Sparse,
}

impl Pattern {
    /// The code a 64-bit draw stands for.
    pub fn code(self, format: Format, draw: u64) -> u64 {
        let pick = (draw >> 40) as usize;
        let negative = draw >> 39 & 1 == 1;
        match self {
            Self::Uniform => draw & format.mask(),
            Self::Moderate => {
                let magnitude = (1.0 + (draw & 0xff) as f64 / 256.0) * 2f64.powi((pick % 7) as i32 - 3);
                encode_f64(format, if negative { -magnitude } else { magnitude })
            }
            Self::Specials => {
                let all = [
                    format.zero(negative),
                    format.max_finite(negative),
                    format.infinity(negative).unwrap_or(0),
                    format.canonical_nan().unwrap_or(1),
                    1,
                    2,
                    format.mask(),
                    format.mask() >> 1,
                    encode_f64(format, 1.0),
                    draw & format.mask(),
                ];
                all[pick % all.len()]
            }
            Self::Cancelling => {
                let magnitude = [1.0, 1.0, 1.5, 0.125, 3.0][pick % 5];
                encode_f64(format, if negative { -magnitude } else { magnitude })
            }
            Self::Sparse => {
                if pick & 1 == 0 {
                    format.zero(negative)
                } else {
                    draw & format.mask()
                }
            }
        }
    }
}

/// `len` codes of a format, fixed by the seed.
pub fn codes(format: Format, len: usize, pattern: Pattern, seed: u64) -> Codes {
    Codes::from_fn(format, len, |i| {
        // SplitMix64: any well-mixed function of (seed, i) would do.
        let mut z = seed.wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        pattern.code(format, z ^ z >> 31)
    })
}

/// A matrix product with its operands.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Array, mode, output.
    pub setup: Setup,
    /// Extents.
    pub shape: Shape,
    /// M x K codes.
    pub a: Codes,
    /// K x N codes.
    pub b: Codes,
    /// M x N codes of the outermost accumulator, if there is a C.
    pub c: Option<Codes>,
    /// Block scales of A and B, where there are any.
    pub scales: [Option<Codes>; 2],
    /// Which outputs are wanted; all without a mask.
    pub mask: Option<Mask>,
}

impl Problem {
    /// The operands as engines take them.
    pub const fn operands(&self) -> Operands<'_> {
        let scales = Scales { a: self.scales[0].as_ref(), b: self.scales[1].as_ref() };
        Operands { a: &self.a, b: &self.b, c: self.c.as_ref(), scales, mask: self.mask.as_ref() }
    }

    /// What [`dot`] gives for every element that is wanted.
    pub fn by_definition(&self) -> Values {
        let Shape { m, n, k } = self.shape;
        let mac = Mac::by_definition(&self.setup.mode, self.setup.bias_a, self.setup.bias_b);
        let fold = dataflow::separate_fold_length(&self.setup.array, &self.setup.mode);
        let index = |row: u32, cols: u32, col: u32| row as usize * cols as usize + col as usize;
        let mut activity = Activity::default();
        let mut d = Codes::zeros(self.setup.output.format, m as usize * n as usize);
        let draws = Draws::new(&self.setup, self.shape);
        for row in 0..m {
            for column in (0..n).filter(|&column| self.operands().selects(row, column)) {
                let code = draws.with(row, column, |entropy| {
                    scaled_dot(
                        &mac,
                        k,
                        |i| (self.a.get(index(row, k, i)), self.b.get(index(i, n, column))),
                        |i| self.operands().factor(&mac, self.shape, row, column, i),
                        self.c.as_ref().map(|c| c.get(index(row, n, column))),
                        fold,
                        &self.setup.output,
                        entropy,
                        &mut activity,
                    )
                });
                d.set(index(row, n, column), code);
            }
        }
        Values { d, activity }
    }
}

fn format(names: &'static [&'static str]) -> impl Strategy<Value = Format> {
    select(names).prop_map(|name| name.parse().unwrap_or_else(|e| panic!("{e}")))
}

/// Operand formats, half of the time FP8.
pub fn operand_format() -> impl Strategy<Value = Format> {
    prop_oneof![format(&OPERANDS[..2]), format(OPERANDS)]
}

/// Accumulator formats, a third of the time the usual ones.
pub fn accumulator_format() -> impl Strategy<Value = Format> {
    prop_oneof![1 => format(&ACCUMULATORS[..4]), 2 => format(ACCUMULATORS)]
}

/// Rounding modes; stochastic ones with few, usual and all bits.
pub fn rounding() -> impl Strategy<Value = Rounding> {
    prop_oneof![
        2 => Just(Rounding::Rne),
        3 => select(&Rounding::DETERMINISTIC[..]),
        2 => select(&[1, 4, 8, 13, 32][..]).prop_map(Rounding::Sr),
    ]
}

fn overflow() -> impl Strategy<Value = Overflow> {
    select(&[Overflow::Ieee, Overflow::Ieee, Overflow::Saturate, Overflow::Propagate, Overflow::Infinity][..])
}

fn no_infinity() -> impl Strategy<Value = NoInfinity> {
    select(&[NoInfinity::Nan, NoInfinity::Max][..])
}

/// True if a mode may have both roundings.
fn bits_agree(inner: Rounding, outer: Rounding) -> bool {
    let (inner, outer) = (inner.random_bits(), outer.random_bits());
    inner == outer || inner.min(outer) == 0
}

/// MAC modes of one lane over every choice a mode has.
pub fn mode() -> impl Strategy<Value = MacMode> {
    let subnormals = select(
        &[SubnormalPolicy::Gradual, SubnormalPolicy::Gradual, SubnormalPolicy::Daz, SubnormalPolicy::Ftz, SubnormalPolicy::DazFtz][..],
    );
    let product = prop_oneof![2 => Just(Product::Exact), 1 => accumulator_format().prop_map(Product::Rounded)];
    let chunk = prop_oneof![2 => Just(None), 2 => (1..9u32).prop_map(Some), 1 => Just(Some(64))];
    (
        (operand_format(), operand_format(), product, accumulator_format()),
        (rounding(), overflow(), no_infinity(), subnormals, select(&[Tininess::After, Tininess::Before][..])),
        (chunk, proptest::option::of(accumulator_format()), proptest::option::weighted(0.3, rounding())),
    )
        .prop_map(|((a, b, product, accumulator), (rounding, overflow, no_infinity, subnormals, tininess), (chunk, outer, other))| {
            MacMode {
                product,
                rounding,
                outer_rounding: other.filter(|other| bits_agree(rounding, *other)),
                overflow,
                no_infinity,
                subnormals,
                tininess,
                chunk,
                outer,
                ..MacMode::fused(a, b, accumulator)
            }
        })
}

/// MAC modes the fast kernels leave to the definition: n-term units, block scales, posits,
/// wide accumulators, several lanes.
pub fn unit_mode() -> impl Strategy<Value = MacMode> {
    let truncation = || select(&[Truncation::TowardZero, Truncation::Floor][..]);
    let addend = prop_oneof![
        3 => Just(Addend::Together),
        1 => Just(Addend::Apart),
        2 => (1..40u32, 1..40u32, proptest::option::of(1..40u32))
            .prop_map(|(sum_bits, addend_bits, reach)| Addend::Aligned { sum_bits, addend_bits, reach }),
    ];
    let zero_exponent = select(&[None, Some(-126), Some(-5)][..]);
    let aligned = (1..40u32, truncation(), addend, 1..4u32, truncation(), zero_exponent, proptest::option::of(-2..12i32)).prop_map(
        |(fraction_bits, term_truncation, addend, groups, sum_truncation, zero_exponent, infinite_from)| {
            let groups = if addend == Addend::Together { 1 } else { groups };
            Unit::Aligned(Aligned {
                fraction_bits,
                term_truncation,
                addend,
                groups,
                sum_truncation,
                zero_exponent,
                infinite_from,
                negative_zero: fraction_bits % 3 == 0,
            })
        },
    );
    let unit = prop_oneof![
        2 => Just(Unit::Chain),
        1 => Just(Unit::Descending),
        1 => (2..5u32).prop_map(|ways| Unit::Interleaved { ways }),
        1 => Just(Unit::Exact),
        1 => Just(Unit::ExactApart),
        4 => aligned,
    ];
    let scale = (select(&[Scaling::None, Scaling::None, Scaling::Exponent, Scaling::Chunk, Scaling::ChunkRounded][..]), 1..4u32, 1..4u32);
    let scale_format = format(&["fp32", "e4m3fn", "bf16", "e8m0"]);
    let exact_formats = (format(&["posit8_0", "posit8_2", "posit16_1", "posit6_3", "e4m3fn", "bf16"]), format(WIDE));
    (mode(), unit, 1..6u32, scale, scale_format, proptest::option::weighted(0.3, exact_formats), any::<bool>(), 0..5u32).prop_map(
        |(mode, unit, lanes, (scale, scale_rows, scale_cols), scale_format, exact, all_ones, sharing)| {
            let mut mode = MacMode { unit, lanes, scale, scale_rows, scale_cols, scale_format, ..mode };
            if let Some((operand, wide)) = exact {
                (mode.a, mode.accumulator) = (operand, wide);
            }
            if let Unit::Interleaved { ways } = unit {
                mode.lanes = lanes.max(ways);
            }
            if let Unit::Aligned(aligned) = unit {
                mode.lanes = lanes.max(aligned.groups);
                mode.product = Product::Exact;
                let floating = |f: Format| f.as_float().map_or(Format::FP16, |_| f);
                (mode.a, mode.b, mode.accumulator) = (floating(mode.a), floating(mode.b), floating(mode.accumulator));
            }
            if sharing > 0 {
                let shared = [LfsrShare::Pe, LfsrShare::Row, LfsrShare::Column, LfsrShare::Array][sharing as usize - 1];
                mode.entropy = EntropySource::Lfsr { width: 33, taps: 0x1_0008_0000, shared };
                mode.outer_rounding = mode.outer_rounding.filter(|outer| outer.random_bits() == mode.rounding.random_bits());
            }
            if all_ones {
                mode.nan = NanCode::AllOnes;
            }
            if mode.scale != Scaling::None {
                mode.chunk = Some(mode.chunk.unwrap_or(4));
            }
            if mode.scale == Scaling::Exponent {
                mode.scale_format = Format::E8M0;
            }
            if unit != Unit::Chain {
                mode.chunk = mode.chunk.map(|chunk| chunk.div_ceil(mode.lanes) * mode.lanes);
            }
            mode
        },
    )
}

/// Arrays of every dataflow and option, from 1 x 1 to 9 x 9, one to three of them.
pub fn array() -> impl Strategy<Value = ArraySpec> {
    let side = || prop_oneof![1 => Just(1u32), 4 => 1..10u32];
    (
        (side(), side(), 1..4u32),
        select(&[Dataflow::Os, Dataflow::Ws, Dataflow::Is][..]),
        prop_oneof![3 => Just(Convention::Rtl), 1 => Just(Convention::Scalesim)],
        select(&[Drain::Serial, Drain::Overlap][..]),
        select(&[Preload::Serial, Preload::Double][..]),
        select(&[PartialSums::Feedback, PartialSums::Outside][..]),
        prop_oneof![2 => Just((1, None)), 1 => (1..5u32).prop_flat_map(|stages| (Just(stages), proptest::option::of(1..=stages)))],
    )
        .prop_map(|((rows, cols, count), dataflow, convention, drain, preload, partial_sums, stages)| ArraySpec {
            rows,
            cols,
            count,
            clock_mhz: 1000.0,
            dataflow,
            convention,
            drain,
            preload,
            partial_sums,
            // A closed form that knows no stages.
            mac_stages: if convention == Convention::Rtl { stages.0 } else { 1 },
            loop_stages: stages.1.filter(|_| convention == Convention::Rtl),
        })
}

/// Conversions at the drain: none, or to a narrower or wider format.
pub fn output(outermost: Format) -> impl Strategy<Value = Output> {
    let itself = if outermost.is_wide() { Format::FP32 } else { outermost };
    let to = prop_oneof![Just(itself), operand_format(), accumulator_format()];
    (to, rounding(), overflow(), no_infinity()).prop_map(|(format, rounding, overflow, no_infinity)| Output {
        format,
        policy: Policy { no_infinity, ..Policy::new(rounding).overflow(overflow) },
    })
}

/// Extents around multiples of the array's sides, all at least 1.
pub fn shape(array: &ArraySpec) -> impl Strategy<Value = Shape> + use<> {
    let extent = |side: u32| {
        prop_oneof![
            1 => Just(1),
            3 => 1..2 * side + 2,
            2 => (1..4u32, 0..3u32).prop_map(move |(tiles, off)| (tiles * side + off).saturating_sub(1).max(1)),
        ]
    };
    let (rows, cols) = (array.rows, array.cols);
    (extent(rows.max(cols)), extent(cols.max(rows)), extent(rows)).prop_map(|(m, n, k)| Shape { m, n, k })
}

/// Whole problems of any mode, array, shape and data.
pub fn problem() -> impl Strategy<Value = Problem> {
    problem_of(mode())
}

/// Whole problems whose mode comes from `modes`.
pub fn problem_of(modes: impl Strategy<Value = MacMode>) -> impl Strategy<Value = Problem> {
    let pattern = || {
        prop_oneof![
            2 => Just(Pattern::Moderate),
            1 => Just(Pattern::Cancelling),
            1 => select(&[Pattern::Uniform, Pattern::Specials, Pattern::Sparse][..]),
        ]
    };
    let bias = || prop_oneof![4 => Just(0), 2 => -6..7i32, 1 => select(&[-40, 40, -1024, 1024][..])];
    (modes, array())
        .prop_flat_map(move |(mode, array)| {
            let shape = shape(&array);
            let output = output(mode.outermost());
            (Just((mode, array)), shape, output, (pattern(), pattern(), pattern()), (bias(), bias()), any::<bool>(), any::<u64>())
        })
        .prop_map(|((mode, array), shape, output, patterns, (bias_a, bias_b), has_c, seed)| {
            let Shape { m, n, k } = shape;
            let len = |rows: u32, cols: u32| rows as usize * cols as usize;
            let scale_pattern = if seed >> 5 & 7 == 0 { Pattern::Uniform } else { Pattern::Moderate };
            let setup = Setup {
                array,
                mode,
                bias_a,
                bias_b,
                output,
                site: Site { seed, step: seed as u32 % 5, instruction: 3, ..Site::default() },
            };
            let mode = &setup.mode;
            let shape = Shape { m, n, k };
            let extents = scale_extents(mode, shape);
            // One operand, or both, or none for that matter, may have scales.
            let scales = [0, 1].map(|i| {
                let (rows, cols) = extents[i];
                let wanted = mode.scale != Scaling::None && seed >> (8 + 2 * i) & 3 != 0;
                wanted.then(|| codes(mode.scale_format, len(rows, cols), scale_pattern, seed ^ (3 + i as u64) << 32))
            });
            Problem {
                a: codes(mode.a, len(m, k), patterns.0, seed),
                b: codes(mode.b, len(k, n), patterns.1, seed ^ 1 << 32),
                c: has_c.then(|| codes(setup.addend_format(), len(m, n), patterns.2, seed ^ 2 << 32)),
                scales,
                mask: None,
                setup,
                shape,
            }
        })
}

/// Masks of every kind: none and all of the outputs, one, a row, a column, a block, thinly and
/// thickly strewn ones.
pub fn mask(shape: Shape) -> impl Strategy<Value = Mask> + use<> {
    let Shape { m, n, .. } = shape;
    (0..9u8, 0..m, 0..n, any::<u64>(), select(&[1u32, 2, 4, 8][..])).prop_map(move |(kind, row, column, seed, bytes)| {
        let draw = |r: u32, c: u32| {
            let z = (seed ^ u64::from(r) << 32 ^ u64::from(c)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (z ^ z >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 56
        };
        let mut mask = Mask::none(m, n, bytes);
        for (r, c) in (0..m).flat_map(|r| (0..n).map(move |c| (r, c))) {
            let chosen = match kind {
                0 => false,
                1 => true,
                2 => (r, c) == (row, column),
                3 => r == row,
                4 => c == column,
                5 => r >= row && c >= column,
                6 => draw(r, c) < 20,
                7 => draw(r, c) > 20,
                _ => draw(r, 0) < 90 && draw(r, c) < 128,
            };
            if chosen {
                mask.select(r, c);
            }
        }
        mask
    })
}

/// Problems with a mask: as [`problem_of`], without C and shift registers.
pub fn masked_problem_of(modes: impl Strategy<Value = MacMode>) -> impl Strategy<Value = Problem> {
    problem_of(modes).prop_flat_map(|problem| {
        mask(problem.shape).prop_map(move |mask| {
            let mut problem = Problem { mask: Some(mask), c: None, ..problem.clone() };
            problem.setup.mode.entropy = EntropySource::Counter;
            problem
        })
    })
}
