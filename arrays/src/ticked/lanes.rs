//! What an operand register holds: an element per lane of its PE.

use std::rc::Rc;

/// Codes of one operand for the lanes of a PE, k ascending; the last lanes may be idle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lanes {
    One(u64),
    Many(Rc<[u64]>),
}

impl Default for Lanes {
    fn default() -> Self {
        Self::One(0)
    }
}

impl Lanes {
    pub fn new(mut codes: impl ExactSizeIterator<Item = u64>) -> Self {
        match (codes.len(), codes.next()) {
            (1, Some(code)) => Self::One(code),
            (_, first) => Self::Many(first.into_iter().chain(codes).collect()),
        }
    }

    /// Elements held.
    pub fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(codes) => codes.len(),
        }
    }

    pub fn get(&self, lane: usize) -> u64 {
        match self {
            Self::One(code) => *code,
            Self::Many(codes) => codes[lane],
        }
    }
}
