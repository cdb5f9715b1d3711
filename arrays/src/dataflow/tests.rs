use super::*;
use crate::testing;
use proptest::prelude::*;
use systole_isa::design::{Drain, Preload};
use systole_isa::format::Format;
use systole_isa::round::Policy;

const OUTPUT: Output = Output { format: Format::E4M3FN, policy: Policy::RNE };

fn mode() -> MacMode {
    MacMode { chunk: Some(5), ..MacMode::fused(Format::E4M3FN, Format::FP16, Format::FP32) }
}

fn array(dataflow: Dataflow, rows: u32, cols: u32) -> ArraySpec {
    ArraySpec { dataflow, ..ArraySpec::output_stationary(rows, cols) }
}

fn cycles(array: ArraySpec, (m, n, k): (u32, u32, u32), has_c: bool) -> u64 {
    Plan::new(&array, &mode(), &OUTPUT, Shape { m, n, k }, has_c).cost().compute_cycles
}

#[test]
fn cycles_by_hand() {
    use Dataflow::{Is, Os, Ws};
    let serial = |a: ArraySpec| ArraySpec { drain: Drain::Serial, ..a };
    let single = |a: ArraySpec| ArraySpec { preload: Preload::Serial, ..a };
    let outside = |a: ArraySpec| ArraySpec { partial_sums: PartialSums::Outside, ..a };
    let arrays = |a: ArraySpec, count| ArraySpec { count, ..a };
    let scalesim = |a: ArraySpec| ArraySpec { convention: Convention::Scalesim, ..a };
    let staged = |a: ArraySpec, stages, of_loop| ArraySpec { mac_stages: stages, loop_stages: of_loop, ..a };
    let (os, ws, is) = (array(Os, 4, 3), array(Ws, 4, 3), array(Is, 4, 3));
    let cases = [
        (os, (4, 3, 10), false, 10 + 4 + 6),
        (os, (1, 1, 10), false, 10 + 4 + 6),
        (os, (8, 6, 10), false, 20 + 3 * 10),
        (os, (8, 6, 2), false, 12 + 3 * 3),
        (serial(os), (8, 6, 10), false, 4 * 20),
        (os, (4, 3, 10), true, 3 + 20),
        (os, (8, 6, 10), true, 3 + 20 + 3 * 10),
        (os, (8, 6, 4), true, 3 + 14 + 3 * 6),
        // The last fold's K = 2 products end before the fold before has left: C = 3 in its place.
        (os, (8, 6, 2), true, 3 + 13 + 3 * 6),
        (serial(os), (8, 6, 2), true, 4 * (2 + 4 + 9)),
        (arrays(os, 3), (8, 6, 10), false, 20 + 10),
        (ws, (10, 3, 4), false, 4 + 10 + 4 + 3),
        (ws, (10, 1, 1), true, 4 + 10 + 4 + 3),
        (ws, (10, 6, 8), false, 21 + 3 * 10),
        (ws, (2, 6, 4), false, 13 + 4),
        // The second fold of each pair waits R + 2 for its partial sums.
        (ws, (2, 6, 8), false, 13 + 6 + 4 + 6),
        (outside(ws), (2, 6, 8), false, 13 + 3 * 4),
        (single(ws), (10, 6, 8), false, 21 + 3 * 14),
        (single(ws), (1, 6, 8), false, 12 + 6 + 5 + 6),
        (serial(ws), (10, 6, 8), false, 21 + 3 * 17),
        (single(serial(ws)), (10, 6, 8), false, 4 * 21),
        (arrays(ws, 2), (10, 9, 8), false, 21 + 3 * 10),
        (is, (3, 10, 4), false, 21),
        (is, (6, 10, 8), true, 21 + 3 * 10),
        (single(serial(is)), (6, 10, 8), false, 4 * 21),
        // Three stages: a product every three cycles, or every two or one where the loop is shorter.
        (staged(os, 3, None), (4, 3, 10), false, 9 * 3 + 3 + 4 + 6),
        (staged(os, 3, Some(2)), (4, 3, 10), false, 9 * 2 + 3 + 4 + 6),
        (staged(os, 3, Some(1)), (4, 3, 10), false, 9 + 3 + 4 + 6),
        (staged(os, 3, Some(2)), (8, 6, 10), false, 31 + 3 * 20),
        (staged(os, 3, Some(1)), (8, 6, 1), false, 13 + 3 * 3),
        (serial(staged(os, 3, Some(2))), (8, 6, 10), false, 4 * 31),
        (staged(os, 3, Some(2)), (4, 3, 10), true, 3 + 31),
        // A swap is two cycles behind, and the next C behind it.
        (staged(os, 3, Some(1)), (8, 6, 4), true, 3 + 16 + 3 * (6 + 2)),
        // Four PEs down, three stages each; still a product a cycle.
        (staged(ws, 3, None), (10, 3, 4), false, 4 + 10 + 3 * 4 + 3),
        (staged(ws, 3, Some(1)), (10, 3, 4), false, 29),
        (staged(outside(ws), 3, None), (10, 6, 8), false, 29 + 3 * 10),
        // Partial sums are back after 3 R + 2 cycles.
        (staged(ws, 3, None), (10, 6, 8), false, 29 + 14 + 10 + 14),
        // The next tile sets out (S - 1)(R - 1) cycles later, lest it overtakes the stream.
        (staged(ws, 3, None), (2, 6, 4), false, 21 + 6 + 4),
        (staged(single(ws), 3, None), (10, 6, 8), false, 29 + 3 * (10 + 6 + 4)),
        (scalesim(os), (8, 6, 10), false, 4 * (4 + 3 + 10 - 2) - 1),
        (scalesim(ws), (10, 6, 8), false, 4 * (8 + 3 + 10 - 2) - 1),
        (scalesim(is), (6, 10, 8), false, 4 * (8 + 3 + 10 - 2) - 1),
        (scalesim(arrays(ws, 2)), (10, 9, 8), false, 4 * (8 + 3 + 10 - 2) - 1),
        (scalesim(array(Ws, 32, 32)), (512, 512, 512), false, 256 * 606 - 1),
        (scalesim(array(Os, 1, 1)), (1, 1, 1), false, 0),
    ];
    for (array, shape, has_c, expected) in cases {
        assert_eq!(cycles(array, shape, has_c), expected, "{array:?} {shape:?} C: {has_c}");
    }
}

