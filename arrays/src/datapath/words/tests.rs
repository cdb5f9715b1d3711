use super::super::{Element, Output, dot};
use super::*;
use crate::datapath::Mac;
use crate::testing;
use proptest::prelude::*;
use systole_isa::device::Activity;
use systole_isa::entropy::Site;
use systole_isa::round::{Flags, Rounding};

/// The definition's answer to one MAC, with the exceptions that are counted.
fn defined(mac: &Mac, code: u64, a: u64, b: u64, random: [u64; 2]) -> (u64, bool) {
    let (product, raised) = mac.product(a, b, random[0]);
    let (code, flags) = mac.accumulate(code, product, random[1]);
    let flags = raised | flags;
    (code, flags.contains(Flags::OVERFLOW) || flags.contains(Flags::UNDERFLOW))
}

/// One step in words, of every kind that takes it.
fn step(words: &WordMac, code: u64, a: u64, b: u64, random: [u64; 2]) -> Option<u64> {
    let answer = Step::step(words, code, a, b, random);
    if let Some(bytes) = words.bytes() {
        let (near, zero) = bytes.step(code, a, b, random);
        assert_eq!((near.or(answer.0), zero), answer);
    }
    answer.0
}

/// How many of the cases the words answered; every answer is the definition's.
fn agree(mode: &MacMode, cases: impl Iterator<Item = [u64; 3]>) -> [u64; 2] {
    let mac = Mac::new(mode, mode.bias_a, mode.bias_b);
    let Some(words) = mac.words() else { return [0; 2] };
    let mut counts = [0; 2];
    for (i, [code, a, b]) in cases.enumerate() {
        let random = [0x9e37_79b9_7f4a_7c15u64.wrapping_mul(i as u64 + 1), 0xc2b2_ae3d_27d4_eb4fu64.wrapping_mul(i as u64 + 7)];
        let answer = step(words, code, a, b, random);
        let (defined, counted) = defined(&mac, code, a, b, random);
        counts[usize::from(answer.is_some())] += 1;
        if let Some(answer) = answer {
            assert_eq!((answer, false), (defined, counted), "{mode:?}: {code:#x} + {a:#x} x {b:#x}, random {random:x?}");
        }
    }
    counts
}

/// Codes about every border of a format, and some between.
fn corners(format: Format) -> Vec<u64> {
    let (bits, mask) = (format.bits(), format.mask());
    let mut codes: Vec<u64> = (0..bits).flat_map(|i| [1u64 << i, (1 << i) - 1, (1 << i) + 1, mask >> i, (mask >> i) - 1]).collect();
    codes.extend((0..64u64).map(|i| i.wrapping_mul(0x2545_f491_4f6c_dd1d) >> (64 - bits)));
    let signs = codes.clone();
    codes.extend(signs.iter().map(|code| code ^ 1 << (bits - 1)));
    codes.iter_mut().for_each(|code| *code &= mask);
    codes.sort_unstable();
    codes.dedup();
    codes
}

fn mode(a: &str, b: &str, accumulator: &str) -> MacMode {
    let format = |name: &str| name.parse().unwrap();
    MacMode::fused(format(a), format(b), format(accumulator))
}

const ROUNDINGS: [Rounding; 8] =
    [Rounding::Rne, Rounding::Rtz, Rounding::Rdn, Rounding::Rup, Rounding::Rmm, Rounding::Rod, Rounding::Sr(4), Rounding::Sr(13)];

/// All pairs of 8-bit operands onto corner sums, in every rounding mode.
#[test]
fn eight_bit_operands_onto_corner_sums() {
    let mut answered = [0; 2];
    for (i, accumulator) in ["fp32", "fp16", "e6m9", "dlfloat16", "e4m3fnuz", "int32", "fx24.9", "e8m13"].into_iter().enumerate() {
        let mode = MacMode { rounding: ROUNDINGS[i], ..mode("e4m3fn", "e5m2", accumulator) };
        for rounding in [ROUNDINGS[i], ROUNDINGS[(i + 3) % 8]] {
            let mode = MacMode { rounding, ..mode.clone() };
            let sums = corners(mode.accumulator);
            // A step coprime to all lengths, so that every operand meets every kind of sum.
            let cases = (0..1u64 << 16).flat_map(|pair| (0..5).map(move |j| (pair, j)));
            let counts = agree(&mode, cases.map(|(pair, j)| [sums[(pair as usize * 5 + j) * 7 % sums.len()], pair >> 8, pair & 0xff]));
            answered = [answered[0] + counts[0], answered[1] + counts[1]];
        }
    }
    println!("words: {} sums answered, {} left to the definition", answered[1], answered[0]);
    assert!(answered[1] > 2 * answered[0], "the words should answer most: {answered:?}");
}

