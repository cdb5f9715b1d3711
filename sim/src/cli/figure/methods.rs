//! `systole figure methods`: published methods side by side, formats and accuracy.

use crate::cli::compare::{contenders, make_directory, train_all, write_file};
use crate::cli::{Common, print_json, refuse};
use crate::report::figure::methods as report;
use crate::run::compare::Comparison;
use crate::run::figure::methods::{METHODS, methods};
use clap::Args;
use miette::Result;
use std::path::PathBuf;
use std::process::ExitCode;
use systole_trainer::data;
use systole_trainer::model::Model;

/// Arguments of `figure methods`.
#[derive(Args)]
pub struct MethodsArgs {
    /// Built-in recipes or RON files [default: swalp s2fp8 hfp8 bm8 fp8-seb fp134].
    #[arg(value_name = "RECIPE")]
    recipes: Vec<String>,
    /// Model.
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
    /// Seeds to train, from the first on; 0 prints formats alone and trains nothing.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=1000))]
    seeds: u32,
    /// Directory for results: each run as it ends (`runs.jsonl`, as `compare` keeps it), `methods.json`, `methods.txt`. Runs that are there already are not made again.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Trains what is asked for and prints the table.
pub fn run(args: &MethodsArgs, common: &Common) -> Result<ExitCode> {
    let names: Vec<String> = if args.recipes.is_empty() { METHODS.map(str::to_owned).to_vec() } else { args.recipes.clone() };
    let contenders = contenders(&names, args.epochs, common)?;
    let data = data::load(&args.data, args.limit).map_err(refuse)?;
    let model = Model::builtin(&args.model, data.shape, data.classes).map_err(refuse)?;
    // A recipe that does not fit is refused before anything is trained.
    let mut methods = methods(&model, &contenders).map_err(refuse)?;
    let kernel = common.kernel()?;
    let comparison = Comparison { model: &model, data: &data, contenders: &contenders, first_seed: args.seed, seeds: args.seeds, kernel };
    make_directory(args.out.as_deref())?;
    if args.seeds > 0 {
        let rows = train_all(&comparison, args.out.as_deref())?;
        methods.iter_mut().zip(rows).for_each(|(method, row)| method.trained = Some(row));
    }
    let object = report::json(&comparison, &methods);
    let text = report::text(&comparison, &methods);
    if let Some(directory) = &args.out {
        write_file(&directory.join("methods.json"), &format!("{object:#}\n"))?;
        write_file(&directory.join("methods.txt"), &text)?;
    }
    if args.json {
        print_json(&object);
    } else {
        print!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}
