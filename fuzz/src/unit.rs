//! Blocks of an n-term unit, one after another: interleaved, exact and aligned sums, block scales.

use crate::source::Source;
use crate::sum::Sum;
use crate::{Case, draw};
use std::fmt;

/// One output element.
#[derive(Debug)]
pub struct Unit(Sum);

impl Case for Unit {
    fn read(source: &mut Source<'_>) -> Self {
        let mode = draw::unit_mode(source);
        let most = 8 * mode.lanes as usize;
        Self(Sum::read(source, mode, most))
    }

    fn check(&self) {
        self.0.check();
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
