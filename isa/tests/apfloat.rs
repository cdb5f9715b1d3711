//! isa's numbers against LLVM's arbitrary-precision floats, in five modes, with exceptions.
//!
//! rustc_apfloat has six of our formats; others are defined here by its own description of
//! semantics. Three differences have names. In the exceptions IEEE 754-2019 sections 7.4 and
//! 7.5 side with isa. `underflow_by_result`: APFloat raises underflow by the delivered result,
//! isa by the result with unbounded exponent, so isa alone raises it where a tiny number rounds
//! up to the smallest normal one. `silent_overflow`: APFloat calls a result that a directed mode
//! brings back to the largest number inexact only. In values, `unmirrored_direction`:
//! rustc_apfloat 0.2.3 takes rup for rdn and the reverse where a negative number of an `fn`
//! format overflows within the top binade (its `normalize` does not mirror the mode there).

use rustc_apfloat::ieee::{BFloat, Double, Float8E4M3FN, Float8E5M2, Half, IeeeFloat, NonfiniteBehavior, Semantics, Single};
use rustc_apfloat::{Float, FloatConvert, Round, Status, StatusAnd};
use systole_isa::format::{Decoded, Format, Specials};
use systole_isa::round::{Flags, Policy, Rounding, encode, encode_decoded};

/// Formats by APFloat's description: width, exponent width, and the exponent of the smallest
/// normal number or the meaning of the top codes where they are not IEEE 754's.
macro_rules! semantics {
    ($($name:ident($bits:literal:$exponent_bits:literal) $({ $($item:item)* })?;)*) => {$(
        struct $name;
        impl Semantics for $name {
            const BITS: usize = $bits;
            const EXP_BITS: usize = $exponent_bits;
            $($($item)*)?
        }
    )*};
}

semantics! {
    E4M3(8:4);
    E3M4(8:3);
    E2M5(8:2);
    E2M1(4:2);
    E3M2(6:3);
    E6M9(16:6);
    E5M6(12:5);
    E6M5(12:6);
    E8M10(19:8);
    E8M13(22:8);
    E11M4(16:11);
    E3M4B7(8:3) { const MIN_EXP: i32 = -6; };
    E4M3Bm3(8:4) { const MIN_EXP: i32 = 4; };
    E5M10B40(16:5) { const MIN_EXP: i32 = -39; };
    E5M2Fn(8:5) { const NONFINITE_BEHAVIOR: NonfiniteBehavior = NonfiniteBehavior::NanOnly; };
    E3M4Fn(8:3) { const NONFINITE_BEHAVIOR: NonfiniteBehavior = NonfiniteBehavior::NanOnly; };
    E6M9Fn(16:6) { const NONFINITE_BEHAVIOR: NonfiniteBehavior = NonfiniteBehavior::NanOnly; };
}

/// Calls a function for every format, with APFloat's type and our name.
macro_rules! for_each_format {
    ($check:ident($($argument:expr),*)) => {
        $check::<Float8E5M2>("e5m2" $(, $argument)*);
        $check::<Float8E4M3FN>("e4m3fn" $(, $argument)*);
        $check::<Half>("fp16" $(, $argument)*);
        $check::<BFloat>("bf16" $(, $argument)*);
        $check::<Single>("fp32" $(, $argument)*);
        $check::<Double>("fp64" $(, $argument)*);
        $check::<IeeeFloat<E4M3>>("e4m3" $(, $argument)*);
        $check::<IeeeFloat<E3M4>>("e3m4" $(, $argument)*);
        $check::<IeeeFloat<E2M5>>("e2m5" $(, $argument)*);
        $check::<IeeeFloat<E2M1>>("e2m1" $(, $argument)*);
        $check::<IeeeFloat<E3M2>>("e3m2" $(, $argument)*);
        $check::<IeeeFloat<E6M9>>("e6m9" $(, $argument)*);
        $check::<IeeeFloat<E5M6>>("e5m6" $(, $argument)*);
        $check::<IeeeFloat<E6M5>>("e6m5" $(, $argument)*);
        $check::<IeeeFloat<E8M10>>("tf32" $(, $argument)*);
        $check::<IeeeFloat<E8M13>>("e8m13" $(, $argument)*);
        $check::<IeeeFloat<E11M4>>("e11m4" $(, $argument)*);
        $check::<IeeeFloat<E3M4B7>>("e3m4b7" $(, $argument)*);
        $check::<IeeeFloat<E4M3Bm3>>("e4m3b-3" $(, $argument)*);
        $check::<IeeeFloat<E5M10B40>>("e5m10b40" $(, $argument)*);
        $check::<IeeeFloat<E5M2Fn>>("e5m2fn" $(, $argument)*);
        $check::<IeeeFloat<E3M4Fn>>("e3m4fn" $(, $argument)*);
        $check::<IeeeFloat<E6M9Fn>>("e6m9fn" $(, $argument)*);
    };
}

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

