//! Trust regions beside stochastic gradient descent: error, loss and precision, epoch by epoch.

use crate::machine::Engine;
use crate::run::gemm::hex_digest;
use crate::run::results::{Results, ResultsError, identity};
use crate::run::train::{self, Outcome, Specification, TrainError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::Design;
use systole_isa::format::Format;
use systole_trainer::data::Dataset;
use systole_trainer::host::Epoch;
use systole_trainer::model::Model;
use systole_trainer::recipe::{Recipe, RecipeError};

/// Recipes that are drawn unless others are named, beside [`sgd`].
pub const RECIPES: [&str; 3] = ["trust-region", "dynamic-precision-tr", "storm"];

/// The lecture's other side: 8 bits throughout, rate 0.1 falling as half a cosine, momentum,
/// batches as large as those of the trust regions.
///
/// # Errors
/// None, as it is made of a built-in recipe.
pub fn sgd() -> Result<Recipe, RecipeError> {
    Recipe::builtin("fp8")?.with_overrides(&[
        ("name", "sgd-fp8"),
        ("optimizer.learning_rate", "0.1"),
        ("optimizer.schedule", "cosine"),
        ("batch", "128"),
    ])
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Curves<'a> {
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

/// A figure could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
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
}

/// One training run, epoch by epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Names everything that determines the run.
    pub key: String,
    /// The recipe.
    pub recipe: String,
    /// The design.
    pub design: String,
    /// Seed.
    pub seed: u64,
    /// How each epoch went.
    pub epochs: Vec<Epoch>,
    /// Bits of a weight as products take it: the mean over the tests of each epoch, of exempt
    /// layers' not.
    pub bits: Vec<f64>,
    /// MACs spent, by the operands of their mode.
    pub macs: Vec<(String, u64)>,
    /// Training steps.
    pub steps: u64,
    /// Tests of steps, and how many were passed.
    pub tests: (u64, u64),
    /// Energy of all training steps, pJ.
    pub energy_pj: f64,
    /// Cycles of all training steps.
    pub cycles: u64,
    /// SHA-256 of the final weights.
    pub digest: String,
}

/// Bits of the weights on every rung of a recipe.
fn bits_of_rungs(recipe: &Recipe, design: &Design) -> Vec<f64> {
    let of_design = recipe.roles.resolve(design).weights.format;
    let bits = |name: &String| f64::from(name.parse::<Format>().unwrap_or(of_design).bits());
    recipe.rungs().iter().map(bits).collect()
}

fn bits_by_epoch(recipe: &Recipe, design: &Design, outcome: &Outcome) -> Vec<f64> {
    let rungs = bits_of_rungs(recipe, design);
    let epochs = outcome.progress.epochs.len() as u64;
    let decisions = outcome.progress.search.iter().flat_map(|search| &search.decisions);
    let per_epoch = (outcome.progress.steps / epochs.max(1)).max(1);
    let mut last = rungs[0];
    (0..epochs)
        .map(|epoch| {
            let seen: Vec<f64> = decisions.clone().filter(|d| d.step / per_epoch == epoch).map(|d| rungs[d.rung]).collect();
            let mean = if seen.is_empty() { last } else { seen.iter().sum::<f64>() / seen.len() as f64 };
            last = seen.last().copied().unwrap_or(last);
            mean
        })
        .collect()
}

fn key(curves: &Curves<'_>, recipe: &Recipe, design: &Design, seed: u64) -> String {
    let Curves { model, data, .. } = *curves;
    let (recipe, design) = (identity(recipe), identity(design));
    hex_digest(format!("{}|{} {}+{}|{recipe}|{design}|{seed}", model.name, data.name, data.train.len(), data.test.len()).as_bytes())
}

fn curve(curves: &Curves<'_>, recipe: &Recipe, design: &Design, seed: u64) -> Result<Curve, TrainError> {
    let Curves { model, data, kernel, .. } = *curves;
    let spec = Specification { model, data, recipe, design, seed, engine: Engine::Fast, kernel };
    let outcome = train::run(&spec, None, |_| ())?;
    let modes = design.mac_modes();
    let name = |mode: usize| modes.get(mode).map_or_else(|| mode.to_string(), ToString::to_string);
    let decisions = outcome.progress.search.as_ref().map_or(&[][..], |search| &search.decisions);
    Ok(Curve {
        key: key(curves, recipe, design, seed),
        recipe: recipe.name.clone(),
        design: design.name.clone(),
        seed,
        bits: bits_by_epoch(recipe, design, &outcome),
        macs: outcome.progress.training.macs_by_mode.iter().map(|(&mode, &macs)| (name(mode), macs)).collect(),
        steps: outcome.progress.steps,
        tests: (decisions.len() as u64, decisions.iter().filter(|d| d.accepted).count() as u64),
        energy_pj: outcome.account.energy_pj.total(),
        cycles: outcome.progress.training.cycles.total,
        digest: outcome.digest(),
        epochs: outcome.progress.epochs,
    })
}

/// Trains everything, side by side on the threads there are, and tells each run as it ends, in
/// the order of recipes and seeds at the end. With `results`, runs that the file holds are not
/// made again, and each new one is appended.
///
/// # Errors
/// A run that fails, or a file that cannot be read or written. Runs that ended stay in the file.
pub fn run(curves: &Curves<'_>, results: Option<&Path>, heard: impl Fn(&Curve) + Sync) -> Result<Vec<Curve>, FigureError> {
    let kept = Results::open(results, |curve: &Curve| curve.key.clone())?;
    let seeds = (0..u64::from(curves.seeds)).map(|i| curves.first_seed.saturating_add(i));
    let jobs: Vec<(&Recipe, &Design, u64)> =
        curves.contenders.iter().flat_map(|(recipe, design)| seeds.clone().map(move |seed| (recipe, design, seed))).collect();
    jobs.into_par_iter()
        .map(|(recipe, design, seed)| {
            let found = kept.known(&key(curves, recipe, design, seed));
            let curve = match found {
                Some(curve) => curve,
                None => {
                    let failed = |source| FigureError::Run { recipe: recipe.name.clone(), seed, source: Box::new(source) };
                    let curve = curve(curves, recipe, design, seed).map_err(failed)?;
                    kept.append(&curve)?;
                    curve
                }
            };
            heard(&curve);
            Ok(curve)
        })
        .collect()
}
