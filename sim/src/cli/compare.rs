//! `systole compare`: recipes side by side on the same seeds.

use super::trials::{Forms, Trials, recipes};
use super::{Common, refuse};
use crate::report::compare as report;
use crate::run::compare::{self, Comparison, Row};
use clap::Args;
use indicatif::ProgressBar;
use miette::Result;
use std::path::Path;
use std::process::ExitCode;
use systole_trainer::recipe::{Backend, RECIPES, Recipe};

/// Arguments of `compare`.
#[derive(Args)]
pub struct CompareArgs {
    /// Built-in recipes or RON files, or `all` for every built-in recipe.
    #[arg(required = true, value_name = "RECIPE")]
    recipes: Vec<String>,
    /// Model.
    #[arg(long, value_name = "MODEL", default_value = "mlp")]
    model: String,
    #[command(flatten)]
    trials: Trials,
}

fn names(given: &[String]) -> Vec<String> {
    if given == ["all"] {
        let on_hardware = |name: &&str| Recipe::builtin(name).is_ok_and(|r| r.backend == Backend::Device);
        return RECIPES.iter().map(|r| r.name).filter(on_hardware).map(str::to_owned).collect();
    }
    given.to_vec()
}

/// Trains what `results` does not hold yet, with a line for each run as it ends.
pub(super) fn train_all(comparison: &Comparison<'_>, results: Option<&Path>) -> Result<Vec<Row>> {
    let bar = ProgressBar::new_spinner();
    let rows = compare::run(comparison, results, |trained| {
        bar.inc(1);
        bar.println(format!("{}, seed {}: {:.2} %", trained.recipe, trained.seed, 100.0 * trained.test_accuracy));
    });
    bar.finish_and_clear();
    rows.map_err(refuse)
}

/// Trains, compares and reports.
pub fn run(args: &CompareArgs, common: &Common) -> Result<ExitCode> {
    let trials = &args.trials;
    let seeds = trials.at_least_one_seed()?;
    let contenders = trials.contenders(recipes(&names(&args.recipes))?, None, common)?;
    let (data, model) = trials.load(&args.model)?;
    let results = trials.results()?;
    let comparison =
        Comparison { model: &model, data: &data, contenders: &contenders, first_seed: trials.seed, seeds, kernel: common.kernel()? };
    let rows = train_all(&comparison, results.as_deref())?;
    trials.report(&Forms {
        stem: "compare",
        object: report::json(&comparison, &rows),
        text: report::text(&comparison, &rows),
        files: vec![("md", report::markdown(&comparison, &rows)), ("svg", report::plot(&comparison, &rows).map_err(refuse)?)],
    })?;
    Ok(ExitCode::SUCCESS)
}
