//! Scalar binary32 and binary64 arithmetic under MXCSR.

use crate::cpu::Feature;
use crate::operands::Random;
use std::arch::asm;
use systole_arrays::datapath::operation::Operation;
use systole_arrays::vector::{Elementwise, apply, function::Function};
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy, Rounding, SubnormalPolicy};

/// Rounding modes by MXCSR's rounding control.
pub const MODES: [Rounding; 4] = [Rounding::Rne, Rounding::Rdn, Rounding::Rup, Rounding::Rtz];

/// Treatments of subnormals: neither, denormals-are-zero, flush-to-zero, both.
pub const SUBNORMALS: [SubnormalPolicy; 4] =
    [SubnormalPolicy::Gradual, SubnormalPolicy::Daz, SubnormalPolicy::Ftz, SubnormalPolicy::DazFtz];

/// MXCSR with every exception masked and no flag raised.
pub fn control(rounding: Rounding, subnormals: SubnormalPolicy) -> u32 {
    let mode = MODES.iter().position(|m| *m == rounding).expect("a mode of MXCSR") as u32;
    let daz = u32::from(matches!(subnormals, SubnormalPolicy::Daz | SubnormalPolicy::DazFtz));
    let ftz = u32::from(matches!(subnormals, SubnormalPolicy::Ftz | SubnormalPolicy::DazFtz));
    0x1f80 | mode << 13 | daz << 6 | ftz << 15
}

/// MXCSR's flags in isa's bits; the flag of denormal operands has no counterpart.
pub fn flags(mxcsr: u32) -> Flags {
    [(0, Flags::INVALID), (2, Flags::DIVIDE_BY_ZERO), (3, Flags::OVERFLOW), (4, Flags::UNDERFLOW), (5, Flags::INEXACT)]
        .into_iter()
        .filter(|(bit, _)| mxcsr >> bit & 1 == 1)
        .fold(Flags::NONE, |all, (_, flag)| all | flag)
}

