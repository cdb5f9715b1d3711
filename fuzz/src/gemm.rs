//! A matrix product on an array: every engine, every kernel, and the oracle.

use crate::source::Source;
use crate::{Case, draw, text, truth};
use std::fmt;
use systole_arrays::datapath::Output;
use systole_arrays::fast::{self, KernelChoice};
use systole_arrays::problem::{Operands, Setup, Shape};
use systole_arrays::{dataflow, ticked};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, Convention, Dataflow, Drain, MacMode, PartialSums, Preload};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::Policy;

/// One product.
#[derive(Debug)]
pub struct Gemm {
    setup: Setup,
    shape: Shape,
    a: Codes,
    b: Codes,
    c: Option<Codes>,
}

/// A drain: the outermost accumulator's codes as they are, or converted.
pub(crate) fn output(source: &mut Source<'_>, mode: &MacMode) -> Output {
    let format = if source.one_in(3) { mode.outermost() } else { draw::format(source) };
    Output { format, policy: Policy { subnormals: Default::default(), tininess: Default::default(), ..draw::policy(source) } }
}

impl Case for Gemm {
    fn read(source: &mut Source<'_>) -> Self {
        let mode = draw::mode(source);
        let array = ArraySpec {
            rows: 1 + source.below(6) as u32,
            cols: 1 + source.below(6) as u32,
            count: 1 + source.below(3) as u32,
            clock_mhz: 1000.0,
            dataflow: source.pick(&[Dataflow::Os, Dataflow::Ws, Dataflow::Is]),
            convention: source.pick(&[Convention::Rtl, Convention::Rtl, Convention::Scalesim]),
            drain: source.pick(&[Drain::Serial, Drain::Overlap]),
            preload: source.pick(&[Preload::Serial, Preload::Double]),
            partial_sums: source.pick(&[PartialSums::Feedback, PartialSums::Outside]),
        };
        let output = output(source, &mode);
        let shape = Shape { m: 1 + source.below(9) as u32, n: 1 + source.below(9) as u32, k: 1 + source.below(14) as u32 };
        let site = Site { seed: source.bits(16), step: source.below(3) as u32, instruction: source.below(7) as u32 };
        let with_c = source.one_in(2);
        let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
        let mut codes = |format: Format, len: usize| Codes::from_fn(format, len, |_| draw::code(source, format));
        let (a, b) = (codes(mode.a, m * k), codes(mode.b, k * n));
        let c = with_c.then(|| codes(mode.outermost(), m * n));
        Self { setup: Setup { array, bias_a: mode.bias_a, bias_b: mode.bias_b, mode, output, site }, shape, a, b, c }
    }

    fn check(&self) {
        let Self { setup, shape, a, b, c } = self;
        let operands = Operands::new(a, b, c.as_ref());
        let (ticked, cost) = ticked::gemm(setup, *shape, &operands).unwrap_or_else(|e| panic!("{e}: {self}"));
        let plan = dataflow::Plan::new(&setup.array, &setup.mode, &setup.output, *shape, c.is_some());
        assert_eq!(cost, plan.cost(), "ticked, closed form: {self}");
        for name in ["auto", "avx2", "portable", "scalar"] {
            // AVX2 may be absent here.
            let Ok(choice) = name.parse::<KernelChoice>() else { continue };
            let (fast, used) = fast::gemm(setup, *shape, &operands, choice);
            assert_eq!(fast, ticked, "fast by {used:?}, ticked: {self}");
        }
        let fold = dataflow::separate_fold_length(&setup.array, &setup.mode);
        let codes: Vec<u64> = ticked.d.iter().collect();
        assert_eq!(codes, truth::gemm(setup, *shape, &operands, fold), "ticked, oracle: {self}");
    }
}

impl fmt::Display for Gemm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { m, n, k } = self.shape;
        writeln!(f, "{m} x {n} x {k} on {:?}", self.setup.array)?;
        text::sums(f, &self.setup, self.shape, &Operands::new(&self.a, &self.b, self.c.as_ref()))
    }
}
