//! golden's order of sums against twins on host arithmetic, and against figures worked by hand.

mod support;

use half::{bf16, f16};
use support::Random;
use systole_golden::gemm::{Folds, Gemm, GemmError, Site, Step};
use systole_golden::oracle::{self, Operand};
use systole_isa::design::{MacMode, Product};
use systole_isa::format::Format;
use systole_isa::round::{Flags, Overflow, Policy, Rounding, SubnormalPolicy};

fn format(name: &str) -> Format {
    name.parse().unwrap()
}

fn no_random(site: Site) -> u64 {
    panic!("a deterministic mode asked for random bits at {site:?}")
}

/// A narrow code as a host number; exact.
fn host(format: Format, code: u64) -> f32 {
    f32::from_bits(oracle::convert(Operand::new(format, code), Format::FP32, Policy::RNE, 0).0 as u32)
}

/// Rounds a product as a host type would.
type Rounder = fn(f32) -> f32;

/// One output of a twin: inner sums in binary32, outer ones in binary64, the rules of the
/// order of sums written out per k.
fn twin(pairs: &[(f32, f32)], product: Rounder, chunk: Option<u32>, outside: Option<usize>, c: f64) -> f64 {
    let (mut memory, mut outer, mut inner) = (c, 0.0, 0.0);
    let one_chain = outside.is_none();
    if one_chain {
        outer = c;
        if chunk.is_none() {
            inner = c as f32;
        }
    }
    for (k, &(a, b)) in pairs.iter().enumerate() {
        let position = outside.map_or(k, |rows| k % rows);
        let is_last = k + 1 == pairs.len() || outside.is_some_and(|rows| (k + 1).is_multiple_of(rows));
        let rounded = product(a * b);
        inner = if rounded == a * b { a.mul_add(b, inner) } else { inner + rounded };
        if let Some(length) = chunk
            && ((position + 1).is_multiple_of(length as usize) || is_last)
        {
            outer += f64::from(inner);
            inner = 0.0;
        }
        if is_last && outside.is_some() {
            if chunk.is_some() {
                memory += outer;
            } else {
                memory = f64::from(memory as f32 + inner);
            }
            (outer, inner) = (0.0, 0.0);
        }
    }
    match (outside, chunk) {
        (Some(_), _) => memory,
        (None, Some(_)) => outer,
        (None, None) => inner.into(),
    }
}

#[test]
fn order_of_sums_on_host_floats() {
    let mut random = Random(7);
    let products: [(Product, Rounder); 3] = [
        (Product::Exact, |x| x),
        (Product::Rounded(Format::FP16), |x| f16::from_f32(x).to_f32()),
        (Product::Rounded(Format::BF16), |x| bf16::from_f32(x).to_f32()),
    ];
    let mut order_mattered = 0;
    for case in 0..400 {
        let (fa, fb) = (random.pick(&[Format::E4M3FN, Format::E5M2]), random.pick(&[Format::E4M3FN, Format::E5M2, Format::BF16]));
        let (product, round_product) = random.pick(&products);
        let chunk = random.pick(&[None, Some(1), Some(3), Some(4), Some(100)]);
        let outside = random.pick(&[None, Some(1), Some(3), Some(4), Some(16)]);
        let [m, n, k] = [1 + random.below(3), 1 + random.below(3), random.below(40)].map(|d| d as usize);
        let (bias_a, bias_b) = (random.below(9) as i32 - 4, random.below(9) as i32 - 4);
        let mode = MacMode { product, chunk, outer: Some(Format::FP64), bias_a, bias_b, ..MacMode::fused(fa, fb, Format::FP32) };
        // Finite operands of moderate size, so that products are exact in binary32.
        let mut codes = |format: Format, count| -> Vec<u64> {
            let moderate = |code: &u64| host(format, *code).abs() < 1e6 && (format != Format::BF16 || host(format, *code).abs() > 1e-6);
            std::iter::repeat_with(|| random.next() & format.mask()).filter(moderate).take(count).collect()
        };
        let (a, b) = (codes(fa, m * k), codes(fb, k * n));
        let c: Option<Vec<f64>> = (random.below(2) == 0)
            .then(|| (0..m * n).map(|_| random.below(2001) as f64 / 7.0 - 143.0).map(|c| f64::from(c as f32)).collect());
        let outermost = if chunk.is_some() { Format::FP64 } else { Format::FP32 };
        let c_codes: Option<Vec<u64>> = c
            .as_ref()
            .map(|c| c.iter().map(|&c| if outermost == Format::FP64 { c.to_bits() } else { (c as f32).to_bits().into() }).collect());
        let folds = outside.map_or(Folds::Chain, |rows| Folds::Outside { rows });
        let gemm = Gemm {
            mode: &mode,
            folds,
            output: (Format::FP64, Policy::RNE),
            shape: [m, n, k],
            a: &a,
            b: &b,
            c: c_codes.as_deref(),
            c_format: None,
            scales: None,
        };
        let ours = gemm.run(no_random).unwrap();
        let single = Gemm { folds: Folds::Chain, ..gemm }.run(no_random).unwrap();
        order_mattered += u32::from(ours != single);
        for (i, &code) in ours.iter().enumerate() {
            let pairs: Vec<_> = (0..k)
                .map(|k| (host(fa, a[i / n * gemm.shape[2] + k]) * 2f32.powi(-bias_a), host(fb, b[k * n + i % n]) * 2f32.powi(-bias_b)))
                .collect();
            let expected = twin(&pairs, round_product, chunk, outside, c.as_ref().map_or(0.0, |c| c[i]));
            let ours = f64::from_bits(code);
            assert!(
                ours.to_bits() == expected.to_bits() || ours.is_nan() && expected.is_nan(),
                "case {case}: {ours} is {expected}: {folds:?} {mode:?}"
            );
        }
    }
    assert!(order_mattered > 20, "{order_mattered}");
}

