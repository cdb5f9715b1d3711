//! What a conversion is asked: rounding mode, overflow, subnormals, NaN; and the flags it answers with.

use crate::format::{Format, Specials};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Rounding mode, named as RISC-V names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rounding {
    /// Nearest, ties to the even code.
    Rne,
    /// Nearest, ties away from zero.
    Rmm,
    /// Toward zero.
    Rtz,
    /// Toward minus infinity.
    Rdn,
    /// Toward plus infinity.
    Rup,
    /// To odd: an inexact result takes the neighbour whose code is odd.
    Rod,
    /// Stochastic with this many random bits N, 1..=32: away from zero iff
    /// floor(nu 2^N) + R >= 2^N, nu the discarded fraction of the final quantum
    /// (StochasticA of the IEEE P3109 interim report).
    Sr(u32),
}

impl Rounding {
    /// The deterministic modes.
    pub const DETERMINISTIC: [Self; 6] = [Self::Rne, Self::Rmm, Self::Rtz, Self::Rdn, Self::Rup, Self::Rod];

    /// Random bits one rounding consumes.
    pub const fn random_bits(self) -> u32 {
        match self {
            Self::Sr(bits) => bits,
            _ => 0,
        }
    }

    /// True if an exact zero sum of opposite signs is -0 in this mode.
    pub const fn cancels_to_negative_zero(self) -> bool {
        matches!(self, Self::Rdn)
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rne => f.write_str("rne"),
            Self::Rmm => f.write_str("rmm"),
            Self::Rtz => f.write_str("rtz"),
            Self::Rdn => f.write_str("rdn"),
            Self::Rup => f.write_str("rup"),
            Self::Rod => f.write_str("rod"),
            Self::Sr(bits) => write!(f, "sr{bits}"),
        }
    }
}

/// A rounding mode's name was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rounding mode; use rne, rmm, rtz, rdn, rup, rod, or sr<N> with N random bits, 1 to 32 (sr8)")]
pub struct RoundingNameError(pub String);

impl FromStr for Rounding {
    type Err = RoundingNameError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Ok(match s {
            "rne" => Self::Rne,
            "rmm" => Self::Rmm,
            "rtz" => Self::Rtz,
            "rdn" => Self::Rdn,
            "rup" => Self::Rup,
            "rod" => Self::Rod,
            _ => match s.strip_prefix("sr").and_then(|n| n.parse().ok()) {
                Some(bits @ 1..=32) if !s[2..].starts_with(['0', '+']) => Self::Sr(bits),
                _ => return Err(RoundingNameError(s.to_owned())),
            },
        })
    }
}

impl Serialize for Rounding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Rounding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a result beyond the largest finite value becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// By the rounding direction, as IEEE 754 says: infinity or the largest finite value.
    /// Where there is no infinity, [`NoInfinity`] decides. Two's-complement formats wrap.
    #[default]
    Ieee,
    /// The largest finite value, infinite inputs included (P3109 SatFinite). NaN stays NaN.
    Saturate,
    /// The largest finite value, but infinite inputs stay infinite (P3109 SatPropagate).
    Propagate,
    /// Infinity in every rounding mode (P3109 OvfInf; what tensor cores that truncate do).
    /// Two's-complement formats wrap.
    Infinity,
}

impl Overflow {
    /// True if a finite result out of range becomes the nearest finite value.
    pub const fn saturates(self) -> bool {
        matches!(self, Self::Saturate | Self::Propagate)
    }
}

/// The code a NaN result is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NanCode {
    /// The format's canonical NaN.
    #[default]
    Canonical,
    /// Positive with every bit below the sign set, where that is a NaN: NVIDIA tensor cores.
    AllOnes,
}

/// What stands for infinity in a format that has none, under [`Overflow::Ieee`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoInfinity {
    /// NaN, as OCP OFP8 and the fnuz formats have it (the largest value if there is no NaN either).
    #[default]
    Nan,
    /// The largest finite value.
    Max,
}

/// What is done with subnormal inputs and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubnormalPolicy {
    /// Kept: gradual underflow.
    #[default]
    Gradual,
    /// Subnormal inputs are read as zeros of their sign.
    Daz,
    /// Tiny results become zeros of their sign.
    Ftz,
    /// Both.
    DazFtz,
}

impl SubnormalPolicy {
    /// True if subnormal inputs are zeros.
    pub const fn flushes_inputs(self) -> bool {
        matches!(self, Self::Daz | Self::DazFtz)
    }

    /// True if tiny results are zeros.
    pub const fn flushes_results(self) -> bool {
        matches!(self, Self::Ftz | Self::DazFtz)
    }
}

/// When a result counts as tiny (IEEE 754-2019 section 7.5 leaves the choice).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tininess {
    /// By the result rounded as if the exponent were unbounded (x86, RISC-V).
    #[default]
    After,
    /// By the exact value (Arm).
    Before,
}

/// Every choice a conversion makes, named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Rounding mode.
    pub rounding: Rounding,
    /// Overflow policy.
    pub overflow: Overflow,
    /// Stand-in for infinity in formats without one.
    pub no_infinity: NoInfinity,
    /// Subnormal policy.
    pub subnormals: SubnormalPolicy,
    /// Detection of tininess.
    pub tininess: Tininess,
    /// Code of NaN results.
    pub nan: NanCode,
}

impl Policy {
    /// Nearest-even with IEEE defaults everywhere.
    pub const RNE: Self = Self::new(Rounding::Rne);

    /// The given mode with IEEE defaults everywhere else.
    pub const fn new(rounding: Rounding) -> Self {
        Self {
            rounding,
            overflow: Overflow::Ieee,
            no_infinity: NoInfinity::Nan,
            subnormals: SubnormalPolicy::Gradual,
            tininess: Tininess::After,
            nan: NanCode::Canonical,
        }
    }

    /// The NaN this policy writes in `format`, if it has one.
    pub const fn nan(self, format: Format) -> Option<u64> {
        match (self.nan, format) {
            (NanCode::AllOnes, Format::Float(f)) if matches!(f.specials, Specials::Ieee) && f.mantissa_bits > 0 => {
                Some((1 << f.magnitude_bits()) - 1)
            }
            _ => format.canonical_nan(),
        }
    }

    /// The same with another overflow policy.
    pub const fn overflow(self, overflow: Overflow) -> Self {
        Self { overflow, ..self }
    }

    /// The same with another subnormal policy.
    pub const fn subnormals(self, subnormals: SubnormalPolicy) -> Self {
        Self { subnormals, ..self }
    }
}

/// IEEE exception flags, in SoftFloat's bit positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u8);

impl Flags {
    /// No exception.
    pub const NONE: Self = Self(0);
    /// The rounded result differs from the exact one.
    pub const INEXACT: Self = Self(0x01);
    /// Tiny and inexact.
    pub const UNDERFLOW: Self = Self(0x02);
    /// Rounded beyond the largest finite value.
    pub const OVERFLOW: Self = Self(0x04);
    /// A finite operand divided by zero.
    pub const DIVIDE_BY_ZERO: Self = Self(0x08);
    /// No usefully definable result.
    pub const INVALID: Self = Self(0x10);

    /// True if every flag of `other` is raised.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl std::ops::BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}
