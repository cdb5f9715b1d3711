//! Precision by condition number: networks trained once in the finer precision, then evaluated with
//! the same weights under every threshold, and with as many outputs left to chance.

use crate::energy;
use crate::machine::{Engine, Machine};
use crate::run::dot_products;
use crate::run::gemm::hex_digest;
use crate::run::results::{Results, ResultsError, identity};
use crate::run::train::TrainError;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::path::Path;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::Design;
use systole_trainer::data::Dataset;
use systole_trainer::model::Model;
use systole_trainer::recipe::{Numerator, Recipe, Selection, Threshold};
use systole_trainer::training::{self, Answers, Checkpoint, Heard, RunError, Task};

/// What is swept.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// The model.
    pub model: &'a Model,
    /// The data.
    pub data: &'a Dataset,
    /// A recipe that computes outputs again; its own rule gives the numerator alone.
    pub recipe: &'a Recipe,
    /// The hardware.
    pub design: &'a Design,
    /// Thresholds, in the order of the report.
    pub thresholds: &'a [f64],
    /// The first seed.
    pub first_seed: u64,
    /// Seeds from there on.
    pub seeds: u32,
    /// Kernels of the fast engine.
    pub kernel: KernelChoice,
}

/// A figure could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// A run failed.
    #[error("seed {seed}: {source}")]
    Run {
        /// The seed.
        seed: u64,
        /// The cause.
        source: Box<TrainError>,
    },
    /// A file of results.
    #[error(transparent)]
    Results(#[from] ResultsError),
}

/// How outputs were chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// All are computed once, in the finer precision.
    AllFine,
    /// By condition number.
    Condition,
    /// By lot, layer by layer with the share that the condition number left.
    Random,
}

/// One evaluation of the test images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Names everything that determines it.
    pub key: String,
    /// Seed of the training.
    pub seed: u64,
    /// How outputs were chosen.
    pub chosen: Chosen,
    /// The threshold; of lots, the one whose shares they have.
    pub threshold: Threshold,
    /// Fraction of the dot products that stayed in low precision.
    pub low_share: f64,
    /// The same by layer.
    pub low_share_by_layer: Vec<(String, f64)>,
    /// Fraction of the test images that are classified right.
    pub accuracy: f64,
    /// Mean magnitude of the logits' difference from those of the finer precision; absent if not finite.
    pub logit_error: Option<f64>,
    /// Energy of a batch, pJ.
    pub energy_pj_per_batch: f64,
    /// Cycles of a batch.
    pub cycles_per_batch: f64,
    /// MACs asked for in a batch.
    pub macs_per_batch: f64,
    /// MACs spent in a batch.
    pub macs_spent_per_batch: f64,
}

/// Digest of what determines a training or an evaluation.
fn key(sweep: &Sweep<'_>, recipe: &Recipe, seed: u64) -> String {
    let Sweep { model, data, design, .. } = *sweep;
    let [trained, recipe] = [&sweep.recipe.all_fine(), recipe].map(identity);
    let design = identity(design);
    let all = format!("{}|{} {}+{}|{trained}|{recipe}|{design}|{seed}", model.name, data.name, data.train.len(), data.test.len());
    hex_digest(all.as_bytes())
}

/// A trained network, and what it answers in the finer precision.
struct Trained {
    checkpoint: Checkpoint,
    answers: Answers,
}

fn answers(sweep: &Sweep<'_>, recipe: &Recipe, seed: u64, checkpoint: &Checkpoint) -> Result<Answers, TrainError> {
    let mut machine = Machine::new(sweep.design.clone(), Engine::Fast, sweep.kernel)?;
    let task = Task { model: sweep.model, data: sweep.data, recipe, seed };
    Ok(training::answers(&task, &mut machine, checkpoint)?)
}

impl Trained {
    /// Trains, or goes on from the checkpoint in `directory`.
    fn new(sweep: &Sweep<'_>, seed: u64, directory: Option<&Path>) -> Result<Self, TrainError> {
        let recipe = sweep.recipe.all_fine();
        let file = directory.map(|path| path.join(format!("seed-{seed}-{}.json", &key(sweep, &recipe, seed)[..8])));
        let mut checkpoint = file.as_deref().map(Checkpoint::read).transpose()?.flatten();
        let mut machine = Machine::new(sweep.design.clone(), Engine::Fast, sweep.kernel)?;
        let task = Task { model: sweep.model, data: sweep.data, recipe: &recipe, seed };
        let resumed = checkpoint.clone();
        training::train(&task, &mut machine, resumed.as_ref(), |heard| {
            if let Heard::Epoch { checkpoint: new, .. } = heard {
                checkpoint = Some(new.clone());
                if let Some(file) = &file {
                    new.write(file)?;
                }
            }
            Ok::<(), RunError>(())
        })?;
        let Some(checkpoint) = checkpoint else { unreachable!("recipes have at least one epoch") };
        let answers = answers(sweep, &recipe, seed, &checkpoint)?;
        Ok(Self { checkpoint, answers })
    }
}

