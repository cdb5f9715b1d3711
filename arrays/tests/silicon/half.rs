//! Binary16: F16C's conversions, and the arithmetic of AVX512-FP16.

use crate::cpu::Feature;
use crate::operands::Random;
use crate::scalar::{MODES, SUBNORMALS, control, flags};
use std::arch::asm;
use systole_arrays::datapath::operation::Operation;
use systole_golden::oracle::{self, Operand};
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding, SubnormalPolicy, convert};

/// Binary32 to binary16 in MXCSR's rounding mode.
fn vcvtps2ph(mxcsr: u32, code: u32) -> (u16, u32) {
    let (mut saved, mut mxcsr, mut lane) = (0u32, mxcsr, code);
    // SAFETY: the operands are three words on the stack, MXCSR leaves as it came, and callers have found F16C.
    unsafe {
        asm!(
            "stmxcsr dword ptr [{saved}]",
            "ldmxcsr dword ptr [{mxcsr}]",
            // The other lanes become zeros, which raise nothing.
            "vmovss {x}, dword ptr [{lane}]",
            "vcvtps2ph {x}, {x}, 4",
            "vmovd dword ptr [{lane}], {x}",
            "stmxcsr dword ptr [{mxcsr}]",
            "ldmxcsr dword ptr [{saved}]",
            saved = in(reg) &raw mut saved, mxcsr = in(reg) &raw mut mxcsr, lane = in(reg) &raw mut lane, x = out(xmm_reg) _,
            options(nostack, preserves_flags),
        );
    }
    (lane as u16, mxcsr)
}

/// Binary16 to binary32.
fn vcvtph2ps(code: u16) -> u32 {
    let mut lane = u32::from(code);
    // SAFETY: the operand is a word on the stack, and callers have found F16C.
    unsafe {
        asm!(
            "vmovd {x}, dword ptr [{lane}]",
            "vcvtph2ps {x}, {x}",
            "vmovd dword ptr [{lane}], {x}",
            lane = in(reg) &raw mut lane, x = out(xmm_reg) _,
            options(nostack, preserves_flags),
        );
    }
    lane
}

/// Binary32 codes spread over the whole space, and all within a step of a binary16 number or of a middle between two.
fn binary32(step: usize) -> impl Iterator<Item = u32> {
    let spread = (0..=u32::MAX).step_by(step);
    let borders = (0..=u16::MAX).flat_map(|code| {
        let wide = Format::FP16.to_f64(code.into()) as f32;
        [wide.to_bits(), wide.to_bits() | 1 << 12].into_iter().flat_map(|x| [x.wrapping_sub(1), x, x.wrapping_add(1)])
    });
    spread.chain(borders)
}

fn narrowing(step: usize) {
    if !Feature::F16c.here() {
        return;
    }
    let mut checked = 0u64;
    for code in binary32(step) {
        for rounding in MODES {
            for subnormals in SUBNORMALS {
                // Denormals-are-zero reads binary32 operands; flush-to-zero has no say over binary16 results.
                let policy = Policy::new(rounding).subnormals(match subnormals {
                    SubnormalPolicy::Gradual | SubnormalPolicy::Ftz => SubnormalPolicy::Gradual,
                    SubnormalPolicy::Daz | SubnormalPolicy::DazFtz => SubnormalPolicy::Daz,
                });
                let (ours, raised) = convert(Format::FP32, Format::FP16, code.into(), policy, 0);
                let (theirs, after) = vcvtps2ph(control(rounding, subnormals), code);
                let what = || format!("{code:#x} {rounding} {subnormals:?}: {ours:#x}, silicon {theirs:#x}");
                let nan = Format::FP16.is_nan(ours) && Format::FP16.is_nan(theirs.into());
                assert!(ours == u64::from(theirs) || nan, "{}", what());
                assert_eq!(raised, flags(after), "flags, {}", what());
                checked += 1;
            }
        }
    }
    println!("vcvtps2ph: {checked} cases, none differs");
}

#[test]
fn binary32_to_binary16() {
    narrowing(40_009);
}

/// `cargo test --release -p systole-arrays --test silicon -- --ignored --nocapture binary`
#[test]
#[ignore = "minutes"]
fn binary32_to_binary16_at_length() {
    narrowing(257);
}

#[test]
fn binary16_to_binary32() {
    if !Feature::F16c.here() {
        return;
    }
    for code in 0..=u16::MAX {
        let (ours, _) = convert(Format::FP16, Format::FP32, code.into(), Policy::RNE, 0);
        let theirs = vcvtph2ps(code);
        let nan = Format::FP32.is_nan(ours) && Format::FP32.is_nan(theirs.into());
        assert!(ours == u64::from(theirs) || nan, "{code:#x}: {ours:#x}, silicon {theirs:#x}");
    }
    println!("vcvtph2ps: 65536 cases, none differs");
}

/// Thirty-two lanes of an AVX512-FP16 register.
type Lanes = [u16; 32];

/// An arithmetic instruction on three registers, in one rounding mode.
type Instruction = fn(&Lanes, &Lanes, &Lanes) -> Lanes;

