//! isa's numbers against the host's binary32 and binary64 and against the `half` crate.

use half::{bf16, f16};
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Flags, Policy, encode, encode_decoded};

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

/// Binary32 codes spread over the whole space, and all those next to a border of a 16-bit
/// format: its codes and the middles between them, one step to either side.
fn binary32_inputs(step: usize) -> impl Iterator<Item = f32> {
    let spread = (0..=u32::MAX).step_by(step);
    let borders = (0..=u16::MAX).flat_map(|code| {
        let half = f16::from_bits(code).to_f32().to_bits();
        let brain = u32::from(code) << 16;
        [half, half | 1 << 12, brain, brain | 1 << 15].into_iter().flat_map(|x| [x.wrapping_sub(1), x, x.wrapping_add(1)])
    });
    spread.chain(borders).map(f32::from_bits)
}

fn rne(format: Format, value: f64) -> u64 {
    encode_decoded(format, Decoded::from_f64(value), Policy::RNE, 0).0
}

#[test]
fn into_half_and_bfloat() {
    narrow_binary32(1_021);
}

/// Every binary32 number: `cargo test --release -p systole-isa --test host -- --ignored`
#[test]
#[ignore = "minutes"]
fn every_binary32_into_half_and_bfloat() {
    narrow_binary32(1);
}

fn narrow_binary32(step: usize) {
    for x in binary32_inputs(step) {
        for (format, theirs, is_nan) in [
            (Format::FP16, f16::from_f32(x).to_bits(), f16::from_f32(x).is_nan()),
            (Format::BF16, bf16::from_f32(x).to_bits(), bf16::from_f32(x).is_nan()),
        ] {
            let ours = rne(format, x.into());
            assert!(
                if is_nan { format.is_nan(ours) } else { ours == u64::from(theirs) },
                "{x:e} ({:#x}) -> {format}: {ours:#x}, half {theirs:#x}",
                x.to_bits()
            );
        }
    }
}

/// Binary64 numbers, most of them near a border of the 16-bit format. A difference has a name:
/// `low_half_dropped`. half 2.7.1 narrows only the upper 32 bits of a binary64 number, so one
/// that lies above a middle by less than those tell goes to the even side (0xc0aa7a0000000002
/// is below -3389, the middle of 0xea9e and 0xea9f in fp16, and half gives 0xea9e).
#[test]
fn binary64_into_half_and_bfloat() {
    let mut random = Random(6);
    let (mut checked, mut low_half_dropped) = (0, 0);
    for case in 0..1_000_000u32 {
        let draw = random.next();
        for format in [Format::FP16, Format::BF16] {
            let code = draw >> 8 & format.mask();
            let near = match format.decode(code) {
                Decoded::Finite(x) => x.to_f64().to_bits(),
                _ => continue,
            };
            // The middle above a code, or a quarter or another piece of its unit, and one step to either side.
            let fraction = 52 - (format.precision() - 1);
            let piece = match case % 4 {
                0 => 1 << (fraction - 1),
                1 => draw & ((1 << fraction) - 1),
                2 => 1 << (draw % u64::from(fraction)),
                _ => 0,
            };
            let bits = (near | piece).wrapping_add(draw & 3).wrapping_sub(1);
            let x = f64::from_bits(bits);
            let (theirs, nan) = match format {
                Format::FP16 => (f16::from_f64_const(x).to_bits(), x.is_nan()),
                _ => (bf16::from_f64_const(x).to_bits(), x.is_nan()),
            };
            let ours = rne(format, x);
            let agrees = |ours: u64| if nan { format.is_nan(ours) } else { ours == u64::from(theirs) };
            checked += 1;
            if !agrees(ours) {
                low_half_dropped += 1;
                let upper = rne(format, f64::from_bits(bits >> 32 << 32));
                assert!(agrees(upper), "{x:e} ({bits:#x}) -> {format}: {ours:#x}, half {theirs:#x}");
            }
        }
    }
    println!("{checked} checked, low_half_dropped {low_half_dropped}");
    assert!(checked > 1_800_000 && low_half_dropped > 0, "{checked}, {low_half_dropped}");
}

