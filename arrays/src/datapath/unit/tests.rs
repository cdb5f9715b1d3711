use super::super::{Chain, Element, Factor};
use super::*;
use systole_isa::design::{MacMode, find};
use systole_isa::entropy::Site;
use systole_isa::round::encode_f64;

/// One block of a design's unit, values in and out.
fn block(mode: &MacMode, pairs: &[(f64, f64)], c: f64) -> f64 {
    let mac = Mac::new(mode, 0, 0);
    let operands: Vec<(u64, u64)> = pairs.iter().map(|(a, b)| (encode_f64(mode.a, *a), encode_f64(mode.b, *b))).collect();
    let mut chain = Chain::start(&mac, Register::Narrow(encode_f64(mode.accumulator, c)));
    let element = Element { site: Site::default(), row: 0, column: 0 };
    let products = Block { operands: &operands, first: 0, factor: Factor::ONE };
    chain.step(&mac, &products, false, &element, &mut Activity::default());
    chain.outermost(&mac).read(mode.accumulator, mac.policy()).to_f64()
}

fn unit(design: &str) -> MacMode {
    find(design).unwrap_or_else(|| panic!("{design}")).mac
}

/// Cases whose results follow from the bit positions alone.
#[test]
fn bits_below_the_last_kept_one_are_cut() {
    let tiny = |e: i32| 2f64.powi(e);
    for (design, pairs, c, expected) in [
        // 256 has exponent 8: the last bit kept is 2^-5.
        ("h100-fp8", vec![(16.0, 16.0), (tiny(-3), tiny(-2))], 0.0, 256.0 + tiny(-5)),
        ("h100-fp8", vec![(16.0, 16.0), (tiny(-3), tiny(-3))], 0.0, 256.0),
        // Negative terms are cut toward zero as well.
        ("h100-fp8", vec![(16.0, 16.0), (-tiny(-3), tiny(-3))], 0.0, 256.0),
        // Two halves of the last bit are each lost: no sum saves them.
        ("h100-fp8", vec![(16.0, 16.0), (tiny(-3), tiny(-3)), (tiny(-3), tiny(-3))], 0.0, 256.0),
        // What cancels still sets the largest exponent.
        ("h100-fp8", vec![(16.0, 16.0), (-16.0, 16.0), (tiny(-3), tiny(-3))], 0.0, 0.0),
        // Products are not renormalised: 1.5 * 1.5 has exponent 0 and keeps 2^-13, two of
        // which are a bit of the result.
        ("h100-fp8", vec![(1.5, 1.5), (tiny(-6), tiny(-7)), (tiny(-6), tiny(-7))], 0.0, 2.25 + tiny(-12)),
        ("h100-fp8", vec![(1.5, 1.5), (tiny(-6), tiny(-7))], 0.0, 2.25),
        // The result has 13 fraction bits, toward zero.
        ("h100-fp8", vec![(1.5, 1.5), (1.75, 1.0), (tiny(-6), tiny(-7))], 0.0, 4.0),
        // The accumulator is one term more.
        ("h100-fp8", vec![(tiny(-6), tiny(-6))], 4096.0, 4096.0),
        ("b200-fp8", vec![(tiny(-6), tiny(-6))], 4096.0, 4096.0),
        ("b200-fp8", vec![(tiny(-6), tiny(-6))], 2048.0, 2048.0 + tiny(-12)),
        ("h100-fp8-fp16", vec![(16.0, 16.0), (tiny(-3), tiny(-2))], 0.0, 256.0),
        ("v100-fp16", vec![(1.0, 1.0), (tiny(-12), tiny(-12))], 0.0, 1.0),
        ("a100-fp16", vec![(1.0, 1.0), (tiny(-12), tiny(-12)), (tiny(-12), tiny(-12))], 0.0, 1.0 + tiny(-23)),
        // fp32 overflow is infinite although rounding is toward zero.
        ("h100-bf16", vec![(tiny(100), tiny(27)), (tiny(100), tiny(27))], 0.0, f64::INFINITY),
        // CDNA3: the sum is floored, so a lost negative bit counts a whole one.
        ("mi300-fp16", vec![(-tiny(-14), tiny(-14))], 16.0, 16.0),
        ("mi300-bf16", vec![(tiny(64), tiny(64)), (-tiny(64), tiny(64))], 0.0, f64::NAN),
        ("amx-bf16", vec![(1.0, 1.0), (tiny(-24), 1.0), (0.0, 1.0), (tiny(-24), 1.0)], 0.0, 1.0 + tiny(-23)),
        ("avx512-bf16", vec![(tiny(-24), 1.0), (1.0, 1.0)], 0.0, 1.0),
    ] {
        let result = block(&unit(design), &pairs, c);
        assert!(result == expected || result.is_nan() && expected.is_nan(), "{design} {pairs:?} + {c}: {result}, not {expected}");
    }
}

#[test]
fn exact_trees_round_once_or_apart() {
    let base = MacMode { lanes: 4, ..MacMode::fused(Format::E4M3FN, Format::E4M3FN, Format::FP16) };
    let pairs = [(256.0, 256.0), (-256.0, 256.0), (0.5, 0.5)];
    for (unit, c, expected) in [
        (Unit::Chain, 0.0, f64::INFINITY),
        (Unit::Exact, 0.0, 0.25),
        (Unit::Exact, 2048.0, 2048.0),
        (Unit::Exact, 511.75, 512.0),
        (Unit::ExactApart, 511.75, 512.0),
    ] {
        let result = block(&MacMode { unit, ..base.clone() }, &pairs, c);
        assert!(result == expected || result.is_nan() && expected.is_nan(), "{unit:?} + {c}: {result}");
    }
    // Half a quantum from the products and half from their rounding: one rounding sees both.
    let ties = [(32.0, 32.0), (32.0, 32.0), (1.0, 1.0), (0.001953125, 0.5)];
    assert_eq!(block(&MacMode { unit: Unit::Exact, ..base.clone() }, &ties, 0.0), 2050.0);
    assert_eq!(block(&MacMode { unit: Unit::Chain, ..base }, &ties, 0.0), 2048.0);
}

#[test]
fn signs_of_zero() {
    for (design, pairs, c, negative) in [
        ("h100-fp8", vec![(-0.0, 1.0)], -0.0, false),
        ("mi300-fp16", vec![(-0.0, 1.0)], -0.0, false),
        ("avx512-bf16", vec![(-0.0, 1.0), (-0.0, 1.0)], -0.0, true),
        ("amx-bf16", vec![(-0.0, 1.0), (-0.0, 1.0)], -0.0, false),
    ] {
        let zero = block(&unit(design), &pairs, c);
        assert!(zero == 0.0 && zero.is_sign_negative() == negative, "{design}");
    }
}
