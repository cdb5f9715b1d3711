//! Against naive series in 400-bit integers, and of each working precision against finer ones.

use super::super::constants::{BITS_64, BITS_128, BITS_192, BITS_320};
use super::super::enclosure::{Argument, Kernel};
use super::super::exact::outcome;
use super::super::fixed::Fixed;
use super::*;
use dashu_int::ops::{BitTest, SquareRoot};
use dashu_int::{IBig, UBig};
use systole_isa::exact::Exact;
use systole_isa::format::Decoded;

/// Fraction bits of the naive series.
const NAIVE_BITS: usize = 400;

/// x 2^400 of an argument, whose exponent must not be below -376.
fn naive_argument(x: Argument) -> IBig {
    let magnitude = IBig::from(x.significand) << (NAIVE_BITS as i32 + x.scale()) as usize;
    if x.negative { -magnitude } else { magnitude }
}

fn naive_product(a: &IBig, b: &IBig) -> IBig {
    (a * b) >> NAIVE_BITS
}

fn naive_quotient(a: &IBig, b: &IBig) -> IBig {
    (a << NAIVE_BITS) / b
}

/// Taylor's series of exp at x / 2^16, squared sixteen times.
fn naive_exp(x: &IBig) -> IBig {
    let one = IBig::ONE << NAIVE_BITS;
    let reduced = x >> 16usize;
    let (mut sum, mut term) = (one.clone(), one);
    for k in 1..40 {
        term = naive_product(&term, &reduced) / k;
        sum += &term;
    }
    for _ in 0..16 {
        sum = naive_product(&sum, &sum);
    }
    sum
}

/// ln x by Newton's iteration on the naive exponential, from the host's guess.
fn naive_log(x: &IBig, guess: f64) -> IBig {
    let mut y = IBig::from((guess * 2f64.powi(60)) as i128) << (NAIVE_BITS - 60);
    for _ in 0..4 {
        let e = naive_exp(&y);
        y += naive_quotient(&((x - &e) * 2), &(x + &e));
    }
    y
}

/// 2/sqrt(pi), by Gauss's three-term arctangent formula for pi.
fn naive_two_over_root_pi() -> IBig {
    let one = IBig::ONE << NAIVE_BITS;
    let arctangent = |n: i32| {
        let (mut sum, mut power) = (IBig::ZERO, &one / n);
        for k in 0..200 {
            sum += &power / (2 * k + 1);
            power = -power / (n * n);
        }
        sum
    };
    let pi: IBig = (arctangent(18) * 12 + arctangent(57) * 8 - arctangent(239) * 5) * 4;
    let root = IBig::from(UBig::try_from(pi << NAIVE_BITS).unwrap().sqrt());
    naive_quotient(&(one * 2), &root)
}

/// erf's Maclaurin series, alternating signs and all.
fn naive_erf(x: &IBig) -> IBig {
    let square = naive_product(x, x);
    let (mut sum, mut power) = (IBig::ZERO, x.clone());
    for k in 0..700 {
        sum += &power / (2 * k + 1);
        power = -naive_product(&power, &square) / (k + 1);
    }
    naive_product(&sum, &naive_two_over_root_pi())
}

fn naive(kernel: Kernel, x: Argument) -> IBig {
    let one: IBig = IBig::ONE << NAIVE_BITS;
    let two = &one * 2;
    let big = naive_argument(x);
    let host = x.significand as f64 * 2f64.powi(x.scale());
    let ln2 = || naive_log(&two, std::f64::consts::LN_2);
    match kernel {
        Kernel::Exp => naive_exp(&big),
        Kernel::Exp2 => naive_exp(&naive_product(&big, &ln2())),
        Kernel::Log => naive_log(&big, host.ln()),
        Kernel::Log2 => naive_quotient(&naive_log(&big, host.ln()), &ln2()),
        Kernel::Tanh => {
            let square = naive_exp(&(big * 2));
            naive_quotient(&(&square - &one), &(&square + &one))
        }
        Kernel::Sigmoid => naive_quotient(&one, &(&one + naive_exp(&-big))),
        Kernel::Erf => naive_erf(&big),
    }
}

const KERNELS: [(Kernel, Function); 7] = [
    (Kernel::Exp, Function::Exp),
    (Kernel::Exp2, Function::Exp2),
    (Kernel::Log, Function::Log),
    (Kernel::Log2, Function::Log2),
    (Kernel::Tanh, Function::Tanh),
    (Kernel::Sigmoid, Function::Sigmoid),
    (Kernel::Erf, Function::Erf),
];

/// An argument in the kernel's domain, with exponent in `exponents`.
fn argument(kernel: Kernel, random: &mut Random, exponents: std::ops::RangeInclusive<i32>) -> Argument {
    let span = (exponents.end() - exponents.start() + 1) as u64;
    let negative = random.below(2) == 1 && !matches!(kernel, Kernel::Log | Kernel::Log2);
    // A third of the significands short, a third near a power of two.
    let significand = match random.below(3) {
        0 => 1 << 23 | random.below(256) << 15,
        1 => [1 << 23 | random.below(64), (1 << 24) - 1 - random.below(64)][random.below(2) as usize],
        _ => 1 << 23 | random.below(1 << 23),
    };
    Argument { negative, significand, exponent: exponents.start() + random.below(span) as i32 }
}

