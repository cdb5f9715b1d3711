//! Every built-in design computes one product alike under every engine, dataflow and order of
//! partial sums.

use systole::machine::Engine;
use systole::run::gemm::{Outcome, Task, run};
use systole::run::operands::Generator;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::{Arithmetic, DESIGNS, Dataflow, Design, PartialSums, find};

/// Ragged on every array: several tiles of outputs on most, and several folds along k on all.
const EXTENTS: [[u32; 3]; 2] = [[37, 29, 19], [5, 7, 300]];

/// Sides beyond which arrays are cut: PEs without work are stepped all the same.
const SIDE: u32 = 24;

fn designs() -> impl Iterator<Item = Design> {
    let modelled = DESIGNS.iter().map(|d| find(d.name).expect(d.name)).filter(|d| d.arithmetic == Arithmetic::Modelled);
    modelled.map(|mut design| {
        (design.array.rows, design.array.cols) = (design.array.rows.min(SIDE), design.array.cols.min(SIDE));
        design
    })
}

fn outcome(design: &Design, [m, n, k]: [u32; 3], engine: Engine, generator: Generator) -> Outcome {
    let task = if engine.computes_values() { Task::generated(design, m, n, k, generator) } else { Task::shape(design, m, n, k) };
    run(design, &task, engine, KernelChoice::Auto).unwrap_or_else(|e| panic!("{} under {}: {e}", design.name, engine.name()))
}

#[test]
fn engines_agree_on_every_design_dataflow_and_partial_sum() {
    let mut compared = 0;
    for base in designs() {
        let mut digests = Vec::new();
        for dataflow in [Dataflow::Os, Dataflow::Ws, Dataflow::Is] {
            for partial_sums in [PartialSums::Feedback, PartialSums::Outside] {
                if dataflow == Dataflow::Os && partial_sums == PartialSums::Outside {
                    continue;
                }
                let mut design = base.clone();
                (design.array.dataflow, design.array.partial_sums) = (dataflow, partial_sums);
                // Five cases to a design: each meets every extent and generator.
                let extents = EXTENTS[compared % 2];
                let generator = if compared / 2 % 2 == 0 { Generator::Normal } else { Generator::Specials };
                let [fast, ticked, timing] = Engine::ALL.map(|engine| outcome(&design, extents, engine, generator));
                let what = format!("{} {dataflow:?} {partial_sums:?} {extents:?} {generator:?}", design.name);
                assert_eq!(fast.d, ticked.d, "{what}");
                assert_eq!(fast.record, ticked.record, "{what}");
                assert_eq!((&fast.record.cycles, fast.record.events), (&timing.record.cycles, timing.record.events), "{what}");
                assert_eq!((timing.d, timing.record.activity), (None, None), "{what}");
                compared += 1;
                if partial_sums == PartialSums::Feedback {
                    digests.push(outcome(&design, EXTENTS[1], Engine::Fast, Generator::Normal).digest());
                }
            }
        }
        // Fed back, partial sums are one chain, whatever the dataflow.
        assert!(digests.iter().all(|digest| digest == &digests[0] && digest.is_some()), "{}", base.name);
    }
    assert!(compared >= 5 * 25, "{compared} cases");
}