/// A function per rounding mode of [`MODES`]. The instruction leaves its result in zmm0.
macro_rules! in_every_mode {
    ($name:ident, $instruction:literal) => {
        const $name: [Instruction; 4] = [
            in_every_mode!(@one $instruction, "rn"),
            in_every_mode!(@one $instruction, "rd"),
            in_every_mode!(@one $instruction, "ru"),
            in_every_mode!(@one $instruction, "rz"),
        ];
    };
    (@one $instruction:literal, $mode:literal) => {
        |a, b, c| {
            let mut d = [0; 32];
            // SAFETY: reads and writes 64 bytes behind each pointer, the lanes' size; callers have found
            // AVX512-FP16, and every vector register is declared lost.
            unsafe {
                asm!(
                    "vmovups zmm0, zmmword ptr [{a}]",
                    "vmovups zmm1, zmmword ptr [{b}]",
                    "vmovups zmm2, zmmword ptr [{c}]",
                    concat!($instruction, ", {{", $mode, "-sae}}"),
                    "vmovups zmmword ptr [{d}], zmm0",
                    "vzeroupper",
                    a = in(reg) a.as_ptr(), b = in(reg) b.as_ptr(), c = in(reg) c.as_ptr(), d = in(reg) d.as_mut_ptr(),
                    clobber_abi("C"),
                    options(nostack),
                );
            }
            d
        }
    };
}

in_every_mode!(ADD, "vaddph zmm0, zmm0, zmm1");
in_every_mode!(SUBTRACT, "vsubph zmm0, zmm0, zmm1");
in_every_mode!(MULTIPLY, "vmulph zmm0, zmm0, zmm1");
in_every_mode!(FUSED, "vfmadd213ph zmm0, zmm1, zmm2");

/// Holds a unit of thirty-two binary16 lanes to the datapath.
fn hold(op: Operation, rounding: Rounding, unit: impl Fn(&Lanes, &Lanes, &Lanes) -> Lanes, blocks: u32) {
    let mut random = Random(op.arity() as u64);
    for _ in 0..blocks {
        let triples: [[u64; 3]; 32] = std::array::from_fn(|_| match op {
            Operation::Add | Operation::Subtract => {
                let [a, b] = random.pair(Format::FP16);
                [a, b, 0]
            }
            _ => random.triple(Format::FP16),
        });
        let [a, b, c] = [0, 1, 2].map(|i| triples.map(|triple| triple[i] as u16));
        let theirs = unit(&a, &b, &c);
        for (codes, theirs) in triples.iter().zip(theirs) {
            let operands: Vec<(Format, u64)> = codes[..op.arity()].iter().map(|&code| (Format::FP16, code)).collect();
            let (ours, _) = op.apply(&operands, Format::FP16, Policy::new(rounding), 0);
            let nan = Format::FP16.is_nan(ours) && Format::FP16.is_nan(theirs.into());
            assert!(ours == u64::from(theirs) || nan, "{op:?} of {codes:x?} {rounding}: {ours:#x}, unit {theirs:#x}");
        }
    }
}

const OPERATIONS: [(Operation, [Instruction; 4]); 4] =
    [(Operation::Add, ADD), (Operation::Subtract, SUBTRACT), (Operation::Multiply, MULTIPLY), (Operation::FusedMultiplyAdd, FUSED)];

fn avx512(blocks: u32) {
    if !Feature::Avx512Fp16.here() {
        return;
    }
    for (op, instructions) in OPERATIONS {
        for (rounding, instruction) in MODES.into_iter().zip(instructions) {
            hold(op, rounding, instruction, blocks);
        }
        println!("avx512fp16 {op:?}: {} cases, none differs", blocks * 32 * 4);
    }
}

#[test]
fn binary16_arithmetic_of_avx512() {
    avx512(5_000);
}

/// `cargo test --release -p systole-arrays --test silicon -- --ignored --nocapture binary`
#[test]
#[ignore = "minutes"]
fn binary16_arithmetic_of_avx512_at_length() {
    avx512(500_000);
}

/// The same comparison with the oracle standing in for the instructions.
#[test]
fn binary16_arithmetic_of_a_stand_in() {
    for (op, _) in OPERATIONS {
        for rounding in MODES {
            let policy = Policy::new(rounding);
            let lane = |a: u16, b: u16, c: u16| {
                let [a, b, c] = [a, b, c].map(|code| Operand::new(Format::FP16, code.into()));
                let (code, _) = match op {
                    Operation::Add => oracle::add(a, b, Format::FP16, policy, 0),
                    Operation::Subtract => oracle::sub(a, b, Format::FP16, policy, 0),
                    Operation::Multiply => oracle::mul(a, b, Format::FP16, policy, 0),
                    _ => oracle::fma(a, b, c, Format::FP16, policy, 0),
                };
                code as u16
            };
            hold(op, rounding, |a, b, c| std::array::from_fn(|i| lane(a[i], b[i], c[i])), 100);
        }
    }
}
