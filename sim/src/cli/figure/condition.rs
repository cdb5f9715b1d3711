//! `systole figure condition`.

use crate::cli::trials::{Forms, Trials, recipes};
use crate::cli::{Common, refuse};
use crate::report::figure::condition as report;
use crate::run::figure::condition::{self, Chosen, Sweep};
use clap::Args;
use indicatif::ProgressBar;
use miette::{Result, miette};
use std::process::ExitCode;

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
    /// Thresholds, from 0 to inf.
    #[arg(long, value_name = "T,T,...", value_delimiter = ',', default_value = "0,0.25,0.5,1,2,4,8,16,32,inf")]
    thresholds: Vec<f64>,
    #[command(flatten)]
    trials: Trials,
}

/// Trains, evaluates and reports.
pub fn run(args: &ConditionArgs, common: &Common) -> Result<ExitCode> {
    let trials = &args.trials;
    let seeds = trials.at_least_one_seed()?;
    let contenders = trials.contenders(recipes(&[&args.recipe])?, args.design.as_deref(), common)?;
    let [(recipe, design)] = &contenders[..] else { return Err(miette!("one recipe is wanted")) };
    if recipe.recompute.is_none() {
        return Err(miette!("recipe `{}` computes nothing again; give one with `recompute`, such as condition-number", recipe.name));
    }
    if let Some(threshold) = args.thresholds.iter().find(|threshold| threshold.is_nan() || **threshold < 0.0) {
        return Err(miette!("--thresholds takes numbers from 0 on, or inf, not {threshold}"));
    }
    let (data, model) = trials.load(&args.model)?;
    trials.results()?;
    let thresholds = &args.thresholds;
    let sweep = Sweep { model: &model, data: &data, recipe, design, thresholds, first_seed: trials.seed, seeds, kernel: common.kernel()? };
    let bar = ProgressBar::new(u64::from(seeds) * (1 + 2 * thresholds.len() as u64));
    let points = condition::run(&sweep, trials.out.as_deref(), |point| {
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
    trials.report(&Forms {
        stem: "condition",
        object: report::json(&sweep, &points),
        text: report::text(&sweep, &points),
        files: vec![("md", report::markdown(&sweep, &points)), ("svg", report::plot(&sweep, &points).map_err(refuse)?)],
    })?;
    Ok(ExitCode::SUCCESS)
}
