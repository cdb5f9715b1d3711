//! MAC modes: operand formats, product, accumulators, and how each result is rounded.

use super::unit::{EntropySource, Scaling, Unit};
use crate::entropy::Stage;
use crate::format::Format;
use crate::round::{NanCode, NoInfinity, Overflow, Policy, Rounding, SubnormalPolicy, Tininess};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Whether the product is rounded before it is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Product {
    /// Exact: one rounding per MAC, as a fused multiply-add.
    #[default]
    Exact,
    /// Rounded to this format first.
    Rounded(Format),
}

impl Serialize for Product {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Exact => serializer.serialize_str("exact"),
            Self::Rounded(format) => format.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Product {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "exact" {
            return Ok(Self::Exact);
        }
        text.parse().map(Self::Rounded).map_err(|e| serde::de::Error::custom(format!("a product is `exact` or a format: {e}")))
    }
}

/// One mode of the MAC.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacMode {
    /// Format of the left operand (A, M x K).
    pub a: Format,
    /// Format of the right operand (B, K x N).
    pub b: Format,
    /// Product: exact, or rounded to a format.
    #[serde(default)]
    pub product: Product,
    /// Accumulator, rounded after every addition.
    pub accumulator: Format,
    /// Rounding of the product and of every addition.
    #[serde(default = "rne")]
    pub rounding: Rounding,
    /// Rounding of what is written outside the MAC's own accumulator: to the outer accumulator
    /// and to the accumulator memory. Absent: `rounding`.
    #[serde(default)]
    pub outer_rounding: Option<Rounding>,
    /// Overflow of the product and of every accumulator write.
    #[serde(default)]
    pub overflow: Overflow,
    /// Stand-in for infinity where the written format has none.
    #[serde(default)]
    pub no_infinity: NoInfinity,
    /// Subnormals of operands and their scales, products and accumulator writes.
    #[serde(default)]
    pub subnormals: SubnormalPolicy,
    /// When a result counts as tiny.
    #[serde(default)]
    pub tininess: Tininess,
    /// Code of NaN results.
    #[serde(default)]
    pub nan: NanCode,
    /// How a block of `lanes` products meets the accumulator.
    #[serde(default)]
    pub unit: Unit,
    /// Products per chunk; absent (`none`) means one chain.
    #[serde(default)]
    pub chunk: Option<u32>,
    /// Outer accumulator that takes the chunk sums; absent means the accumulator's format.
    /// Without chunks it is not there.
    #[serde(default)]
    pub outer: Option<Format>,
    /// How block scales enter; the block length is the chunk.
    #[serde(default)]
    pub scale: Scaling,
    /// Format of the scales.
    #[serde(default = "e8m0")]
    pub scale_format: Format,
    /// Rows of A that share one scale: 1, or the side of a two-dimensional block.
    #[serde(default = "one")]
    pub scale_rows: u32,
    /// Columns of B that share one scale.
    #[serde(default = "one")]
    pub scale_cols: u32,
    /// Source of the random bits of stochastic rounding.
    #[serde(default)]
    pub entropy: EntropySource,
    /// Reset value of A's shared exponent bias: +b divides the values by 2^b.
    #[serde(default)]
    pub bias_a: i32,
    /// Reset value of B's shared exponent bias.
    #[serde(default)]
    pub bias_b: i32,
    /// Products one PE forms per cycle.
    #[serde(default = "one")]
    pub lanes: u32,
}

const fn rne() -> Rounding {
    Rounding::Rne
}

const fn one() -> u32 {
    1
}

const fn e8m0() -> Format {
    Format::E8M0
}

/// Blocks in which a product's operands come scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaledBlocks {
    /// Elements of a block along the axis that is reduced.
    pub length: u32,
    /// Rows of A that share a scale; `None` if A has none.
    pub rows: Option<u32>,
    /// Columns of B that share a scale; `None` if B has none.
    pub cols: Option<u32>,
    /// Format of the scales.
    pub format: Format,
}

impl fmt::Display for MacMode {
    /// Operands, and how their blocks are scaled.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.a, self.b)?;
        if self.scale == Scaling::None {
            return Ok(());
        }
        let (length, rows, cols) = (self.chunk.unwrap_or_default(), self.scale_rows, self.scale_cols);
        write!(f, " in blocks of {length} along the sum by {rows} and {cols}, scales {}", self.scale_format)
    }
}

impl MacMode {
    /// What tells it from other modes: operands, and the blocks they are scaled in.
    pub(super) fn takes(&self) -> (Format, Format, Option<ScaledBlocks>) {
        let blocks = ScaledBlocks {
            length: self.chunk.unwrap_or_default(),
            rows: Some(self.scale_rows),
            cols: Some(self.scale_cols),
            format: self.scale_format,
        };
        (self.a, self.b, (self.scale != Scaling::None).then_some(blocks))
    }

