//! One output element of a mode: its operands, and the datapath held against the oracle.

use crate::gemm::{output, scales};
use crate::source::Source;
use crate::{draw, text, truth};
use std::fmt;
use systole_arrays::dataflow::separate_fold_length;
use systole_arrays::datapath::{Element, Mac, scaled_dot};
use systole_arrays::problem::{Operands, Scales, Setup, Shape};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, Dataflow, EntropySource, MacMode, PartialSums};
use systole_isa::device::Activity;
use systole_isa::entropy::Site;
use systole_isa::format::Format;

/// One output element.
#[derive(Debug)]
pub struct Sum {
    setup: Setup,
    /// Products per fold, where the accumulator memory adds the folds.
    fold: Option<u32>,
    a: Codes,
    b: Codes,
    c: Option<Codes>,
    scales: [Option<Codes>; 2],
}

impl Sum {
    /// A sum of a mode, of at most so many products.
    pub fn read(source: &mut Source<'_>, mode: MacMode, most: usize) -> Self {
        // The oracle asks for random bits by site; shift registers count roundings in an array.
        let mode = MacMode { entropy: EntropySource::Counter, ..mode };
        let output = output(source, &mode);
        let partial_sums = source.pick(&[PartialSums::Feedback, PartialSums::Feedback, PartialSums::Outside]);
        let array = ArraySpec {
            dataflow: Dataflow::Ws,
            partial_sums,
            ..ArraySpec::output_stationary(1 + source.below(most.div_ceil(3 * mode.lanes as usize)) as u32, 1)
        };
        let site = Site { seed: source.bits(16), ..Site::default() };
        let setup = Setup { array, bias_a: mode.bias_a, bias_b: mode.bias_b, mode, output, site };
        let addend = setup.addend_format();
        let c = source.one_in(2).then(|| Codes::from_fn(addend, 1, |_| draw::code(source, addend)));
        // Operands alternate so that a longer input is a longer sum; runs of one pair are drawn as such.
        let (mut a, mut b) = (Vec::new(), Vec::new());
        while a.is_empty() || (a.len() < most && !source.is_empty()) {
            let pair = (draw::code(source, setup.mode.a), draw::code(source, setup.mode.b));
            let run = if source.one_in(8) { 1 + source.below(20) } else { 1 };
            a.extend(std::iter::repeat_n(pair.0, run));
            b.extend(std::iter::repeat_n(pair.1, run));
        }
        let codes = |format: Format, list: Vec<u64>| Codes::from_fn(format, list.len(), |i| list[i]);
        let (a, b) = (codes(setup.mode.a, a), codes(setup.mode.b, b));
        let scales = scales(source, &setup.mode, Shape { m: 1, n: 1, k: a.len() as u32 });
        Self { fold: separate_fold_length(&setup.array, &setup.mode), setup, a, b, c, scales }
    }

    const fn shape(&self) -> Shape {
        Shape { m: 1, n: 1, k: self.a.len() as u32 }
    }

    fn operands(&self) -> Operands<'_> {
        let scales = Scales { a: self.scales[0].as_ref(), b: self.scales[1].as_ref() };
        Operands { scales, ..Operands::new(&self.a, &self.b, self.c.as_ref()) }
    }

    /// The datapath computes what the oracle does.
    ///
    /// # Panics
    /// If it does not.
    pub fn check(&self) {
        let Self { setup, fold, a, b, c, .. } = self;
        let mac = Mac::new(&setup.mode, setup.bias_a, setup.bias_b);
        let element = Element { site: setup.site, row: 0, column: 0 };
        let (shape, operands) = (self.shape(), self.operands());
        let pair = |i: u32| (a.get(i as usize), b.get(i as usize));
        let factor = |i: u32| operands.factor(&mac, shape, 0, 0, i);
        let c = c.as_ref().map(|c| c.get(0));
        let ours = scaled_dot(&mac, shape.k, pair, factor, c, *fold, &setup.output, &element, &mut Activity::default());
        assert_eq!(vec![ours], truth::gemm(setup, shape, &operands, *fold, None), "datapath, oracle: {self}");
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} products, folds of {:?}", self.a.len(), self.fold)?;
        text::sums(f, &self.setup, self.shape(), &self.operands(), self.fold)
    }
}
