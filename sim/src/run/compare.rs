//! Recipes side by side: each trained on the same seeds as its fp32 baselines, on the host and
//! on an array.

use super::dot_products;
use super::gemm::hex_digest;
use super::results::{Results, ResultsError, identity};
use super::train::{self, Specification, TrainError, paired_difference};
use crate::machine::Engine;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::Design;
use systole_trainer::data::Dataset;
use systole_trainer::host;
use systole_trainer::model::Model;
use systole_trainer::optimizer::{Compensation, Decayed, Optimizer};
use systole_trainer::recipe::{LossScale, Recipe};

/// Name of the recipe and, by way of it, of the design that fp32 on an array is trained with.
const BASELINE: &str = "fp32";

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The model.
    pub model: &'a Model,
    /// The data.
    pub data: &'a Dataset,
    /// Recipes, each with its design.
    pub contenders: &'a [(Recipe, Design)],
    /// The first seed.
    pub first_seed: u64,
    /// Seeds from there on.
    pub seeds: u32,
    /// Kernels of the fast engine.
    pub kernel: KernelChoice,
}

/// One trained network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// Names everything that determines the run.
    pub key: String,
    /// The recipe.
    pub recipe: String,
    /// The design; empty for the host.
    pub design: String,
    /// Seed.
    pub seed: u64,
    /// Test accuracy after the last epoch, a fraction.
    pub test_accuracy: f64,
    /// Mean loss of the last epoch.
    pub loss: f64,
    /// Training steps.
    pub steps: u64,
    /// Cycles of all training steps; 0 on the host.
    pub cycles: u64,
    /// Energy of all training steps, pJ.
    pub energy_pj: f64,
    /// MACs asked for in all training steps; 0 on the host.
    #[serde(default)]
    pub macs: u64,
    /// MACs spent in them: those of outputs that a mask leaves out are not.
    #[serde(default)]
    pub macs_spent: u64,
    /// Fraction of the forward dot products that were not computed again; absent where no recipe asks for it.
    #[serde(default)]
    pub low_share: Option<f64>,
    /// MACs spent, as TFLOPS, over watts.
    pub tflops_per_watt: f64,
    /// SHA-256 of the final weights; empty for the host.
    pub digest: String,
}

/// A comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A run failed.
    #[error("recipe `{recipe}`, seed {seed}: {source}")]
    Run {
        /// The recipe.
        recipe: String,
        /// The seed.
        seed: u64,
        /// The cause.
        source: Box<TrainError>,
    },
    /// A file of results.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The baseline's recipe does not suit.
    #[error(transparent)]
    Baseline(#[from] systole_trainer::recipe::RecipeError),
}

/// A recipe's row of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The recipe.
    pub recipe: String,
    /// Its design.
    pub design: String,
    /// Mean test accuracy over the seeds.
    pub accuracy: f64,
    /// Its standard error; absent for one seed.
    pub accuracy_error: Option<f64>,
    /// Mean test accuracy of fp32 on the host.
    pub host: f64,
    /// Mean test accuracy of fp32 on the array.
    pub array: f64,
    /// Mean paired difference from the host, and its standard error.
    pub from_host: (f64, Option<f64>),
    /// The same from fp32 on the array.
    pub from_array: (f64, Option<f64>),
    /// Mean loss of the last epoch.
    pub loss: f64,
    /// Energy of a training step, pJ.
    pub energy_pj_per_step: f64,
    /// The same of fp32 on the array.
    pub array_energy_pj_per_step: f64,
    /// Cycles of a training step.
    pub cycles_per_step: f64,
    /// MACs asked for in a training step.
    pub macs_per_step: f64,
    /// MACs spent in one.
    pub macs_spent_per_step: f64,
    /// Mean fraction of the forward dot products that were not computed again, where a recipe asks for it.
    pub low_share: Option<f64>,
    /// MACs spent, as TFLOPS, over watts.
    pub tflops_per_watt: f64,
    /// Accuracies by seed: the recipe's, the host's, the array's.
    pub by_seed: Vec<(u64, f64, f64, f64)>,
}

