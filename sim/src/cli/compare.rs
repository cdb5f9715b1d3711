//! `systole compare`: recipes side by side on the same seeds.

use super::{Common, load_design, print_json, refuse, split_settings};
use crate::energy;
use crate::report::compare as report;
use crate::run::compare::{self, Comparison, Row};
use clap::Args;
use indicatif::ProgressBar;
use miette::{Result, miette};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use systole_isa::design::Design;
use systole_trainer::data;
use systole_trainer::model::Model;
use systole_trainer::recipe::{Backend, RECIPES, Recipe};

/// Arguments of `compare`.
#[derive(Args)]
pub struct CompareArgs {
    /// Built-in recipes or RON files, or `all` for every built-in recipe.
    #[arg(required = true, value_name = "RECIPE")]
    recipes: Vec<String>,
    /// Model [default: mlp].
    #[arg(long, value_name = "MODEL", default_value = "mlp")]
    model: String,
    /// `digits` (embedded), or a directory of IDX or CIFAR-10 files, plain or gzip.
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
    /// Directory for results: each run as it ends (`runs.jsonl`), `compare.json`, `compare.md` and `compare.svg`. Runs that are there already are not made again.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

fn names(given: &[String]) -> Vec<String> {
    if given == ["all"] {
        let on_hardware = |name: &&str| Recipe::builtin(name).is_ok_and(|r| r.backend == Backend::Device);
        return RECIPES.iter().map(|r| r.name).filter(on_hardware).map(str::to_owned).collect();
    }
    given.to_vec()
}

/// Recipes, `epochs` and the other settings applied, each with its own design.
pub(super) fn contenders(names: &[String], epochs: Option<u32>, common: &Common) -> Result<Vec<(Recipe, Design)>> {
    let (design_settings, mut recipe_settings) = split_settings(common.settings()?);
    if let Some(epochs) = epochs {
        recipe_settings.push(("epochs".to_owned(), epochs.to_string()));
    }
    let contender = |name: &String| {
        let recipe = Recipe::load(name).map_err(refuse)?.with_overrides(&recipe_settings).map_err(refuse)?;
        if recipe.backend == Backend::Host {
            return Err(miette!("recipe `{name}` trains on the host, which every recipe is compared with anyway; leave it out"));
        }
        let design = load_design(&recipe.design, &design_settings)?;
        energy::technology(&design.energy.table).map_err(refuse)?;
        Ok((recipe, design))
    };
    names.iter().map(contender).collect()
}

/// The directory for results, made if absent.
pub(super) fn make_directory(out: Option<&Path>) -> Result<()> {
    let Some(directory) = out else { return Ok(()) };
    std::fs::create_dir_all(directory).map_err(|e| miette!("output directory `{}`: {e}", directory.display()))
}

/// Trains what `out` does not hold yet, with a line for each run as it ends.
pub(super) fn train_all(comparison: &Comparison<'_>, out: Option<&Path>) -> Result<Vec<Row>> {
    let bar = ProgressBar::new_spinner();
    let results = out.map(|directory| directory.join("runs.jsonl"));
    let rows = compare::run(comparison, results.as_deref(), |trained| {
        bar.inc(1);
        bar.println(format!("{}, seed {}: {:.2} %", trained.recipe, trained.seed, 100.0 * trained.test_accuracy));
    });
    bar.finish_and_clear();
    rows.map_err(refuse)
}

/// Trains, compares and reports.
pub fn run(args: &CompareArgs, common: &Common) -> Result<ExitCode> {
    let contenders = contenders(&names(&args.recipes), args.epochs, common)?;
    let data = data::load(&args.data, args.limit).map_err(refuse)?;
    let model = Model::builtin(&args.model, data.shape, data.classes).map_err(refuse)?;
    make_directory(args.out.as_deref())?;
    let comparison = Comparison {
        model: &model,
        data: &data,
        contenders: &contenders,
        first_seed: args.seed,
        seeds: args.seeds,
        kernel: common.kernel()?,
    };
    let rows = train_all(&comparison, args.out.as_deref())?;
    let object = report::json(&comparison, &rows);
    if let Some(directory) = &args.out {
        let write = |name: &str, text: &str| write_file(&directory.join(name), text);
        write("compare.json", &format!("{object:#}\n"))?;
        write("compare.md", &report::markdown(&comparison, &rows))?;
        write("compare.svg", &report::plot(&comparison, &rows).map_err(refuse)?)?;
    }
    if args.json {
        print_json(&object);
    } else {
        print!("{}", report::text(&comparison, &rows));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn write_file(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| miette!("`{}`: {e}", path.display()))
}