/// Two's complement: wrapping sums commute, saturating ones do not.
#[test]
fn integer_accumulators() {
    let mut random = Random(8);
    for overflow in [Overflow::Ieee, Overflow::Saturate] {
        let mode = MacMode { overflow, ..MacMode::fused(Format::INT8, Format::INT8, format("int16")) };
        let mut saturated = 0;
        for _ in 0..200 {
            let k = 1 + random.below(24) as usize;
            let mut codes = || -> Vec<u64> { (0..k).map(|_| random.pick(&[0x7f, 0x80, 0x81, 0x40, random_byte(k)]) & 0xff).collect() };
            let (a, b) = (codes(), codes());
            let gemm = Gemm {
                mode: &mode,
                folds: Folds::Chain,
                output: (Format::INT32, Policy::RNE),
                shape: [1, 1, k],
                a: &a,
                b: &b,
                c: None,
                c_format: None,
                scales: None,
            };
            let mut sum = 0i32;
            for (&a, &b) in a.iter().zip(&b) {
                let exact = sum + i32::from(a as u8 as i8) * i32::from(b as u8 as i8);
                sum = if overflow == Overflow::Ieee { (exact as i16).into() } else { exact.clamp(-0x8000, 0x7fff) };
                saturated += u32::from(sum != exact);
            }
            assert_eq!(gemm.run(no_random).unwrap(), [u64::from(sum as u32)], "{a:x?} {b:x?}");
        }
        assert!(saturated > 50);
    }
}

fn random_byte(k: usize) -> u64 {
    (k as u64).wrapping_mul(0x9e37_79b9) >> 7
}

/// A long sum of ones in binary16 stops at 2048; chunks of 64 bring it home (Wang et al.
/// 2018, section 2.3).
#[test]
fn swamping() {
    let ones = vec![0x38; 4096];
    for (chunk, expected) in [(None, 2048.0), (Some(64), 4096.0)] {
        let mode = MacMode { chunk, ..MacMode::fused(Format::E4M3FN, Format::E4M3FN, Format::FP16) };
        let gemm = Gemm {
            mode: &mode,
            folds: Folds::Chain,
            output: (Format::FP32, Policy::RNE),
            shape: [1, 1, 4096],
            a: &ones,
            b: &ones,
            c: None,
            c_format: None,
            scales: None,
        };
        assert_eq!(f32::from_bits(gemm.run(no_random).unwrap()[0] as u32), expected);
    }
}

