//! How a tensor's values are brought into the range of its format.

use serde::{Deserialize, Serialize};
use systole_isa::block::ScaleRule;
use systole_isa::design::Problem;
use systole_isa::format::{Format, Specials};

/// What a tensor's values are divided by before they are rounded to its format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scale {
    /// The role's constant bias alone.
    #[default]
    None,
    /// A power of two of the whole tensor, from the tensor itself: its largest magnitude falls
    /// into the format's top binade, or `room` binades below.
    Present {
        /// Binades kept empty above the largest magnitude.
        #[serde(default)]
        room: i32,
    },
    /// A power of two of the whole tensor that follows it by at most one binade a step: after
    /// a step it rises if the largest magnitude left less than `room` binades empty, and falls
    /// if it left more. At first it is set from the first batch.
    Tracked {
        /// Binades kept empty above the largest magnitude.
        #[serde(default)]
        room: i32,
    },
    /// A binary32 factor of the whole tensor from the largest magnitudes of earlier steps
    /// (NVIDIA Transformer Engine, delayed scaling).
    Delayed {
        /// Steps remembered.
        history: u32,
        /// The factor is divided by 2^margin.
        #[serde(default)]
        margin: i32,
        /// Which of the steps remembered counts.
        #[serde(default)]
        amax: Amax,
    },
    /// A binary32 factor of the whole tensor from the tensor itself: its largest magnitude
    /// becomes the format's largest number.
    Current {
        /// Whether the factor is rounded down to a power of two.
        #[serde(default)]
        powers: bool,
    },
    /// A factor for each block.
    Blocks(Blocks),
    /// The logarithms of all magnitudes are shifted and stretched, so that their mean is 0 and
    /// their largest is the format's top binade (S2FP8, Cambier et al. 2020). Operands must
    /// `expand`: no product can be taken of such codes.
    Squeeze,
    /// Codes are indices of a codebook of 256 values, scaled by the largest magnitude of each
    /// stretch of elements (Dettmers et al. 2022). For states of the optimizer.
    Map {
        /// Elements of a stretch.
        block: u32,
        /// Whether values have signs.
        signed: bool,
        /// Tensors of fewer elements stay in the update role's format.
        #[serde(default)]
        least: u32,
    },
    /// Powers of the magnitudes, such that each stretch of elements fills the format's range,
    /// then a factor (COAT, Xi et al. 2025). For states of the optimizer.
    Expansion {
        /// Elements of a stretch.
        block: u32,
    },
}

/// Which of the largest magnitudes remembered sets a delayed scale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amax {
    /// The largest.
    #[default]
    Max,
    /// The latest.
    MostRecent,
}

/// Blocks of a tensor as a product takes it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// Elements of a block along the axis a product reduces; 0 for the whole axis.
    pub along: u32,
    /// Elements of a block along the other axis; 0 for the whole axis.
    #[serde(default = "one")]
    pub across: u32,
    /// Format of the scales.
    #[serde(default = "e8m0")]
    pub format: Format,
    /// How a block's scale follows from its largest magnitude.
    pub rule: ScaleRule,
    /// The largest magnitude counts as at least this.
    #[serde(default)]
    pub least: f64,
    /// Whether a binary32 factor of the whole tensor spreads the block scales over their
    /// format's range.
    #[serde(default)]
    pub two_level: bool,
}

const fn one() -> u32 {
    1
}

const fn e8m0() -> Format {
    Format::E8M0
}

impl Scale {
    /// As RON spells it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Present { .. } => "present",
            Self::Tracked { .. } => "tracked",
            Self::Delayed { .. } => "delayed",
            Self::Current { .. } => "current",
            Self::Blocks(_) => "blocks",
            Self::Squeeze => "squeeze",
            Self::Map { .. } => "map",
            Self::Expansion { .. } => "expansion",
        }
    }

    /// Whether a product can take the codes, its scales applied to sums or exponents.
    pub const fn is_for_operands(&self) -> bool {
        !matches!(self, Self::Squeeze | Self::Map { .. } | Self::Expansion { .. })
    }

    /// Whether the host keeps its state from step to step.
    pub const fn is_followed(&self) -> bool {
        matches!(self, Self::Tracked { .. } | Self::Delayed { .. })
    }

    /// Everything that makes it unusable with codes of `format`; paths begin with `at`.
    pub(super) fn problems(&self, at: &str, format: Format) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut require = |holds: bool, field: &str, message: String| {
            if !holds {
                found.push(Problem { path: format!("{at}.scale{field}"), message });
            }
        };
        let float = format.as_float();
        match *self {
            Self::None => {}
            Self::Present { room } => require((0..=64).contains(&room), ".present.room", format!("must be 0 to 64, is {room}")),
            Self::Tracked { room } => require((0..=64).contains(&room), ".tracked.room", format!("must be 0 to 64, is {room}")),
            Self::Delayed { history, margin, .. } => {
                require((1..=65_536).contains(&history), ".delayed.history", format!("must be 1 to 65536 steps, is {history}"));
                require((-64..=64).contains(&margin), ".delayed.margin", format!("must be -64 to 64, is {margin}"));
            }
            Self::Current { .. } => {}
            Self::Blocks(blocks) => {
                for (value, field) in [(blocks.along, ".blocks.along"), (blocks.across, ".blocks.across")] {
                    require(value <= 65_536, field, format!("must be 0 (the whole axis) to 65536, is {value}"));
                }
                let scale = blocks.format;
                require(
                    scale.as_float().is_some_and(|f| f.precision() <= 24),
                    ".blocks.format",
                    format!("must be a floating-point format of at most 24 significant bits, is {scale}"),
                );
                let powers = scale.as_float().is_some_and(|f| f.specials == Specials::E8m0);
                require(
                    powers || blocks.rule == ScaleRule::Ratio,
                    ".blocks.rule",
                    format!("powers of two need scales in e8m0, not {scale}; use `ratio`"),
                );
                require(
                    blocks.least.is_finite() && blocks.least >= 0.0,
                    ".blocks.least",
                    format!("must be at least 0 and finite, is {}", blocks.least),
                );
            }
            Self::Squeeze => require(float.is_some(), "", format!("`squeeze` needs a floating-point format, not {format}")),
            Self::Map { block, .. } => {
                require((1..=1 << 24).contains(&block), ".map.block", format!("must be 1 to 2^24, is {block}"));
                require(format.bits() == 8, "", format!("codes of the 256 values need a format of 8 bits, such as int8, not {format}"));
            }
            Self::Expansion { block } => {
                require((1..=1 << 24).contains(&block), ".expansion.block", format!("must be 1 to 2^24, is {block}"));
                require(float.is_some(), "", format!("`expansion` needs a floating-point format, not {format}"));
            }
        }
        found
    }
}
