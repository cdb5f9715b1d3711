//! What an operand register holds: an element per lane of its PE.

use std::rc::Rc;

/// Codes of one operand for the lanes of a PE, k ascending; the last lanes may be idle.
pub(super) trait Lanes: Clone + Default {
    /// Codes of lanes that are not idle, at least one.
    fn new(codes: impl ExactSizeIterator<Item = u64>) -> Self;
    /// Elements held.
    fn len(&self) -> usize;
    fn get(&self, lane: usize) -> u64;
}

/// Of PEs with one lane.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct One(u64);

impl Lanes for One {
    fn new(mut codes: impl ExactSizeIterator<Item = u64>) -> Self {
        Self(codes.next().unwrap_or_default())
    }

    #[inline(always)]
    fn len(&self) -> usize {
        1
    }

    #[inline(always)]
    fn get(&self, _: usize) -> u64 {
        self.0
    }
}

/// Of PEs with several.
#[derive(Clone, Debug, Default)]
pub(super) struct Many(Option<Rc<[u64]>>);

impl Many {
    fn codes(&self) -> &[u64] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl Lanes for Many {
    fn new(codes: impl ExactSizeIterator<Item = u64>) -> Self {
        Self(Some(codes.collect()))
    }

    fn len(&self) -> usize {
        self.codes().len()
    }

    fn get(&self, lane: usize) -> u64 {
        self.codes()[lane]
    }
}