fn mean_distance(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum::<f64>() / a.len().max(1) as f64;
    mean.is_finite().then_some(mean)
}

/// One seed's evaluations.
struct OfSeed<'a, 'b> {
    sweep: &'a Sweep<'b>,
    seed: u64,
    directory: Option<&'a Path>,
    trained: OnceCell<Trained>,
    results: &'a Results<Point>,
}

impl OfSeed<'_, '_> {
    fn failed(&self, source: TrainError) -> FigureError {
        FigureError::Run { seed: self.seed, source: Box::new(source) }
    }

    fn trained(&self) -> Result<&Trained, FigureError> {
        if let Some(trained) = self.trained.get() {
            return Ok(trained);
        }
        let trained = Trained::new(self.sweep, self.seed, self.directory).map_err(|e| self.failed(e))?;
        Ok(self.trained.get_or_init(|| trained))
    }

    /// The point of a recipe, from the results or measured now.
    fn point(&self, chosen: Chosen, threshold: f64, recipe: &Recipe) -> Result<Point, FigureError> {
        let key = key(self.sweep, recipe, self.seed);
        if let Some(known) = self.results.known(&key) {
            return Ok(Point { chosen, threshold: Threshold(threshold), ..known });
        }
        let trained = self.trained()?;
        let point = self.measure(key, chosen, threshold, recipe, trained).map_err(|e| self.failed(e))?;
        self.results.append(&point)?;
        Ok(point)
    }

    fn measure(&self, key: String, chosen: Chosen, threshold: f64, recipe: &Recipe, trained: &Trained) -> Result<Point, TrainError> {
        let Sweep { model, design, .. } = *self.sweep;
        let Answers { logits, accuracy, batches, record } = match chosen {
            Chosen::AllFine => trained.answers.clone(),
            _ => answers(self.sweep, recipe, self.seed, &trained.checkpoint)?,
        };
        let dots = dot_products::by_layer(recipe, design, model, &record);
        let per_batch = |count: u64| count as f64 / batches.max(1) as f64;
        Ok(Point {
            key,
            seed: self.seed,
            chosen,
            threshold: Threshold(threshold),
            low_share: if dots.is_empty() { 0.0 } else { dot_products::total(&dots).low_share() },
            low_share_by_layer: dots.into_iter().map(|(name, count)| (name, count.low_share())).collect(),
            accuracy,
            logit_error: mean_distance(&logits, &trained.answers.logits),
            energy_pj_per_batch: energy::account(design, &record)?.energy_pj.total() / batches.max(1) as f64,
            cycles_per_batch: per_batch(record.cycles.total),
            macs_per_batch: per_batch(record.events.macs),
            macs_spent_per_batch: per_batch(record.events.macs_spent),
        })
    }

    fn points(&self, heard: &(impl Fn(&Point) + Sync)) -> Result<Vec<Point>, FigureError> {
        let recipe = self.sweep.recipe;
        let numerator = match recipe.recompute.as_ref().map(|recompute| &recompute.rule) {
            Some(Selection::Condition { numerator, .. }) => *numerator,
            _ => Numerator::default(),
        };
        let mut points = vec![self.point(Chosen::AllFine, 0.0, &recipe.all_fine())?];
        points.iter().for_each(heard);
        for &threshold in self.sweep.thresholds {
            let by_condition = recipe.with_rule(Selection::Condition { threshold: Threshold(threshold), numerator });
            let condition = self.point(Chosen::Condition, threshold, &by_condition)?;
            heard(&condition);
            let low = condition.low_share_by_layer.iter().map(|(_, share)| share.clamp(0.0, 1.0)).collect();
            let random = self.point(Chosen::Random, threshold, &recipe.with_rule(Selection::Random { low }))?;
            heard(&random);
            points.extend([condition, random]);
        }
        Ok(points)
    }
}

/// Trains a network a seed and evaluates it, seeds side by side, and tells each point as it is measured.
/// With a directory, checkpoints and points are kept there (`runs.jsonl`), and made once.
///
/// # Errors
/// A run that fails, or a file that cannot be read or written. Points that were measured stay in the file.
pub fn run(sweep: &Sweep<'_>, directory: Option<&Path>, heard: impl Fn(&Point) + Sync) -> Result<Vec<Point>, FigureError> {
    let file = directory.map(|path| path.join("runs.jsonl"));
    let results = Results::open(file.as_deref(), |point: &Point| point.key.clone())?;
    let seeds: Vec<u64> = (0..u64::from(sweep.seeds)).map(|i| sweep.first_seed.saturating_add(i)).collect();
    let of_seed = |seed| OfSeed { sweep, seed, directory, trained: OnceCell::new(), results: &results }.points(&heard);
    let points: Vec<Vec<Point>> = seeds.into_par_iter().map(of_seed).collect::<Result<_, _>>()?;
    Ok(points.into_iter().flatten().collect())
}
