//! The three engines.

/// How a machine computes. Cycles and events are the same under each, but for masked products:
/// without values their masks are taken to select everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Values by kernels for whole problems.
    #[default]
    Fast,
    /// Values by stepping every register of the arrays; its counts must be those predicted.
    Ticked,
    /// No values: cycles and events by shape alone.
    Timing,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Ticked, Self::Timing];

    /// Name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Ticked => "ticked",
            Self::Timing => "timing",
        }
    }

    /// Whether memory holds results afterwards.
    pub const fn computes_values(self) -> bool {
        !matches!(self, Self::Timing)
    }
}
