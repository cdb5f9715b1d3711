//! Dot products in a quire against softposit 0.4's: any number of products, rounded once.
//!
//! Two results of softposit are compared: the bits of its quire, rounded here by golden, and its
//! own rounding of them. There a difference has a name. `extremes_unrounded`: `Q32E2::to_posit`
//! errs where the regime leaves at most one bit of the exponent, so near minpos and maxpos
//! (0x5bba13ce times minpos is 98372071 / 2^143, between 2^-120 and 2^-116, and it gives 0).

use dashu_int::{IBig, UBig};
use softposit::{P8E0, P16E1, P32E2, Q8E0, Q16E1, Q32E2};
use systole_arrays::datapath::{Element, Mac, Output, dot};
use systole_golden::round::round;
use systole_golden::value::power_of_two;
use systole_golden::{Rational, Value};
use systole_isa::design::MacMode;
use systole_isa::device::Activity;
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{Policy, convert};

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

    /// A code: any, of magnitude about one, or one of the extremes; NaR seldom.
    fn code(&mut self, format: Format) -> u64 {
        let (any, mask) = (self.next(), format.mask());
        let nar = mask ^ mask >> 1;
        match any >> 58 {
            0 if any >> 40 & 15 == 0 => nar,
            0..=6 => any >> 40 & 3,
            7..=12 => (mask >> 1) - (any >> 40 & 3),
            13..=16 => nar + 1 + (any >> 40 & 3),
            17..=40 => (1 << (format.bits() - 2) ^ (any & mask) >> 3) ^ if any >> 57 & 1 == 1 { nar } else { 0 },
            _ => any & mask,
        }
    }
}

/// c + a . b by softposit: the code of the posit in the low bits, and the quire's words, highest
/// first, unless it is NaR.
type Theirs = fn(c: Option<u64>, a: &[u64], b: &[u64]) -> (u64, Option<Vec<u64>>);

macro_rules! quire {
    ($quire:ty, $posit:ty, $word:ty, $words:expr) => {
        |c, a, b| {
            let posit = |code: u64| <$posit>::from_bits(code as $word);
            let mut quire = <$quire>::init();
            if let Some(c) = c {
                quire.add_product(posit(c), <$posit>::ONE);
            }
            for (&a, &b) in a.iter().zip(b) {
                quire.add_product(posit(a), posit(b));
            }
            let words: fn(&$quire) -> Vec<u64> = $words;
            (quire.to_posit().to_bits().into(), (!quire.is_nar()).then(|| words(&quire)))
        }
    };
}

/// The number that a quire's words stand for, in two's complement.
fn number(words: &[u64], fraction_bits: i32) -> Value {
    let bits = 64 * words.len();
    let code = words.iter().fold(UBig::ZERO, |code, word| code << 64 | UBig::from(*word));
    let negative = words[0] >> 63 == 1;
    let integer = if negative { IBig::from(code) - (IBig::ONE << bits) } else { code.into() };
    Value::finite(Rational::from(integer) * power_of_two(-i64::from(fraction_bits)))
}

fn hold(posit: &str, quire: &str, theirs: Theirs, sums: u32, most: u64) {
    let [posit, quire] = [posit, quire].map(|name| name.parse::<Format>().unwrap_or_else(|e| panic!("{e}")));
    let mac = Mac::new(&MacMode::fused(posit, posit, quire), 0, 0);
    let output = Output { format: posit, policy: Policy::RNE };
    let element = Element { site: Site::default(), row: 0, column: 0 };
    let mut random = Random(u64::from(posit.bits()));
    let (mut products, mut nar, mut extremes_unrounded) = (0u64, 0u32, 0u32);
    for _ in 0..sums {
        let k = 1 + random.next() % most;
        let mut codes = || (0..k).map(|_| random.code(posit)).collect::<Vec<u64>>();
        let (mut a, mut b) = (codes(), codes());
        // Half of the sums cancel but for one product.
        if random.next() & 1 == 0 {
            for i in (1..k as usize - 1).step_by(2) {
                (a[i + 1], b[i + 1]) = (a[i].wrapping_neg() & posit.mask(), b[i]);
            }
        }
        let c = (random.next() & 1 == 0).then(|| random.code(posit));
        let at = |codes: &[u64], i: u32| codes[i as usize];
        // A quire of up to 64 bits is initialised by a code of its own, a wider one by a posit.
        let initial = c.map(|c| if quire.is_wide() { c } else { convert(posit, quire, c, Policy::RNE, 0).0 });
        let ours = dot(&mac, k as u32, |i| at(&a, i), |i| at(&b, i), initial, None, &output, &element, &mut Activity::default());
        let (rounded, words) = theirs(c, &a, &b);
        let what = || format!("{quire}: {c:x?} + {a:x?} . {b:x?}: {ours:#x}");
        let Format::Quire(fixed) = quire else { panic!("{quire} is no quire") };
        let exact = words.map_or(Value::Nan, |words| number(&words, fixed.fraction_bits));
        assert_eq!(ours, round(posit, &exact, Policy::RNE, 0).0, "{}, softposit's quire {exact}", what());
        if ours != rounded {
            let magnitude = if ours > posit.mask() >> 1 { ours.wrapping_neg() & posit.mask() } else { ours };
            let extreme = magnitude <= 4 || magnitude >= (posit.mask() >> 1) - 4;
            assert!(posit.bits() == 32 && extreme, "{}, softposit {rounded:#x}", what());
            extremes_unrounded += 1;
        }
        products += k;
        nar += u32::from(posit.is_nan(ours));
    }
    println!("{quire}: {sums} sums of {products} products, {nar} NaR; extremes_unrounded {extremes_unrounded}");
    assert!(nar > 0 && nar < sums / 2);
}

fn all(sums: u32) {
    hold("posit8_0", "quire32.12", quire!(Q8E0, P8E0, u8, |quire| vec![quire.to_bits() as i32 as i64 as u64]), sums, 60);
    hold(
        "posit16_1",
        "quire128.56",
        quire!(Q16E1, P16E1, u16, |quire| vec![(quire.to_bits() >> 64) as u64, quire.to_bits() as u64]),
        sums,
        60,
    );
    hold("posit32_2", "quire512.240", quire!(Q32E2, P32E2, u32, |quire| quire.to_bits().to_vec()), sums, 60);
}

#[test]
fn quires() {
    all(10_000);
}

/// `cargo test --release -p systole-arrays --test quire -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn quires_at_length() {
    all(1_000_000);
}
