//! Training on a device: batches in, programs run, logits and loss read back.

mod checkpoint;
mod evidence;
mod scales;
mod session;
mod trial;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use evidence::{Evidence, GradientEvidence, LOOKED_AT, SumEvidence, TensorEvidence};
pub use scales::ScaleState;

use crate::data::Dataset;
use crate::host::{Epoch, TrainError};
use crate::lower::LowerError;
use crate::model::Model;
use crate::recipe::{Recipe, Scaler};
use crate::search::Search;
use serde::{Deserialize, Serialize};
use session::Session;
use std::num::NonZeroU64;
use systole_isa::device::{Device, DeviceError, Record};
use systole_isa::format::Format;

/// A run on a device cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Model, data and batch do not fit one another.
    #[error(transparent)]
    Fit(Box<TrainError>),
    /// Recipe and design do not fit one another.
    #[error(transparent)]
    Lower(Box<LowerError>),
    /// The device refused.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A checkpoint does not belong to this run.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl From<TrainError> for RunError {
    fn from(error: TrainError) -> Self {
        Self::Fit(Box::new(error))
    }
}

impl From<LowerError> for RunError {
    fn from(error: LowerError) -> Self {
        Self::Lower(Box::new(error))
    }
}

/// Everything that determines a run, but for the device.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The model.
    pub model: &'a Model,
    /// The data.
    pub data: &'a Dataset,
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Seed of initial weights, shuffles and augmentation.
    pub seed: u64,
}

/// One parameter after training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// `layer.parameter`.
    pub name: String,
    /// Format of the codes.
    pub format: Format,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Master copy, row-major.
    pub codes: Vec<u64>,
}

/// What a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished epochs.
    pub epochs: Vec<Epoch>,
    /// Training steps run.
    pub steps: u64,
    /// Those that moved the weights: all but the ones whose gradients overflowed.
    #[serde(default)]
    pub updates: u64,
    /// Times that weights were taken into their averages.
    #[serde(default)]
    pub averaged: u64,
    /// A dynamic loss scale.
    #[serde(default)]
    pub scaler: Option<Scaler>,
    /// What decides on steps that are tried before they are taken, and every test so far.
    #[serde(default)]
    pub search: Option<Search>,
    /// Scales followed from step to step, in the order of [`crate::lower::Compiled::followed`].
    #[serde(default)]
    pub scales: Vec<ScaleState>,
    /// Cycles, events and activity of all training steps.
    pub training: Record,
    /// The same of all evaluation batches.
    pub evaluation: Record,
}

/// What an observer hears while a run goes on.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// A training step ended: its number within the epoch and how many there are.
    Step {
        /// Epoch, from 0.
        epoch: u32,
        /// Step within the epoch, from 1.
        step: usize,
        /// Steps of an epoch.
        of: usize,
        /// Its mean loss.
        loss: f64,
    },
    /// The step that just ended, looked at.
    Evidence {
        /// What it did to its numbers.
        evidence: &'a Evidence,
        /// What it cost.
        record: &'a Record,
    },
    /// An epoch ended; the checkpoint continues from here to the same bits.
    Epoch {
        /// Epoch, from 0.
        epoch: u32,
        /// How it went.
        result: Epoch,
        /// State of the run.
        checkpoint: &'a Checkpoint,
    },
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Epochs, steps and records.
    pub progress: Progress,
    /// Final master weights, in the model's order.
    pub weights: Vec<Weights>,
}

/// What a trained model answers on the test images.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Logits, `classes` for each label, in the order of the data.
    pub logits: Vec<f64>,
    /// Fraction of the labels that are predicted.
    pub accuracy: f64,
    /// Batches run, the last one filled up.
    pub batches: u64,
    /// Cycles, events and activity of all of them.
    pub record: Record,
}

/// Evaluates the model of a checkpoint on the test images, under a recipe that may round operands of
/// products otherwise than the run that left it, and compute them again. Stochastic roundings have
/// the batch's number as their step.
///
/// # Errors
/// A checkpoint of another model, data set, design or seed, or of a recipe that differs in more than that;
/// scales that follow the steps of a run; what the device refuses.
pub fn answers(task: &Task<'_>, device: &mut dyn Device, checkpoint: &Checkpoint) -> Result<Answers, RunError> {
    checkpoint.is_of_operands_alike(task, device.design())?;
    let mut session = Session::new(task, device, None)?;
    session.restore(checkpoint)?;
    session.answers()
}

/// Trains on a device, from the start or from a checkpoint of the same run.
///
/// # Errors
/// Whatever does not fit together, or what the device or the observer refuses.
pub fn train<E: From<RunError>>(
    task: &Task<'_>,
    device: &mut dyn Device,
    resume: Option<&Checkpoint>,
    observe: impl FnMut(Heard<'_>) -> Result<(), E>,
) -> Result<Run, E> {
    train_with_evidence(task, device, resume, None, observe)
}

/// As [`train`], to the same bits at the same cost; of the steps `every`, 2 `every`, ... of the run
/// the observer hears [`Heard::Evidence`] too.
///
/// # Errors
/// As [`train`].
pub fn train_with_evidence<E: From<RunError>>(
    task: &Task<'_>,
    device: &mut dyn Device,
    resume: Option<&Checkpoint>,
    every: Option<NonZeroU64>,
    mut observe: impl FnMut(Heard<'_>) -> Result<(), E>,
) -> Result<Run, E> {
    let mut session = Session::new(task, device, every)?;
    let mut progress = match resume {
        None => {
            let mut progress = Progress::default();
            session.initialise(&mut progress)?;
            progress
        }
        Some(checkpoint) => {
            checkpoint.belongs_to(task, session.device.design()).map_err(RunError::from)?;
            session.restore(checkpoint)?;
            checkpoint.progress.clone()
        }
    };
    for epoch in progress.epochs.len() as u32..task.recipe.epochs {
        let result = session.epoch(epoch, &mut progress, &mut observe)?;
        progress.epochs.push(result);
        let checkpoint = Checkpoint::new(task, session.device.design(), progress.clone(), session.state()?);
        observe(Heard::Epoch { epoch, result, checkpoint: &checkpoint })?;
    }
    Ok(Run { weights: session.weights()?, progress })
}
