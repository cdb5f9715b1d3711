//! The reference's training loop.

use super::search::Trial;
use super::{Loss, Network, State, cross_entropy};
use crate::data::{Augment, Batches, Content, Dataset, Split, evaluation_batches};
use crate::layer::{Pass, Shape};
use crate::model::{Model, ModelError};
use crate::optimizer::{Optimizer, Rule};
use crate::search::{Moment, Rules, Search};
use serde::{Deserialize, Serialize};

/// What a run needs beside model and data.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameters {
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Passes over the training images.
    pub epochs: u32,
    /// Images in one step.
    pub batch: usize,
    /// What is done to training images first.
    pub augment: Augment,
    /// Seed of initial weights, shuffles and augmentation.
    pub seed: u64,
}

/// How one epoch went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean loss of the epoch's batches, each before its step.
    #[serde(deserialize_with = "number_or_nan")]
    pub loss: f64,
    /// Fraction right of the labels of the epoch's batches, each before its step.
    pub train_accuracy: f64,
    /// Fraction right of all test labels, after the epoch.
    pub test_accuracy: f64,
    /// The same with averages of the weights, once there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged_test_accuracy: Option<f64>,
}

/// JSON has `null` for a loss that is not finite.
fn number_or_nan<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Epoch by epoch.
    pub epochs: Vec<Epoch>,
    /// The trained network.
    pub network: Network<f32>,
}

/// A run cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// The model is unusable.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Model and data differ in the size of images.
    #[error(
        "model `{model}` takes images of {expected}, data set `{data}` has {found} (height x width x channels); build the model for this data set"
    )]
    Input {
        /// The model.
        model: String,
        /// Images it takes.
        expected: Shape,
        /// The data set.
        data: String,
        /// Images it has.
        found: Shape,
    },
    /// Model and data differ in the number of classes.
    #[error("model `{model}` has {expected} classes, data set `{data}` has {found}; build the model for this data set")]
    Classes {
        /// The model.
        model: String,
        /// Its classes.
        expected: usize,
        /// The data set.
        data: String,
        /// Its classes.
        found: usize,
    },
    /// Model and data differ in what is labelled.
    #[error(
        "model `{model}` gives {outputs} logits per image (or sequence), data set `{data}` has {targets} labels; models of images end in one, models of text (`transformer`) in one for each character"
    )]
    Targets {
        /// The model.
        model: String,
        /// Positions of its output.
        outputs: usize,
        /// The data set.
        data: String,
        /// Its labels per image.
        targets: usize,
    },
    /// Text is not moved and mirrored.
    #[error("data set `{data}` is text, which has no augmentation; use augment `none`")]
    Augment {
        /// The data set.
        data: String,
    },
    /// Not one full batch.
    #[error("data set `{data}` has {images} training images, a batch takes {batch}; use a batch of 1 to {images}, or more images")]
    Batch {
        /// The data set.
        data: String,
        /// Its training images.
        images: usize,
        /// Images of one batch.
        batch: usize,
    },
}

/// True if model, data, batch and augmentation fit one another.
///
/// # Errors
/// What does not fit.
pub(crate) fn check(model: &Model, data: &Dataset, batch: usize, augment: Augment) -> Result<(), TrainError> {
    let (model_name, data_name) = (model.name.clone(), data.name.clone());
    if model.input != data.shape {
        return Err(TrainError::Input { model: model_name, expected: model.input, data: data_name, found: data.shape });
    }
    if model.classes != data.classes {
        return Err(TrainError::Classes { model: model_name, expected: model.classes, data: data_name, found: data.classes });
    }
    let outputs = model.plan()?.last().map_or(1, |layer| layer.output.positions());
    if outputs != data.train.targets {
        return Err(TrainError::Targets { model: model_name, outputs, data: data_name, targets: data.train.targets });
    }
    if data.content == Content::Tokens && augment != Augment::None {
        return Err(TrainError::Augment { data: data_name });
    }
    if batch == 0 || batch > data.train.len() {
        return Err(TrainError::Batch { data: data_name, images: data.train.len(), batch });
    }
    Ok(())
}

