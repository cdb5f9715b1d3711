//! golden's units, wide accumulators and block scales against twins on host arithmetic, and
//! against figures worked by hand.

mod support;

use support::Random;
use systole_golden::Value;
use systole_golden::gemm::{Element, Folds, Gemm, GemmError, Scales, Site, Step};
use systole_golden::oracle::{self, Operand};
use systole_isa::design::{Addend, Aligned, MacMode, Product, Scaling, Truncation, Unit};
use systole_isa::format::Format;
use systole_isa::round::{Flags, Overflow, Policy, Rounding};

fn format(name: &str) -> Format {
    name.parse().unwrap()
}

fn no_random(site: Site) -> u64 {
    panic!("a deterministic mode asked for random bits at {site:?}")
}

/// A narrow code as a host number; exact.
fn host(format: Format, code: u64) -> f64 {
    f64::from_bits(oracle::convert(Operand::new(format, code), Format::FP64, Policy::RNE, 0).0)
}

/// The code of a host number that `format` has.
fn code(format: Format, number: f64) -> u64 {
    let (code, flags) = oracle::convert(Operand::new(Format::FP64, number.to_bits()), format, Policy::RNE, 0);
    assert!(flags == Flags::NONE, "{format} has no {number}");
    code
}

fn codes(format: Format, numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|&x| code(format, x)).collect()
}

fn gemm<'a>(mode: &'a MacMode, shape: [usize; 3], a: &'a [u64], b: &'a [u64]) -> Gemm<'a> {
    let output = (mode.outermost(), mode.policy());
    Gemm { mode, folds: Folds::Chain, output, shape, a, b, c: None, c_format: None, scales: None }
}

const fn aligned(fraction_bits: u32, addend: Addend) -> Aligned {
    Aligned {
        fraction_bits,
        term_truncation: Truncation::TowardZero,
        addend,
        groups: 1,
        sum_truncation: Truncation::TowardZero,
        zero_exponent: None,
        infinite_from: None,
        negative_zero: false,
    }
}