/// Every code of 16-bit accumulators as the sum, in every rounding mode.
#[test]
fn every_sum_of_sixteen_bits() {
    for (i, accumulator) in ["e6m9", "fp16", "bf16", "dlfloat16", "e6m9f"].into_iter().enumerate() {
        for (j, &rounding) in ROUNDINGS.iter().enumerate() {
            let mode = MacMode { rounding, ..mode("e4m3fn", "e5m2", accumulator) };
            // Steps coprime to 2^16, another for each mode.
            let pairs = (0..1u64 << 16).map(|sum| [sum, sum * (40_503 + 2 * (8 * i + j) as u64) % (1 << 16)]);
            let [_, answered] = agree(&mode, pairs.map(|[sum, pair]| [sum, pair >> 8, pair & 0xff]));
            assert!(answered > 1 << 14, "{accumulator} {rounding}: {answered}");
        }
    }
}

/// Sums as a product of matrices has them hardly ever need more than the usual step.
#[test]
fn most_sums_are_near() {
    for accumulator in ["e6m9", "fp32", "fp16", "e8m13"] {
        let mac = Mac::new(&mode("e4m3fn", "e4m3fn", accumulator), 0, 0);
        let bytes = mac.words().and_then(WordMac::bytes).unwrap();
        let codes = |seed| testing::codes(Format::E4M3FN, 1 << 12, testing::Pattern::Moderate, seed);
        let (a, b) = (codes(1), codes(2));
        let (mut sum, mut near) = (0, 0);
        for i in 0..a.len() {
            let (code, _) = bytes.step(sum, a.get(i), b.get(i), [0; 2]);
            near += u32::from(code.is_some());
            sum = defined(&mac, sum, a.get(i), b.get(i), [0; 2]).0;
        }
        assert!(near >= 4000, "{accumulator}: {near} of 4096");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_mode(mode in testing::mode(), lanes in any::<[[u64; 3]; 16]>(), near in any::<u64>()) {
        let (a, b, c) = (corners(mode.a), corners(mode.b), mode.accumulator);
        if !c.is_wide() {
            let sums = corners(c);
            let pick = |list: &[u64], x: u64, mask: u64| if x & 1 == 0 { list[(x >> 1) as usize % list.len()] } else { x >> 3 & mask };
            agree(&mode, lanes.iter().map(|[x, y, z]| {
                [pick(&sums, z ^ near, c.mask()), pick(&a, *x, mode.a.mask()), pick(&b, *y, mode.b.mask())]
            }));
        }
    }

    #[test]
    fn whole_outputs(mode in testing::mode(), k in 1..40u32, seed in any::<u64>(), fold in proptest::option::of(1..12u32)) {
        if mode.accumulator.is_wide() || mode.outermost().is_wide() {
            return Ok(());
        }
        let output = Output { format: mode.outermost(), policy: Policy::RNE };
        let code = |i: u32, salt: u64, mask: u64| (seed ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15 + 2 * u64::from(i)) >> 17 & mask;
        let element = Element { site: Site { seed, step: 1, instruction: 2, ..Site::default() }, row: 3, column: 4 };
        let run = |mac: &Mac| {
            let mut activity = Activity::default();
            let (a, b) = (|i| code(i, 1, mode.a.mask()), |i| code(i, 2, mode.b.mask()));
            (dot(mac, k, a, b, None, fold, &output, &element, &mut activity), activity)
        };
        prop_assert_eq!(run(&Mac::new(&mode, 1, -2)), run(&Mac::by_definition(&mode, 1, -2)));
    }
}