/// The recipe as fp32 everywhere, its schedule and decay as they are.
fn in_fp32(recipe: &Recipe) -> Result<Recipe, CompareError> {
    let base = Recipe::builtin(BASELINE)?;
    Ok(Recipe {
        optimizer: Optimizer { compensation: Compensation::None, decayed: Decayed::Master, ..recipe.optimizer.clone() },
        epochs: recipe.epochs,
        batch: recipe.batch,
        augment: recipe.augment,
        loss_scale: LossScale::Static(1.0),
        exempt: Vec::new(),
        averaging: None,
        ..base
    })
}

/// One run to be made.
enum Job<'a> {
    Device { recipe: &'a Recipe, design: &'a Design },
    Host { recipe: &'a Recipe },
}

impl Job<'_> {
    const fn recipe(&self) -> &Recipe {
        match self {
            Self::Device { recipe, .. } | Self::Host { recipe } => recipe,
        }
    }

    fn key(&self, comparison: &Comparison<'_>, seed: u64) -> String {
        let data = comparison.data;
        let design = match self {
            Self::Device { design, .. } => identity(design),
            Self::Host { .. } => "host".to_owned(),
        };
        let recipe = identity(self.recipe());
        let all = format!("{}|{} {}+{}|{recipe}|{design}|{seed}", comparison.model.name, data.name, data.train.len(), data.test.len());
        hex_digest(all.as_bytes())
    }

    fn run(&self, comparison: &Comparison<'_>, seed: u64, key: String) -> Result<Trained, CompareError> {
        let Comparison { model, data, kernel, .. } = *comparison;
        let recipe = self.recipe();
        let failed = |source: TrainError| CompareError::Run { recipe: recipe.name.clone(), seed, source: Box::new(source) };
        match self {
            Self::Device { design, .. } => {
                let spec = Specification { model, data, recipe, design, seed, engine: Engine::Fast, kernel };
                let outcome = train::run(&spec, None, |_| ()).map_err(failed)?;
                let last = outcome.progress.epochs.last();
                let training = &outcome.progress.training;
                let dots = dot_products::by_layer(recipe, design, model, training);
                Ok(Trained {
                    key,
                    recipe: recipe.name.clone(),
                    design: design.name.clone(),
                    seed,
                    test_accuracy: outcome.test_accuracy(),
                    loss: last.map_or(0.0, |e| e.loss),
                    steps: outcome.progress.steps,
                    cycles: training.cycles.total,
                    macs: training.events.macs,
                    macs_spent: training.events.macs_spent,
                    low_share: (!dots.is_empty()).then(|| dot_products::total(&dots).low_share()),
                    energy_pj: outcome.account.energy_pj.total(),
                    tflops_per_watt: outcome.account.tflops.per_watt,
                    digest: outcome.digest(),
                })
            }
            Self::Host { .. } => {
                let run = host::train(model, data, &recipe.hyperparameters(seed), |_, _| ()).map_err(|e| failed(e.into()))?;
                let last = run.epochs.last();
                Ok(Trained {
                    key,
                    recipe: "fp32-host".to_owned(),
                    design: String::new(),
                    seed,
                    test_accuracy: last.map_or(0.0, |e| e.test_accuracy),
                    loss: last.map_or(0.0, |e| e.loss),
                    steps: u64::from(recipe.epochs) * (data.train.len() / recipe.batch.max(1) as usize) as u64,
                    cycles: 0,
                    macs: 0,
                    macs_spent: 0,
                    low_share: None,
                    energy_pj: 0.0,
                    tflops_per_watt: 0.0,
                    digest: String::new(),
                })
            }
        }
    }
}

