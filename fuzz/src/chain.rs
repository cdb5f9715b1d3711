//! One long chain of MACs: chunks, folds, rounded products, every mode.

use crate::gemm::output;
use crate::source::Source;
use crate::{Case, draw, text, truth};
use std::fmt;
use systole_arrays::datapath::{Element, Mac, dot};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, Convention, Dataflow, Drain, PartialSums, Preload};
use systole_isa::device::Activity;
use systole_isa::entropy::Site;
use systole_isa::format::Format;

/// One output element.
#[derive(Debug)]
pub struct Chain {
    setup: Setup,
    /// Products per fold, where the accumulator memory adds the folds.
    fold: Option<u32>,
    a: Codes,
    b: Codes,
    c: Option<Codes>,
}

impl Case for Chain {
    fn read(source: &mut Source<'_>) -> Self {
        let mode = draw::mode(source);
        let output = output(source, &mode);
        let fold = source.one_in(3).then(|| 1 + source.below(20) as u32);
        let array = ArraySpec {
            rows: fold.unwrap_or(1),
            cols: 1,
            count: 1,
            clock_mhz: 1000.0,
            dataflow: Dataflow::Ws,
            convention: Convention::Rtl,
            drain: Drain::Overlap,
            preload: Preload::Double,
            partial_sums: if fold.is_some() { PartialSums::Outside } else { PartialSums::Feedback },
        };
        let site = Site { seed: source.bits(16), ..Site::default() };
        let c = source.one_in(2).then(|| Codes::from_fn(mode.outermost(), 1, |_| draw::code(source, mode.outermost())));
        // Operands alternate so that a longer input is a longer sum; runs of one pair are drawn as such.
        let (mut a, mut b) = (Vec::new(), Vec::new());
        while a.len() < 1 || (a.len() < 80 && !source.is_empty()) {
            let pair = (draw::code(source, mode.a), draw::code(source, mode.b));
            let run = if source.one_in(8) { 1 + source.below(20) } else { 1 };
            a.extend(std::iter::repeat_n(pair.0, run));
            b.extend(std::iter::repeat_n(pair.1, run));
        }
        let codes = |format: Format, list: Vec<u64>| Codes::from_fn(format, list.len(), |i| list[i]);
        let (a, b) = (codes(mode.a, a), codes(mode.b, b));
        Self { setup: Setup { array, bias_a: mode.bias_a, bias_b: mode.bias_b, mode, output, site }, fold, a, b, c }
    }

    fn check(&self) {
        let Self { setup, fold, a, b, c } = self;
        let mac = Mac::new(&setup.mode, setup.bias_a, setup.bias_b);
        let element = Element { site: setup.site, row: 0, column: 0 };
        let (at, c_code) = (|codes: &Codes, i: u32| codes.get(i as usize), c.as_ref().map(|c| c.get(0)));
        let k = a.len() as u32;
        let ours = dot(&mac, k, |i| at(a, i), |i| at(b, i), c_code, *fold, &setup.output, &element, &mut Activity::default());
        let shape = self.shape();
        let truth = truth::gemm(setup, shape, &Operands::new(a, b, c.as_ref()), *fold);
        assert_eq!(vec![ours], truth, "datapath, oracle: {self}");
    }
}

impl Chain {
    fn shape(&self) -> Shape {
        Shape { m: 1, n: 1, k: self.a.len() as u32 }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} products, folds of {:?}", self.a.len(), self.fold)?;
        text::sums(f, &self.setup, self.shape(), &Operands::new(&self.a, &self.b, self.c.as_ref()))
    }
}
