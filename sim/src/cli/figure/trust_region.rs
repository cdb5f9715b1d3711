//! `systole figure trust-region`: trust regions beside stochastic gradient descent.

use crate::cli::trials::{Forms, Trials, recipes};
use crate::cli::{Common, refuse};
use crate::report::figure::trust_region as report;
use crate::run::figure::trust_region::{self, Curves, RECIPES, sgd};
use clap::Args;
use indicatif::ProgressBar;
use miette::Result;
use std::process::ExitCode;

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
    #[command(flatten)]
    trials: Trials,
}

/// Trains and reports.
pub fn run(args: &TrustRegionArgs, common: &Common) -> Result<ExitCode> {
    let trials = &args.trials;
    let seeds = trials.at_least_one_seed()?;
    let named = if args.recipes.is_empty() {
        let trusting = recipes(&RECIPES)?;
        std::iter::once(sgd().map_err(refuse)?).chain(trusting).collect()
    } else {
        recipes(&args.recipes)?
    };
    let contenders = trials.contenders(named, None, common)?;
    let (data, model) = trials.load(&args.model)?;
    let results = trials.results()?;
    let curves = Curves { model: &model, data: &data, contenders: &contenders, first_seed: trials.seed, seeds, kernel: common.kernel()? };
    let bar = ProgressBar::new_spinner();
    let runs = trust_region::run(&curves, results.as_deref(), |curve| {
        bar.inc(1);
        let accuracy = curve.epochs.last().map_or(0.0, |epoch| epoch.test_accuracy);
        bar.println(format!("{}, seed {}: {:.2} %", curve.recipe, curve.seed, 100.0 * accuracy));
    });
    bar.finish_and_clear();
    let runs = runs.map_err(refuse)?;
    trials.report(&Forms {
        stem: "trust-region",
        object: report::json(&curves, &runs),
        text: report::text(&curves, &runs),
        files: vec![("md", report::markdown(&curves, &runs)), ("svg", report::plot(&curves, &runs).map_err(refuse)?)],
    })?;
    Ok(ExitCode::SUCCESS)
}
