//! What commands that train several recipes over several seeds have in common.

use super::{Common, load_design, print_json, refuse, split_settings};
use crate::energy;
use clap::Args;
use miette::{Result, miette};
use serde_json::Value;
use std::path::PathBuf;
use systole_isa::design::Design;
use systole_trainer::data::{self, Dataset};
use systole_trainer::model::Model;
use systole_trainer::recipe::{Backend, Recipe};

/// Data, seeds and where results go.
#[derive(Args)]
pub(super) struct Trials {
    /// `digits` or `chars` (embedded; `chars:T` for sequences of T characters), or a directory of IDX or CIFAR-10 files, plain or gzip.
    #[arg(long, value_name = "PATH", default_value = "digits")]
    data: String,
    /// Train on the first N images or sequences only.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Passes over the training images [default: each recipe's].
    #[arg(long, value_name = "N")]
    epochs: Option<u32>,
    /// The first seed.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// Seeds to train, from the first on.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub seeds: u32,
    /// Directory for results: each run as it ends (`runs.jsonl`), then the table and the plot. What is there already is not made again.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A command's results in every form it has.
pub(super) struct Forms {
    /// Files are named by it.
    pub stem: &'static str,
    pub object: Value,
    pub text: String,
    /// Other files: extensions and contents.
    pub files: Vec<(&'static str, String)>,
}

impl Trials {
    /// The seeds of a command that has nothing to show without training.
    pub fn at_least_one_seed(&self) -> Result<u32> {
        match self.seeds {
            0 => Err(miette!("--seeds 0 trains nothing, and there would be nothing to show; give 1 or more")),
            seeds => Ok(seeds),
        }
    }

    /// The data, and a model for it.
    pub fn load(&self, model: &str) -> Result<(Dataset, Model)> {
        let data = data::load(&self.data, self.limit).map_err(refuse)?;
        let model = Model::builtin(model, data.shape, data.classes).map_err(refuse)?;
        Ok((data, model))
    }

    /// Recipes with the settings applied, each with its own design unless one is named.
    pub fn contenders(&self, recipes: Vec<Recipe>, design: Option<&str>, common: &Common) -> Result<Vec<(Recipe, Design)>> {
        let (design_settings, mut recipe_settings) = split_settings(common.settings()?);
        if let Some(epochs) = self.epochs {
            recipe_settings.push(("epochs".to_owned(), epochs.to_string()));
        }
        let contender = |recipe: Recipe| {
            let recipe = recipe.with_overrides(&recipe_settings).map_err(refuse)?;
            if recipe.backend == Backend::Host {
                return Err(miette!("recipe `{}` trains on the host, which is the reference anyway; leave it out", recipe.name));
            }
            let design = load_design(design.unwrap_or(&recipe.design), &design_settings)?;
            energy::check(&design, true).map_err(refuse)?;
            Ok((recipe, design))
        };
        recipes.into_iter().map(contender).collect()
    }

    /// Makes the directory for results if it is absent; the file of single runs in it.
    pub fn results(&self) -> Result<Option<PathBuf>> {
        let Some(directory) = &self.out else { return Ok(None) };
        std::fs::create_dir_all(directory).map_err(|e| miette!("output directory `{}`: {e}", directory.display()))?;
        Ok(Some(directory.join("runs.jsonl")))
    }

    /// Writes the files and prints what is asked for.
    pub fn report(&self, forms: &Forms) -> Result<()> {
        if let Some(directory) = &self.out {
            let object = ("json", format!("{:#}\n", forms.object));
            for (extension, text) in std::iter::once(&object).chain(&forms.files) {
                let path = directory.join(forms.stem).with_extension(extension);
                std::fs::write(&path, text).map_err(|e| miette!("`{}`: {e}", path.display()))?;
            }
        }
        if self.json {
            print_json(&forms.object)?;
        } else {
            out!("{}", forms.text);
        }
        Ok(())
    }
}

/// Built-in recipes or RON files.
pub(super) fn recipes<S: AsRef<str>>(names: &[S]) -> Result<Vec<Recipe>> {
    names.iter().map(|name| Recipe::load(name.as_ref()).map_err(refuse)).collect()
}
