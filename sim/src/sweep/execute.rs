//! Runs of a plan, side by side.

use super::plan::PlannedRun;
use super::record::{Epoch, FoldShape, Hardware, Histogram, Outcome, PassSums, Report, RunRecord, fold_shapes};
use super::resolve::{Resolution, Resolved, Work};
use super::store::{Shard, Store, StoreError};
use crate::machine::Engine;
use crate::report::{training, workload as workload_report};
use crate::run::gemm::hex_digest;
use crate::run::results::identity;
use crate::run::train::{self, Specification};
use crate::run::workload::{self, Pass};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::Design;
use systole_isa::device::SumCounts;
use systole_isa::format::Format;
use systole_isa::program::Program;
use systole_trainer::host;
use systole_trainer::training::{Evidence, Heard, SumEvidence};

/// How runs are made.
#[derive(Clone, Copy, Debug)]
pub struct Execution {
    /// The part that is made here.
    pub shard: Shard,
    /// Runs at once.
    pub jobs: usize,
    /// Threads of all of them together.
    pub threads: usize,
    /// Kernels of the fast engine.
    pub kernel: KernelChoice,
    /// Make runs again that failed before.
    pub retry: bool,
}

/// What is heard of a sweep under way.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// So many runs are this shard's; of those some were made before.
    Planned {
        /// Runs of this shard.
        runs: usize,
        /// Runs made before.
        known: usize,
    },
    /// A run ended.
    Ended {
        /// Its record.
        record: &'a RunRecord,
        /// The time that is left.
        left: Left,
    },
}

/// An estimate of the time that is left, seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Left {
    /// The expected time.
    pub seconds: f64,
    /// Its standard error, from how much runs differ.
    pub error: f64,
}

/// Seconds that runs took, by point.
struct Clock {
    by_point: HashMap<usize, f64>,
    all: Vec<f64>,
}

