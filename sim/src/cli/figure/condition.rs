//! `systole figure condition`.

use crate::cli::{Common, load_design, print_json, refuse, split_settings};
use crate::energy;
use crate::report::figure::condition as report;
use crate::run::figure::condition::{self, Chosen, Sweep};
use clap::Args;
use indicatif::ProgressBar;
use miette::{Result, miette};
use std::path::PathBuf;
use std::process::ExitCode;
use systole_trainer::data;
use systole_trainer::model::Model;
use systole_trainer::recipe::Recipe;

/// Arguments of `figure condition`.
#[derive(Args)]
pub struct ConditionArgs {
    /// Built-in recipe or RON file, one with `recompute`.
    #[arg(long, value_name = "RECIPE", default_value = "condition-number")]
    recipe: String,
    /// Built-in design or RON file [default: the recipe's native design].
    #[arg(long, value_name = "DESIGN")]
    design: Option<String>,
    /// Model.
    #[arg(long, value_name = "MODEL", default_value = "mlp-tanh")]
    model: String,
    /// `digits` or `chars` (embedded), or a directory of IDX or CIFAR-10 files, plain or gzip.
    #[arg(long, value_name = "PATH", default_value = "digits")]
    data: String,
    /// Train on the first N images only.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Passes over the training images [default: the recipe's].
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// Thresholds, from 0 to inf.
    #[arg(long, value_name = "T,T,...", value_delimiter = ',', default_value = "0,0.25,0.5,1,2,4,8,16,32,inf")]
    thresholds: Vec<f64>,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Seeds to train, from the first on.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Directory for results: checkpoints, each evaluation as it ends (`runs.jsonl`), `condition.json`, `condition.md` and
    /// `condition.svg`. What is there already is not made again.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Trains, evaluates and reports.
pub fn run(args: &ConditionArgs, common: &Common) -> Result<ExitCode> {
    let (design_settings, mut recipe_settings) = split_settings(common.settings()?);
    if let Some(epochs) = args.epochs {
        recipe_settings.push(("epochs".to_owned(), epochs.to_string()));
    }
    let recipe = Recipe::load(&args.recipe).map_err(refuse)?.with_overrides(&recipe_settings).map_err(refuse)?;
    if recipe.recompute.is_none() {
        return Err(miette!("recipe `{}` computes nothing again; give one with `recompute`, such as condition-number", recipe.name));
    }
    if let Some(threshold) = args.thresholds.iter().find(|threshold| threshold.is_nan() || **threshold < 0.0) {
        return Err(miette!("--thresholds takes numbers from 0 on, or inf, not {threshold}"));
    }
    let design = load_design(args.design.as_deref().unwrap_or(&recipe.design), &design_settings)?;
    energy::technology(&design.energy.table).map_err(refuse)?;
    let data = data::load(&args.data, args.limit).map_err(refuse)?;
    let model = Model::builtin(&args.model, data.shape, data.classes).map_err(refuse)?;
    if let Some(directory) = &args.out {
        std::fs::create_dir_all(directory).map_err(|e| miette!("output directory `{}`: {e}", directory.display()))?;
    }
    let sweep = Sweep {
        model: &model,
        data: &data,
        recipe: &recipe,
        design: &design,
        thresholds: &args.thresholds,
        first_seed: args.seed,
        seeds: args.seeds,
        kernel: common.kernel()?,
    };
    let bar = ProgressBar::new(u64::from(args.seeds) * (1 + 2 * args.thresholds.len() as u64));
    let points = condition::run(&sweep, args.out.as_deref(), |point| {
        bar.inc(1);
        let chosen = match point.chosen {
            Chosen::AllFine => "all fine".to_owned(),
            Chosen::Condition => format!("threshold {}", point.threshold.0),
            Chosen::Random => format!("by lot as under {}", point.threshold.0),
        };
        bar.println(format!(
            "seed {}, {chosen}: {:.1} % low, logit error {}, accuracy {:.2} %",
            point.seed,
            100.0 * point.low_share,
            point.logit_error.map_or_else(|| "not finite".to_owned(), |error| format!("{error:.4}")),
            100.0 * point.accuracy
        ));
    });
    bar.finish_and_clear();
    let points = points.map_err(refuse)?;
    let object = report::json(&sweep, &points);
    if let Some(directory) = &args.out {
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).map_err(|e| miette!("`{}`: {e}", path.display()))
        };
        write("condition.json", &format!("{object:#}\n"))?;
        write("condition.md", &report::markdown(&sweep, &points))?;
        write("condition.svg", &report::plot(&sweep, &points).map_err(refuse)?)?;
    }
    if args.json {
        print_json(&object);
    } else {
        print!("{}", report::text(&sweep, &points));
    }
    Ok(ExitCode::SUCCESS)
}
