//! One long chain of MACs: chunks, folds, rounded products, every mode.

use crate::source::Source;
use crate::sum::Sum;
use crate::{Case, draw};
use std::fmt;

/// One output element.
#[derive(Debug)]
pub struct Chain(Sum);

impl Case for Chain {
    fn read(source: &mut Source<'_>) -> Self {
        let mode = draw::mode(source);
        Self(Sum::read(source, mode, 80))
    }

    fn check(&self) {
        self.0.check();
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
