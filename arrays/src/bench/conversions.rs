//! Conversions whose speed is of interest, one line each.

use crate::vector::{Blocks, Elementwise, Operand, Target, VectorError, elementwise_into};
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};

/// A conversion by the vector unit.
#[derive(Clone, Copy, Debug)]
pub struct Conversion {
    /// Format read.
    pub from: Format,
    /// Format written.
    pub to: Format,
    /// How.
    pub rounding: Rounding,
}

impl Conversion {
    /// What reports call it.
    pub fn name(&self) -> String {
        format!("{} to {} {}", self.from, self.to, self.rounding)
    }

    /// Elements of magnitudes 2^-10 to 2^6, subnormals of 8-bit floats among them, or every code
    /// of a narrower format than fp32.
    pub fn elements(&self, len: usize) -> Codes {
        let mut state = 3u64;
        Codes::from_fn(self.from, len, |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let drawn = state >> 32;
            if self.from == Format::FP32 {
                let exponent = 127 - 10 + (drawn >> 27 & 15);
                (drawn >> 31) << 31 | exponent << 23 | drawn & 0x7f_ffff
            } else {
                drawn & ((1 << self.from.bits()) - 1)
            }
        })
    }

    /// What the result is to be, for this many elements.
    pub fn target(&self, len: usize) -> Target {
        Target { format: self.to, rows: 1, cols: len, policy: Policy::new(self.rounding), blocks: Blocks::WHOLE, site: Site::default() }
    }

    /// The instruction.
    ///
    /// # Errors
    /// What [`elementwise_into`] refuses.
    pub fn run(&self, codes: &Codes) -> Result<(Codes, Activity), VectorError> {
        let mut result = Codes::zeros(self.to, 0);
        let activity = self.run_into(codes, &mut result)?;
        Ok((result, activity))
    }

    /// The instruction into a buffer that is there already, as a machine's memory is.
    ///
    /// # Errors
    /// What [`elementwise_into`] refuses.
    pub fn run_into(&self, codes: &Codes, result: &mut Codes) -> Result<Activity, VectorError> {
        let operand = Operand { format: self.from, rows: 1, cols: codes.len(), codes };
        elementwise_into(Elementwise::Convert, &self.target(codes.len()), &[operand], result)
    }
}

/// Every conversion.
pub fn conversions() -> Vec<Conversion> {
    let narrow = ["e4m3fn", "e5m2", "e6m9"].map(|name| name.parse::<Format>().expect("a format"));
    let down = [Rounding::Rne, Rounding::Sr(8)].into_iter().flat_map(|rounding| narrow.map(|to| (Format::FP32, to, rounding)));
    let up = narrow.map(|from| (from, Format::FP32, Rounding::Rne));
    down.chain(up).map(|(from, to, rounding)| Conversion { from, to, rounding }).collect()
}