/// Cases, and those among them where a named difference shows.
#[derive(Default)]
struct Tally {
    checked: u64,
    unmirrored_direction: u64,
    underflow_by_result: u64,
    silent_overflow: u64,
}

impl Tally {
    fn report(&self, format: Format, what: &str) {
        let Self { checked, unmirrored_direction, underflow_by_result, silent_overflow } = self;
        println!(
            "{format}: {checked} {what}; unmirrored_direction {unmirrored_direction}, \
             underflow_by_result {underflow_by_result}, silent_overflow {silent_overflow}"
        );
    }
}

fn check<F: Float>(
    tally: &mut Tally,
    what: impl Fn() -> String,
    format: Format,
    rounding: Rounding,
    (code, raised): (u64, Flags),
    theirs: StatusAnd<F>,
) {
    tally.checked += 1;
    let (largest, nan) = (format.max_finite(true), format.canonical_nan());
    let is_fn = format.as_float().is_some_and(|f| f.specials == Specials::Fn);
    let delivered = u64::try_from(theirs.value.to_bits()).unwrap_or(u64::MAX);
    let unmirrored_direction = is_fn
        && raised.contains(Flags::OVERFLOW)
        && match rounding {
            // Minus infinity, which there is not, and minus the largest number.
            Rounding::Rdn => Some(code) == nan && delivered == largest,
            Rounding::Rup => code == largest && theirs.value.is_nan(),
            _ => false,
        };
    if unmirrored_direction {
        tally.unmirrored_direction += 1;
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
    if underflow_by_result && !expected.contains(Flags::UNDERFLOW) {
        tally.underflow_by_result += 1;
        expected |= Flags::UNDERFLOW;
    }
    if silent_overflow && !expected.contains(Flags::OVERFLOW) {
        tally.silent_overflow += 1;
        expected |= Flags::OVERFLOW;
    }
    assert_eq!(raised, expected, "{}: exceptions", what());
}

/// Binary64 numbers around the range of a format, all drawn and some made to tie.
fn conversions_into<F: Float>(name: &str, cases: u64)
where
    Double: FloatConvert<F>,
{
    let format: Format = name.parse().expect("a format's name");
    let fields = format.as_float().expect("a float");
    let mut random = Random(3);
    let lowest = 1023 + fields.min_quantum_exponent() - 4;
    let binades = (2 << fields.exponent_bits.min(10)) + fields.mantissa_bits as i32 + 8;
    let mut tally = Tally::default();
    for case in 0..cases {
        let any = random.next();
        let exponent = |draw: u64| u64::from((lowest + (draw % binades as u64) as i32).clamp(0, 2046) as u32) << 52;
        let bits = match case % 4 {
            0 => any,
            1 => (any & 0x800f_ffff_ffff_ffff) | exponent(any >> 20),
            // Few bits beyond the format's: ties, and codes themselves.
            2 => {
                (any & (0x800f_ffff_ffff_ffff >> 51 << 51 | u64::MAX << (51 - fields.mantissa_bits.min(51)))) & !(0x7ff << 52)
                    | exponent(any)
            }
            // One unit of binary64 beside them.
            _ => ((any & (u64::MAX << (51 - fields.mantissa_bits.min(51)))) & !(0x7ff << 52) | exponent(any))
                .wrapping_add(any % 3)
                .wrapping_sub(1),
        };
        let x = f64::from_bits(bits);
        if x.is_nan() {
            continue;
        }
        for (rounding, round) in MODES {
            let ours = encode_decoded(format, Decoded::from_f64(x), Policy::new(rounding), 0);
            let theirs: StatusAnd<F> = Double::from_bits(bits.into()).convert_r(round, &mut false);
            check(&mut tally, || format!("{x:e} ({bits:#x}) -> {format} {rounding}"), format, rounding, ours, theirs);
        }
    }
    assert!(tally.checked > cases * 4, "{}", tally.checked);
    tally.report(format, "conversions");
}

#[test]
fn conversions() {
    for_each_format!(conversions_into(60_000));
}

/// `cargo test --release -p systole-isa --test apfloat -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn conversions_at_length() {
    for_each_format!(conversions_into(2_000_000));
}

