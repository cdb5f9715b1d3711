//! Scaled chunks whose sums have more bits than a binary64.

use super::{ROUNDINGS, Ran, format, mode, setup};
use crate::problem::Shape;
use crate::testing::Problem;
use systole_isa::codes::Codes;
use systole_isa::design::{MacMode, Scaling};
use systole_isa::format::Format;
use systole_isa::round::{Rounding, encode_f64};

/// Sums times two scales of 24 bits, onto a start that nearly cancels them: bits below binary64's
/// last decide.
#[test]
fn scaled_sums_of_more_bits_than_a_double() {
    let mut ran = Ran::default();
    let mut draw = draws();
    for ((a, accumulator), (rounding, outer)) in [("e4m3fn", "fp32"), ("bf16", "e8m13"), ("int8", "e6m9")]
        .into_iter()
        .flat_map(|formats| ROUNDINGS.into_iter().flat_map(move |r| ["fp32", "e6m9", "fx46.18"].map(|outer| (formats, (r, outer)))))
    {
        let mode = MacMode {
            rounding,
            chunk: Some(2),
            outer: Some(format(outer)),
            scale: Scaling::Chunk,
            scale_format: Format::FP32,
            ..mode(a, "e4m3fn", accumulator)
        };
        let (m, n, k) = (24, 40, 6);
        let codes = |f: Format, count: usize, draw: &mut dyn FnMut() -> u64| {
            Codes::from_fn(f, count, |_| encode_f64(f, (draw() % 31) as f64 - 15.0))
        };
        let (a, b) = (codes(mode.a, m * k, &mut draw), codes(mode.b, k * n, &mut draw));
        // Full significands, a binade or two about 1; now and then a power of two, a zero or an infinity.
        let mut scales = |count: usize| {
            Codes::from_fn(Format::FP32, count, |_| match draw() % 40 {
                0 => 0x3f80_0000,
                1 => 0,
                2 if rounding == Rounding::Rtz => 0x7f80_0000,
                _ => 0x3f00_0000 + draw() % 0x0100_0000,
            })
        };
        let (scales_a, scales_b) = (scales(m * k / 2), scales(k / 2 * n));
        let value = |codes: &Codes, format: Format, i: usize| format.to_f64(codes.get(i));
        // What the last two chunks nearly cancel.
        let c = Codes::from_fn(format(outer), m * n, |i| {
            let (row, column) = (i / n, i % n);
            let chunk = |q: usize| -> f64 {
                let sum: f64 = (2 * q..2 * q + 2).map(|k_| value(&a, mode.a, row * k + k_) * value(&b, mode.b, k_ * n + column)).sum();
                sum * value(&scales_a, Format::FP32, row * k / 2 + q) * value(&scales_b, Format::FP32, q * n + column)
            };
            let wanted = -(0..1 + draw() as usize % 3).map(chunk).sum::<f64>();
            let code = encode_f64(format(outer), if wanted.is_finite() { wanted } else { 1.0 });
            code ^ u64::from(draw().is_multiple_of(3))
        });
        let problem = Problem {
            setup: setup(mode),
            shape: Shape { m: m as u32, n: n as u32, k: k as u32 },
            a,
            b,
            c: Some(c),
            scales: [Some(scales_a), Some(scales_b)],
            mask: None,
        };
        ran.check_large(&problem);
    }
    println!("MACs by kernel: {:?}", ran.0);
    ran.assert_ran(&["fma32", "carrier32"]);
}

/// Scaled sums one unit beside a tie and beside a number of the outer accumulator, that unit
/// below the last bit of a binary64.
#[test]
fn scaled_sums_beside_ties() {
    let mut ran = Ran::default();
    let mut draw = draws();
    let n = 64;
    for (rounding, size) in ROUNDINGS.into_iter().flat_map(|rounding| [53, 54].map(|size| (rounding, size))) {
        let quantum = 1u64 << (size - 23);
        // The row's scale, and of each column: the sum, its scale, and what they are added to.
        let row = 1 << 23 | draw() & 0x7f_ffff | 1;
        let columns: Vec<(u64, u64, f64)> = (0..n)
            .map(|i| {
                let beside = [quantum / 2 + 1, quantum / 2 - 1, 1, quantum - 1][i % 4];
                let (sum, scale) = std::iter::repeat_with(|| draw() & 0xffff | 0x8001)
                    .map(|sum| (sum, beside.wrapping_mul(inverse(sum * row)) % quantum))
                    .find(|&(_, scale)| (1 << 23..1 << 24).contains(&scale))
                    .unwrap();
                let product = u128::from(sum) * u128::from(row) * u128::from(scale);
                let start = -((product >> 40) as f64 * 2f64.powi(40)) + 1.25 * 2f64.powi(size);
                (sum, scale, if i % 3 == 0 { -start } else { start })
            })
            .collect();
        let mode = MacMode {
            rounding,
            chunk: Some(4),
            outer: Some(Format::FP32),
            scale: Scaling::Chunk,
            scale_format: Format::FP32,
            ..mode("bf16", "e4m3fn", "fp32")
        };
        let codes = |format: Format, values: &[f64]| Codes::from_fn(format, values.len(), |i| encode_f64(format, values[i]));
        let digits: Vec<f64> = [12, 8, 4, 0].into_iter().flat_map(|at| columns.iter().map(move |c| (c.0 >> at & 15) as f64)).collect();
        let unit = 2f64.powi(-23);
        let problem = Problem {
            a: codes(mode.a, &[4096.0, 256.0, 16.0, 1.0]),
            b: codes(mode.b, &digits),
            c: Some(codes(Format::FP32, &columns.iter().map(|c| c.2 * unit * unit).collect::<Vec<_>>())),
            mask: None,
            scales: [
                Some(codes(Format::FP32, &[row as f64 * unit])),
                Some(codes(Format::FP32, &columns.iter().map(|c| c.1 as f64 * unit).collect::<Vec<_>>())),
            ],
            setup: setup(mode),
            shape: Shape { m: 1, n: n as u32, k: 4 },
        };
        ran.check_large(&problem);
    }
    ran.assert_ran(&["fma32"]);
}

/// Of an odd number modulo 2^64.
fn inverse(odd: u64) -> u64 {
    (0..6).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))))
}

/// The same numbers of 31 bits every time.
fn draws() -> impl FnMut() -> u64 {
    let mut seed = 1u64;
    move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    }
}