impl Clock {
    /// Time for runs of these points: a point that ran takes as long again, others as long as the mean.
    fn left(&self, waiting: &[usize], jobs: usize) -> Left {
        let count = self.all.len().max(1) as f64;
        let mean = self.all.iter().sum::<f64>() / count;
        let variance = self.all.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        let known: f64 = waiting.iter().filter_map(|point| self.by_point.get(point)).sum();
        let unknown = waiting.iter().filter(|point| !self.by_point.contains_key(point)).count() as f64;
        let jobs = jobs.max(1) as f64;
        Left { seconds: (known + unknown * mean) / jobs, error: (variance * (unknown + unknown * unknown / count)).sqrt() / jobs }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Epochs of references by what determines them.
type References = Mutex<HashMap<String, Arc<Vec<host::Epoch>>>>;

/// Makes the shard's runs that the store does not hold, each ending as a line of it. A run that
/// cannot be made is a line too, and the others go on.
///
/// # Errors
/// Threads that cannot be had, and a store that cannot be written: then no more runs begin.
pub fn execute(resolution: &Resolution, store: &Store, how: &Execution, heard: impl Fn(Event<'_>) + Sync) -> Result<(), StoreError> {
    let runs = &resolution.plan.runs;
    let mine: Vec<&PlannedRun> = runs.iter().enumerate().filter(|(i, _)| how.shard.has(*i)).map(|(_, run)| run).collect();
    let made = |run: &&PlannedRun| store.known(&run.key).is_some_and(|record| !how.retry || record.error().is_none());
    let mut seen = HashSet::new();
    // Points that come to the same share their runs.
    let waiting: Vec<(&PlannedRun, &Resolved)> = mine
        .iter()
        .filter(|run| !made(run) && seen.insert(&run.key))
        .filter_map(|run| Some((*run, resolution.points[run.point].as_ref()?)))
        .collect();
    heard(Event::Planned { runs: mine.len(), known: mine.iter().filter(|run| made(run)).count() });
    let clock = Mutex::new(Clock { by_point: HashMap::new(), all: Vec::new() });
    let references = References::default();
    let queue = Mutex::new(waiting.iter().enumerate());
    let failure: Mutex<Option<StoreError>> = Mutex::new(None);
    let stop = AtomicBool::new(false);
    let jobs = how.jobs.clamp(1, waiting.len().max(1));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let Some((ordinal, (run, resolved))) = locked(&queue).next() else { return };
            let record = record(resolution, run, resolved, how.kernel, &references);
            if let Err(error) = store.append(&record) {
                stop.store(true, Ordering::Relaxed);
                locked(&failure).get_or_insert(error);
                return;
            }
            let left = {
                let mut clock = locked(&clock);
                clock.by_point.insert(run.point, record.seconds);
                clock.all.push(record.seconds);
                let points: Vec<usize> = waiting[ordinal + 1..].iter().map(|(run, _)| run.point).collect();
                clock.left(&points, jobs)
            };
            heard(Event::Ended { record: &record, left });
        }
    };
    // Each worker has threads of its own: runs do not wait for one another's.
    let pools: Vec<rayon::ThreadPool> = (0..jobs)
        .map(|_| rayon::ThreadPoolBuilder::new().num_threads((how.threads / jobs).max(1)).build())
        .collect::<Result<_, _>>()
        .map_err(|e| StoreError::File { path: "threads".into(), source: std::io::Error::other(e) })?;
    std::thread::scope(|scope| {
        for pool in &pools {
            scope.spawn(|| pool.install(work));
        }
    });
    locked(&failure).take().map_or(Ok(()), Err)
}

/// Makes a run of a point.
fn record(resolution: &Resolution, run: &PlannedRun, resolved: &Resolved, kernel: KernelChoice, references: &References) -> RunRecord {
    let start = Instant::now();
    // A fault of ours in one run is that run's error, not the end of the others.
    let made = catch_unwind(AssertUnwindSafe(|| match run.seed {
        Some(seed) => trained(resolved, seed, kernel, references),
        None => costed(resolved),
    }));
    let report = made.unwrap_or_else(|_| Err("internal error: the run panicked; please report it with this sweep".to_owned()));
    RunRecord {
        key: run.key.clone(),
        point: resolution.plan.points[run.point].name.clone(),
        seed: run.seed,
        version: resolution.plan.version.clone(),
        design_sha256: hex_digest(identity(resolved.design.as_ref()).as_bytes()),
        hardware: Hardware::of(&resolved.design),
        outcome: report.map_or_else(Outcome::Error, |report| Outcome::Report(Box::new(report))),
        seconds: start.elapsed().as_secs_f64(),
    }
}

/// Trains a point's network, and its reference unless another run has.
fn trained(resolved: &Resolved, seed: u64, kernel: KernelChoice, references: &References) -> Result<Report, String> {
    let Resolved { recipe, design, work: Work::Train(model, data) } = resolved else {
        return Err("a seed for what is not trained".to_owned());
    };
    let spec = Specification { model, data, recipe, design, seed, engine: Engine::Fast, kernel };
    let steps = u64::from(recipe.epochs) * (data.train.len() / recipe.batch.max(1) as usize) as u64;
    let mut last = None;
    let outcome = train::run_with_evidence(&spec, None, NonZeroU64::new(steps), |heard| {
        if let Heard::Evidence { evidence, .. } = heard {
            last = Some((*evidence).clone());
        }
    })
    .map_err(|e| e.to_string())?;
    let hyper = recipe.hyperparameters(seed);
    let key = format!("{}|{}|{hyper:?}", model.name, data.name);
    let known = locked(references).get(&key).cloned();
    let reference = match known {
        Some(reference) => reference,
        None => {
            let run = host::train(model, data, &hyper, |_, _| ()).map_err(|e| e.to_string())?;
            locked(references).entry(key).or_insert(Arc::new(run.epochs)).clone()
        }
    };
    let notes = workload::notes(model, recipe, design, &outcome.progress.training.cycles);
    let summary = training::Summary { spec, outcome, reference: reference.to_vec(), notes };
    let mut report = parse(summary.json())?;
    let finite = |loss: f64| loss.is_finite().then_some(loss);
    report.reference = reference.iter().map(|e| Epoch { loss: finite(e.loss), test_accuracy: e.test_accuracy }).collect();
    report.histograms = last.iter().flat_map(histograms).collect();
    report.sums = last.iter().flat_map(pass_sums).collect();
    if let Ok(programs) = workload::of_model(model, recipe, design, Pass::Training) {
        report.folds = folds(design, &programs)?;
    }
    Ok(report)
}

/// Roles of which reports show the values.
const SHOWN_ROLES: [&str; 4] = ["weights", "activations", "errors", "weight_gradients"];

/// Values of each role and format in a step, over all layers.
fn histograms(step: &Evidence) -> Vec<Histogram> {
    let mut all: Vec<(Histogram, BTreeMap<i32, u64>)> = Vec::new();
    for tensor in step.tensors.iter().filter(|tensor| SHOWN_ROLES.contains(&tensor.role.as_str())) {
        let Ok(format) = tensor.format.parse::<Format>() else { continue };
        let at = all.iter().position(|(known, _)| known.role == tensor.role && known.format == tensor.format).unwrap_or_else(|| {
            let reach = [format.smallest_positive(), format.max_finite(false)].map(|code| exponent(format.to_f64(code)));
            let histogram =
                Histogram { role: tensor.role.clone(), format: tensor.format.clone(), exponents: Vec::new(), reach, scales: None };
            all.push((histogram, BTreeMap::new()));
            all.len() - 1
        });
        let (histogram, counts) = &mut all[at];
        tensor.exponents.iter().for_each(|&(exponent, count)| *counts.entry(exponent).or_default() += count);
        if let Some([least, largest]) = tensor.scale.map(|range| range.map(exponent)) {
            histogram.scales = Some(histogram.scales.map_or([least, largest], |[low, high]| [low.min(least), high.max(largest)]));
        }
    }
    all.into_iter().map(|(histogram, counts)| Histogram { exponents: counts.into_iter().collect(), ..histogram }).collect()
}

/// Partial sums by part of the step, over all layers.
fn pass_sums(step: &Evidence) -> Vec<PassSums> {
    let mut passes: Vec<(&str, Vec<SumCounts>)> = Vec::new();
    for SumEvidence { pass, sums, .. } in &step.sums {
        let at = passes.iter().position(|(known, _)| known == pass).unwrap_or_else(|| {
            passes.push((pass, Vec::new()));
            passes.len() - 1
        });
        SumCounts::merge(&mut passes[at].1, std::slice::from_ref(sums));
    }
    let of_pass = |(pass, all): (&str, Vec<SumCounts>)| {
        let pass = pass.to_owned();
        all.into_iter().map(move |sums| PassSums { pass: pass.clone(), sums })
    };
    passes.into_iter().flat_map(of_pass).collect()
}

fn exponent(x: f64) -> i32 {
    x.abs().log2().floor().clamp(-2000.0, 2000.0) as i32
}

/// Costs a point's workload.
fn costed(resolved: &Resolved) -> Result<Report, String> {
    let Resolved { recipe, design, work } = resolved;
    let (name, batch, pass, coverage, programs) = match work {
        Work::Network(model, pass) => {
            let programs = workload::of_model(model, recipe, design, *pass).map_err(|e| e.to_string())?;
            (&model.name, Some(recipe.batch), *pass, None, programs)
        }
        Work::Layers(layers, batch, pass) => {
            let program = layers.program(design, *batch, *pass).map_err(|e| e.to_string())?;
            (&layers.topology.name, *batch, *pass, layers.coverage.as_ref(), vec![program])
        }
        Work::Train(..) => return Err("a training without a seed".to_owned()),
    };
    let outcome = workload::run(design, &programs).map_err(|e| e.to_string())?;
    let summary = workload_report::Summary {
        name,
        design,
        recipe: matches!(work, Work::Network(..)).then_some(&recipe.name),
        batch,
        coverage,
        pass,
        assumptions: &work.assumptions(),
        outcome: &outcome,
    };
    let mut report = parse(summary.json())?;
    report.folds = folds(design, &programs)?;
    Ok(report)
}

fn parse(json: Value) -> Result<Report, String> {
    serde_json::from_value(json).map_err(|e| format!("internal error: a report without its fields: {e}"))
}

/// How often the corners of an array are busy in a step of these programs.
fn folds(design: &Design, programs: &[Program]) -> Result<Vec<FoldShape>, String> {
    let mut busy: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    for (shape, count) in workload::products(design, programs).map_err(|e| e.to_string())? {
        for fold in fold_shapes(&design.array, design.mac.lanes, shape) {
            *busy.entry((fold.rows, fold.cols)).or_default() += fold.cycles * count;
        }
    }
    Ok(busy.into_iter().map(|((rows, cols), cycles)| FoldShape { rows, cols, cycles }).collect())
}