/// One block of four products 1 * x and an addend, in fp16: the sums as decimal numbers.
#[test]
fn by_hand() {
    let (apart, together) = (Addend::Apart, Addend::Together);
    let ways = |ways| Unit::Interleaved { ways };
    let floor = |unit: Aligned| Aligned { term_truncation: Truncation::Floor, sum_truncation: Truncation::Floor, ..unit };
    let with_zeros = |exponent, unit: Aligned| Aligned { zero_exponent: Some(exponent), ..unit };
    let grouped = |unit: Aligned| Aligned { groups: 2, ..unit };
    let meeting = |sum_bits, addend_bits, reach| aligned(10, Addend::Aligned { sum_bits, addend_bits, reach });
    for (what, unit, c, x, expected) in [
        // Halves of the last place of 2048 get lost one by one, not together.
        ("each is lost", Unit::Chain, 2048.0, &[1.0, 1.0, 1.0, 1.0][..], 2048.0),
        ("descending loses as well", Unit::Descending, 2048.0, &[1.0, 1.0, 1.0, 1.0], 2048.0),
        ("descending: 3 first, 1 last", Unit::Descending, 2048.0, &[1.0, 0.0, 0.0, 3.0], 2052.0),
        ("ascending: 1 first, 3 last", Unit::Chain, 2048.0, &[1.0, 0.0, 0.0, 3.0], 2052.0),
        ("descending: 1 is lost before 5", Unit::Descending, 2048.0, &[5.0, 0.0, 0.0, 1.0], 2052.0),
        ("ascending: 1 meets the tie of 5", Unit::Chain, 2048.0, &[5.0, 0.0, 0.0, 1.0], 2052.0),
        ("two chains, then one addition", ways(2), 2048.0, &[1.0, 1.0, 1.0, 1.0], 2052.0),
        ("chain 0 holds 2048 and loses 1, chain 1 is 2", ways(2), 0.0, &[2048.0, 1.0, 1.0, 1.0], 2050.0),
        ("three chains: 0 and 3 share one", ways(3), 0.0, &[2048.0, 1.0, 0.0, 1.0], 2048.0),
        ("exact", Unit::Exact, 2048.0, &[1.0, 1.0, 1.0, 0.0], 2052.0),
        ("exact: 2051 is a tie", Unit::Exact, 2048.0, &[1.0, 0.0, 1.0, 1.0], 2052.0),
        ("exact: 2049 is a tie", Unit::Exact, 2048.0, &[1.0, 0.0, 0.0, 0.0], 2048.0),
        ("exact: c decides the tie", Unit::Exact, 0.25, &[2048.0, 1.0, 0.0, 0.0], 2050.0),
        ("apart: c comes too late", Unit::ExactApart, 0.25, &[2048.0, 1.0, 0.0, 0.0], 2048.0),
        ("cancellation is exact", Unit::Exact, 0.125, &[2048.0, -2048.0, 0.0, 0.0], 0.125),
        // Aligned to 2048 = 2^11 with ten fraction bits, what is kept are multiples of 2.
        ("1 and 3 are cut", Unit::Aligned(aligned(10, together)), 2048.0, &[1.0, 3.0, 0.0, 0.0], 2050.0),
        ("toward zero", Unit::Aligned(aligned(10, together)), 2048.0, &[-1.0, -3.0, 0.0, 0.0], 2046.0),
        ("toward minus infinity", Unit::Aligned(floor(aligned(10, together))), 2048.0, &[-1.0, -3.0, 0.0, 0.0], 2042.0),
        ("c is cut like the others", Unit::Aligned(aligned(10, together)), -3.0, &[2048.0, 0.0, 0.0, 0.0], 2046.0),
        ("what cancels still aligns", Unit::Aligned(aligned(10, together)), 1.0, &[2048.0, -2048.0, 1.0, 0.0], 0.0),
        ("a product's exponent is its factors'", Unit::Aligned(aligned(1, together)), 0.0, &[1.5, 0.0, 0.0, 0.0], 1.5),
        ("apart: c does not align", Unit::Aligned(aligned(2, apart)), 2048.0, &[1.0, 1.25, 0.0, 0.0], 2050.0),
        ("apart: exact zeros are +0", Unit::Aligned(aligned(2, apart)), -0.0, &[-0.0, 0.0, 0.0, 0.0], 0.0),
        ("together: exact zeros are +0", Unit::Aligned(aligned(2, together)), -0.0, &[-0.0, -0.0, -0.0, -0.0], 0.0),
        ("zeros of exponent 3 align", Unit::Aligned(with_zeros(3, aligned(2, together))), 0.0, &[1.0, 2.0, 1.5, 0.0], 2.0),
        ("zeros without exponent do not", Unit::Aligned(aligned(2, together)), 0.0, &[1.0, 2.0, 1.5, 0.0], 4.5),
        // Even: 8 and 0.75, cut to 8 + 0.5 by four bits. Odd: 2 and 0.25.
        ("groups apart", Unit::Aligned(grouped(aligned(4, apart))), 0.0, &[8.0, 2.0, 0.75, 0.25], 10.5),
        ("two bits", Unit::Aligned(grouped(aligned(2, apart))), 0.0, &[8.0, 3.5, 1.5, 0.0], 10.0),
        ("sum to 10 bits below 2048, c to 11", Unit::Aligned(meeting(10, 11, None)), 2048.0, &[1.0, 0.0, 0.0, 0.0], 2048.0),
        ("11 bits", Unit::Aligned(meeting(11, 10, None)), 2048.0, &[3.0, 0.0, 0.0, 0.0], 2052.0),
        ("c to 10 bits", Unit::Aligned(meeting(11, 10, None)), 3.0, &[2048.0, 0.0, 0.0, 0.0], 2050.0),
        ("c within reach", Unit::Aligned(meeting(11, 14, Some(9))), 4.0, &[2048.0, 0.0, 0.0, 0.0], 2052.0),
        ("c out of reach", Unit::Aligned(meeting(11, 14, Some(8))), 4.0, &[2048.0, 0.0, 0.0, 0.0], 2048.0),
    ] {
        let mode = MacMode { unit, lanes: 4, ..MacMode::fused(Format::FP16, Format::FP16, Format::FP16) };
        let (a, b, c) = (codes(Format::FP16, x), codes(Format::FP16, &[1.0; 4]), [code(Format::FP16, c)]);
        let got = Gemm { c: Some(&c), ..gemm(&mode, [1, 1, 4], &a, &b) }.run(no_random).unwrap()[0];
        let same = got == code(Format::FP16, expected);
        assert!(same, "{what}: {} where {expected} is right", host(Format::FP16, got));
    }
    // A significand in [1, 4): 1.5 * 1.5 has exponent 0, and its one fraction bit is a half.
    let mode = MacMode { unit: Unit::Aligned(aligned(1, together)), lanes: 4, ..MacMode::fused(Format::FP16, Format::FP16, Format::FP16) };
    let x = codes(Format::FP16, &[1.5]);
    assert_eq!(gemm(&mode, [1, 1, 1], &x, &x).run(no_random).unwrap(), [code(Format::FP16, 2.0)]);
    // A shared bias moves exponents, and with them what is cut.
    let biased = MacMode { bias_a: -12, ..mode.clone() };
    let (a, b, c) = (codes(Format::FP16, &[0.5]), codes(Format::FP16, &[1.0]), codes(Format::FP16, &[1000.0]));
    assert_eq!(Gemm { c: Some(&c), ..gemm(&mode, [1, 1, 1], &a, &b) }.run(no_random).unwrap(), [code(Format::FP16, 768.0)]);
    assert_eq!(Gemm { c: Some(&c), ..gemm(&biased, [1, 1, 1], &a, &b) }.run(no_random).unwrap(), [code(Format::FP16, 2048.0)]);
}

