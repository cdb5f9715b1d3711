//! Partial sums of some of a product's outputs, as its array makes them.
//!
//! Looking is apart from computing: the outputs chosen are added once more by definition, in the
//! array's order and with its random bits, so every engine tells the same.

use crate::dataflow::separate_fold_length;
use crate::datapath::{Counting, Mac};
use crate::ordinal::Draws;
use crate::problem::{Operands, Setup, Shape};
use systole_isa::device::SumCounts;

/// A product whose outputs are looked at one by one.
pub struct Looker<'a> {
    setup: &'a Setup,
    shape: Shape,
    mac: Mac,
    draws: Draws,
    /// Products per fold where the accumulator memory adds the folds.
    fold: Option<u32>,
}

impl<'a> Looker<'a> {
    /// At a product of these extents.
    pub fn new(setup: &'a Setup, shape: Shape) -> Self {
        Self {
            setup,
            shape,
            mac: Mac::new(&setup.mode, setup.bias_a, setup.bias_b),
            draws: Draws::new(setup, shape),
            fold: separate_fold_length(&setup.array, &setup.mode),
        }
    }

    /// The sums of one output, and its code. `operands` are the row of A, the column of B, and the
    /// element of C that make it, with the scales of the former.
    ///
    /// # Panics
    /// If the operands hold less.
    pub fn output(&self, row: u32, column: u32, operands: &Operands<'_>) -> (u64, Vec<SumCounts>) {
        let Shape { k, .. } = self.shape;
        let one = Shape { m: 1, n: 1, k };
        let mut counting = Counting::new(&self.mac);
        let code = self.draws.with(row, column, |entropy| {
            counting.dot(
                k,
                |i| (operands.a.get(i as usize), operands.b.get(i as usize)),
                |i| operands.factor(&self.mac, one, 0, 0, i),
                operands.c.map(|c| c.get(0)),
                self.fold,
                &self.setup.output,
                entropy,
            )
        });
        (code, counting.finish())
    }
}

