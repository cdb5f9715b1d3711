use super::*;
use crate::testing::{self, Pattern, Problem};
use proptest::prelude::*;
use systole_isa::design::{ArraySpec, Drain, MacMode, PartialSums, Preload};
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::Policy;

fn check(problem: &Problem) {
    let Setup { array, mode, output, .. } = &problem.setup;
    let present = [0, 1].map(|i| problem.scales[i].is_some());
    let mut plan = Plan::new(array, mode, output, problem.shape, problem.c.is_some()).with_scales(mode, present);
    if let Some(mask) = &problem.mask {
        let selection = plan.select(mask);
        plan = plan.with_mask(mask.element_bytes(), Some(selection));
    }
    super::check(&problem.setup, problem.shape, &problem.operands()).unwrap();
    let (values, cost, spans) = simulate(&problem.setup, problem.shape, &problem.operands(), &mut ());
    let expected = plan.cost();
    assert_eq!(cost.compute_cycles, expected.compute_cycles);
    for ((name, counted), (_, predicted)) in cost.events.iter().zip(expected.events.iter()) {
        assert_eq!(counted, predicted, "{name}");
    }
    for (index, spans) in spans.iter().enumerate() {
        let folds = plan.folds().filter(|fold| fold.array as usize == index);
        assert!(folds.map(|fold| Span { start: fold.start, stream: fold.stream, end: fold.end }).eq(spans.iter().copied()));
    }
    assert_eq!(values, problem.by_definition());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counts_what_the_plan_predicts_and_computes_what_dot_defines(problem in testing::problem()) {
        check(&problem);
    }

    #[test]
    fn units_lanes_scales_and_wide_sums_too(problem in testing::problem_of(testing::unit_mode())) {
        check(&problem);
    }

    #[test]
    fn masks_skip_tiles_and_gate_outputs(problem in prop_oneof![
        2 => testing::masked_problem_of(testing::mode()),
        1 => testing::masked_problem_of(testing::unit_mode()),
    ]) {
        check(&problem);
        check_mask(&problem);
    }
}

/// A register as it is declared.
type Signal = (Place, Name, u32);

/// Looks at everything.
#[derive(Default)]
struct Everything {
    arrays: Vec<u32>,
    /// Cycle and registers of each look at the present array.
    looks: Vec<(u64, Vec<Signal>)>,
    ended: Vec<u64>,
    /// Codes at the output registers, by row and column of D.
    outputs: Vec<(u64, u64, u64)>,
    writes: u64,
    output: [Option<u64>; 3],
}

impl Observer for Everything {
    fn begin(&mut self, array: u32) {
        self.arrays.push(array);
        self.looks.clear();
    }

    fn wants(&self, _: u64) -> bool {
        true
    }

    fn register(&mut self, cycle: u64, held: Held<'_>) {
        if self.looks.last().is_none_or(|(last, _)| *last != cycle) {
            self.looks.push((cycle, Vec::new()));
        }
        self.looks.last_mut().unwrap().1.push((held.place, held.name, held.bits));
        let word = held.words.map(|words| words[0]);
        match (held.place, held.name.stem, held.name.suffix) {
            (Place::Output { .. }, "d", "") => self.output[2] = word,
            (Place::Output { .. }, "row", _) => self.output[0] = word,
            (Place::Output { .. }, "col", _) => {
                if let [Some(row), Some(code)] = [self.output[0], self.output[2]] {
                    self.outputs.push((row, word.unwrap(), code));
                }
            }
            (Place::Memory { .. }, "sum", "_valid") => self.writes += word.unwrap(),
            _ => {}
        }
    }

    fn end(&mut self, cycles: u64) {
        self.ended.push(cycles);
        let (_, first) = &self.looks[0];
        let mut names = first.clone();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), first.len(), "two registers of one name");
        for (cycle, (at, registers)) in self.looks.iter().enumerate() {
            assert_eq!((*at, registers), (cycle as u64, first), "all registers, every cycle");
        }
        assert_eq!(self.looks.len() as u64, cycles);
    }
}