    /// Whether it takes operands scaled in these blocks.
    pub fn scales_by(&self, blocks: &ScaledBlocks) -> bool {
        self.scale != Scaling::None
            && self.chunk == Some(blocks.length)
            && self.scale_format == blocks.format
            && blocks.rows.is_none_or(|rows| rows == self.scale_rows)
            && blocks.cols.is_none_or(|cols| cols == self.scale_cols)
    }

    /// A fused multiply-add chain with nearest-even rounding.
    pub const fn fused(a: Format, b: Format, accumulator: Format) -> Self {
        Self {
            a,
            b,
            product: Product::Exact,
            accumulator,
            rounding: Rounding::Rne,
            outer_rounding: None,
            overflow: Overflow::Ieee,
            no_infinity: NoInfinity::Nan,
            subnormals: SubnormalPolicy::Gradual,
            tininess: Tininess::After,
            nan: NanCode::Canonical,
            unit: Unit::Chain,
            chunk: None,
            outer: None,
            scale: Scaling::None,
            scale_format: Format::E8M0,
            scale_rows: 1,
            scale_cols: 1,
            entropy: EntropySource::Counter,
            bias_a: 0,
            bias_b: 0,
            lanes: 1,
        }
    }

    /// Format of the outermost accumulator: the one C initialises.
    pub fn outermost(&self) -> Format {
        match self.chunk {
            None => self.accumulator,
            Some(_) => self.outer.unwrap_or(self.accumulator),
        }
    }

    /// Rounding of one stage; of the last, which is the output's own, that of the sums.
    pub fn rounding_of(&self, stage: Stage) -> Rounding {
        match stage {
            Stage::Scale | Stage::Outer | Stage::Memory => self.outer_rounding.unwrap_or(self.rounding),
            _ => self.rounding,
        }
    }

    /// Random bits of one stochastic rounding of the MAC; 0 if none is.
    pub fn random_bits(&self) -> u32 {
        self.rounding.random_bits().max(self.outer_policy().rounding.random_bits())
    }

    /// Policy of writes to the outer accumulator and to the accumulator memory.
    pub fn outer_policy(&self) -> Policy {
        Policy { rounding: self.outer_rounding.unwrap_or(self.rounding), ..self.policy() }
    }

    /// Policy of the product and of every accumulator write.
    pub const fn policy(&self) -> Policy {
        Policy {
            rounding: self.rounding,
            overflow: self.overflow,
            no_infinity: self.no_infinity,
            subnormals: self.subnormals,
            tininess: self.tininess,
            nan: self.nan,
        }
    }
}

/// A further mode: fields left out are mode 0's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are those of MacMode")]
pub struct ModeOverride {
    pub a: Format,
    pub b: Format,
    #[serde(default)]
    pub product: Option<Product>,
    #[serde(default)]
    pub accumulator: Option<Format>,
    #[serde(default)]
    pub rounding: Option<Rounding>,
    #[serde(default)]
    pub outer_rounding: Option<Rounding>,
    #[serde(default)]
    pub overflow: Option<Overflow>,
    #[serde(default)]
    pub no_infinity: Option<NoInfinity>,
    #[serde(default)]
    pub subnormals: Option<SubnormalPolicy>,
    #[serde(default)]
    pub tininess: Option<Tininess>,
    #[serde(default)]
    pub nan: Option<NanCode>,
    #[serde(default)]
    pub chunk: Option<u32>,
    #[serde(default)]
    pub outer: Option<Format>,
    #[serde(default)]
    pub unit: Option<Unit>,
    #[serde(default)]
    pub scale: Option<Scaling>,
    #[serde(default)]
    pub scale_format: Option<Format>,
    #[serde(default)]
    pub scale_rows: Option<u32>,
    #[serde(default)]
    pub scale_cols: Option<u32>,
    #[serde(default)]
    pub entropy: Option<EntropySource>,
}

impl ModeOverride {
    /// The complete mode.
    pub fn resolve(&self, base: &MacMode) -> MacMode {
        MacMode {
            a: self.a,
            b: self.b,
            product: self.product.unwrap_or(base.product),
            accumulator: self.accumulator.unwrap_or(base.accumulator),
            rounding: self.rounding.unwrap_or(base.rounding),
            outer_rounding: self.outer_rounding.or(base.outer_rounding),
            overflow: self.overflow.unwrap_or(base.overflow),
            no_infinity: self.no_infinity.unwrap_or(base.no_infinity),
            subnormals: self.subnormals.unwrap_or(base.subnormals),
            tininess: self.tininess.unwrap_or(base.tininess),
            nan: self.nan.unwrap_or(base.nan),
            chunk: self.chunk.or(base.chunk),
            outer: self.outer.or(base.outer),
            unit: self.unit.unwrap_or(base.unit),
            scale: self.scale.unwrap_or(base.scale),
            scale_format: self.scale_format.unwrap_or(base.scale_format),
            scale_rows: self.scale_rows.unwrap_or(base.scale_rows),
            scale_cols: self.scale_cols.unwrap_or(base.scale_cols),
            entropy: self.entropy.unwrap_or(base.entropy),
            ..base.clone()
        }
    }
}