/// One instruction on xmm registers a, b, c of which a takes the result, under a given MXCSR;
/// returns the result and the MXCSR it leaves. The caller's MXCSR is put back.
macro_rules! under_mxcsr {
    ($($(#[$meta:meta])* $name:ident($type:ty) $instruction:literal;)*) => {$(
        $(#[$meta])*
        pub fn $name(mxcsr: u32, mut a: $type, b: $type, c: $type) -> ($type, u32) {
            let (mut saved, mut mxcsr) = (0u32, mxcsr);
            // SAFETY: the operands are registers and two words on the stack; MXCSR leaves as it came. The
            // VEX-coded instructions are reached only where `Feature::here` found them.
            unsafe {
                asm!(
                    "stmxcsr dword ptr [{saved}]",
                    "ldmxcsr dword ptr [{mxcsr}]",
                    $instruction,
                    "stmxcsr dword ptr [{mxcsr}]",
                    "ldmxcsr dword ptr [{saved}]",
                    "/* {b} {c} */",
                    saved = in(reg) &raw mut saved, mxcsr = in(reg) &raw mut mxcsr,
                    a = inout(xmm_reg) a, b = in(xmm_reg) b, c = in(xmm_reg) c,
                    options(nostack, preserves_flags),
                );
            }
            (a, mxcsr)
        }
    )*};
}

under_mxcsr! {
    addss(f32) "addss {a}, {b}";
    subss(f32) "subss {a}, {b}";
    mulss(f32) "mulss {a}, {b}";
    divss(f32) "divss {a}, {b}";
    sqrtss(f32) "sqrtss {a}, {a}";
    fmass(f32) "vfmadd213ss {a}, {b}, {c}";
    addsd(f64) "addsd {a}, {b}";
    subsd(f64) "subsd {a}, {b}";
    mulsd(f64) "mulsd {a}, {b}";
    divsd(f64) "divsd {a}, {b}";
    fmasd(f64) "vfmadd213sd {a}, {b}, {c}";
}

fn cvtsd2ss(mxcsr: u32, a: f64) -> (f32, u32) {
    let (mut saved, mut mxcsr, mut result) = (0u32, mxcsr, 0f32);
    // SAFETY: as in `under_mxcsr`.
    unsafe {
        asm!(
            "stmxcsr dword ptr [{saved}]",
            "ldmxcsr dword ptr [{mxcsr}]",
            "cvtsd2ss {result}, {a}",
            "stmxcsr dword ptr [{mxcsr}]",
            "ldmxcsr dword ptr [{saved}]",
            saved = in(reg) &raw mut saved, mxcsr = in(reg) &raw mut mxcsr,
            result = inout(xmm_reg) result, a = in(xmm_reg) a,
            options(nostack, preserves_flags),
        );
    }
    (result, mxcsr)
}

/// The instruction that computes an operation, on codes.
type Instruction = fn(u32, [u64; 3]) -> (u64, u32);

macro_rules! on_codes {
    ($name:ident, $type:ty, $word:ty) => {
        (|mxcsr, [a, b, c]| {
            let [a, b, c] = [a, b, c].map(|code| <$type>::from_bits(code as $word));
            let (result, after) = $name(mxcsr, a, b, c);
            (u64::from(result.to_bits()), after)
        }) as Instruction
    };
}

/// Codes of the vector unit's result and, where it has the operation, the datapath's.
fn ours(op: Elementwise, operands: &[(Format, u64)], to: Format, policy: Policy) -> (u64, Flags) {
    let vector = apply(op, operands, to, policy, 0).expect("an operation on like formats");
    let datapath = match op {
        Elementwise::Add => Operation::Add,
        Elementwise::Subtract => Operation::Subtract,
        Elementwise::Multiply => Operation::Multiply,
        Elementwise::FusedMultiplyAdd => Operation::FusedMultiplyAdd,
        Elementwise::Convert => Operation::Convert,
        _ => return vector,
    };
    assert_eq!(datapath.apply(operands, to, policy, 0), vector, "datapath, vector unit: {op:?} of {operands:x?}, {policy:?}");
    vector
}

fn hold(name: &str, op: Elementwise, format: Format, instruction: Instruction, cases: u32) {
    let mut random = Random(u64::from(format.bits()) << 8 | name.len() as u64);
    for _ in 0..cases {
        let codes = match op.arity() {
            3 => random.triple(format),
            _ => {
                let [a, b] = random.pair(format);
                [a, b, 0]
            }
        };
        let operands: Vec<(Format, u64)> = codes[..op.arity()].iter().map(|&code| (format, code)).collect();
        for rounding in MODES {
            for subnormals in SUBNORMALS {
                let policy = Policy::new(rounding).subnormals(subnormals);
                let (code, raised) = ours(op, &operands, format, policy);
                let (theirs, after) = instruction(control(rounding, subnormals), codes);
                let what = || format!("{name} of {codes:x?} {rounding} {subnormals:?}: {code:#x}, silicon {theirs:#x}");
                assert!(code == theirs || format.is_nan(code) && format.is_nan(theirs), "{}", what());
                // `quiet_addend`: beside a quiet NaN addend, infinity times zero raises invalid in isa and not in x86
                // (IEEE 754-2019 section 7.2 leaves it open).
                let invalid = |flags: Flags| flags.contains(Flags::INVALID);
                let quiet_addend = op == Elementwise::FusedMultiplyAdd && format.is_nan(codes[2]) && invalid(raised);
                let raised = if quiet_addend && !invalid(flags(after)) { Flags(raised.0 & !Flags::INVALID.0) } else { raised };
                assert_eq!(raised, flags(after), "flags, {}", what());
            }
        }
    }
    println!("{name}: {} cases, none differs", u64::from(cases) * 16);
}

fn arithmetic(cases: u32) {
    use Elementwise::{Add, Divide, FusedMultiplyAdd, Multiply, Subtract};
    let (single, double) = (Format::FP32, Format::FP64);
    hold("addss", Add, single, on_codes!(addss, f32, u32), cases);
    hold("subss", Subtract, single, on_codes!(subss, f32, u32), cases);
    hold("mulss", Multiply, single, on_codes!(mulss, f32, u32), cases);
    hold("divss", Divide, single, on_codes!(divss, f32, u32), cases);
    hold("sqrtss", Elementwise::Function(Function::Sqrt), single, on_codes!(sqrtss, f32, u32), cases / 4);
    hold("addsd", Add, double, on_codes!(addsd, f64, u64), cases);
    hold("subsd", Subtract, double, on_codes!(subsd, f64, u64), cases);
    hold("mulsd", Multiply, double, on_codes!(mulsd, f64, u64), cases);
    hold("divsd", Divide, double, on_codes!(divsd, f64, u64), cases);
    if Feature::Fma3.here() {
        hold("vfmadd213ss", FusedMultiplyAdd, single, on_codes!(fmass, f32, u32), cases);
        hold("vfmadd213sd", FusedMultiplyAdd, double, on_codes!(fmasd, f64, u64), cases);
    }
}

#[test]
fn scalar_arithmetic() {
    arithmetic(20_000);
}

/// `cargo test --release -p systole-arrays --test silicon -- --ignored --nocapture scalar`
#[test]
#[ignore = "minutes"]
fn scalar_arithmetic_at_length() {
    arithmetic(2_000_000);
}

fn narrowing(cases: u32) {
    let mut random = Random(7);
    for case in 0..cases {
        let code = match case % 3 {
            0 => random.code(Format::FP64),
            // Within binary32's range, subnormals and overflow included.
            1 => (random.next() & 0x800f_ffff_ffff_ffff) | (1023 - 155 + random.below(290)) << 52,
            // One step around a middle between two binary32 numbers.
            _ => (f64::from(f32::from_bits(random.next() as u32)).to_bits() | 1 << 28).wrapping_add(random.below(3)).wrapping_sub(1),
        };
        for rounding in MODES {
            for subnormals in SUBNORMALS {
                let policy = Policy::new(rounding).subnormals(subnormals);
                let (ours, raised) = ours(Elementwise::Convert, &[(Format::FP64, code)], Format::FP32, policy);
                let (theirs, after) = cvtsd2ss(control(rounding, subnormals), f64::from_bits(code));
                let what = || format!("{code:#x} {rounding} {subnormals:?}: {ours:#x}, silicon {:#x}", theirs.to_bits());
                assert!(ours == u64::from(theirs.to_bits()) || Format::FP32.is_nan(ours) && theirs.is_nan(), "{}", what());
                assert_eq!(raised, flags(after), "flags, {}", what());
            }
        }
    }
    println!("cvtsd2ss: {} cases, none differs", u64::from(cases) * 16);
}

#[test]
fn scalar_narrowing() {
    narrowing(30_000);
}

/// `cargo test --release -p systole-arrays --test silicon -- --ignored --nocapture scalar`
#[test]
#[ignore = "minutes"]
fn scalar_narrowing_at_length() {
    narrowing(3_000_000);
}
