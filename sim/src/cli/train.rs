//! `systole train`: a network trained through the simulated array.

use super::{Common, gemm::EngineArg, load_design, print_json, refuse, split_settings};
use crate::energy;
use crate::machine::Engine;
use crate::report::training::{self as report, Summary};
use crate::run::train::{self, Directory, Specification};
use crate::run::workload;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use miette::{Result, miette};
use serde_json::json;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::process::ExitCode;
use systole_trainer::data::{self, Dataset};
use systole_trainer::model::Model;
use systole_trainer::recipe::{Backend, Recipe};
use systole_trainer::training::Heard;

/// Arguments of `train`.
#[derive(Args, Default)]
pub struct TrainArgs {
    /// Built-in recipe or RON file [default: fp8].
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    /// Built-in design or RON file [default: the recipe's native design].
    #[arg(long, value_name = "DESIGN")]
    design: Option<String>,
    /// Model [default: mlp].
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// `digits` or `chars` (embedded; `chars:T` for sequences of T characters), or a directory of IDX or
    /// CIFAR-10 files, plain or gzip [default: digits].
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    /// Train on the first N images or sequences only.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// What is done to training images: `none`, or `crop_flip` [default: the recipe's].
    #[arg(long, value_name = "KIND")]
    augment: Option<String>,
    /// Passes over the training images [default: the recipe's].
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Seed of initial weights, shuffles and augmentation.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Train seeds S to S + N - 1 and report the paired differences from the reference.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: Option<u32>,
    /// Engine: fast, or ticked (every register, every cycle; very slow).
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<EngineArg>,
    /// Look at every EVERYth step: roundings, scales, gradients, flips; with --out a line of each in `evidence.jsonl`. Results do not depend on it.
    #[arg(long, value_name = "EVERY")]
    evidence: Option<NonZeroU64>,
    /// Directory for checkpoint, report and final weights.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Go on from the checkpoint in --out.
    #[arg(long, requires = "out")]
    resume: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What the command line asks for, loaded.
struct Loaded {
    recipe: Recipe,
    model: Model,
    data: Dataset,
}

fn load(args: &TrainArgs, settings: &[(String, String)]) -> Result<Loaded> {
    let mut settings = settings.to_vec();
    if let Some(epochs) = args.epochs {
        settings.push(("epochs".to_owned(), epochs.to_string()));
    }
    if let Some(augment) = &args.augment {
        settings.push(("augment".to_owned(), augment.clone()));
    }
    let recipe = Recipe::load(args.recipe.as_deref().unwrap_or("fp8")).map_err(refuse)?;
    let recipe = recipe.with_overrides(&settings).map_err(refuse)?;
    let data = data::load(args.data.as_deref().unwrap_or("digits"), args.limit).map_err(refuse)?;
    let model = Model::builtin(args.model.as_deref().unwrap_or("mlp"), data.shape, data.classes).map_err(refuse)?;
    Ok(Loaded { recipe, model, data })
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} steps  {msg}  {elapsed} (left {eta})") {
        bar.set_style(style);
    }
    bar
}

