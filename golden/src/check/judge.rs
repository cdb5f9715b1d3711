//! Those who say what a case's result should be.

use super::batch::Batch;
use super::subject::Subject;
use crate::gemm::Element;
use systole_isa::round::Flags;

/// Which implementation a judge speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The exact-rational oracle.
    Oracle,
    /// The datapath in integers.
    Datapath,
    /// A kernel of the fast engine.
    Fast,
}

/// A judge's answer to one case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The result.
    pub code: u64,
    /// The exceptions, if this judge tells them.
    pub flags: Option<Flags>,
    /// Who computed it: `oracle`, `datapath`, or the kernel.
    pub by: &'static str,
}

/// Someone who knows the result of cases of one subject.
///
/// A judge answers from the operands alone: it must not look at what a case expects.
pub trait Judge: Sync {
    /// Whom it speaks for.
    fn kind(&self) -> Kind;

    /// One answer per case in order; `None` where a case lies outside its domain.
    fn judge(&self, batch: &Batch) -> Vec<Option<Answer>>;
}

/// The oracle as a judge.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// What its cases are about.
    pub subject: Subject,
}

impl Judge for Oracle {
    fn kind(&self) -> Kind {
        Kind::Oracle
    }

    fn judge(&self, batch: &Batch) -> Vec<Option<Answer>> {
        let answer = |element: Element| Answer { code: element.code, flags: Some(element.flags), by: "oracle" };
        batch.cases().map(|case| self.subject.apply(case.operands, case.random).ok().map(answer)).collect()
    }
}
