//! The engine of every register, and the engine without values.

use super::Options;
use super::turns::{Speed, by_turns};
use crate::machine::Engine;
use crate::run::gemm::{self, Task};
use std::hint::black_box;
use systole_arrays::bench::cases;
use systole_arrays::problem::Shape;
use systole_arrays::{fast, ticked};
use systole_isa::design::{Dataflow, Design, find};

/// A dataflow of the `ticked` engine measured.
#[derive(Debug)]
pub struct TickedRow {
    /// What was run.
    pub name: &'static str,
    /// PE-cycles a second, or how its bits are wrong.
    pub outcome: Result<Speed, String>,
}

/// Measures the `ticked` engine in every dataflow.
pub fn ticked(options: &Options, progress: &impl Fn(&str)) -> Vec<TickedRow> {
    let flows = [("ticked os", Dataflow::Os), ("ticked ws", Dataflow::Ws), ("ticked is", Dataflow::Is)];
    let case = cases().into_iter().find(|case| case.name == "e6m9");
    let wanted = flows.into_iter().filter(|(name, _)| options.wants(name));
    wanted
        .zip(std::iter::repeat(case).flatten())
        .map(|((name, dataflow), case)| {
            progress(name);
            let mut problem = case.problem(Shape { m: 64, n: 64, k: 64 });
            problem.setup.array.dataflow = dataflow;
            let run = || ticked::gemm(&problem.setup, problem.shape, &problem.operands());
            let outcome = run().map_err(|e| e.to_string()).and_then(|(values, cost)| {
                let (expected, _) = fast::gemm(&problem.setup, problem.shape, &problem.operands(), options.kernel);
                if values != expected {
                    return Err("differs from the fast engine".to_owned());
                }
                let array = &problem.setup.array;
                let work = (cost.compute_cycles * u64::from(array.rows) * u64::from(array.cols)) as f64;
                let [seconds] = by_turns(
                    options.pace(),
                    [&mut || {
                        let _ = black_box(run());
                    }],
                );
                Speed::new(work, &seconds).ok_or_else(|| "no rounds".to_owned())
            });
            TickedRow { name, outcome }
        })
        .collect()
}

/// Every product of ResNet-18's forward pass on one image of 224 x 224: how many, and M, N, K.
const RESNET18: [(u32, [u32; 3]); 12] = [
    (1, [12544, 64, 147]),
    (4, [3136, 64, 576]),
    (1, [784, 128, 576]),
    (3, [784, 128, 1152]),
    (1, [784, 128, 64]),
    (1, [196, 256, 1152]),
    (3, [196, 256, 2304]),
    (1, [196, 256, 128]),
    (1, [49, 512, 2304]),
    (3, [49, 512, 4608]),
    (1, [49, 512, 256]),
    (1, [1, 1000, 512]),
];

/// M, N, K of every product of a training step: forward, the input's gradient but for the first
/// layer's, the weight's gradient.
fn training_step() -> impl Iterator<Item = [u32; 3]> {
    let layers = RESNET18.iter().flat_map(|&(count, shape)| (0..count).map(move |_| shape));
    layers.enumerate().flat_map(|(layer, [m, n, k])| {
        let of_input = (layer > 0).then_some([m, k, n]);
        [Some([m, n, k]), of_input, Some([k, n, m])].into_iter().flatten()
    })
}

/// The `timing` engine measured.
#[derive(Clone, Copy, Debug)]
pub struct TimingRow {
    /// Programs, one a product.
    pub programs: u32,
    /// Cycles they take on the simulated machine.
    pub cycles: u64,
    /// Runs of all of them a second.
    pub speed: Speed,
}

/// The built-in FP8 design with 128 x 128 PEs.
fn design() -> Option<Design> {
    let sides = [("array.rows", "128"), ("array.cols", "128")].map(|(path, value)| (path.to_owned(), value.to_owned()));
    find("fp8-16x16")?.with_overrides(&sides).ok()
}

/// Measures the `timing` engine on a training step of ResNet-18.
pub fn timing(options: &Options, progress: &impl Fn(&str)) -> Option<TimingRow> {
    let design = design().filter(|_| options.wants("timing"))?;
    progress("timing");
    let run = || -> Option<(u32, u64)> {
        training_step().try_fold((0, 0), |(programs, cycles), [m, n, k]| {
            let outcome = gemm::run(&design, &Task::shape(&design, m, n, k), Engine::Timing, options.kernel).ok()?;
            Some((programs + 1, cycles + outcome.record.cycles.total))
        })
    };
    let (programs, cycles) = run()?;
    let [seconds] = by_turns(
        options.pace(),
        [&mut || {
            black_box(run());
        }],
    );
    Some(TimingRow { programs, cycles, speed: Speed::new(1.0, &seconds)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resnet18_has_its_macs() {
        let macs: u64 = RESNET18.iter().map(|&(count, [m, n, k])| u64::from(count) * Shape { m, n, k }.macs()).sum();
        assert_eq!(macs, 1_814_073_344);
        assert_eq!(RESNET18.iter().map(|(count, _)| count).sum::<u32>(), 21);
        assert_eq!(training_step().count(), 62);
        let first = Shape { m: 12544, n: 64, k: 147 }.macs();
        let step: u64 = training_step().map(|[m, n, k]| Shape { m, n, k }.macs()).sum();
        assert_eq!(step, 3 * macs - first);
        assert!(design().is_some());
    }
}
