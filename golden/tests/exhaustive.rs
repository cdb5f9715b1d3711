//! Proof by exhaustion: isa's exact arithmetic and rounding against golden, over whole sets.
//!
//! Every finite case of a set in every rounding mode (six, and `sr4` with four values of R),
//! by IEEE overflow and saturating. Each test prints how many results it compared:
//! `cargo test -p systole-golden --test exhaustive -- --nocapture`, the complete sets with
//! `--include-ignored` added.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "this test compares the two")]

mod support;

use dashu_int::IBig;
use std::collections::{BTreeSet, HashMap};
use support::{formats, magnitude};
use systole_golden::Value;
use systole_golden::round::{Placed, round};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format, NAMED};
use systole_isa::round::{Flags, Overflow, Policy, Rounding, encode};

/// Policies and random bits a number is rounded with.
fn settings() -> Vec<(Policy, u64)> {
    let stochastic = [1, 8, 11, 15].map(|r| (Rounding::Sr(4), r));
    let modes = Rounding::DETERMINISTIC.into_iter().map(|mode| (mode, 0)).chain(stochastic);
    modes.flat_map(|(mode, r)| [Overflow::Ieee, Overflow::Saturate].map(|o| (Policy::new(mode).overflow(o), r))).collect()
}

/// The finite numbers of a format, as both sides read them. They must agree.
fn numbers(format: Format) -> Vec<(u64, Exact, Value)> {
    let finite = |code| match (format.decode(code), Value::of(format, code)) {
        (Decoded::Finite(x), value @ Value::Finite { .. }) => {
            assert_eq!(support::value(Decoded::Finite(x)), value, "{format} {code:#x}");
            Some((code, x, value))
        }
        (Decoded::Finite(_), _) | (_, Value::Finite { .. }) => panic!("{format} {code:#x} is finite to one only"),
        _ => None,
    };
    (0..1 << format.bits()).filter_map(finite).collect()
}

/// golden's results, each exact number rounded once per setting.
struct Truth {
    format: Format,
    settings: Vec<(Policy, u64)>,
    known: HashMap<(bool, IBig, usize), Vec<(u64, Flags)>>,
}

impl Truth {
    fn new(format: Format) -> Self {
        Self { format, settings: settings(), known: HashMap::new() }
    }

    fn of(&mut self, value: &Value) -> &[(u64, Flags)] {
        let Value::Finite { negative, magnitude } = value else { panic!("finite operands, but {value}") };
        let key = (*negative, magnitude.numerator().clone(), magnitude.denominator().trailing_zeros().unwrap_or(0));
        let Self { format, settings, known } = self;
        known.entry(key).or_insert_with(|| {
            let placed = Placed::new(*format, magnitude);
            settings.iter().map(|&(policy, r)| placed.round(*negative, policy, r)).collect()
        })
    }

    /// Compares isa's rounding of the sum `x + y` with golden's of `gx + gy`. Returns how
    /// many results.
    fn sum(&mut self, (x, gx): (Exact, &Value), (y, gy): (Exact, &Value), case: impl Fn() -> String) -> u64 {
        let (value, flags) = gx.sum(gy, Rounding::Rne);
        assert_eq!(flags, Flags::NONE);
        let sums = [x.add(y, false), x.add(y, true)];
        let (format, settings) = (self.format, self.settings.clone());
        if matches!(&value, Value::Finite { magnitude, .. } if magnitude.is_zero()) {
            // The sign of a zero sum is a matter of the mode.
            for (policy, r) in &settings {
                let ours = round(format, &gx.sum(gy, policy.rounding).0, *policy, *r);
                let theirs = encode(format, sums[usize::from(policy.rounding.cancels_to_negative_zero())], *policy, *r);
                assert!(ours == theirs, "{format}: {} {policy:?} R={r}: golden {ours:x?}, isa {theirs:x?}", case());
            }
        } else {
            for ((policy, r), ours) in settings.iter().zip(self.of(&value)) {
                let theirs = encode(format, sums[usize::from(policy.rounding.cancels_to_negative_zero())], *policy, *r);
                assert!(*ours == theirs, "{format}: {} {policy:?} R={r}: golden {ours:x?}, isa {theirs:x?}", case());
            }
        }
        settings.len() as u64
    }