/// NaNs, infinities, zeros of both signs: what the units have in common and where they differ.
#[test]
fn specials() {
    let (zero, minus_zero, one, minus, inf, nan) = (0x0000, 0x8000, 0x3c00, 0xbc00, 0x7c00, 0x7e00);
    let (exact, tensor) = (Unit::Exact, Unit::Aligned(aligned(10, Addend::Together)));
    let infinite_from = Unit::Aligned(Aligned { infinite_from: Some(2), ..aligned(10, Addend::Together) });
    let signed = |unit| match unit {
        Unit::Aligned(unit) => Unit::Aligned(Aligned { negative_zero: true, ..unit }),
        other => other,
    };
    let (chain, two) = (Unit::Chain, code(Format::FP16, 2.0));
    let none = Flags::NONE;
    let tiny = 0x0001;
    let under = Flags::UNDERFLOW | Flags::INEXACT;
    for (what, unit, rounding, c, a, b, expected) in [
        ("infinity", exact, Rounding::Rne, zero, [inf, one], [one, one], (inf, none)),
        ("infinities of both signs", exact, Rounding::Rne, zero, [inf, inf], [one, minus], (nan, Flags::INVALID)),
        ("infinity times zero", tensor, Rounding::Rne, zero, [inf, one], [zero, one], (nan, Flags::INVALID)),
        ("both signs", tensor, Rounding::Rne, inf, [inf, one], [minus, one], (nan, Flags::INVALID)),
        ("one sign", tensor, Rounding::Rne, inf, [inf, one], [one, one], (inf, none)),
        ("NaN", tensor, Rounding::Rne, nan, [one, inf], [one, one], (nan, none)),
        ("all -0", exact, Rounding::Rne, minus_zero, [minus_zero; 2], [one, one], (minus_zero, none)),
        ("all -0, aligned", tensor, Rounding::Rdn, minus_zero, [minus_zero; 2], [one, one], (zero, none)),
        ("cancelled", exact, Rounding::Rne, zero, [one, one], [one, minus], (zero, none)),
        ("cancelled, down", exact, Rounding::Rdn, zero, [one, one], [one, minus], (minus_zero, none)),
        ("cancelled, down, aligned", tensor, Rounding::Rdn, zero, [one, one], [one, minus], (zero, none)),
        ("cancelled, down, aligned, signed", signed(tensor), Rounding::Rdn, zero, [one, one], [one, minus], (zero, none)),
        ("underflow", exact, Rounding::Rtz, zero, [minus, zero], [tiny, tiny], (tiny | 0x8000, none)),
        ("underflow to zero", chain, Rounding::Rtz, zero, [0x8200, minus_zero], [0x0200, one], (minus_zero, under)),
        ("underflow to zero, exact", exact, Rounding::Rtz, zero, [0x8200, minus_zero], [0x0200, one], (minus_zero, under)),
        ("underflow to zero, aligned", tensor, Rounding::Rtz, zero, [0x8200, minus_zero], [0x0200, one], (zero, under)),
        ("underflow to zero, signed", signed(tensor), Rounding::Rtz, zero, [0x8200, minus_zero], [0x0200, one], (minus_zero, under)),
        ("4 is infinite", infinite_from, Rounding::Rne, zero, [two, one], [two, one], (inf, none)),
        ("2 is not", infinite_from, Rounding::Rne, zero, [two, one], [one, one], (0x4200, none)),
        ("4 and -4", infinite_from, Rounding::Rne, zero, [two, two], [two, two | 0x8000], (nan, Flags::INVALID)),
        ("4 and an infinite addend", infinite_from, Rounding::Rne, inf | 0x8000, [two, one], [two, one], (inf | 0x8000, none)),
        ("what is cut makes it inexact", tensor, Rounding::Rne, one, [one, tiny], [one, one], (0x4000, Flags::INEXACT)),
        ("a signalling NaN", tensor, Rounding::Rne, zero, [0x7d00, one], [one, one], (nan, Flags::INVALID)),
    ] {
        let mode = MacMode { unit, rounding, lanes: 2, ..MacMode::fused(Format::FP16, Format::FP16, Format::FP16) };
        let [Element { code, flags }] = Gemm { c: Some(&[c]), ..gemm(&mode, [1, 1, 2], &a, &b) }.elements(no_random).unwrap()[..] else {
            panic!("{what}")
        };
        assert_eq!((code, flags), expected, "{what}");
    }
}

