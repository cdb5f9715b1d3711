//! `systole figure trust-region`: trust regions beside stochastic gradient descent.

use crate::cli::{Common, load_design, print_json, refuse, split_settings};
use crate::energy;
use crate::report::figure::trust_region as report;
use crate::run::figure::trust_region::{self, Curves, RECIPES, sgd};
use clap::Args;
use indicatif::ProgressBar;
use miette::{Result, miette};
use std::path::PathBuf;
use std::process::ExitCode;
use systole_trainer::data;
use systole_trainer::model::Model;
use systole_trainer::recipe::{Backend, Recipe};

/// Arguments of `figure trust-region`.
#[derive(Args)]
pub struct TrustRegionArgs {
    /// Built-in recipes or RON files [default: fp8 as plain SGD in batches of 128, trust-region,
    /// dynamic-precision-tr and storm].
    #[arg(value_name = "RECIPE")]
    recipes: Vec<String>,
    /// Model.
    #[arg(long, value_name = "MODEL", default_value = "mlp")]
    model: String,
    /// `digits` or `chars` (embedded), or a directory of IDX or CIFAR-10 files, plain or gzip.
    #[arg(long, value_name = "PATH", default_value = "digits")]
    data: String,
    /// Train on the first N images only.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Passes over the training images [default: each recipe's].
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Seeds to train, from the first on.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    seeds: u32,
    /// Directory for results: each run as it ends (`runs.jsonl`), `trust-region.json`, `trust-region.md` and
    /// `trust-region.svg`. Runs that are there already are not made again.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Trains and reports.
pub fn run(args: &TrustRegionArgs, common: &Common) -> Result<ExitCode> {
    let (design_settings, mut recipe_settings) = split_settings(common.settings()?);
    if let Some(epochs) = args.epochs {
        recipe_settings.push(("epochs".to_owned(), epochs.to_string()));
    }
    let recipes: Vec<Recipe> = if args.recipes.is_empty() {
        let trusting = RECIPES.iter().map(|name| Recipe::builtin(name));
        std::iter::once(sgd()).chain(trusting).collect::<Result<_, _>>().map_err(refuse)?
    } else {
        args.recipes.iter().map(|name| Recipe::load(name)).collect::<Result<_, _>>().map_err(refuse)?
    };
    let mut contenders = Vec::new();
    for recipe in recipes {
        let recipe = recipe.with_overrides(&recipe_settings).map_err(refuse)?;
        if recipe.backend == Backend::Host {
            return Err(miette!("recipe `{}` trains on the host; name recipes that train on hardware", recipe.name));
        }
        let design = load_design(&recipe.design, &design_settings)?;
        energy::technology(&design.energy.table).map_err(refuse)?;
        contenders.push((recipe, design));
    }
    let data = data::load(&args.data, args.limit).map_err(refuse)?;
    let model = Model::builtin(&args.model, data.shape, data.classes).map_err(refuse)?;
    if let Some(directory) = &args.out {
        std::fs::create_dir_all(directory).map_err(|e| miette!("output directory `{}`: {e}", directory.display()))?;
    }
    let (first_seed, seeds, kernel) = (args.seed, args.seeds, common.kernel()?);
    let curves = Curves { model: &model, data: &data, contenders: &contenders, first_seed, seeds, kernel };
    let bar = ProgressBar::new_spinner();
    let results = args.out.as_ref().map(|directory| directory.join("runs.jsonl"));
    let runs = trust_region::run(&curves, results.as_deref(), |curve| {
        bar.inc(1);
        let accuracy = curve.epochs.last().map_or(0.0, |epoch| epoch.test_accuracy);
        bar.println(format!("{}, seed {}: {:.2} %", curve.recipe, curve.seed, 100.0 * accuracy));
    });
    bar.finish_and_clear();
    let runs = runs.map_err(refuse)?;
    let object = report::json(&curves, &runs);
    if let Some(directory) = &args.out {
        let write = |name: &str, text: &str| {
            let path = directory.join(name);
            std::fs::write(&path, text).map_err(|e| miette!("`{}`: {e}", path.display()))
        };
        write("trust-region.json", &format!("{object:#}\n"))?;
        write("trust-region.md", &report::markdown(&curves, &runs))?;
        write("trust-region.svg", &report::plot(&curves, &runs).map_err(refuse)?)?;
    }
    if args.json {
        print_json(&object);
    } else {
        print!("{}", report::text(&curves, &runs));
    }
    Ok(ExitCode::SUCCESS)
}