#[test]
fn from_half_and_bfloat() {
    for code in 0..=u16::MAX {
        for (format, theirs) in [(Format::FP16, f16::from_bits(code).to_f64()), (Format::BF16, bf16::from_bits(code).to_f64())] {
            let ours = format.to_f64(code.into());
            assert!(
                ours.to_bits() == theirs.to_bits() || ours.is_nan() && theirs.is_nan(),
                "{format} {code:#x}: {ours:e}, half {theirs:e}"
            );
        }
    }
}

#[test]
fn binary64_to_binary32() {
    let mut random = Random(1);
    for case in 0..1_000_000 {
        let bits = match case % 3 {
            0 => random.next(),
            // Within binary32's range, subnormals and overflow included.
            1 => (random.next() >> 12) | (1023 - 155 + random.next() % 290) << 52,
            // One step around a middle between two binary32 numbers.
            _ => ((f64::from(f32::from_bits(random.next() as u32))).to_bits() | 1 << 28).wrapping_add(random.next() % 3).wrapping_sub(1),
        };
        let x = f64::from_bits(bits);
        let theirs = x as f32;
        let ours = rne(Format::FP32, x);
        assert!(
            if theirs.is_nan() { Format::FP32.is_nan(ours) } else { ours == u64::from(theirs.to_bits()) },
            "{bits:#x}: {ours:#x}, host {:#x}",
            theirs.to_bits()
        );
    }
}

/// Three operands whose sum or product meets a border often: near one another, near
/// cancellation, or near the ends of the range.
fn operands(random: &mut Random) -> [f32; 3] {
    let any = random.next();
    let near = |random: &mut Random, exponent: u64| f32::from_bits((random.next() as u32 & 0x807f_ffff) | ((exponent % 255) as u32) << 23);
    let exponent = any % 255;
    let spread = 1 + (any >> 8) % 60;
    let (a, b) = match (any >> 16) % 3 {
        0 => (near(random, exponent), near(random, exponent + random_offset(any >> 20, spread))),
        // The product is near the smallest numbers, or near one.
        1 => (near(random, exponent), near(random, 254 - exponent)),
        _ => (near(random, exponent), near(random, (any >> 24) % 140)),
    };
    let c = match (any >> 40) % 4 {
        0 => near(random, any >> 48),
        1 => f32::from_bits((-(a * b)).to_bits().wrapping_add((any >> 48) as u32 % 5).wrapping_sub(2)),
        // So large that the product decides a rounding.
        2 => a * b * 2f32.powi(22 + (any >> 48) as i32 % 5),
        _ => -(a * b) * 2f32.powi((any >> 48) as i32 % 30 - 15),
    };
    [a, b, c]
}

const fn random_offset(bits: u64, spread: u64) -> u64 {
    bits % spread
}

#[test]
fn binary32_arithmetic() {
    let mut random = Random(2);
    let (mut checked, mut subnormal, mut overflow) = (0, 0, 0);
    for _ in 0..1_000_000 {
        let [a, b, c] = operands(&mut random);
        let exact = |x: f32| Exact::from_f64(x.into());
        let (Some(x), Some(y), Some(z)) = (exact(a), exact(b), exact(c)) else { continue };
        for (what, value, host) in
            [("+", x.add(z, false), a + c), ("*", x.multiply(y), a * b), ("fma", x.multiply(y).add(z, false), a.mul_add(b, c))]
        {
            let (ours, flags) = encode(Format::FP32, value, Policy::RNE, 0);
            assert_eq!(ours, u64::from(host.to_bits()), "{what} of {a:e}, {b:e}, {c:e}");
            assert_eq!(flags.contains(Flags::OVERFLOW), host.is_infinite(), "{what} of {a:e}, {b:e}, {c:e}");
            checked += 1;
            subnormal += u32::from(host.is_subnormal());
            overflow += u32::from(host.is_infinite());
        }
    }
    assert!(
        checked > 2_000_000 && subnormal > 10_000 && overflow > 10_000,
        "{checked} checked, {subnormal} subnormal, {overflow} infinite"
    );
}