/// Small cases worked by hand: (C, products as e5m2 codes) to the fp16 accumulator.
#[test]
fn by_hand() {
    let (one, minus, zero, minus_zero, inf, tiny) = (0x3c, 0xbc, 0x00, 0x80, 0x7c, 0x01);
    let fused = MacMode::fused(Format::E5M2, Format::E5M2, Format::FP16);
    let rdn = MacMode { rounding: Rounding::Rdn, ..fused.clone() };
    let daz = MacMode { subnormals: SubnormalPolicy::Daz, ..fused.clone() };
    let product_overflows = MacMode { product: Product::Rounded(Format::E4M3FN), ..fused.clone() };
    let saturates = MacMode { overflow: Overflow::Saturate, ..product_overflows.clone() };
    for (name, mode, c, a, b, expected) in [
        ("+0 absorbs -0", &fused, None, vec![minus_zero], vec![one], 0x0000),
        ("C = -0 and a product -0: an absent lane adds no +0", &fused, Some(0x8000), vec![minus_zero], vec![one], 0x8000),
        ("cancellation", &fused, None, vec![one, minus], vec![one, one], 0x0000),
        ("cancellation under rdn", &rdn, None, vec![one, minus], vec![one, one], 0x8000),
        ("no product at all under rdn", &rdn, None, vec![], vec![], 0x0000),
        ("infinity", &fused, None, vec![inf, one], vec![one, one], 0x7c00),
        ("infinity less infinity", &fused, None, vec![inf, inf], vec![one, minus], 0x7e00),
        ("infinity times zero", &fused, None, vec![inf], vec![zero], 0x7e00),
        ("subnormal operand", &fused, None, vec![tiny], vec![one], 0x0100),
        ("subnormal operand as zero", &daz, None, vec![tiny], vec![one], 0x0000),
        ("subnormal C is zero to an addition", &daz, Some(0x0001), vec![zero], vec![one], 0x0000),
        ("subnormal C without any addition", &daz, Some(0x0001), vec![], vec![], 0x0001),
        // 512 * 1 is beyond e4m3fn's 448.
        ("product overflows to NaN", &product_overflows, None, vec![0x60], vec![one], 0x7e00),
        ("product saturates", &saturates, None, vec![0x60], vec![one], 0x5f00),
    ] {
        let c = c.map(|c| vec![c]);
        let gemm = Gemm {
            mode,
            folds: Folds::Chain,
            output: (Format::FP16, Policy::RNE),
            shape: [1, 1, a.len()],
            a: &a,
            b: &b,
            c: c.as_deref(),
            c_format: None,
            scales: None,
        };
        assert_eq!(gemm.run(no_random).unwrap(), [expected], "{name}");
    }
}

/// R = 0 is rounding toward zero; R = 2^N - 1 rounds away whatever N bits can see. Every
/// rounding draws once, at a site of its own.
#[test]
fn stochastic_sites() {
    let mode = MacMode {
        rounding: Rounding::Sr(8),
        product: Product::Rounded(format("e5m2")),
        chunk: Some(2),
        outer: Some(Format::FP16),
        ..MacMode::fused(Format::E4M3FN, Format::E4M3FN, format("e5m4"))
    };
    let mut random = Random(9);
    let a: Vec<u64> = (0..10).map(|_| random.below(0x60)).collect();
    let b: Vec<u64> = (0..10).map(|_| random.below(0x60)).collect();
    let output = (Format::E5M2, Policy::new(Rounding::Sr(8)));
    let gemm = Gemm {
        mode: &mode,
        folds: Folds::Outside { rows: 3 },
        output,
        shape: [2, 2, 5],
        a: &a,
        b: &b,
        c: None,
        c_format: None,
        scales: None,
    };
    let mut sites = Vec::new();
    let down = gemm
        .run(|site| {
            sites.push(site);
            0
        })
        .unwrap();
    let steps: Vec<Step> = sites.iter().filter(|s| (s.row, s.column) == (1, 0)).map(|s| s.step).collect();
    let mac = |k| [Step::Product { k }, Step::Accumulate { k }];
    let mut expected = vec![];
    expected.extend([mac(0), mac(1)].concat());
    expected.push(Step::Outer { k: 1 });
    expected.extend(mac(2));
    expected.extend([Step::Outer { k: 2 }, Step::Memory { fold: 0 }]);
    expected.extend([mac(3), mac(4)].concat());
    expected.extend([Step::Outer { k: 4 }, Step::Memory { fold: 1 }, Step::Output]);
    assert_eq!(steps, expected);
    assert_eq!(sites.len(), 4 * expected.len());

    let toward_zero = MacMode { rounding: Rounding::Rtz, ..mode.clone() };
    let rtz = Gemm { mode: &toward_zero, output: (Format::E5M2, Policy::new(Rounding::Rtz)), ..gemm };
    assert_eq!(down, rtz.run(no_random).unwrap());
    let up = gemm.run(|_| 0xff).unwrap();
    assert!(up.iter().zip(&down).all(|(up, down)| up >= down) && up != down);
}