    /// Compares isa's rounding of `x` with golden's of `value`. Returns how many results.
    fn one(&mut self, x: Exact, value: &Value, case: impl Fn() -> String) -> u64 {
        let (format, settings) = (self.format, self.settings.clone());
        for ((policy, r), ours) in settings.iter().zip(self.of(value)) {
            let theirs = encode(format, x, *policy, *r);
            assert!(*ours == theirs, "{format}: {} {policy:?} R={r}: golden {ours:x?}, isa {theirs:x?}", case());
        }
        settings.len() as u64
    }
}

/// All sums and products of pairs, in the format itself.
fn every_pair(names: &[String]) -> u64 {
    let mut compared = 0;
    for name in names {
        let format: Format = name.parse().unwrap();
        let numbers = numbers(format);
        let mut truth = Truth::new(format);
        for (a, x, gx) in &numbers {
            for (b, y, gy) in &numbers {
                compared += truth.sum((*x, gx), (*y, gy), || format!("{a:#x} + {b:#x}"));
                compared += truth.one(x.multiply(*y), &gx.product(gy).0, || format!("{a:#x} * {b:#x}"));
            }
        }
    }
    eprintln!("all pairs, + and *, of {} formats: {compared} results", names.len());
    compared
}

/// P3109's formats of one width, both domains.
fn p3109(width: u32) -> impl Iterator<Item = String> {
    (1..width).flat_map(move |p| ["se", "sf"].map(|domain| format!("p3109_k{width}p{p}{domain}")))
}

fn posits(width: u32) -> impl Iterator<Item = String> {
    (0..=3).map(move |exponent_bits| format!("posit{width}_{exponent_bits}"))
}

