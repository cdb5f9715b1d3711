//! What this processor and its operating system offer.

use std::arch::asm;

/// An instruction set extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    Fma3,
    F16c,
    Avx512Fp16,
    Avx512Bf16,
    AmxBf16,
}

/// State that the operating system saves: SSE and AVX; AVX-512; AMX tiles (XCR0).
const AVX: u64 = 0x6;
const AVX512: u64 = 0xe6;
const TILES: u64 = 0x6_0000;

fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let (a, b, c, d): (u32, u64, u32, u32);
    // SAFETY: every x86-64 processor has `cpuid`; rbx, which operands may not name, is put back.
    unsafe {
        asm!(
            "mov {b}, rbx", "cpuid", "xchg {b}, rbx",
            b = out(reg) b, inout("eax") leaf => a, inout("ecx") subleaf => c, out("edx") d,
            options(nostack, preserves_flags),
        );
    }
    [a, b as u32, c, d]
}

/// XCR0, or 0 where the operating system does not use it.
fn enabled_state() -> u64 {
    if cpuid(1, 0)[2] >> 27 & 1 == 0 {
        return 0;
    }
    let (low, high): (u32, u32);
    // SAFETY: OSXSAVE says that `xgetbv` may be executed; register 0 always exists.
    unsafe { asm!("xgetbv", in("ecx") 0, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Asks Linux for the use of tile registers by this process (ARCH_REQ_XCOMP_PERM).
#[cfg(target_os = "linux")]
fn tiles_permitted() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST_PERMISSION: u64 = 0x1023;
    const TILE_DATA: u64 = 18;
    let result: i64;
    // SAFETY: the system call takes two integers and touches no memory of ours; it clobbers rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result, in("rdi") REQUEST_PERMISSION, in("rsi") TILE_DATA,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
const fn tiles_permitted() -> bool {
    false
}

impl Feature {
    const fn name(self) -> &'static str {
        match self {
            Self::Fma3 => "fma",
            Self::F16c => "f16c",
            Self::Avx512Fp16 => "avx512fp16",
            Self::Avx512Bf16 => "avx512bf16",
            Self::AmxBf16 => "amx-bf16",
        }
    }

    fn present(self) -> bool {
        let leaves = cpuid(0, 0)[0];
        let bit = |word: u32, bit: u32| word >> bit & 1 == 1;
        let [subleaves, _, _, extended] = if leaves >= 7 { cpuid(7, 0) } else { [0; 4] };
        let state = |needed: u64| enabled_state() & needed == needed;
        match self {
            Self::Fma3 => bit(cpuid(1, 0)[2], 12) && state(AVX),
            Self::F16c => bit(cpuid(1, 0)[2], 29) && state(AVX),
            Self::Avx512Fp16 => bit(extended, 23) && state(AVX512),
            Self::Avx512Bf16 => subleaves >= 1 && bit(cpuid(7, 1)[0], 5) && state(AVX512),
            Self::AmxBf16 => bit(extended, 22) && bit(extended, 24) && state(TILES) && tiles_permitted(),
        }
    }

    /// True if the instructions can be used here; else says what is skipped.
    pub fn here(self) -> bool {
        let present = self.present();
        if !present {
            println!("skipped: no {}", self.name());
        }
        present
    }
}

/// Detection by hand agrees with the standard library's, where that knows the extension.
#[test]
fn features_are_those_of_the_standard_library() {
    assert_eq!(Feature::Fma3.present(), std::is_x86_feature_detected!("fma"));
    assert_eq!(Feature::F16c.present(), std::is_x86_feature_detected!("f16c"));
    assert_eq!(Feature::Avx512Bf16.present(), std::is_x86_feature_detected!("avx512bf16"));
}
