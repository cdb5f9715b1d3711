//! One training run on simulated hardware beside its binary32 reference on the host.

use super::evidence::{self, EvidenceError, Recorder};
use super::gemm::hex_digest;
use super::operands::{Matrix, TensorError, write_npy};
use crate::energy::{self, EnergyAccount, EnergyError};
use crate::machine::{Engine, Machine};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use systole_arrays::fast::KernelChoice;
use systole_isa::codes::Codes;
use systole_isa::design::Design;
use systole_isa::device::{Device, DeviceError};
use systole_trainer::data::Dataset;
use systole_trainer::host::{self, Epoch};
use systole_trainer::model::Model;
use systole_trainer::recipe::Recipe;
use systole_trainer::training::{self, Checkpoint, CheckpointError, Heard, Progress, RunError, Task, Weights};

/// A run, completely specified.
#[derive(Clone, Copy, Debug)]
pub struct Specification<'a> {
    /// The model.
    pub model: &'a Model,
    /// The data.
    pub data: &'a Dataset,
    /// The recipe.
    pub recipe: &'a Recipe,
    /// The hardware.
    pub design: &'a Design,
    /// Seed of initial weights and shuffles.
    pub seed: u64,
    /// Engine of the machine.
    pub engine: Engine,
    /// Kernels of the fast engine.
    pub kernel: KernelChoice,
}

/// Where a run leaves its files, and whether it goes on from them.
#[derive(Clone, Debug)]
pub struct Directory {
    /// The directory, made if absent.
    pub path: PathBuf,
    /// Go on from its checkpoint if there is one.
    pub resume: bool,
}

/// A run failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// Trainer, device or checkpoint.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The reference.
    #[error(transparent)]
    Reference(#[from] host::TrainError),
    /// The machine could not be built.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The run cannot be priced.
    #[error(transparent)]
    Energy(#[from] EnergyError),
    /// A checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A weight file.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// Evidence of the steps.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// The output directory.
    #[error("output directory `{}`: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A run is there already.
    #[error("output directory `{}` holds a checkpoint already; add --resume to go on from it, or give another directory", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
}

/// A finished run.
#[derive(Debug)]
pub struct Outcome {
    /// Epochs and records.
    pub progress: Progress,
    /// Final master weights.
    pub weights: Vec<Weights>,
    /// Energy, area and rates of the training steps.
    pub account: EnergyAccount,
    /// Kernels the fast engine used.
    pub kernels: Vec<String>,
    /// What was seen of the observed steps, if any were asked for.
    pub evidence: Option<evidence::Summary>,
    /// Time on the machine, seconds.
    pub seconds: f64,
}

impl Outcome {
    /// Test accuracy after the last epoch, a fraction: of the averaged weights, where there are some.
    pub fn test_accuracy(&self) -> f64 {
        self.progress.epochs.last().map_or(0.0, |e| e.averaged_test_accuracy.unwrap_or(e.test_accuracy))
    }

    /// SHA-256 of the final master weights, little-endian codes in the model's order.
    pub fn digest(&self) -> String {
        let bytes: Vec<u8> = self.weights.iter().flat_map(|w| codes(w).to_le_bytes()).collect();
        hex_digest(&bytes)
    }
}

fn codes(weights: &Weights) -> Codes {
    Codes::from_fn(weights.format, weights.codes.len(), |i| weights.codes[i])
}

/// Name of the checkpoint in an output directory.
pub const CHECKPOINT: &str = "checkpoint.json";

/// Trains on the machine; `observe` hears of steps and epochs.
///
/// # Errors
/// Whatever does not fit together or cannot be written.
pub fn run(spec: &Specification<'_>, directory: Option<&Directory>, observe: impl FnMut(&Heard<'_>)) -> Result<Outcome, TrainError> {
    run_with_evidence(spec, directory, None, observe)
}