/// Trains and reports.
pub fn run(args: &TrainArgs, common: &Common) -> Result<ExitCode> {
    let (design_settings, recipe_settings) = split_settings(common.settings()?);
    let loaded = load(args, &recipe_settings)?;
    let Loaded { recipe, model, data } = &loaded;
    if recipe.backend == Backend::Host {
        if args.design.is_some() || args.out.is_some() || args.engine.is_some() || args.evidence.is_some() || !design_settings.is_empty() {
            return Err(miette!(
                "recipe `{}` trains on the host and simulates no hardware: leave out --design, --engine, --out, --evidence and settings of a design",
                recipe.name
            ));
        }
        return host_only(args, &loaded);
    }
    let design = load_design(args.design.as_deref().unwrap_or(&recipe.design), &design_settings)?;
    energy::check(&design, true).map_err(refuse)?;
    let engine = match args.engine {
        Some(EngineArg::Timing) => return Err(miette!("--engine timing computes no values, and training needs them; use fast or ticked")),
        Some(engine) => Engine::from(engine),
        None => Engine::Fast,
    };
    let count = args.seeds.unwrap_or(1);
    if count > 1 && args.out.is_some() {
        return Err(miette!("--out holds one run; leave out --seeds, or run the seeds one by one"));
    }
    if count > 1 && args.evidence.is_some() {
        return Err(miette!("--evidence is of one run; leave out --seeds, or run the seeds one by one"));
    }
    let directory = args.out.clone().map(|path| Directory { path, resume: args.resume });
    let mut summaries = Vec::new();
    for seed in args.seed..args.seed.saturating_add(count.into()) {
        let spec = Specification { model, data, recipe, design: &design, seed, engine, kernel: common.kernel()? };
        let steps = u64::from(recipe.epochs) * (data.train.len() / recipe.batch.max(1) as usize) as u64;
        let bar = progress_bar(steps);
        let trained = train::run_with_reference(&spec, directory.as_ref(), args.evidence, |heard| match heard {
            Heard::Step { epoch, step, of, loss } => {
                bar.set_position(u64::from(*epoch) * *of as u64 + *step as u64);
                bar.set_message(format!("seed {seed}, epoch {}, loss {loss:.4}", epoch + 1));
            }
            Heard::Evidence { .. } => {}
            // Nothing is printed where the bar is hidden.
            Heard::Epoch { epoch, result, .. } => bar.println(format!(
                "seed {seed}, epoch {}: loss {:.4}, test accuracy {:.2} %",
                epoch + 1,
                result.loss,
                100.0 * result.test_accuracy
            )),
        });
        bar.finish_and_clear();
        let (outcome, reference) = trained.map_err(refuse)?;
        let notes = workload::notes(model, recipe, &design, &outcome.progress.training.cycles);
        let summary = Summary { spec, outcome, reference, notes };
        if let Some(d) = &directory {
            let path = d.path.join("report.json");
            let mut object = summary.json();
            // Wall time aside, the file is the same bytes for the same run.
            object.as_object_mut().map(|o| o.remove("seconds"));
            std::fs::write(&path, format!("{object:#}\n")).map_err(|e| miette!("report `{}`: {e}", path.display()))?;
        }
        summaries.push(summary);
    }
    match (&summaries[..], args.json) {
        ([one], true) => print_json(&one.json())?,
        ([one], false) => out!("{}", one.text()),
        (many, true) => print_json(&report::seeds_json(many))?,
        (many, false) => out!("{}", report::seeds_text(many)),
    }
    Ok(ExitCode::SUCCESS)
}

/// The recipe that trains on host floats alone.
fn host_only(args: &TrainArgs, loaded: &Loaded) -> Result<ExitCode> {
    let Loaded { recipe, model, data } = loaded;
    let hyper = recipe.hyperparameters(args.seed);
    let run = systole_trainer::host::train(model, data, &hyper, |_, _| ()).map_err(refuse)?;
    let accuracy = run.epochs.last().map_or(0.0, |e| e.test_accuracy);
    if args.json {
        print_json(&json!({
            "recipe": recipe.name, "model": model.name, "data": data.name, "seed": args.seed,
            "epochs": run.epochs, "test_accuracy": accuracy, "reference_test_accuracy": accuracy,
        }))?;
    } else {
        outln!("{} on {}, recipe {}, on the host in binary32 (nothing simulated)", model.name, data.name, recipe.name);
        for (i, e) in run.epochs.iter().enumerate() {
            outln!(
                "  epoch {:>3}  loss {:.4}  train {:.2} %  test {:.2} %",
                i + 1,
                e.loss,
                100.0 * e.train_accuracy,
                100.0 * e.test_accuracy
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
