//! A matrix product on an array: every engine, every kernel, and the oracle.

use crate::source::Source;
use crate::{Case, draw, text, truth};
use std::fmt;
use systole_arrays::datapath::Output;
use systole_arrays::fast::{self, KernelChoice};
use systole_arrays::mask::Mask;
use systole_arrays::problem::{Operands, Scales, Setup, Shape, scale_extents};
use systole_arrays::{dataflow, ticked, toggles};
use systole_isa::codes::Codes;
use systole_isa::design::{ArraySpec, Convention, Dataflow, Drain, EntropySource, MacMode, PartialSums, Preload, Scaling};
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
    scales: [Option<Codes>; 2],
    /// Codes of a mask, their format, and the mask they make.
    mask: Option<(Format, Vec<u64>, Mask)>,
}

/// A drain: the outermost accumulator's codes as they are, or converted.
pub(crate) fn output(source: &mut Source<'_>, mode: &MacMode) -> Output {
    let outermost = mode.outermost();
    let itself = source.one_in(3) && !outermost.is_wide();
    let format = if itself { outermost } else { draw::format(source) };
    let policy = Policy { subnormals: Default::default(), tininess: Default::default(), nan: mode.nan, ..draw::policy(source) };
    Output { format, policy }
}

/// Block scales where the mode has them; either operand may go without.
pub(crate) fn scales(source: &mut Source<'_>, mode: &MacMode, shape: Shape) -> [Option<Codes>; 2] {
    scale_extents(mode, shape).map(|(rows, cols)| {
        let wanted = mode.scale != Scaling::None && !source.one_in(4);
        wanted.then(|| Codes::from_fn(mode.scale_format, (rows * cols) as usize, |_| draw::code(source, mode.scale_format)))
    })
}

impl Case for Gemm {
    fn read(source: &mut Source<'_>) -> Self {
        let mode = if source.one_in(3) { draw::unit_mode(source) } else { draw::mode(source) };
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
            mac_stages: 1,
            loop_stages: None,
        };
        let output = output(source, &mode);
        let shape = Shape { m: 1 + source.below(9) as u32, n: 1 + source.below(9) as u32, k: 1 + source.below(14) as u32 };
        let site = Site { seed: source.bits(16), step: source.below(3) as u32, instruction: source.below(7) as u32, ..Site::default() };
        let with_c = source.one_in(2);
        let setup = Setup { array, bias_a: mode.bias_a, bias_b: mode.bias_b, mode, output, site };
        let (m, n, k) = (shape.m as usize, shape.n as usize, shape.k as usize);
        let mut codes = |format: Format, len: usize| Codes::from_fn(format, len, |_| draw::code(source, format));
        let (a, b) = (codes(setup.mode.a, m * k), codes(setup.mode.b, k * n));
        let c = with_c.then(|| codes(setup.addend_format(), m * n));
        let scales = scales(source, &setup.mode, shape);
        let masked = c.is_none() && source.one_in(2) && !ticked::draws_from_registers(&setup.mode);
        let mask = masked.then(|| {
            let format = draw::any_format(source);
            // Whole tiles without a selected output: the more the higher `rare`.
            let rare = 1 + source.below(40);
            let codes: Vec<u64> = (0..m * n).map(|_| if source.one_in(rare) { draw::code(source, format) } else { 0 }).collect();
            let mask = Mask::new(format, &Codes::from_fn(format, m * n, |i| codes[i]), shape.m, shape.n);
            (format, codes, mask)
        });
        let mut case = Self { setup, shape, a, b, c, scales, mask };
        case.draw_stages(source);
        case
    }

    fn check(&self) {
        let Self { setup, shape, c, .. } = self;
        let operands = self.operands();
        let (ticked, cost) = ticked::gemm(setup, *shape, &operands).unwrap_or_else(|e| panic!("{e}: {self}"));
        let metered = ticked::gemm_with_toggles(setup, *shape, &operands, &mut ()).unwrap_or_else(|e| panic!("{e}: {self}"));
        let passed = toggles::count(setup, *shape, &operands);
        assert_eq!(metered, (ticked.clone(), cost, passed), "metered, ticked and counted: {self}");
        let plan = dataflow::Plan::new(&setup.array, &setup.mode, &setup.output, *shape, c.is_some());
        let mut plan = plan.with_scales(&setup.mode, [0, 1].map(|i| self.scales[i].is_some()));
        if let Some((_, _, mask)) = &self.mask {
            let selection = plan.select(mask);
            plan = plan.with_mask(mask.element_bytes(), Some(selection));
        }
        assert_eq!(cost, plan.cost(), "ticked, closed form: {self}");
        for choice in [KernelChoice::Auto, KernelChoice::Scalar].into_iter().chain(KernelChoice::available()) {
            let (fast, used) = fast::gemm(setup, *shape, &operands, choice);
            assert_eq!(fast, ticked, "fast by {used:?}, ticked: {self}");
        }
        // The oracle asks for random bits by site; which state of which register that is, `ticked` shows.
        if setup.mode.entropy != EntropySource::Counter && setup.mode.random_bits() > 0 {
            return;
        }
        let codes: Vec<u64> = ticked.d.iter().collect();
        let mask = self.mask.as_ref().map(|(format, codes, _)| (*format, &codes[..]));
        assert_eq!(codes, truth::gemm(setup, *shape, &operands, self.fold(), mask), "ticked, oracle: {self}");
    }
}

impl Gemm {
    /// MACs of several stages, of which SCALE-Sim's closed form knows nothing.
    fn draw_stages(&mut self, source: &mut Source<'_>) {
        let array = &mut self.setup.array;
        if array.convention == Convention::Rtl && source.one_in(2) {
            array.mac_stages = 1 + source.below(5) as u32;
            array.loop_stages = source.one_in(2).then(|| 1 + source.below(array.mac_stages as usize) as u32);
        }
    }

    fn operands(&self) -> Operands<'_> {
        let scales = Scales { a: self.scales[0].as_ref(), b: self.scales[1].as_ref() };
        Operands { scales, mask: self.mask.as_ref().map(|(_, _, mask)| mask), ..Operands::new(&self.a, &self.b, self.c.as_ref()) }
    }

    fn fold(&self) -> Option<u32> {
        dataflow::separate_fold_length(&self.setup.array, &self.setup.mode)
    }
}

impl fmt::Display for Gemm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { m, n, k } = self.shape;
        writeln!(f, "{m} x {n} x {k} on {:?}", self.setup.array)?;
        if let Some((format, codes, _)) = &self.mask {
            writeln!(f, "mask of {format}: {codes:x?}")?;
        }
        text::sums(f, &self.setup, self.shape, &self.operands(), self.fold())
    }
}