#[test]
fn several_lanes_shorten_os_streams_and_deepen_stationary_folds() {
    let plan = |dataflow, shape| Plan::new(&array(dataflow, 4, 3), &MacMode { lanes: 8, ..mode() }, &OUTPUT, shape, false);
    assert_eq!(plan(Dataflow::Os, Shape { m: 4, n: 3, k: 65 }).cost().compute_cycles, 9 + 4 + 6);
    let ws = plan(Dataflow::Ws, Shape { m: 10, n: 3, k: 33 });
    assert_eq!(ws.cost().compute_cycles, 21 + 10);
    assert_eq!(ws.folds().map(|fold| fold.k).collect::<Vec<_>>(), [0..32, 32..33]);
    assert_eq!(ws.cost().events.idle_lane_cycles, 31 * 12 * 8 - 10 * 3 * 33);
}

#[test]
fn any_size_at_once() {
    for dataflow in [Dataflow::Os, Dataflow::Ws, Dataflow::Is] {
        let shape = Shape { m: 1 << 20, n: 1 << 20, k: 1 << 20 };
        let cost = Plan::new(&array(dataflow, 1, 1), &mode(), &OUTPUT, shape, true).cost();
        assert_eq!(cost.events.macs, 1 << 60);
        assert!(cost.compute_cycles >= 1 << 60 && cost.compute_cycles < 1 << 61);
        // The largest of everything saturates.
        let most = ArraySpec { count: 65_536, ..array(dataflow, 65_536, 65_536) };
        let shape = Shape { m: u32::MAX, n: u32::MAX, k: u32::MAX };
        for lanes in [1, 65_536] {
            for array in [
                most,
                ArraySpec { mac_stages: 64, ..most },
                array(dataflow, 1, 1),
                ArraySpec { convention: Convention::Scalesim, ..array(dataflow, 1, 1) },
            ] {
                let plan = Plan::new(&array, &MacMode { lanes, ..mode() }, &OUTPUT, shape, true);
                assert_eq!(plan.cost().events.macs, u64::MAX);
                assert_eq!(plan.folds().next().map(|fold| fold.start), Some(0));
            }
        }
        let nothing = Plan::new(&most, &mode(), &OUTPUT, Shape { m: 3, n: 0, k: 3 }, false);
        assert_eq!((nothing.cost(), nothing.folds().count()), (Cost::default(), 0));
    }
}