/// As [`run`], to the same bits at the same cost; the evidence of the steps `every`, 2 `every`, ...
/// goes into the outcome, and line by line into the directory's `evidence.jsonl`.
///
/// # Errors
/// As [`run`], and evidence in the directory that is damaged or another run's.
pub fn run_with_evidence(
    spec: &Specification<'_>,
    directory: Option<&Directory>,
    every: Option<NonZeroU64>,
    mut observe: impl FnMut(&Heard<'_>),
) -> Result<Outcome, TrainError> {
    let mut machine = Machine::new(spec.design.clone(), spec.engine, spec.kernel)?;
    let task = Task { model: spec.model, data: spec.data, recipe: spec.recipe, seed: spec.seed };
    let checkpoint_file = directory.map(|d| d.path.join(CHECKPOINT));
    let resume = match directory {
        None => None,
        Some(d) => {
            std::fs::create_dir_all(&d.path).map_err(|source| TrainError::Directory { path: d.path.clone(), source })?;
            let found = Checkpoint::read(&d.path.join(CHECKPOINT))?;
            if found.is_some() && !d.resume {
                return Err(TrainError::Occupied { path: d.path.clone() });
            }
            found
        }
    };
    // Opened once the checkpoint has proved to be this run's.
    let mut recorder: Option<Recorder> = None;
    let open = || Recorder::new(spec, directory.map(|d| d.path.as_path()), resume.as_ref().map_or(0, |c| c.progress.steps));
    let start = Instant::now();
    let run = training::train_with_evidence(&task, &mut machine, resume.as_ref(), every, |heard| {
        if let Heard::Evidence { evidence, record } = heard {
            let recorder = match &mut recorder {
                Some(recorder) => recorder,
                None => recorder.insert(open()?),
            };
            recorder.take(spec.design, evidence, record)?;
        }
        if let (Heard::Epoch { checkpoint, .. }, Some(file)) = (&heard, &checkpoint_file) {
            checkpoint.write(file)?;
        }
        observe(&heard);
        Ok::<(), TrainError>(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    let account = energy::account(machine.design(), &run.progress.training)?;
    let evidence = match (recorder, every) {
        (None, None) => None,
        (Some(recorder), _) => Some(recorder.finish()),
        (None, Some(_)) => Some(open()?.finish()),
    };
    if let Some(d) = directory {
        write_weights(&d.path, &run.weights)?;
    }
    Ok(Outcome { progress: run.progress, weights: run.weights, account, kernels: machine.kernels_used(), evidence, seconds })
}

fn write_weights(directory: &Path, weights: &[Weights]) -> Result<(), TrainError> {
    for w in weights {
        let matrix = Matrix { rows: w.rows as u32, cols: w.cols as u32, codes: codes(w) };
        write_npy(&directory.join(format!("{}.{}.npy", w.name, w.format)), &matrix)?;
    }
    Ok(())
}

/// As [`run_with_evidence`], and meanwhile the reference, which is the same model, data, seed and optimizer in
/// binary32 on the host. It is given up if the machine's run fails.
///
/// # Errors
/// As [`run_with_evidence`], and model, data and batch that do not fit one another.
pub fn run_with_reference(
    spec: &Specification<'_>,
    directory: Option<&Directory>,
    every: Option<NonZeroU64>,
    observe: impl FnMut(&Heard<'_>) + Send,
) -> Result<(Outcome, Vec<Epoch>), TrainError> {
    let failed = AtomicBool::new(false);
    let simulated = || {
        let outcome = run_with_evidence(spec, directory, every, observe);
        failed.store(outcome.is_err(), Ordering::Relaxed);
        outcome
    };
    let hyper = spec.recipe.hyperparameters(spec.seed);
    let reference = || host::train_while(spec.model, spec.data, &hyper, || !failed.load(Ordering::Relaxed), |_, _| ());
    let (outcome, reference) = rayon::join(simulated, reference);
    Ok((outcome?, reference?.epochs))
}

/// Mean of paired differences and its standard error; the error is absent for one pair.
pub fn paired_difference(pairs: &[(f64, f64)]) -> (f64, Option<f64>) {
    let n = pairs.len() as f64;
    let mean = pairs.iter().map(|(a, b)| a - b).sum::<f64>() / n;
    let variance = pairs.iter().map(|(a, b)| (a - b - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, (pairs.len() > 1).then(|| (variance / n).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paired_differences_by_hand() {
        assert_eq!(paired_difference(&[(0.5, 0.25)]), (0.25, None));
        let (mean, error) = paired_difference(&[(1.0, 0.0), (3.0, 0.0), (2.0, 0.0)]);
        assert_eq!(mean, 2.0);
        assert!((error.unwrap() - (1.0_f64 / 3.0).sqrt()).abs() < 1e-15);
    }
}