/// Trains everything, side by side on the threads there are, and tells each run as it ends.
/// With `results`, runs that the file holds are not made again, and each new one is appended.
///
/// # Errors
/// A run that fails, or a file that cannot be read or written. Runs that ended stay in the file.
pub fn run(comparison: &Comparison<'_>, results: Option<&Path>, heard: impl Fn(&Trained) + Sync) -> Result<Vec<Row>, CompareError> {
    let baselines = comparison.contenders.iter().map(|(recipe, _)| in_fp32(recipe)).collect::<Result<Vec<_>, _>>()?;
    let array = baselines.first().and_then(|b| systole_isa::design::find(&b.design));
    let seeds: Vec<u64> = (0..u64::from(comparison.seeds)).map(|i| comparison.first_seed.saturating_add(i)).collect();
    let kept = Results::open(results, |trained: &Trained| trained.key.clone())?;
    let mut done = BTreeMap::new();
    let mut jobs = BTreeMap::new();
    let mut triples = Vec::new();
    for ((recipe, design), baseline) in comparison.contenders.iter().zip(&baselines) {
        for &seed in &seeds {
            let mut keys = Vec::new();
            for job in [
                Some(Job::Device { recipe, design }),
                Some(Job::Host { recipe: baseline }),
                array.as_ref().map(|design| Job::Device { recipe: baseline, design }),
            ]
            .into_iter()
            .flatten()
            {
                let key = job.key(comparison, seed);
                keys.push(key.clone());
                match kept.known(&key) {
                    Some(trained) => done.insert(key, trained).map(|_| ()),
                    None => jobs.insert(key, (job, seed)).map(|_| ()),
                };
            }
            triples.push((recipe.name.clone(), seed, keys));
        }
    }
    let fresh: Vec<Trained> = jobs
        .into_par_iter()
        .map(|(key, (job, seed))| {
            let trained = job.run(comparison, seed, key)?;
            kept.append(&trained)?;
            heard(&trained);
            Ok(trained)
        })
        .collect::<Result<_, CompareError>>()?;
    done.extend(fresh.into_iter().map(|trained| (trained.key.clone(), trained)));
    Ok(comparison.contenders.iter().map(|(recipe, design)| row(recipe, design, &triples, &done)).collect())
}

fn row(recipe: &Recipe, design: &Design, triples: &[(String, u64, Vec<String>)], done: &BTreeMap<String, Trained>) -> Row {
    let of_recipe: Vec<(u64, [&Trained; 3])> = triples
        .iter()
        .filter(|(name, ..)| *name == recipe.name)
        .filter_map(|(_, seed, keys)| {
            let found: Vec<&Trained> = keys.iter().filter_map(|key| done.get(key)).collect();
            Some((*seed, [*found.first()?, *found.get(1)?, *found.get(2)?]))
        })
        .collect();
    let count = of_recipe.len().max(1) as f64;
    let mean = |of: &dyn Fn(&[&Trained; 3]) -> f64| of_recipe.iter().map(|(_, t)| of(t)).sum::<f64>() / count;
    let against =
        |other: usize| -> Vec<(f64, f64)> { of_recipe.iter().map(|(_, t)| (t[0].test_accuracy, t[other].test_accuracy)).collect() };
    let alone: Vec<(f64, f64)> = of_recipe.iter().map(|(_, t)| (t[0].test_accuracy, 0.0)).collect();
    let (accuracy, accuracy_error) = paired_difference(&alone);
    Row {
        recipe: recipe.name.clone(),
        design: design.name.clone(),
        accuracy,
        accuracy_error,
        host: mean(&|t| t[1].test_accuracy),
        array: mean(&|t| t[2].test_accuracy),
        from_host: paired_difference(&against(1)),
        from_array: paired_difference(&against(2)),
        loss: mean(&|t| t[0].loss),
        energy_pj_per_step: mean(&|t| t[0].energy_pj / t[0].steps.max(1) as f64),
        array_energy_pj_per_step: mean(&|t| t[2].energy_pj / t[2].steps.max(1) as f64),
        cycles_per_step: mean(&|t| t[0].cycles as f64 / t[0].steps.max(1) as f64),
        macs_per_step: mean(&|t| t[0].macs as f64 / t[0].steps.max(1) as f64),
        macs_spent_per_step: mean(&|t| t[0].macs_spent as f64 / t[0].steps.max(1) as f64),
        low_share: of_recipe.iter().map(|(_, t)| t[0].low_share).sum::<Option<f64>>().map(|sum| sum / count),
        tflops_per_watt: mean(&|t| t[0].tflops_per_watt),
        by_seed: of_recipe.iter().map(|(seed, t)| (*seed, t[0].test_accuracy, t[1].test_accuracy, t[2].test_accuracy)).collect(),
    }
}