/// The order of k in a fold, chunks and blocks marked: what every unit walks through.
fn blocks(k: usize, fold: Option<usize>, chunk: Option<usize>, global: bool, lanes: usize) -> Vec<Vec<Vec<Vec<usize>>>> {
    let fold = fold.unwrap_or(k.max(1));
    let mut folds: Vec<Vec<Vec<Vec<usize>>>> = Vec::new();
    for k in 0..k {
        let within = k % fold;
        if within == 0 {
            folds.push(Vec::new());
        }
        let chunks = folds.last_mut().unwrap();
        let opens = match chunk {
            None => within == 0,
            Some(length) if global => within == 0 || k % length == 0,
            Some(length) => within.is_multiple_of(length),
        };
        if opens {
            chunks.push(Vec::new());
        }
        let blocks = chunks.last_mut().unwrap();
        if blocks.last().is_none_or(|b| b.len() == lanes) {
            blocks.push(Vec::new());
        }
        blocks.last_mut().unwrap().push(k);
    }
    folds
}

fn single(x: f64) -> f64 {
    f64::from(x as f32)
}

/// Adds a block to `sum`, the accumulator rounded to binary32. Sums before a rounding are
/// exact in binary64 for the numbers used here.
fn add_block(unit: Unit, sum: f64, products: &[f64]) -> f64 {
    match unit {
        Unit::Chain => products.iter().fold(sum, |s, p| single(s + p)),
        Unit::Descending => products.iter().rev().fold(sum, |s, p| single(s + p)),
        Unit::Interleaved { ways } => {
            let of = |way| products.iter().skip(way).step_by(ways as usize).fold(0.0, |s, p| single(s + p));
            single(sum + (1..ways as usize).fold(of(0), |s, way| single(s + of(way))))
        }
        Unit::Exact => single(sum + products.iter().sum::<f64>()),
        Unit::ExactApart => single(sum + single(products.iter().sum())),
        Unit::Aligned(_) => unreachable!("aligned units have vectors of their own"),
    }
}

