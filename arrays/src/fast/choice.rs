//! Which instructions kernels may use, by name.

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512, Avx512Fp16};
use std::fmt;
use std::str::FromStr;

/// Which kernels may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KernelChoice {
    /// The fastest this machine has.
    #[default]
    Auto,
    /// AVX-512 (F, BW, DQ, VL) with VAES and AVX512-FP16.
    Avx512Fp16,
    /// AVX-512 (F, BW, DQ, VL) with VAES.
    Avx512,
    /// AVX2 with FMA and AES-NI.
    Avx2,
    /// Plain Rust.
    Portable,
    /// The definition.
    Scalar,
}

/// A choice of kernels that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelChoiceError {
    /// No such kernels.
    #[error("`{0}` names no kernels; use auto, avx512fp16, avx512, avx2, portable or scalar")]
    Unknown(String),
    /// The machine lacks the instructions.
    #[error("`{choice}` kernels need a CPU with {needs}, which this one lacks; use auto, or one of: {}", available())]
    Absent {
        /// What was asked for.
        choice: KernelChoice,
        /// What it takes.
        needs: &'static str,
    },
}

fn available() -> String {
    let names: Vec<_> = KernelChoice::available().iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl KernelChoice {
    /// Every set with its name, fastest first.
    const ALL: [(Self, &'static str); 6] = [
        (Self::Auto, "auto"),
        (Self::Avx512Fp16, "avx512fp16"),
        (Self::Avx512, "avx512"),
        (Self::Avx2, "avx2"),
        (Self::Portable, "portable"),
        (Self::Scalar, "scalar"),
    ];

    /// The sets of kernels this machine can run, fastest first, the definition not among them.
    pub fn available() -> Vec<Self> {
        let sets = [Self::Avx512Fp16, Self::Avx512, Self::Avx2, Self::Portable];
        sets.into_iter().filter(|set| set.lacks().is_none()).collect()
    }

    /// The instructions it needs and this machine lacks.
    fn lacks(self) -> Option<&'static str> {
        #[cfg(target_arch = "x86_64")]
        let (here, needs) = match self {
            Self::Avx512Fp16 => (Avx512Fp16::detect().is_some(), "AVX512F, BW, DQ, VL, FP16 and VAES"),
            Self::Avx512 => (Avx512::detect().is_some(), "AVX512F, BW, DQ, VL and VAES"),
            Self::Avx2 => (Avx2::detect().is_some(), "AVX2, FMA and AES-NI"),
            Self::Auto | Self::Portable | Self::Scalar => (true, ""),
        };
        #[cfg(not(target_arch = "x86_64"))]
        let (here, needs) = (matches!(self, Self::Auto | Self::Portable | Self::Scalar), "x86-64 vector extensions");
        (!here).then_some(needs)
    }
}

impl FromStr for KernelChoice {
    type Err = KernelChoiceError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|&(_, its)| its == name);
        let (choice, _) = found.ok_or_else(|| KernelChoiceError::Unknown(name.to_owned()))?;
        choice.lacks().map_or(Ok(choice), |needs| Err(KernelChoiceError::Absent { choice, needs }))
    }
}

impl fmt::Display for KernelChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(choice, _)| choice == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}
