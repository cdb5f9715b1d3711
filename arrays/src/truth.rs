//! The datapath held against the exact-rational oracle.

use crate::dataflow;
use crate::problem::scale_extents;
use crate::testing::{self, Problem};
use proptest::prelude::*;
use systole_golden::gemm::{Folds, Gemm, Scales, Site, Step};
use systole_isa::design::{EntropySource, MacMode, Scaling};
use systole_isa::entropy::Stage;
use systole_isa::round::encode_f64;

/// The oracle's result, random bits taken from the same sites.
fn oracle(problem: &Problem) -> Vec<u64> {
    let setup = &problem.setup;
    let mode = MacMode { bias_a: setup.bias_a, bias_b: setup.bias_b, ..setup.mode.clone() };
    let fold = dataflow::separate_fold_length(&setup.array, &setup.mode);
    let [a, b] = [&problem.a, &problem.b].map(|codes| codes.iter().collect::<Vec<_>>());
    let c = problem.c.as_ref().map(|codes| codes.iter().collect::<Vec<_>>());
    let one = encode_f64(mode.scale_format, 1.0);
    let scales: Vec<Vec<u64>> = scale_extents(&mode, problem.shape)
        .into_iter()
        .zip(&problem.scales)
        .map(|((rows, cols), codes)| {
            codes.as_ref().map_or_else(|| vec![one; rows as usize * cols as usize], |codes| codes.iter().collect())
        })
        .collect();
    let gemm = Gemm {
        mode: &mode,
        folds: fold.map_or(Folds::Chain, |rows| Folds::Outside { rows: rows as usize }),
        output: (setup.output.format, setup.output.policy),
        shape: [problem.shape.m, problem.shape.n, problem.shape.k].map(|x| x as usize),
        a: &a,
        b: &b,
        c: c.as_deref(),
        c_format: Some(setup.addend_format()),
        scales: (mode.scale != Scaling::None).then_some(Scales { a: &scales[0], b: &scales[1] }),
    };
    let random = |site: Site| {
        let (rounding, stage, index) = match site.step {
            // C goes into a wide accumulator without random bits.
            Step::Initial => return 0,
            Step::Product { k } => (mode.rounding, Stage::Product, k),
            Step::Accumulate { k } => (mode.rounding, Stage::Accumulate, k),
            Step::Way { first, way } => (mode.rounding, Stage::Sum, first + way),
            Step::Sum { k } => (mode.rounding, Stage::Sum, k),
            Step::Scale { k } => (mode.rounding_of(Stage::Scale), Stage::Scale, k),
            Step::Outer { k } => (mode.rounding_of(Stage::Outer), Stage::Outer, k),
            Step::Memory { fold: index } => {
                let rows = fold.unwrap_or(1) as usize;
                (mode.rounding_of(Stage::Memory), Stage::Memory, ((index + 1) * rows).min(gemm.shape[2]) - 1)
            }
            Step::Output => (setup.output.policy.rounding, Stage::Output, 0),
        };
        setup.site.random(rounding.random_bits(), site.row as u32, site.column as u32, stage, index as u32)
    };
    gemm.run(random).unwrap_or_else(|e| panic!("{e}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_datapath_computes_the_truth(problem in testing::problem()) {
        let ours: Vec<u64> = problem.by_definition().d.iter().collect();
        prop_assert_eq!(ours, oracle(&problem));
    }

    #[test]
    fn units_scales_and_wide_sums_compute_the_truth(mut problem in testing::problem_of(testing::unit_mode())) {
        // The oracle asks for bits by site; which state of which register that is, `ticked` shows.
        problem.setup.mode.entropy = EntropySource::Counter;
        let ours: Vec<u64> = problem.by_definition().d.iter().collect();
        prop_assert_eq!(ours, oracle(&problem));
    }
}

/// The published trap: 4096 ones in e6m9 stop at 1024; chunks of 64 repair it.
#[test]
fn chunks_repair_a_narrow_accumulator() {
    use crate::datapath::{Element, Mac, Output, dot};
    use systole_isa::device::Activity;
    use systole_isa::entropy;
    use systole_isa::format::Format;
    use systole_isa::round::Policy;
    let e6m9: Format = "e6m9".parse().unwrap();
    let one = encode_f64(Format::E4M3FN, 1.0);
    for (chunk, expected) in [(None, 1024.0), (Some(64), 4096.0)] {
        let mode = MacMode { chunk, ..MacMode::fused(Format::E4M3FN, Format::E4M3FN, e6m9) };
        let output = Output { format: e6m9, policy: Policy::RNE };
        let element = Element { site: entropy::Site::default(), row: 0, column: 0 };
        let code = dot(&Mac::new(&mode, 0, 0), 4096, |_| one, |_| one, None, None, &output, &element, &mut Activity::default());
        assert_eq!(e6m9.to_f64(code), expected);
    }
}