/// Every 8-bit format with a name, and the families complete.
fn eight_bits() -> Vec<String> {
    let named = NAMED.iter().filter(|n| n.format.bits() == 8).map(|n| n.name.to_owned());
    let more = ["e5m2fn", "e5m2f", "e2m5", "e6m1", "e3m4fnuz", "e1m6f", "e7m0f", "fx8.4", "quire8.4"].map(str::to_owned);
    named.chain(p3109(8)).chain(posits(8)).chain(more).collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn every_pair_of_eight_bits() {
    let all = eight_bits();
    assert!(all.len() >= 40 && every_pair(&all) > 80_000_000);
}

/// All triples, `a * b + c`, in the format itself.
fn every_triple(names: &[String]) -> u64 {
    let mut compared = 0;
    for name in names {
        let format: Format = name.parse().unwrap();
        let numbers = numbers(format);
        let mut truth = Truth::new(format);
        for (a, x, gx) in &numbers {
            for (b, y, gy) in &numbers {
                let (product, truly) = (x.multiply(*y), gx.product(gy).0);
                for (c, z, gz) in &numbers {
                    compared += truth.sum((product, &truly), (*z, gz), || format!("{a:#x} * {b:#x} + {c:#x}"));
                }
            }
        }
    }
    eprintln!("all triples, fma, of {} formats: {compared} results", names.len());
    compared
}

fn of_bits(width: u32, more: &str) -> Vec<String> {
    let more = more.split_whitespace().map(str::to_owned);
    p3109(width).chain(posits(width)).chain(more).collect()
}

#[test]
fn every_triple_of_five_bits() {
    assert!(every_triple(&of_bits(5, "e2m2 e2m2fn e2m2fnuz e2m2f e3m1 e3m1f int5 fx5.2")) > 8_000_000);
}

#[test]
fn every_triple_of_six_bits() {
    let all = of_bits(6, "e3m2 e3m2fn e3m2fnuz e3m2f e2m3 e2m3f e2m3fnuz e4m1 e4m1f int6 fx6.3 quire6.3");
    assert!(every_triple(&all) > 100_000_000);
}

/// A minute on one core.
#[test]
#[ignore = "long"]
fn every_triple_of_seven_bits() {
    every_triple(&of_bits(7, "e4m2 e3m3 e3m3fn e5m1 e2m4fnuz e6m0f int7 fx7.3"));
}

/// 4 minutes on one core.
#[test]
#[ignore = "long"]
fn every_triple_of_eight_bits() {
    let names = "e4m3fn e5m2 e4m3fnuz e5m2fnuz e3m4 p3109_k8p3se p3109_k8p4se posit8_0 posit8_2 int8";
    every_triple(&names.split(' ').map(str::to_owned).collect::<Vec<_>>());
}

/// Numbers of either sign into formats: the exact number, its magnitude placed once.
fn into(numbers: impl Iterator<Item = Exact>, targets: &[Format]) -> u64 {
    let settings = settings();
    let mut compared = 0;
    for x in numbers {
        let magnitude = magnitude(x);
        for &to in targets {
            let placed = Placed::new(to, &magnitude);
            for x in [x, x.negate()] {
                for (policy, r) in &settings {
                    let (ours, theirs) = (placed.round(x.negative, *policy, *r), encode(to, x, *policy, *r));
                    assert!(ours == theirs, "{x:?} -> {to} {policy:?} R={r}: golden {ours:x?}, isa {theirs:x?}");
                }
            }
            compared += 2 * settings.len() as u64;
        }
    }
    compared
}

/// Named formats of at most `bits` bits.
fn named_up_to(bits: u32) -> Vec<Format> {
    NAMED.iter().map(|n| n.format).filter(|f| f.bits() <= bits).collect()
}

/// Every `stride`th magnitude of a 16-bit format into every named format no wider.
fn sixteen_bits(names: &str, stride: usize) -> u64 {
    let targets = named_up_to(16);
    let mut compared = 0;
    for format in formats(names) {
        let magnitudes = (0..1 << 15).step_by(stride).filter_map(|code| match format.decode(code) {
            Decoded::Finite(x) => Some(x),
            _ => None,
        });
        compared += into(magnitudes, &targets);
    }
    eprintln!("{names}, 1 magnitude in {stride}, into {} formats: {compared} results", targets.len());
    compared
}

#[test]
fn sixteen_bit_numbers_into_named_formats() {
    // An odd stride meets each exponent and each low bit.
    assert!(sixteen_bits("fp16 bf16 e6m9 dlfloat16 posit16_1", 11) > 20_000_000);
}

/// A minute on one core.
#[test]
#[ignore = "long"]
fn every_sixteen_bit_number_into_named_formats() {
    sixteen_bits("fp16 bf16 e6m9 dlfloat16 posit16_1 posit16_2 int16 e3m12fnuz e5m10f fx16.8", 1);
}

/// binary32 magnitudes: every exponent field but the last, with significands that are sparse,
/// dense, next to a tie of every precision, and `more` of an arithmetic sequence.
fn binary32(more: u64) -> impl Iterator<Item = Exact> {
    let mut fractions: BTreeSet<u64> = [0, 1, 0x7f_ffff, 0x55_5555, 0x2a_aaaa].into();
    for bit in 0..23 {
        let one = 1u64 << bit;
        fractions.extend([one, one - 1, one + 1, 0x80_0000 - one, 0x7f_ffff ^ one].map(|f| f & 0x7f_ffff));
    }
    // 2^23 by the golden ratio: spread evenly whatever the count.
    fractions.extend((0..more).map(|i| (i * 5_184_565) & 0x7f_ffff));
    (0..255u64).flat_map(move |field| fractions.clone().into_iter().map(move |fraction| field << 23 | fraction)).map(|code| {
        let Decoded::Finite(x) = Format::FP32.decode(code) else { unreachable!("the last field is left out") };
        x
    })
}

#[test]
fn binary32_into_named_formats() {
    let targets = named_up_to(64);
    let compared = into(binary32(0).step_by(5), &targets);
    eprintln!("binary32, each exponent, into {} formats: {compared} results", targets.len());
    assert!(compared > 10_000_000);
}

/// Half a minute on one core.
#[test]
#[ignore = "long"]
fn much_of_binary32_into_named_formats() {
    let targets = named_up_to(64);
    let compared = into(binary32(150), &targets);
    eprintln!("binary32, 255 exponents and {} numbers, into {} formats: {compared} results", binary32(150).count(), targets.len());
}

const ACCUMULATORS: &str = "fp32 fp16 bf16 tf32 e6m9 e8m13 dlfloat16 e5m7 e6m6 e6m2 fx46.18 fx24.12 posit16_1 posit16_2";

/// Codes of positive numbers: the ends, and `steps` places in between with their neighbours.
fn corners(format: Format, steps: u64) -> BTreeSet<u64> {
    let span = 1u64 << (format.bits() - 1);
    let ends = (0..3).chain(span - 3..span);
    let spread = (0..steps).flat_map(|i| {
        let code = (u128::from(span) * u128::from(i) / u128::from(steps)) as u64;
        [code.saturating_sub(1), code, code + 1]
    });
    ends.chain(spread).filter(|&code| matches!(format.decode(code), Decoded::Finite(_))).collect()
}

/// One step of an accumulator: every product of two operand formats on top of corner sums.
fn every_product(steps: u64) -> u64 {
    let settings = settings();
    let mut compared = 0;
    for (a, b) in [("e4m3fn", "e4m3fn"), ("e4m3fn", "e5m2"), ("e5m2", "e5m2")] {
        let (a, b) = (numbers(a.parse().unwrap()), numbers(b.parse().unwrap()));
        // One pair of operands for every value a product can have; the sign goes into the sum.
        let mut products = HashMap::new();
        for ((_, x, gx), (_, y, gy)) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            let (product, truly) = (x.multiply(*y), gx.product(gy).0);
            if let Value::Finite { negative: false, magnitude } = &truly {
                let key = (magnitude.numerator().clone(), magnitude.denominator().trailing_zeros());
                products.entry(key).or_insert((product, truly.clone()));
            }
        }
        for to in formats(ACCUMULATORS) {
            let addends: Vec<_> = corners(to, steps).into_iter().map(|code| (code, to.decode(code), Value::of(to, code))).collect();
            for (product, truly) in products.values() {
                for (code, addend, gz) in &addends {
                    let Decoded::Finite(addend) = *addend else { unreachable!("corners are finite") };
                    for (addend, gz) in [(addend, gz.clone()), (addend.negate(), gz.clone().negated())] {
                        let (sum, _) = truly.sum(&gz, Rounding::Rne);
                        let Value::Finite { negative, magnitude } = &sum else { unreachable!("finite operands") };
                        if magnitude.is_zero() {
                            continue;
                        }
                        let placed = Placed::new(to, magnitude);
                        // Both signs of product and addend give both signs of the sum.
                        let theirs = [product.add(addend, false), product.negate().add(addend.negate(), true)];
                        for (x, negative) in theirs.into_iter().zip([*negative, !negative]) {
                            for (policy, r) in &settings {
                                let (ours, theirs) = (placed.round(negative, *policy, *r), encode(to, x, *policy, *r));
                                let case = || format!("{truly} + {code:#x} -> {to} {policy:?} R={r}");
                                assert!(ours == theirs, "{}: golden {ours:x?}, isa {theirs:x?}", case());
                            }
                        }
                        compared += 2 * settings.len() as u64;
                    }
                }
            }
        }
    }
    eprintln!("every product of e4m3fn and e5m2 into {} accumulators: {compared} results", formats(ACCUMULATORS).len());
    compared
}

#[test]
fn every_product_onto_corner_sums() {
    assert!(every_product(3) > 5_000_000);
}

/// 4 minutes on one core.
#[test]
#[ignore = "long"]
fn every_product_onto_many_sums() {
    every_product(200);
}