#[test]
fn units_chunks_folds_and_scales_on_host_floats() {
    let mut random = Random(11);
    let (e4m3, e8m0, e3m2) = (Format::E4M3FN, Format::E8M0, format("e3m2"));
    let mut differing = [0; 2];
    for case in 0..1500 {
        let lanes = random.pick(&[1, 2, 3, 4, 8]);
        let unit = random.pick(&[
            Unit::Chain,
            Unit::Descending,
            Unit::Interleaved { ways: 2 },
            Unit::Interleaved { ways: 3 },
            Unit::Exact,
            Unit::ExactApart,
        ]);
        let scale = random.pick(&[Scaling::None, Scaling::Exponent, Scaling::Chunk, Scaling::ChunkRounded]);
        let chunk = if scale == Scaling::None { random.pick(&[None, Some(1), Some(4), Some(5)]) } else { Some(random.pick(&[2, 4, 6])) };
        let fold = random.pick(&[None, None, Some(3), Some(4), Some(9)]);
        let [m, n, k] = [1 + random.below(3), 1 + random.below(4), random.below(24)].map(|d| d as usize);
        let (scale_rows, scale_cols) = (random.pick(&[1, 2]), random.pick(&[1, 2, 3]));
        let scale_format = if scale == Scaling::Exponent { e8m0 } else { random.pick(&[e8m0, e3m2]) };
        let mode = MacMode {
            unit,
            lanes,
            chunk,
            scale,
            scale_format,
            scale_rows,
            scale_cols,
            bias_a: random.below(5) as i32 - 2,
            ..MacMode::fused(e4m3, e4m3, Format::FP32)
        };
        let length = chunk.map_or(1, |c| c as usize);
        // Numbers from 2^-6 to 448; scales from 2^-6 to 2^6.
        let mut operands = |count: usize| -> Vec<u64> { (0..count).map(|_| 0x08 + random.below(0x77) + 0x80 * random.below(2)).collect() };
        let (a, b) = (operands(m * k), operands(k * n));
        let mut scales = |count: usize| -> Vec<u64> {
            let near_one = if scale_format == e8m0 { 121 } else { 0x04 };
            (0..count).map(|_| near_one + random.below(if scale_format == e8m0 { 13 } else { 0x17 })).collect()
        };
        let (rows, columns, count) = (m.div_ceil(scale_rows as usize), n.div_ceil(scale_cols as usize), k.div_ceil(length));
        let (scales_a, scales_b) = (scales(rows * count), scales(count * columns));
        let c: Vec<f64> = (0..m * n).map(|_| single(random.below(1 << 30) as f64 / 1024.0 - 524_288.0)).collect();
        let c_codes: Vec<u64> = c.iter().map(|&c| u64::from((c as f32).to_bits())).collect();
        let gemm = Gemm {
            folds: fold.map_or(Folds::Chain, |rows| Folds::Outside { rows }),
            c: Some(&c_codes),
            scales: (scale != Scaling::None).then_some(Scales { a: &scales_a, b: &scales_b }),
            ..gemm(&mode, [m, n, k], &a, &b)
        };
        let got = gemm.run(no_random).unwrap();
        for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
            let scale_of = |k: usize| {
                let a = host(scale_format, scales_a[row / scale_rows as usize * count + k / length]);
                a * host(scale_format, scales_b[k / length * columns + column / scale_cols as usize])
            };
            let products: Vec<f64> = (0..k)
                .map(|k| {
                    let product = host(e4m3, a[row * gemm.shape[2] + k]) * host(e4m3, b[k * n + column]) * 2f64.powi(-mode.bias_a);
                    if scale == Scaling::Exponent { product * scale_of(k) } else { product }
                })
                .collect();
            let one_chain = fold.is_none();
            let mut memory = c[row * n + column];
            for chunks in blocks(k, fold, chunk.map(|c| c as usize), scale != Scaling::None, lanes as usize) {
                let mut outer = if one_chain { memory } else { 0.0 };
                for blocks in chunks {
                    let mut inner = if chunk.is_some() { 0.0 } else { outer };
                    let last = *blocks.last().unwrap().last().unwrap();
                    for block in blocks {
                        inner = add_block(unit, inner, &block.iter().map(|&k| products[k]).collect::<Vec<_>>());
                    }
                    outer = match (chunk, scale) {
                        (None, _) => inner,
                        (Some(_), Scaling::None | Scaling::Exponent) => single(outer + inner),
                        // Two 24-bit numbers of the same size and a scale of 6 bits: exact.
                        (Some(_), Scaling::Chunk) => single(outer + scale_of(last) * inner),
                        (Some(_), Scaling::ChunkRounded) => single(outer + single(scale_of(last) * inner)),
                    };
                }
                memory = if one_chain { outer } else { single(memory + outer) };
            }
            let expected = u64::from((memory as f32).to_bits());
            assert_eq!(got[row * n + column], expected, "case {case}: {mode:?} {fold:?} {:?} at {row}, {column}", gemm.shape);
            // The tables must make the order matter, else this compares nothing.
            let at_once = single(c[row * n + column] + products.iter().sum::<f64>());
            differing[usize::from(scale != Scaling::None)] += usize::from(f64::from(memory as f32) != at_once);
        }
    }
    assert!(differing.iter().all(|&count| count > 300), "{differing:?}");
}