/// All pairs of codes of a narrow format, each with a third drawn at random; else operands
/// that are often of like exponents or nearly cancel.
fn triples(format: Format, cases: u64) -> Box<dyn Iterator<Item = [u64; 3]>> {
    let (bits, mask) = (format.bits(), format.mask());
    let mut random = Random(4);
    if bits <= 8 {
        let rounds = cases.div_ceil(1 << (2 * bits));
        let pairs = (0..rounds).flat_map(move |_| 0..1u64 << (2 * bits));
        return Box::new(pairs.map(move |pair| [pair & mask, pair >> bits, random.next() & mask]));
    }
    let fraction = smallest_normal(format) - 1;
    Box::new((0..cases).map(move |_| {
        let [a, b, c] = [random.next(), random.next(), random.next()].map(|code| code & mask);
        let draw = random.next();
        let c = match draw % 4 {
            0 => c,
            1 => (a & !fraction) | (c & fraction),
            2 => (a ^ (mask ^ mask >> 1)).wrapping_add(draw >> 8 & 7).wrapping_sub(3) & mask,
            _ => near_product(format, [a, b], draw >> 8).unwrap_or(c),
        };
        [a, b, c]
    }))
}

/// The negated product to within a few units of its last place, or a multiple of it.
fn near_product(format: Format, [a, b]: [u64; 2], draw: u64) -> Option<u64> {
    let (Decoded::Finite(x), Decoded::Finite(y)) = (format.decode(a), format.decode(b)) else { return None };
    let shift = if draw & 1 == 0 { 0 } else { (draw >> 1 & 63) as i32 - 32 };
    let code = encode(format, x.multiply(y).negate().scale(shift), Policy::RNE, 0).0;
    Some(code.wrapping_add(draw >> 8 & 3).wrapping_sub(1) & format.mask())
}

fn arithmetic<F: Float>(name: &str, cases: u64) {
    let format: Format = name.parse().expect("a format's name");
    let mut tally = Tally::default();
    for codes in triples(format, cases) {
        let [Decoded::Finite(x), Decoded::Finite(y), Decoded::Finite(z)] = codes.map(|c| format.decode(c)) else { continue };
        let [a, b, c] = codes.map(|c| F::from_bits(c.into()));
        for (rounding, round) in MODES {
            let down = rounding == Rounding::Rdn;
            // The first two operands are those that narrow formats have all pairs of.
            for (what, exact, theirs) in [
                ("+", x.add(y, down), a.add_r(b, round)),
                ("+ third", x.add(z, down), a.add_r(c, round)),
                ("-", x.add(y.negate(), down), a.sub_r(b, round)),
                ("*", x.multiply(y), a.mul_r(b, round)),
                ("fma", x.multiply(y).add(z, down), a.mul_add_r(b, c, round)),
            ] {
                let ours = encode(format, exact, Policy::new(rounding), 0);
                check(&mut tally, || format!("{what} of {codes:x?} {format} {rounding}"), format, rounding, ours, theirs);
            }
        }
    }
    assert!(tally.checked > cases, "{format}: {}", tally.checked);
    tally.report(format, "operations");
}

#[test]
fn operations() {
    for_each_format!(arithmetic(30_000));
}

/// `cargo test --release -p systole-isa --test apfloat -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn operations_at_length() {
    for_each_format!(arithmetic(500_000));
}