/// Trains `model` on `data` in binary32. `progress` hears of every epoch (from 0) as it ends.
///
/// # Errors
/// If model, data and batch do not fit one another.
pub fn train(model: &Model, data: &Dataset, hyper: &Hyperparameters, progress: impl FnMut(u32, &Epoch)) -> Result<Run, TrainError> {
    train_while(model, data, hyper, || true, progress)
}

/// As [`train`], but ends before the first step that is not `wanted`, with the epochs that have
/// ended by then.
///
/// # Errors
/// If model, data and batch do not fit one another.
pub fn train_while(
    model: &Model,
    data: &Dataset,
    hyper: &Hyperparameters,
    wanted: impl Fn() -> bool,
    mut progress: impl FnMut(u32, &Epoch),
) -> Result<Run, TrainError> {
    check(model, data, hyper.batch, hyper.augment)?;
    let mut network = Network::<f32>::new(model, hyper.seed)?;
    let mut state = State::new(&network.parameters);
    let mut epochs = Vec::new();
    let region = match hyper.optimizer.rule {
        Rule::TrustRegion(region) => Some(region),
        Rule::Sgd | Rule::Adam { .. } => None,
    };
    let rules = Rules { region, ladder: None, roundoffs: &[0.0] };
    let mut search = Search::new(&rules);
    let mut step = 0;
    for epoch in 0..hyper.epochs {
        let batches = Batches::new(data.train.len(), hyper.batch, hyper.seed, epoch);
        let steps = u64::from(hyper.epochs) * batches.len() as u64;
        let (mut loss_sum, mut correct) = (0.0, 0);
        for (in_epoch, indices) in batches.iter().enumerate() {
            if !wanted() {
                return Ok(Run { epochs, network });
            }
            let pixels = data.training_pixels(indices, hyper.augment, hyper.seed, epoch);
            let (values, labels) = (data.values(&pixels), data.train.labels_of(indices));
            let rate = hyper.optimizer.rate(step, steps, hyper.epochs);
            let (mean, right) = if region.is_some() {
                let moment = Moment { step, in_epoch: in_epoch as u64, per_epoch: batches.len() as u64, rate };
                within_region(&rules, &mut search, moment, Trial::new(&mut network, &hyper.optimizer, &mut state, values, labels))
            } else {
                let trace = network.forward(values, Pass::Training);
                let Loss { mean, correct, gradient } = cross_entropy(trace.logits(), &labels);
                let gradients = network.backward(&trace, gradient);
                state.step(&hyper.optimizer, rate, &mut network.parameters, &gradients);
                network.track(&trace);
                (mean, correct)
            };
            loss_sum += mean;
            correct += right;
            step += 1;
        }
        let result = Epoch {
            loss: loss_sum / batches.len() as f64,
            train_accuracy: correct as f64 / (batches.len() * hyper.batch * data.train.targets) as f64,
            test_accuracy: evaluate(&network, data, &data.test, hyper.batch),
            averaged_test_accuracy: None,
        };
        progress(epoch, &result);
        epochs.push(result);
    }
    Ok(Run { epochs, network })
}

/// A step of a search; the loss before it.
fn within_region(rules: &Rules<'_>, search: &mut Search, moment: Moment, mut trial: Trial<'_>) -> (f64, usize) {
    let Ok(()) = search.step(rules, &mut trial, moment);
    let loss = trial.loss();
    (loss.mean, loss.correct)
}

/// Fraction of the labels of `split` that `network` predicts; 0 of none.
pub fn evaluate(network: &Network<f32>, data: &Dataset, split: &Split, batch: usize) -> f64 {
    let mut correct = 0;
    for batch in evaluation_batches(split.len(), batch) {
        let indices = &batch.indices[..batch.valid];
        let trace = network.forward(data.rows(split, indices), Pass::Evaluation);
        correct += cross_entropy(trace.logits(), &split.labels_of(indices)).correct;
    }
    correct as f64 / split.labels.len().max(1) as f64
}