#[test]
fn scales_that_are_no_numbers() {
    let (one, two, inf, nan_e8m0) = (0x38, 0x40, 0x7c00, 0xff);
    let mode = |scale, scale_format| MacMode {
        scale,
        scale_format,
        chunk: Some(1),
        outer: Some(Format::FP32),
        ..MacMode::fused(Format::E4M3FN, Format::E4M3FN, Format::FP32)
    };
    let (nan, infinity, three) = (0x7fc0_0000, 0x7f80_0000, code(Format::FP32, 3.0));
    for (scaling, format, scales, a, expected) in [
        (Scaling::Exponent, Format::E8M0, [nan_e8m0, 127], [one, one], nan),
        (Scaling::Chunk, Format::E8M0, [127, nan_e8m0], [one, one], nan),
        (Scaling::ChunkRounded, Format::E8M0, [127, nan_e8m0], [one, 0], nan),
        (Scaling::Chunk, Format::FP16, [inf, 0x3c00], [one, one], infinity),
        (Scaling::ChunkRounded, Format::FP16, [inf, 0x3c00], [0, one], nan),
        (Scaling::Chunk, Format::E8M0, [127, 128], [one, one], three),
        (Scaling::Exponent, Format::E8M0, [128, 127], [one, one], three),
    ] {
        let mode = mode(scaling, format);
        let b = [one, one];
        let ones = if format == Format::E8M0 { [127; 2] } else { [0x3c00; 2] };
        let gemm = Gemm { scales: Some(Scales { a: &scales, b: &ones }), ..gemm(&mode, [1, 1, 2], &a, &b) };
        assert_eq!(gemm.run(no_random).unwrap(), [expected], "{scaling:?} {scales:x?}");
    }
    // Far beyond binary64 on the way: 2^127 2^127 2^2, and back by the other block.
    let (exponent, twos) = (mode(Scaling::Exponent, Format::E8M0), [two, two]);
    let gemm = Gemm { scales: Some(Scales { a: &[254, 0], b: &[0, 254] }), ..gemm(&exponent, [1, 1, 2], &twos, &twos) };
    assert_eq!(gemm.run(no_random).unwrap(), [code(Format::FP32, 8.0)]);
}

/// Accumulators wider than any code, against 128-bit integers.
#[test]
fn wide_accumulators() {
    let mut random = Random(12);
    let (int32, int64) = (Format::INT32, format("int64"));
    let mut left_the_range = 0;
    for case in 0..400 {
        let width = random.pick(&[65, 66, 67, 70, 90]);
        let overflow = random.pick(&[Overflow::Ieee, Overflow::Saturate]);
        let quire = random.below(2) == 0;
        let name = format!("{}{width}.0", if quire { "quire" } else { "fx" });
        let mode = MacMode { overflow, ..MacMode::fused(int32, int32, format(&name)) };
        let k = random.below(40) as usize;
        let mut draw = |_| random.pick(&[random_sign(random.0), 0x7fff_ffff, 0x8000_0000]) & 0xffff_ffff;
        let (mut a, mut b): (Vec<u64>, Vec<u64>) = ((0..k).map(&mut draw).collect(), (0..k).map(&mut draw).collect());
        let mut c = random.next();
        if case % 8 == 0 {
            // Products of 2^62: sums that come to lie on the most negative code.
            (a, b, c) = (vec![0x8000_0000; k], vec![0x8000_0000; k], 0);
        }
        let (top, bottom) = ((1i128 << (width - 1)) - 1, -(1i128 << (width - 1)) + i128::from(quire));
        let mut sum = Some(i128::from(c as i64));
        for (&x, &y) in a.iter().zip(&b) {
            sum = sum.and_then(|sum| {
                let exact = sum + i128::from(x as u32 as i32) * i128::from(y as u32 as i32);
                left_the_range += u32::from(exact > top || exact < bottom);
                let kept = match overflow {
                    Overflow::Saturate => exact.clamp(bottom, top),
                    _ => exact << (128 - width) >> (128 - width),
                };
                // A quire's most negative code is NaR, which stays.
                (kept >= bottom).then_some(kept)
            });
        }
        // Read out in two halves, so that all bits are seen: modulo 2^64 and above.
        for (bias, shift) in [(0, 0), (32, 32)] {
            let output = (format(&format!("fx64.{}", -shift)), Policy::new(Rounding::Rdn));
            let gemm = Gemm { output, c: Some(&[c]), c_format: Some(int64), ..gemm(&mode, [1, 1, k], &a, &b) };
            let expected = sum.map_or(0, |sum| (sum >> bias) as u64);
            assert_eq!(gemm.run(no_random).unwrap(), [expected], "case {case}: {name} {overflow:?} {a:x?} {b:x?} {c:x}");
        }
    }
    assert!(left_the_range > 100, "{left_the_range}");
}

fn random_sign(state: u64) -> u64 {
    if state & 0x100 == 0 { 0x7abc_def0 ^ state >> 40 } else { 0x8543_2100 ^ state >> 40 }
}

