//! isa's numbers against LLVM's arbitrary-precision floats, in five modes, with exceptions.
//!
//! Three differences have names. In the exceptions IEEE 754-2019 sections 7.4 and 7.5 side
//! with isa. `underflow_by_result`: APFloat raises underflow by the delivered result, isa by
//! the result with unbounded exponent, so isa alone raises it where a tiny number rounds up
//! to the smallest normal one. `silent_overflow`: APFloat calls a result that a directed mode
//! brings back to the largest number inexact only. In values, `unmirrored_direction`:
//! rustc_apfloat 0.2.3 takes rup for rdn and the reverse where a negative E4M3FN number
//! overflows within the top binade (its `normalize` does not mirror the mode there).

use rustc_apfloat::ieee::{BFloat, Double, Float8E4M3FN, Float8E5M2, Half, Single};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Flags, Policy, Rounding, encode, encode_decoded};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

const MODES: [(Rounding, Round); 5] = [
    (Rounding::Rne, Round::NearestTiesToEven),
    (Rounding::Rmm, Round::NearestTiesToAway),
    (Rounding::Rtz, Round::TowardZero),
    (Rounding::Rdn, Round::TowardNegative),
    (Rounding::Rup, Round::TowardPositive),
];

/// APFloat's exceptions in isa's bits.
fn flags(status: Status) -> Flags {
    [
        (Status::INEXACT, Flags::INEXACT),
        (Status::UNDERFLOW, Flags::UNDERFLOW),
        (Status::OVERFLOW, Flags::OVERFLOW),
        (Status::DIV_BY_ZERO, Flags::DIVIDE_BY_ZERO),
        (Status::INVALID_OP, Flags::INVALID),
    ]
    .into_iter()
    .filter(|(theirs, _)| status.contains(*theirs))
    .fold(Flags::NONE, |all, (_, ours)| all | ours)
}

fn smallest_normal(format: Format) -> u64 {
    1 << (format.precision() - 1)
}

fn check<F: Float>(what: impl Fn() -> String, format: Format, rounding: Rounding, (code, raised): (u64, Flags), theirs: StatusAnd<F>) {
    let unmirrored_direction = format == Format::E4M3FN
        && raised.contains(Flags::OVERFLOW)
        && matches!(rounding, Rounding::Rdn | Rounding::Rup)
        && [(0x7f, 0xfe), (0xfe, 0x7f)].contains(&(code, theirs.value.to_bits() & if theirs.value.is_nan() { 0x7f } else { 0xff }));
    if unmirrored_direction {
        return;
    }
    if theirs.value.is_nan() {
        assert!(format.is_nan(code), "{}: {code:#x} is no NaN", what());
    } else {
        assert_eq!(u128::from(code), theirs.value.to_bits(), "{}", what());
    }
    let underflow_by_result = raised.contains(Flags::UNDERFLOW) && code & (format.mask() >> 1) == smallest_normal(format);
    let silent_overflow = raised.contains(Flags::OVERFLOW) && code & (format.mask() >> 1) == format.max_finite(false);
    let mut expected = flags(theirs.status);
    if underflow_by_result {
        expected |= Flags::UNDERFLOW;
    }
    if silent_overflow {
        expected |= Flags::OVERFLOW;
    }
    assert_eq!(raised, expected, "{}: exceptions", what());
}

fn convert_all<F: Float>(format: Format)
where
    Single: FloatConvert<F>,
    Double: FloatConvert<F>,
{
    let mut random = Random(3);
    for case in 0..200_000u64 {
        // Any number; one within the range of 8-bit formats; a short one, often a tie.
        let bits = match case % 3 {
            0 => random.next(),
            1 => (random.next() & 0x800f_ffff_ffff_ffff) | (1023 - 24 + random.next() % 44) << 52,
            _ => (random.next() & 0x800f_e000_0000_0000) | (1023 - 20 + random.next() % 40) << 52,
        };
        let x = f64::from_bits(bits);
        if x.is_nan() {
            continue;
        }
        for (rounding, round) in MODES {
            let ours = encode_decoded(format, Decoded::from_f64(x), Policy::new(rounding), 0);
            let theirs: StatusAnd<F> = Double::from_bits(bits.into()).convert_r(round, &mut false);
            check(|| format!("{x:e} -> {format} {rounding}"), format, rounding, ours, theirs);
        }
    }
}

#[test]
fn conversions() {
    convert_all::<Float8E5M2>(Format::E5M2);
    convert_all::<Float8E4M3FN>(Format::E4M3FN);
    convert_all::<Half>(Format::FP16);
    convert_all::<BFloat>(Format::BF16);
    convert_all::<Single>(Format::FP32);
}

fn arithmetic<F: Float>(format: Format, cases: impl Iterator<Item = [u64; 3]>) {
    let mut checked = 0;
    for codes in cases {
        let [Decoded::Finite(x), Decoded::Finite(y), Decoded::Finite(z)] = codes.map(|c| format.decode(c)) else { continue };
        let [a, b, c] = codes.map(|c| F::from_bits(c.into()));
        for (rounding, round) in MODES {
            let down = rounding == Rounding::Rdn;
            for (what, exact, theirs) in [
                ("+", x.add(z, down), a.add_r(c, round)),
                ("-", x.add(z.negate(), down), a.sub_r(c, round)),
                ("*", x.multiply(y), a.mul_r(b, round)),
                ("fma", x.multiply(y).add(z, down), a.mul_add_r(b, c, round)),
            ] {
                let ours = encode(format, exact, Policy::new(rounding), 0);
                check(|| format!("{what} of {codes:x?} {format} {rounding}"), format, rounding, ours, theirs);
                checked += 1;
            }
        }
    }
    assert!(checked > 100_000, "{checked}");
}

/// All pairs, each with a third operand drawn at random.
fn narrow_triples() -> impl Iterator<Item = [u64; 3]> {
    let mut random = Random(4);
    (0..0x1_0000).map(move |pair| [pair & 0xff, pair >> 8, random.next() & 0xff])
}

/// Operands of a wide format, often of like exponents.
fn wide_triples(format: Format) -> impl Iterator<Item = [u64; 3]> {
    let mut random = Random(5);
    std::iter::repeat_with(move || {
        let [a, b, c] = [random.next(), random.next(), random.next()].map(|code| code & format.mask());
        let fraction = smallest_normal(format) - 1;
        let like = if random.next().is_multiple_of(2) { (a & !fraction) | (c & fraction) } else { c };
        [a, b, like]
    })
    .take(60_000)
}

#[test]
fn operations() {
    arithmetic::<Float8E5M2>(Format::E5M2, narrow_triples());
    arithmetic::<Float8E4M3FN>(Format::E4M3FN, narrow_triples());
    arithmetic::<Half>(Format::FP16, wide_triples(Format::FP16));
    arithmetic::<BFloat>(Format::BF16, wide_triples(Format::BF16));
    arithmetic::<Single>(Format::FP32, wide_triples(Format::FP32));
    arithmetic::<Double>(Format::FP64, wide_triples(Format::FP64));
}