/// The definitions of [`Plan::cost`], element by element and fold by fold.
fn count(array: &ArraySpec, mode: &MacMode, plan: &Plan, has_c: bool) -> Events {
    let (rows, cols, lanes) = (u64::from(array.rows), u64::from(array.cols), u64::from(mode.lanes));
    let (a, b, c) = (mode.a.storage_bytes(), mode.b.storage_bytes(), mode.outermost().storage_bytes());
    let mut events = Events::default();
    for fold in plan.folds() {
        events.folds += 1;
        let products = u64::from(fold.k.end - fold.k.start);
        let initials = if has_c && fold.first_k { 1 } else { 0 };
        for m in 0..u64::from(fold.m.end - fold.m.start) {
            for n in 0..u64::from(fold.n.end - fold.n.start) {
                events.macs += products;
                events.macs_spent += products;
                events.conversions += u64::from(fold.last_k);
                events.scratchpad_write_bytes += u64::from(fold.last_k);
                events.scratchpad_read_bytes += initials * u64::from(c);
                if let Some(chunk) = mode.chunk {
                    let separate = separate_fold_length(array, mode).is_some();
                    let closes = |k: u32| (if separate { k - fold.k.start + 1 } else { k + 1 }).is_multiple_of(chunk);
                    let ends = |k: u32| k + 1 == if separate { fold.k.end } else { plan.shape.k };
                    events.outer_additions += fold.k.clone().filter(|&k| closes(k) || ends(k)).count() as u64;
                }
                match array.dataflow {
                    Dataflow::Os => {
                        events.accumulator_register_writes += products.div_ceil(lanes);
                        events.drain_register_writes += 1 + (cols - 1 - n) + 1 + initials * (n + 1);
                        events.skew_register_writes += initials * (m + 1);
                    }
                    Dataflow::Ws | Dataflow::Is => {
                        let column = if array.dataflow == Dataflow::Is { m } else { n };
                        let back = u64::from(!fold.first_k);
                        let outside = u64::from(array.partial_sums == PartialSums::Outside);
                        events.accumulator_register_writes += rows;
                        events.drain_register_writes += u64::from(fold.last_k);
                        events.skew_register_writes += initials * (column + 1) + back * (1 - outside);
                        events.accumulator_memory_reads += back;
                        events.accumulator_memory_writes += u64::from(!fold.last_k);
                        events.accumulator_memory_additions += outside;
                    }
                }
            }
        }
        for k in 0..products {
            let row = k / lanes + 1;
            let waits = u64::from(array.mac_stages) * (row - 1) + 1;
            for m in 0..u64::from(fold.m.end - fold.m.start) {
                events.scratchpad_read_bytes += u64::from(a);
                let (streaming, stationary, skew) = match array.dataflow {
                    Dataflow::Os => (cols, 0, m + 1),
                    Dataflow::Ws => (cols, 0, waits),
                    Dataflow::Is => (0, row + u64::from(array.preload == Preload::Double), m + 1),
                };
                events.streaming_register_writes += streaming;
                events.stationary_register_writes += stationary;
                events.skew_register_writes += skew;
            }
            for n in 0..u64::from(fold.n.end - fold.n.start) {
                events.scratchpad_read_bytes += u64::from(b);
                let (streaming, stationary, skew) = match array.dataflow {
                    Dataflow::Os => (0, rows, n + 1),
                    Dataflow::Ws => (0, row + u64::from(array.preload == Preload::Double), n + 1),
                    Dataflow::Is => (cols, 0, waits),
                };
                events.streaming_register_writes += streaming;
                events.stationary_register_writes += stationary;
                events.skew_register_writes += skew;
            }
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn closed_forms_sum_the_folds(
        (array, shape) in testing::array().prop_flat_map(|array| (Just(array), testing::shape(&array))),
        lanes in 1..5u32,
        has_c in any::<bool>(),
    ) {
        let mode = MacMode { lanes, ..mode() };
        let plan = Plan::new(&array, &mode, &OUTPUT, shape, has_c);
        let cost = plan.cost();
        let mut counted = count(&array, &mode, &plan, has_c);
        let lanes = u64::from(array.rows * array.cols * array.count * lanes);
        counted.idle_lane_cycles = (lanes * cost.compute_cycles).saturating_sub(counted.macs);
        prop_assert_eq!(cost.events, counted);

        let folds: Vec<Fold> = plan.folds().collect();
        if array.convention == Convention::Rtl {
            prop_assert_eq!(folds.iter().map(|fold| fold.end).max(), Some(cost.compute_cycles));
        }
        prop_assert!(folds[0].start == 0 && folds.iter().all(|fold| fold.start <= fold.stream && fold.end >= fold.start + plan.latency()));
        // Every product is added exactly once.
        let mut added = vec![0u8; (shape.m * shape.n * shape.k) as usize];
        for fold in &folds {
            for (m, n, k) in fold.m.clone().flat_map(|m| fold.n.clone().flat_map(move |n| fold.k.clone().map(move |k| (m, n, k)))) {
                added[((m * shape.n + n) * shape.k + k) as usize] += 1;
            }
        }
        prop_assert!(added.iter().all(|&times| times == 1));
    }
}