/// A quire holds every sum of products of its posits: one rounding, at the end.
#[test]
fn posits_in_their_quires() {
    let mut random = Random(13);
    for (posit, quire) in [("posit8_0", "quire8_0"), ("posit8_2", "quire8_2"), ("posit16_2", "quire16_2"), ("posit32_2", "quire32_2")] {
        let (posit, mode) = (format(posit), MacMode::fused(format(posit), format(posit), format(quire)));
        let mut not_reals = 0;
        for _ in 0..60 {
            let k = 1 + random.below(20) as usize;
            let mut draw = |_| random.code(posit);
            let (a, b): (Vec<u64>, Vec<u64>) = ((0..k).map(&mut draw).collect(), (0..k).map(&mut draw).collect());
            let c = [random.code(posit)];
            let gemm = Gemm { output: (posit, Policy::RNE), c: Some(&c), c_format: Some(posit), ..gemm(&mode, [1, 1, k], &a, &b) };
            let exact = gemm.exact().unwrap().remove(0);
            not_reals += u32::from(exact == Value::Nan);
            let Element { code, flags } = gemm.elements(no_random).unwrap()[0];
            assert_eq!((code, flags), systole_golden::round::round(posit, &exact, Policy::RNE, 0), "{a:x?} {b:x?} {c:x?}");
        }
        assert!((1..40).contains(&not_reals), "{posit}: {not_reals}");
    }
}

/// C enters an accumulator of another format with one rounding.
#[test]
fn addends_in_another_format() {
    let wide = format("fx128.2");
    for (rounding, c, expected) in [
        (Rounding::Rne, 0.625, 0.5),
        (Rounding::Rup, 0.5625, 0.75),
        (Rounding::Rtz, -0.5625, -0.5),
        (Rounding::Rne, 2f64.powi(100), 2f64.powi(100)),
        (Rounding::Rne, f64::NAN, 0.0),
    ] {
        let mode = MacMode { rounding, ..MacMode::fused(Format::FP16, Format::FP16, wide) };
        let (c, output) = ([c.to_bits()], (Format::FP64, Policy::RNE));
        let gemm = Gemm { output, c: Some(&c), c_format: Some(Format::FP64), ..gemm(&mode, [1, 1, 0], &[], &[]) };
        assert_eq!(gemm.run(no_random).unwrap(), [expected.to_bits()], "{rounding} {:?}", f64::from_bits(c[0]));
    }
    let stochastic = MacMode { rounding: Rounding::Sr(2), ..MacMode::fused(Format::FP16, Format::FP16, wide) };
    let (c, output) = ([0.0625f64.to_bits()], (Format::FP64, Policy::RNE));
    let gemm = Gemm { output, c: Some(&c), c_format: Some(Format::FP64), ..gemm(&stochastic, [1, 1, 0], &[], &[]) };
    for (random, expected) in [(2, 0.0f64), (3, 0.25)] {
        let at = |site: Site| {
            assert_eq!(site, Site { row: 0, column: 0, step: Step::Initial });
            random
        };
        assert_eq!(gemm.run(at).unwrap(), [expected.to_bits()]);
    }
}