/// The conversion at the drain has its own policy.
#[test]
fn output_conversion() {
    let mode = MacMode::fused(Format::E5M2, Format::E5M2, Format::FP16);
    let (a, b) = ([0x7b], [0x7b]);
    for (to, overflow, expected) in [
        (Format::FP16, Overflow::Ieee, 0x7c00),
        (Format::FP16, Overflow::Saturate, 0x7bff),
        (Format::E4M3FN, Overflow::Ieee, 0x7f),
        (Format::E4M3FN, Overflow::Saturate, 0x7e),
        (Format::INT8, Overflow::Saturate, 0x7f),
    ] {
        let output = (to, Policy::RNE.overflow(overflow));
        let gemm = Gemm { mode: &mode, folds: Folds::Chain, output, shape: [1, 1, 1], a: &a, b: &b, c: None, c_format: None, scales: None };
        assert_eq!(gemm.run(no_random).unwrap(), [expected], "{to} {overflow:?}");
    }
    let (code, flags) = oracle::convert(Operand::new(Format::FP16, 0x7bff), Format::E4M3FN, Policy::RNE, 0);
    assert_eq!((code, flags), (0x7f, Flags::OVERFLOW | Flags::INEXACT));
}

#[test]
fn refusals() {
    let mode = MacMode::fused(Format::E5M2, Format::E5M2, Format::FP16);
    let gemm = Gemm {
        mode: &mode,
        folds: Folds::Chain,
        output: (Format::FP16, Policy::RNE),
        shape: [1, 2, 2],
        a: &[0; 2],
        b: &[0; 3],
        c: None,
        c_format: None,
        scales: None,
    };
    let error = gemm.run(no_random).unwrap_err();
    assert_eq!(error, GemmError::Shape { matrix: "B", rows: 2, columns: 2, found: 3 });
    assert_eq!(error.to_string(), "B holds 3 codes where 2 x 2 are needed");
    let empty = Gemm { folds: Folds::Outside { rows: 0 }, b: &[0; 4], ..gemm };
    assert_eq!(empty.run(no_random).unwrap_err(), GemmError::Empty("the fold length"));
}

/// Selected elements are the whole product's, from the same sites; the others keep what they held.
#[test]
fn masks_select_by_value() {
    let e4m3fnuz = format("e4m3fnuz");
    let one = oracle::convert(Operand::new(Format::FP32, 1f32.to_bits().into()), Format::E4M3FN, Policy::RNE, 0).0;
    let mode = MacMode { rounding: Rounding::Sr(8), ..MacMode::fused(Format::E4M3FN, Format::E4M3FN, format("e6m9")) };
    let mut random = Random(11);
    let a: Vec<u64> = (0..6).map(|_| one + random.below(40)).collect();
    let b: Vec<u64> = (0..9).map(|_| one + random.below(40)).collect();
    let gemm = Gemm {
        mode: &mode,
        folds: Folds::Chain,
        output: (format("e6m9"), Policy::RNE),
        shape: [2, 3, 3],
        a: &a,
        b: &b,
        c: None,
        c_format: None,
        scales: None,
    };
    let bits =
        |site: Site| (site.row * 57 + site.column * 91 + matches!(site.step, Step::Accumulate { k: 1 }) as usize * 130) as u64 & 0xff;
    let all = gemm.run(bits).unwrap();
    // Zeros of both signs, a NaN (fnuz has it at the code of -0), an infinity, the least value.
    for (mask_format, mask, chosen) in [
        (Format::FP32, [0, 0x8000_0000, 0x7fc0_0000, 0x7f80_0000, 1, 0], [false, false, true, true, true, false]),
        (Format::E4M3FN, [0x80, 0, 0x7f, 0x38, 0x81, 0x80], [false, false, true, true, true, false]),
        (e4m3fnuz, [0x80, 0, 0x7f, 0, 1, 0x80], [true, false, true, false, true, true]),
        (Format::INT8, [0, 1, 0xff, 0x80, 0, 0], [false, true, true, true, false, false]),
        (format("e8m0"), [0, 1, 0xff, 0x80, 127, 0], [true; 6]),
    ] {
        let mut d = [0xabcd; 6];
        let mut asked = Vec::new();
        gemm.run_masked((mask_format, &mask), &mut d, |site| {
            asked.push(site.row * 3 + site.column);
            bits(site)
        })
        .unwrap();
        for i in 0..6 {
            assert_eq!(d[i], if chosen[i] { all[i] } else { 0xabcd }, "{mask_format}, element {i}");
            assert_eq!(asked.contains(&i), chosen[i]);
        }
    }
    let short = gemm.run_masked((Format::INT8, &[1; 5]), &mut [0; 6], bits).unwrap_err();
    assert_eq!(short, GemmError::Shape { matrix: "the mask", rows: 2, columns: 3, found: 5 });
}
