//! Training on a device: batches in, programs run, logits and loss read back.

mod checkpoint;

pub use checkpoint::{Checkpoint, CheckpointError};

use crate::data::{Batches, Dataset, Split, evaluation_batches};
use crate::host::{Epoch, TrainError, check};
use crate::lower::{Compiled, LowerError, Tensor, compile};
use crate::model::{Model, initial_buffers, initial_values};
use crate::recipe::Recipe;
use serde::{Deserialize, Serialize};
use systole_isa::device::{Device, DeviceError, Record};
use systole_isa::format::Format;
use systole_isa::round::encode_f64;

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

/// Trains on a device, from the start or from a checkpoint of the same run.
///
/// # Errors
/// Whatever does not fit together, or what the device or the observer refuses.
pub fn train<E: From<RunError>>(
    task: &Task<'_>,
    device: &mut dyn Device,
    resume: Option<&Checkpoint>,
    mut observe: impl FnMut(Heard<'_>) -> Result<(), E>,
) -> Result<Run, E> {
    let mut session = Session::new(task, device)?;
    let mut progress = match resume {
        None => {
            session.initialise()?;
            Progress::default()
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

/// One run's device, programs and encoding of data.
struct Session<'a> {
    task: &'a Task<'a>,
    device: &'a mut dyn Device,
    compiled: Compiled,
    /// Code of every pixel value in the format of images.
    pixel_codes: Vec<u64>,
    /// Codes of 0 and 1 in the format of labels.
    label_codes: [u64; 2],
}

impl<'a> Session<'a> {
    fn new(task: &'a Task<'a>, device: &'a mut dyn Device) -> Result<Self, RunError> {
        check(task.model, task.data, task.recipe.batch as usize)?;
        let compiled = compile(task.model, task.recipe, device.design())?;
        let scale = f32::from(task.data.full_scale);
        let encode = |value: f32| encode_f64(compiled.images.format, value.into());
        let pixel_codes = (0..=u8::MAX).map(|p| encode(f32::from(p) / scale)).collect();
        Ok(Self { label_codes: [encode(0.0), encode(1.0)], pixel_codes, task, device, compiled })
    }

    fn write_values(&mut self, tensor: Tensor, values: &[f32]) -> Result<(), DeviceError> {
        let codes: Vec<u64> = values.iter().map(|&v| encode_f64(tensor.format, v.into())).collect();
        self.device.write(tensor.address, tensor.format, &codes)
    }

    fn initialise(&mut self) -> Result<(), RunError> {
        let plan = self.task.model.plan().map_err(LowerError::from)?;
        let parameters = initial_values(&plan, self.task.seed);
        let buffers = initial_buffers(&plan);
        for (tensors, values) in
            self.compiled.parameters.clone().iter().zip(&parameters).chain(self.compiled.buffers.clone().iter().zip(&buffers))
        {
            for (tensor, values) in tensors.iter().zip(values) {
                self.write_values(*tensor, values)?;
            }
        }
        for tensor in self.compiled.momentum.clone().iter().flatten() {
            self.write_values(*tensor, &vec![0.0; tensor.elements()])?;
        }
        self.write_constants()
    }

    fn write_constants(&mut self) -> Result<(), RunError> {
        for (tensor, value) in self.compiled.constants.clone() {
            self.device.write(tensor.address, tensor.format, &[encode_f64(tensor.format, value)])?;
        }
        Ok(())
    }

    /// Tensors that live from step to step.
    fn persistent(&self) -> impl Iterator<Item = Tensor> + use<'_, 'a> {
        self.compiled.parameters.iter().chain(&self.compiled.momentum).chain(&self.compiled.buffers).flatten().copied()
    }

    fn state(&self) -> Result<Vec<Vec<u64>>, RunError> {
        self.persistent().map(|t| Ok(self.device.read(t.address, t.format, t.elements())?)).collect()
    }

    fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), RunError> {
        let tensors: Vec<Tensor> = self.persistent().collect();
        checkpoint.check_tensors(&tensors)?;
        for (tensor, codes) in tensors.iter().zip(&checkpoint.tensors) {
            self.device.write(tensor.address, tensor.format, codes)?;
        }
        self.write_constants()
    }

    /// Writes images and the labels of `indices`.
    fn load(&mut self, pixels: &[u8], split: &Split, indices: &[usize]) -> Result<(), DeviceError> {
        let images: Vec<u64> = pixels.iter().map(|&pixel| self.pixel_codes[usize::from(pixel)]).collect();
        let labels: Vec<u64> = indices
            .iter()
            .flat_map(|&i| (0..self.task.data.classes).map(move |class| usize::from(class == usize::from(split.labels[i]))))
            .map(|hot| self.label_codes[hot])
            .collect();
        self.device.write(self.compiled.images.address, self.compiled.images.format, &images)?;
        self.device.write(self.compiled.labels.address, self.compiled.labels.format, &labels)
    }

    /// How many of the first `indices` the logits in memory classify rightly.
    fn correct(&self, split: &Split, indices: &[usize]) -> Result<usize, DeviceError> {
        let Tensor { address, format, rows, cols } = self.compiled.logits;
        let logits = self.device.read(address, format, rows * cols)?;
        let values: Vec<f64> = logits.into_iter().map(|code| format.to_f64(code)).collect();
        Ok(indices.iter().zip(values.chunks(cols)).filter(|&(&i, row)| largest(row) == usize::from(split.labels[i])).count())
    }

    fn epoch<E: From<RunError>>(
        &mut self,
        epoch: u32,
        progress: &mut Progress,
        observe: &mut impl FnMut(Heard<'_>) -> Result<(), E>,
    ) -> Result<Epoch, E> {
        let data = self.task.data;
        let batches = Batches::new(data.train.len(), self.task.recipe.batch as usize, self.task.seed, epoch);
        let steps = u64::from(self.task.recipe.epochs) * batches.len() as u64;
        let (mut loss_sum, mut correct) = (0.0, 0);
        for (i, indices) in batches.iter().enumerate() {
            let pixels = data.training_pixels(indices, self.task.recipe.augment, self.task.seed, epoch);
            self.load(&pixels, &data.train, indices).map_err(RunError::from)?;
            let rate = self.compiled.negated_rate;
            let code = encode_f64(rate.format, -self.task.recipe.optimizer.rate(progress.steps, steps));
            self.device.write(rate.address, rate.format, &[code]).map_err(RunError::from)?;
            let record = self.device.run(&self.compiled.step, progress.steps).map_err(RunError::from)?;
            progress.training.accumulate(&record);
            progress.steps += 1;
            let loss = self.compiled.loss;
            let code = self.device.read(loss.address, loss.format, 1).map_err(RunError::from)?;
            let loss = loss.format.to_f64(code.first().copied().unwrap_or_default());
            loss_sum += loss;
            correct += self.correct(&data.train, indices).map_err(RunError::from)?;
            observe(Heard::Step { epoch, step: i + 1, of: batches.len(), loss })?;
        }
        let test_accuracy = self.evaluate(&data.test, progress)?;
        let seen = batches.len() * self.task.recipe.batch as usize;
        Ok(Epoch { loss: loss_sum / batches.len() as f64, train_accuracy: correct as f64 / seen as f64, test_accuracy })
    }

    /// Fraction of the images of `split` classified rightly.
    fn evaluate(&mut self, split: &Split, progress: &mut Progress) -> Result<f64, RunError> {
        let mut correct = 0;
        for batch in evaluation_batches(split.len(), self.task.recipe.batch as usize) {
            self.load(&self.task.data.pixels(split, &batch.indices), split, &batch.indices)?;
            let record = self.device.run(&self.compiled.evaluate, progress.steps)?;
            progress.evaluation.accumulate(&record);
            correct += self.correct(split, &batch.indices[..batch.valid])?;
        }
        Ok(correct as f64 / split.len().max(1) as f64)
    }

    fn weights(&self) -> Result<Vec<Weights>, RunError> {
        let plan = self.task.model.plan().map_err(LowerError::from)?;
        let mut weights = Vec::new();
        for (layer, tensors) in plan.iter().zip(&self.compiled.parameters) {
            for (parameter, t) in layer.parameters.iter().zip(tensors) {
                let codes = self.device.read(t.address, t.format, t.elements())?;
                weights.push(Weights {
                    name: format!("{}.{}", layer.name, parameter.name),
                    format: t.format,
                    rows: t.rows,
                    cols: t.cols,
                    codes,
                });
            }
        }
        Ok(weights)
    }
}

/// Index of the first of the largest values; NaN counts as the largest.
fn largest(row: &[f64]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if !row[best].is_nan() && (value.is_nan() || *value > row[best]) {
            best = i;
        }
    }
    best
}