/// Which roundings draw random bits, in which order.
#[test]
fn stochastic_sites() {
    use Step::{Accumulate, Outer, Output, Product as OfProduct, Scale, Sum, Way};
    let acc = |k| Accumulate { k };
    let tensor = |addend| Unit::Aligned(aligned(10, addend));
    let meeting = Addend::Aligned { sum_bits: 10, addend_bits: 10, reach: None };
    for (unit, scale, product, expected) in [
        (Unit::Chain, Scaling::None, Product::Exact, vec![acc(0), acc(1), acc(2), acc(3), Outer { k: 3 }, acc(4), Outer { k: 4 }]),
        (Unit::Descending, Scaling::None, Product::Exact, vec![acc(2), acc(1), acc(0), acc(3), Outer { k: 3 }, acc(4), Outer { k: 4 }]),
        (
            Unit::Interleaved { ways: 2 },
            Scaling::None,
            Product::Exact,
            vec![
                acc(0),
                acc(1),
                acc(2),
                Way { first: 0, way: 1 },
                Way { first: 0, way: 0 },
                acc(3),
                Way { first: 3, way: 0 },
                Outer { k: 3 },
                acc(4),
                Way { first: 4, way: 0 },
                Outer { k: 4 },
            ],
        ),
        (
            Unit::Exact,
            Scaling::Chunk,
            Product::Rounded(Format::FP16),
            vec![
                OfProduct { k: 0 },
                OfProduct { k: 1 },
                OfProduct { k: 2 },
                acc(2),
                OfProduct { k: 3 },
                acc(3),
                Outer { k: 3 },
                OfProduct { k: 4 },
                acc(4),
                Outer { k: 4 },
            ],
        ),
        (
            Unit::ExactApart,
            Scaling::ChunkRounded,
            Product::Exact,
            vec![
                Sum { k: 2 },
                acc(2),
                Sum { k: 3 },
                acc(3),
                Scale { k: 3 },
                Outer { k: 3 },
                Sum { k: 4 },
                acc(4),
                Scale { k: 4 },
                Outer { k: 4 },
            ],
        ),
        (tensor(Addend::Together), Scaling::Exponent, Product::Exact, vec![acc(2), acc(3), Outer { k: 3 }, acc(4), Outer { k: 4 }]),
        (tensor(meeting), Scaling::None, Product::Exact, vec![acc(2), acc(3), Outer { k: 3 }, acc(4), Outer { k: 4 }]),
        (
            tensor(Addend::Apart),
            Scaling::None,
            Product::Exact,
            vec![Sum { k: 2 }, acc(2), Sum { k: 3 }, acc(3), Outer { k: 3 }, Sum { k: 4 }, acc(4), Outer { k: 4 }],
        ),
    ] {
        let mode = MacMode {
            unit,
            scale,
            product,
            lanes: 3,
            chunk: Some(4),
            rounding: Rounding::Sr(8),
            ..MacMode::fused(Format::E4M3FN, Format::E4M3FN, Format::FP16)
        };
        let ones = [0x38; 5];
        let scales = (scale != Scaling::None).then_some(Scales { a: &[127; 2], b: &[127; 2] });
        let mut steps = Vec::new();
        let gemm = Gemm { scales, ..gemm(&mode, [1, 1, 5], &ones, &ones) };
        gemm.run(|site| {
            steps.push(site.step);
            0
        })
        .unwrap();
        assert_eq!(steps.pop(), Some(Output));
        assert_eq!(steps, expected, "{unit:?}");
    }
}

#[test]
fn refusals() {
    let fused = MacMode::fused(Format::E4M3FN, Format::E4M3FN, Format::FP32);
    let tensor = Unit::Aligned(aligned(10, Addend::Together));
    let wide = MacMode { accumulator: format("fx200.100"), ..fused.clone() };
    let outputs = (Format::FP32, Policy::RNE);
    for (mode, message) in [
        (MacMode { lanes: 0, ..fused.clone() }, "the number of lanes must be at least 1"),
        (MacMode { unit: Unit::Interleaved { ways: 0 }, ..fused.clone() }, "the number of interleaved chains must be at least 1"),
        (MacMode { scale: Scaling::Chunk, ..fused.clone() }, "the MAC mode has no meaning: its block scales were not given"),
        (
            MacMode { unit: tensor, product: Product::Rounded(Format::FP16), ..fused.clone() },
            "the MAC mode has no meaning: an aligned unit takes exact products",
        ),
        (
            MacMode { unit: tensor, a: Format::INT8, ..fused.clone() },
            "the MAC mode has no meaning: an aligned unit's operands and accumulator are floating-point",
        ),
        (
            MacMode { unit: Unit::Aligned(Aligned { groups: 2, ..aligned(10, Addend::Together) }), ..fused.clone() },
            "the MAC mode has no meaning: an accumulator that is one more term belongs to no group",
        ),
        (wide.clone(), "C is given in `fx200.100`, whose codes are wider than 64 bits; use another format for it"),
    ] {
        let gemm = Gemm { output: outputs, c: Some(&[0]), ..gemm(&mode, [1, 1, 1], &[0], &[0]) };
        assert_eq!(gemm.run(no_random).unwrap_err().to_string(), message);
    }
    let result = Gemm { output: (format("fx200.100"), Policy::RNE), ..gemm(&wide, [1, 1, 1], &[0], &[0]) };
    assert!(matches!(result.run(no_random), Err(GemmError::Wide { matrix: "the result", .. })));
    let scaled = MacMode { scale: Scaling::Chunk, chunk: Some(2), ..fused };
    let gemm = Gemm { scales: Some(Scales { a: &[127; 2], b: &[127; 1] }), ..gemm(&scaled, [1, 1, 3], &[0; 3], &[0; 3]) };
    let error = gemm.run(no_random).unwrap_err();
    assert_eq!(error, GemmError::Shape { matrix: "the scales of B", rows: 2, columns: 1, found: 1 });
}
