//! `systole figure methods`: published methods side by side, formats and accuracy.

use crate::cli::compare::train_all;
use crate::cli::trials::{Forms, Trials, recipes};
use crate::cli::{Common, refuse};
use crate::report::figure::methods as report;
use crate::run::compare::Comparison;
use crate::run::figure::methods::{METHODS, methods};
use clap::Args;
use miette::Result;
use std::process::ExitCode;

/// Arguments of `figure methods`.
#[derive(Args)]
pub struct MethodsArgs {
    /// Built-in recipes or RON files [default: swalp s2fp8 hfp8 bm8 fp8-seb fp134].
    #[arg(value_name = "RECIPE")]
    recipes: Vec<String>,
    /// Model.
    #[arg(long, value_name = "MODEL", default_value = "mlp")]
    model: String,
    #[command(flatten)]
    trials: Trials,
}

/// Trains what is asked for and prints the table; of no seeds, the formats alone.
pub fn run(args: &MethodsArgs, common: &Common) -> Result<ExitCode> {
    let trials = &args.trials;
    let named = if args.recipes.is_empty() { recipes(&METHODS)? } else { recipes(&args.recipes)? };
    let contenders = trials.contenders(named, None, common)?;
    let (data, model) = trials.load(&args.model)?;
    // A recipe that does not fit is refused before anything is trained.
    let mut methods = methods(&model, &contenders).map_err(refuse)?;
    let (first_seed, seeds, kernel) = (trials.seed, trials.seeds, common.kernel()?);
    let comparison = Comparison { model: &model, data: &data, contenders: &contenders, first_seed, seeds, kernel };
    let results = trials.results()?;
    if seeds > 0 {
        let rows = train_all(&comparison, results.as_deref())?;
        methods.iter_mut().zip(rows).for_each(|(method, row)| method.trained = Some(row));
    }
    let text = report::text(&comparison, &methods);
    let object = report::json(&comparison, &methods);
    trials.report(&Forms { stem: "methods", object, files: vec![("txt", text.clone())], text })?;
    Ok(ExitCode::SUCCESS)
}