/// Looking changes nothing, and shows every result on its way out and every word on its way to memory.
fn check_observed(problem: &Problem) {
    let mut seen = Everything::default();
    let observed = simulate(&problem.setup, problem.shape, &problem.operands(), &mut seen);
    let plain = simulate(&problem.setup, problem.shape, &problem.operands(), &mut ());
    assert_eq!(observed, plain);
    let (values, cost, spans) = plain;
    assert_eq!(seen.ended, spans.iter().map(|spans| spans.iter().map(|span| span.end).max().unwrap()).collect::<Vec<_>>());
    assert_eq!(seen.arrays, (0..spans.len() as u32).collect::<Vec<_>>());
    assert_eq!(seen.outputs.len() as u64, cost.events.scratchpad_write_bytes / u64::from(problem.setup.output.format.storage_bytes()));
    for (row, column, code) in seen.outputs {
        assert_eq!(values.d.get(row as usize * problem.shape.n as usize + column as usize), code);
    }
    assert_eq!(seen.writes, cost.events.accumulator_memory_writes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn observers_change_nothing(problem in prop_oneof![
        testing::problem(), testing::problem_of(testing::unit_mode()), testing::masked_problem_of(testing::mode()),
    ]) {
        check_observed(&problem);
    }
}

/// What a mask leaves is what the whole product gives, and costs no more.
fn check_mask(problem: &Problem) {
    let Some(mask) = &problem.mask else { unreachable!() };
    let whole = Problem { mask: None, ..problem.clone() };
    let (masked, cost) = gemm(&problem.setup, problem.shape, &problem.operands()).unwrap();
    let (all, full) = gemm(&problem.setup, problem.shape, &whole.operands()).unwrap();
    let Shape { m, n, k } = problem.shape;
    for (row, column) in (0..m).flat_map(|row| (0..n).map(move |column| (row, column))) {
        let at = (row * n + column) as usize;
        let expected = if mask.holds(row, column) { all.d.get(at) } else { 0 };
        assert_eq!(masked.d.get(at), expected, "row {row}, column {column}");
    }
    let selected = mask.selected();
    assert_eq!((cost.events.macs, cost.events.macs_spent), (full.events.macs, selected * u64::from(k)));
    let read = u64::from(m) * u64::from(n) * u64::from(mask.element_bytes());
    let bound = Cost {
        events: Events { scratchpad_read_bytes: full.events.scratchpad_read_bytes + read, idle_lane_cycles: u64::MAX, ..full.events },
        ..full
    };
    assert!(cost.compute_cycles <= bound.compute_cycles);
    for ((name, spent), (_, most)) in cost.events.iter().zip(bound.events.iter()) {
        assert!(spent <= most, "{name}: {spent} of {most}");
    }
    if selected == u64::from(m) * u64::from(n) {
        assert_eq!(masked, all);
        assert_eq!(cost, Cost { events: Events { idle_lane_cycles: full.events.idle_lane_cycles, ..bound.events }, ..full });
    }
    if selected == 0 {
        assert_eq!(cost.events, Events { macs: full.events.macs, scratchpad_read_bytes: read, ..Events::default() });
        assert_eq!((cost.compute_cycles, masked.activity), (0, Activity::default()));
    }
}

/// Tiles by hand: 5 x 7 outputs on 2 x 3 PEs, two of them wanted.
#[test]
fn two_outputs_by_hand() {
    let array = |dataflow| ArraySpec { dataflow, ..ArraySpec::output_stationary(2, 3) };
    for (dataflow, cycles, spent, folds, streamed) in [
        // Tiles (0, 1) and (2, 1): K + R + 2C and max(K, C); 2 and 1 rows of A, 3 times 8 elements each.
        (Dataflow::Os, 8 + 2 + 6 + 8, 16, 2, 3 * 3 * 8),
        // Columns 3 to 5: four folds of 5 rows, the later ones 5 cycles after the one before.
        (Dataflow::Ws, 2 * 2 + 3 + 5 + 3 * 5, 16, 4, 3 * 5 * 8),
        // Rows 0 to 2 and 3 to 4: eight folds of 7 columns.
        (Dataflow::Is, 2 * 2 + 3 + 7 + 7 * 7, 16, 8, 3 * 2 * 7 * 8),
    ] {
        let mut problem = problem(array(dataflow), (5, 7, 8), false);
        let mut mask = Mask::none(5, 7, 1);
        mask.select(1, 4);
        mask.select(4, 5);
        problem.mask = Some(mask);
        check(&problem);
        let (_, cost) = gemm(&problem.setup, problem.shape, &problem.operands()).unwrap();
        let events = cost.events;
        assert_eq!((cost.compute_cycles, events.macs_spent, events.macs), (cycles, spent, 280), "{dataflow:?}");
        assert_eq!((events.folds, events.streaming_register_writes), (folds, streamed), "{dataflow:?}");
        assert_eq!((events.scratchpad_write_bytes, events.conversions), (2, 2));
    }
}

/// FP8 into e6m9 with chunks and rounding at the drain.
fn problem(array: ArraySpec, (m, n, k): (u32, u32, u32), has_c: bool) -> Problem {
    let mode = MacMode { chunk: Some(3), ..MacMode::fused(Format::E4M3FN, Format::E5M2, "e6m9".parse().unwrap()) };
    let codes = |format, len, seed| testing::codes(format, len, Pattern::Moderate, seed);
    Problem {
        a: codes(mode.a, (m * k) as usize, 1),
        b: codes(mode.b, (k * n) as usize, 2),
        c: has_c.then(|| codes(mode.outermost(), (m * n) as usize, 3)),
        scales: [None, None],
        mask: None,
        setup: Setup {
            array,
            bias_a: 0,
            bias_b: 0,
            output: crate::datapath::Output { format: Format::E4M3FN, policy: Policy::RNE },
            site: Site::default(),
            mode,
        },
        shape: Shape { m, n, k },
    }
}

/// Every combination of options on small arrays, around every edge of the array.
#[test]
fn every_option_around_every_edge() {
    let mut cases = 0;
    for dataflow in [Dataflow::Os, Dataflow::Ws, Dataflow::Is] {
        for drain in [Drain::Serial, Drain::Overlap] {
            for preload in [Preload::Serial, Preload::Double] {
                for partial_sums in [PartialSums::Feedback, PartialSums::Outside] {
                    for (rows, cols, count) in [(1, 1, 1), (1, 3, 2), (3, 1, 1), (2, 3, 1), (3, 2, 3)] {
                        let convention = Convention::Rtl;
                        let plain = ArraySpec::output_stationary(rows, cols);
                        let array = ArraySpec { count, dataflow, convention, drain, preload, partial_sums, ..plain };
                        for (m, n, k) in [(1, 1, 1), (4, 3, 1), (2, 2, 2), (3, 4, 3), (5, 6, 7), (1, 7, 8), (7, 1, 13)] {
                            for has_c in [false, true] {
                                check(&problem(array, (m, n, k), has_c));
                                cases += 1;
                            }
                        }
                    }
                }
            }
        }
    }
    assert_eq!(cases, 3 * 8 * 5 * 7 * 2);
}

#[test]
fn refusals_name_the_mend() {
    let array = ArraySpec::output_stationary(4, 4);
    let sound = problem(array, (2, 3, 4), true);
    let refusal = |change: fn(&mut Problem)| {
        let mut problem = sound.clone();
        change(&mut problem);
        gemm(&problem.setup, problem.shape, &problem.operands()).unwrap_err()
    };
    assert_eq!(
        refusal(|p| (p.setup.array.rows, p.setup.array.cols) = (4097, 4096)),
        TickedError::TooLarge { count: 1, rows: 4097, cols: 4096 }
    );
    let wide = refusal(|p| (p.setup.array.rows, p.setup.array.cols, p.setup.array.mac_stages) = (2, 1 << 16, 1));
    assert_eq!(wide, TickedError::TooSkewed { count: 1, lanes: 1 << 16, registers: 1 << 31 });
    let many = refusal(|p| (p.setup.array.rows, p.setup.array.cols, p.setup.array.count) = (4096, 4096, 2));
    assert_eq!(many, TickedError::TooLarge { count: 2, rows: 4096, cols: 4096 });
    assert_eq!(refusal(|p| p.shape.k = 0), TickedError::Empty(2, 3, 0));
    assert_eq!(refusal(|p| p.c = Some(p.a.clone())), TickedError::Length { name: 'C', found: 8, expected: 6 });
    assert_eq!(refusal(|p| p.shape.n = 5), TickedError::Length { name: 'B', found: 12, expected: 20 });
    assert_eq!(refusal(|p| p.mask = Some(Mask::none(2, 3, 1))), TickedError::Masked("C"));
    assert_eq!(refusal(|p| (p.c, p.mask) = (None, Some(Mask::none(3, 2, 1)))), TickedError::MaskExtents(3, 2, 2, 3));
}