/// As many outputs of a product, row and column, spread over it without pattern; all in row-major
/// order where it has no more.
///
/// They are points of the two-dimensional sequence of fractional parts of multiples of 1/p and 1/p^2,
/// p^3 = p + 1 (Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018), in
/// fixed point.
pub fn spread(shape: Shape, outputs: u64) -> Vec<(u32, u32)> {
    /// 2^64 / p and 2^64 / p^2.
    const STEPS: [u64; 2] = [0xC13F_A9A9_02A6_328F, 0x91E1_0DA5_C79E_7B1D];
    let Shape { m, n, .. } = shape;
    let all = u64::from(m) * u64::from(n);
    if outputs >= all {
        return (0..m).flat_map(|row| (0..n).map(move |column| (row, column))).collect();
    }
    let mut chosen = std::collections::BTreeSet::new();
    let mut point = [0u64; 2];
    for _ in 0..outputs.saturating_mul(4) {
        point = [point[0].wrapping_add(STEPS[0]), point[1].wrapping_add(STEPS[1])];
        let [row, column] = [(point[0], m), (point[1], n)].map(|(x, extent)| ((u128::from(x) * u128::from(extent)) >> 64) as u32);
        chosen.insert((row, column));
        if chosen.len() as u64 == outputs {
            break;
        }
    }
    // Almost all of a small product's.
    let rest = (0..m).flat_map(|row| (0..n).map(move |column| (row, column)));
    for output in rest {
        if chosen.len() as u64 >= outputs {
            break;
        }
        chosen.insert(output);
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Problem};
    use proptest::prelude::*;
    use systole_isa::codes::Codes;
    use systole_isa::design::{ArraySpec, Dataflow, MacMode, PartialSums};
    use systole_isa::device::SumPlace;
    use systole_isa::entropy::Site;
    use systole_isa::format::Format;
    use systole_isa::round::{Policy, encode_f64};

    /// Every output that is wanted: its code, and what was counted on the way.
    fn look(problem: &Problem) -> Vec<(u32, u32, u64, Vec<SumCounts>)> {
        let Problem { setup, shape, a, b, c, .. } = problem;
        let looker = Looker::new(setup, *shape);
        let [(_, blocks), (_, scale_columns)] = crate::problem::scale_extents(&setup.mode, *shape);
        let mode = &setup.mode;
        let part = |format: Format, codes: &Codes, len: u32, at: &dyn Fn(u32) -> u32| {
            Codes::from_fn(format, len as usize, |i| codes.get(at(i as u32) as usize))
        };
        spread(*shape, u64::MAX)
            .into_iter()
            .filter(|&(row, column)| problem.operands().selects(row, column))
            .map(|(row, column)| {
                let a = part(mode.a, a, shape.k, &|i| row * shape.k + i);
                let b = part(mode.b, b, shape.k, &|i| i * shape.n + column);
                let c = c.as_ref().map(|c| part(setup.addend_format(), c, 1, &|_| row * shape.n + column));
                let of = |scales: &Option<Codes>, at: &dyn Fn(u32) -> u32| scales.as_ref().map(|s| part(mode.scale_format, s, blocks, at));
                let scale_a = of(&problem.scales[0], &|i| row / mode.scale_rows * blocks + i);
                let scale_b = of(&problem.scales[1], &|i| i * scale_columns + column / mode.scale_cols);
                let scales = crate::problem::Scales { a: scale_a.as_ref(), b: scale_b.as_ref() };
                let (code, counts) = looker.output(row, column, &Operands { scales, ..Operands::new(&a, &b, c.as_ref()) });
                (row, column, code, counts)
            })
            .collect()
    }

    fn are_those_computed(problem: &Problem) -> Result<(), TestCaseError> {
        let values = problem.by_definition();
        let Shape { n, k, .. } = problem.shape;
        for (row, column, code, counts) in look(problem) {
            prop_assert_eq!(code, values.d.get((row * n + column) as usize), "{}, {}", row, column);
            for counts in &counts {
                let sums: u64 = counts.exponents.iter().map(|(_, n)| n).sum();
                prop_assert_eq!(sums + counts.zeros + counts.infinities + counts.nans, counts.additions);
                prop_assert!(counts.additions <= u64::from(k) && counts.swamped <= counts.additions);
                prop_assert_eq!(counts.outputs, 1);
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn sums_looked_at_are_those_computed(problem in testing::problem()) {
            are_those_computed(&problem)?;
        }

        #[test]
        fn so_are_those_of_units_and_wide_registers(problem in testing::problem_of(testing::unit_mode())) {
            are_those_computed(&problem)?;
        }

        #[test]
        fn spread_gives_as_many_as_asked(m in 1u32..40, n in 1u32..40, outputs in 0u64..1700) {
            let chosen = spread(Shape { m, n, k: 1 }, outputs);
            prop_assert_eq!(chosen.len() as u64, outputs.min(u64::from(m) * u64::from(n)));
            prop_assert!(chosen.is_sorted_by(|a, b| a < b));
            prop_assert!(chosen.iter().all(|&(row, column)| row < m && column < n));
        }
    }

    /// Outputs of a large product are not all of few rows or columns.
    #[test]
    fn spread_meets_every_part() {
        let chosen = spread(Shape { m: 1024, n: 1024, k: 1 }, 64);
        for eighth in 0..8 {
            for part in [|(row, _): &(u32, u32)| *row, |(_, column): &(u32, u32)| *column] {
                let met = chosen.iter().filter(|output| part(output) / 128 == eighth).count();
                assert!((6..=10).contains(&met), "{met} in {eighth}");
            }
        }
    }

    /// K ones in e6m9: 1 + ... + 1.
    fn ones(k: u32, chunk: Option<u32>, array: ArraySpec) -> Vec<SumCounts> {
        let e6m9: Format = "e6m9".parse().unwrap();
        let mode = MacMode { chunk, ..MacMode::fused(Format::E4M3FN, Format::E4M3FN, e6m9) };
        let output = crate::datapath::Output { format: e6m9, policy: Policy::RNE };
        let setup = Setup { array, mode, bias_a: 0, bias_b: 0, output, site: Site::default() };
        let one = Codes::from_fn(Format::E4M3FN, k as usize, |_| encode_f64(Format::E4M3FN, 1.0));
        Looker::new(&setup, Shape { m: 1, n: 1, k }).output(0, 0, &Operands::new(&one, &one, None)).1
    }

    /// Ten significant bits count to 1024: 1025 is a tie that goes to even, for good.
    #[test]
    fn swamping_by_hand() {
        let [sums] = &ones(4096, None, ArraySpec::output_stationary(4, 4))[..] else { panic!("one place") };
        assert_eq!((sums.place, sums.outputs, sums.additions, sums.swamped), (SumPlace::Accumulator, 1, 4096, 3072));
        let binades: Vec<(i32, u64)> = (0..10).map(|e| (e, 1 << e)).chain([(10, 4096 - 1023)]).collect();
        assert_eq!(sums.exponents, binades);
        assert_eq!((sums.zeros, sums.infinities, sums.nans, sums.overflows), (0, 0, 0, 0));
    }

    /// 64 chunks of 64: each closes at 64, and the outer sums are multiples of that.
    #[test]
    fn chunks_have_a_place_of_their_own() {
        let [inner, outer] = &ones(4096, Some(64), ArraySpec::output_stationary(4, 4))[..] else { panic!("two places") };
        assert_eq!((inner.place, inner.additions, inner.swamped), (SumPlace::Accumulator, 4096, 0));
        assert_eq!(inner.exponents, (0..6).map(|e| (e, 64 << e)).chain([(6, 64)]).collect::<Vec<_>>());
        assert_eq!((outer.place, outer.additions, outer.swamped), (SumPlace::Outer, 64, 0));
        assert_eq!(outer.exponents, [(6, 1), (7, 2), (8, 4), (9, 8), (10, 16), (11, 32), (12, 1)]);
    }

    /// 16 rows hold 16 products of a fold; the memory adds 256 folds of 16.
    #[test]
    fn the_accumulator_memory_too() {
        let array = ArraySpec { dataflow: Dataflow::Ws, partial_sums: PartialSums::Outside, ..ArraySpec::output_stationary(16, 4) };
        let [folds, memory] = &ones(4096, None, array)[..] else { panic!("two places") };
        assert_eq!((folds.place, folds.additions, folds.exponents.last()), (SumPlace::Accumulator, 4096, Some(&(4, 256))));
        assert_eq!((memory.place, memory.additions, memory.swamped), (SumPlace::Memory, 256, 0));
        assert_eq!(memory.exponents.last(), Some(&(12, 1)));
    }
}