/// The unrounded value of a function that is finite there.
fn at(function: Function, x: Argument) -> Exact {
    let exact = Exact { negative: x.negative, significand: u128::from(x.significand), exponent: x.scale() };
    let Decoded::Finite(value) = outcome(function, Decoded::Finite(exact), Cut::Long).decoded() else { panic!("{function} {x:?}") };
    value
}

/// True if the sticky bit is set.
fn is_inexact(value: Exact) -> bool {
    value.significand & 1 == 1
}

#[test]
fn sixty_four_bits_agree_with_naive_series() {
    // Where a function is taken over by its limit, in 64ths.
    let thresholds = [(Kernel::Erf, 416), (Kernel::Tanh, 1472), (Kernel::Sigmoid, 2944)];
    let mut random = Random(1);
    for (kernel, function) in KERNELS {
        let anywhere = (0..300).map(|_| argument(kernel, &mut random, -40..=if kernel == Kernel::Erf { 2 } else { 4 }));
        let near = thresholds.iter().filter(|t| t.0 == kernel).flat_map(|t| t.1 - 192..t.1 + 16).map(|n: u64| {
            let exponent = n.ilog2() as i32;
            Argument { negative: false, significand: n << (23 - exponent), exponent: exponent - 6 }
        });
        for x in anywhere.chain(near) {
            let got = at(function, x);
            if !is_inexact(got) {
                continue;
            }
            // The naive value lies strictly inside the cut that the sticky bit stands for.
            let naive = naive(kernel, x);
            assert_eq!(naive < IBig::ZERO, got.negative, "{function} {x:?}");
            let magnitude = if got.negative { -naive } else { naive };
            let shift = got.exponent + 1 + NAIVE_BITS as i32;
            let cut = IBig::from(got.significand >> 1) << shift as usize;
            let next = IBig::from((got.significand >> 1) + 1) << shift as usize;
            assert!(cut < magnitude && magnitude < next, "{function} {x:?}");
            assert!((&magnitude - cut).bit_len().min((next - magnitude).bit_len()) > 60, "{function} {x:?}: a suspiciously close call");
        }
    }
}

/// A bound that is too tight shows as a finer enclosure sticking out of a coarser one.
#[test]
fn finer_enclosures_lie_inside_coarser_ones() {
    let mut random = Random(2);
    let mut widest = 0u64;
    let mut neighbours = 0;
    for (kernel, function) in KERNELS {
        for _ in 0..20_000 {
            let exponents = match kernel {
                Kernel::Erf => -2100..=2,
                Kernel::Tanh => -33..=4,
                Kernel::Log | Kernel::Log2 => -2100..=3100,
                _ => -66..=12,
            };
            let mut x = argument(kernel, &mut random, exponents);
            if kernel == Kernel::Erf && x.exponent == 2 {
                // Up to 6.5, where the kernel's domain ends.
                x.significand = (1 << 23) + x.significand % (5 << 20);
            }
            if kernel == Kernel::Sigmoid && !x.negative && x.exponent > 4 {
                // Saturated, and no business of the kernel.
                x.negative = true;
            }
            let (coarsest, coarse) = (kernel.enclose(x, &BITS_64), kernel.enclose(x, &BITS_128));
            let (middle, fine) = (kernel.enclose(x, &BITS_192), kernel.enclose(x, &BITS_320));
            if !is_inexact(at(function, x)) {
                continue;
            }
            let enclosures = [
                (coarsest.value.0.to_vec(), coarsest.error, coarsest.exponent),
                (coarse.value.0.to_vec(), coarse.error, coarse.exponent),
                (middle.value.0.to_vec(), middle.error, middle.exponent),
            ];
            for (value, error, exponent) in enclosures {
                if exponent != fine.exponent {
                    // The reduction chose neighbouring multiples of ln 2.
                    neighbours += 1;
                    continue;
                }
                let n = value.len();
                let widened = Fixed::<6>(std::array::from_fn(|i| if i + n >= 6 { value[i + n - 6] } else { 0 }));
                let (distance, _) = fine.value.minus(widened).magnitude();
                // In whole ulps of the coarser precision.
                let limb = 6 - n;
                assert!(distance.0[limb + 1..].iter().all(|&l| l == 0), "{kernel:?} {x:?}");
                assert!(distance.0[limb] < error, "{kernel:?} {x:?}: {} of {error}", distance.0[limb]);
                if !matches!(kernel, Kernel::Erf) {
                    widest = widest.max(error);
                }
            }
            assert!(fine.leading_bits(Cut::Long).is_some(), "{kernel:?} {x:?}");
        }
    }
    // Arguments below the coarsest ulp next to 0 make up the neighbours.
    assert!(widest < 1 << 17 && neighbours < 2000, "{widest} {neighbours}");
}

#[test]
fn erf_of_the_tiniest_arguments_is_proportional() {
    let factor = naive_two_over_root_pi();
    let mut random = Random(6);
    for _ in 0..2000 {
        let x = argument(Kernel::Erf, &mut random, -2100..=-100);
        let got = at(Function::Erf, x);
        // x^2 / 3 is below 2^-200 and changes none of these bits.
        let product = &factor * IBig::from(x.significand);
        let exponent = x.scale() - NAIVE_BITS as i32;
        let cut = product >> (got.exponent + 1 - exponent) as usize;
        assert_eq!(cut, IBig::from(got.significand >> 1), "{x:?}");
        assert!(is_inexact(got) && got.negative == x.negative);
    }
}
