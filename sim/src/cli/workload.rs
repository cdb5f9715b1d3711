//! `systole workload`: cycles, energy and rates of networks by their shapes alone.

use super::{Common, load_design, print_json, refuse, split_settings};
use crate::energy;
use crate::report::workload::Summary;
use crate::run::workload::{self, Coverage, Extent, Kind, Layers, Pass, layers};
use clap::{Args, ValueEnum};
use miette::{Result, miette};
use std::path::Path;
use std::process::ExitCode;
use systole_isa::design::Design;
use systole_isa::program::Program;
use systole_trainer::data;
use systole_trainer::model::{Model, Workload};
use systole_trainer::recipe::{Backend, Recipe};

/// Arguments of `workload`.
#[derive(Args)]
pub struct WorkloadArgs {
    /// A network (`systole list workloads`), a built-in model, a SCALE-Sim topology file (.csv), or an ONNX graph (.onnx).
    #[arg(value_name = "NAME|TOPOLOGY.csv|GRAPH.onnx")]
    name: String,
    /// Built-in design or RON file [default: the recipe's native design; of topologies and graphs fp8-16x16].
    #[arg(long, value_name = "DESIGN")]
    design: Option<String>,
    /// Built-in recipe or RON file that says in which formats a network computes [default: fp8].
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    /// Forward alone, or a whole step of training [default: training; of graphs forward].
    #[arg(long, value_enum, value_name = "PASS")]
    pass: Option<PassArg>,
    /// Images, texts or products at once [default: the network's own; of models the recipe's; of topologies 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Extent of a named dimension of an ONNX graph, such as `batch=32`; repeatable.
    #[arg(long = "dim", value_name = "NAME=N", value_parser = extent)]
    dims: Vec<Extent>,
    /// Data whose shape a built-in model takes.
    #[arg(long, value_name = "PATH", default_value = "digits")]
    data: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Passes by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PassArg {
    /// Forward alone.
    Forward,
    /// Forward, backward and update.
    Training,
}

impl From<PassArg> for Pass {
    fn from(arg: PassArg) -> Self {
        match arg {
            PassArg::Forward => Self::Forward,
            PassArg::Training => Self::Training,
        }
    }
}

/// A name and an extent as the command line has them; names may hold `=`.
pub fn extent(text: &str) -> Result<Extent, String> {
    let (name, extent) = text.rsplit_once('=').filter(|(name, _)| !name.is_empty()).ok_or("give it as NAME=N")?;
    match extent.parse() {
        Ok(extent) if extent > 0 => Ok(Extent { name: name.to_owned(), extent }),
        _ => Err(format!("`{extent}` is no whole number of 1 to {}", u32::MAX)),
    }
}

/// Runs the workload and reports.
pub fn run(args: &WorkloadArgs, common: &Common) -> Result<ExitCode> {
    let choice = Choice {
        name: &args.name,
        recipe: args.recipe.as_deref(),
        design: args.design.as_deref(),
        batch: args.batch,
        dims: &args.dims,
        data: &args.data,
        pass: args.pass.map(Pass::from),
    };
    let chosen = choice.resolve(common)?;
    let outcome = workload::run(&chosen.design, &chosen.programs).map_err(refuse)?;
    let summary = Summary {
        name: &chosen.name,
        design: &chosen.design,
        recipe: chosen.recipe.as_deref(),
        batch: chosen.batch,
        coverage: chosen.coverage.as_ref(),
        pass: chosen.pass,
        assumptions: &chosen.assumptions,
        outcome: &outcome,
    };
    if args.json {
        print_json(&summary.json())?;
    } else {
        out!("{}", summary.text());
    }
    Ok(ExitCode::SUCCESS)
}

/// How a workload is named on the command line.
pub struct Choice<'a> {
    /// The network or built-in model, or a file of layers.
    pub name: &'a str,
    /// The recipe, if not the default.
    pub recipe: Option<&'a str>,
    /// The design, if not the recipe's.
    pub design: Option<&'a str>,
    /// Images or texts at once.
    pub batch: Option<u32>,
    /// Extents of a graph's named dimensions.
    pub dims: &'a [Extent],
    /// Data whose shape a built-in model takes.
    pub data: &'a str,
    /// Which passes, if not the default.
    pub pass: Option<Pass>,
}

/// A workload's programs, and what they follow from.
pub struct Chosen {
    /// The network's or the file's name.
    pub name: String,
    /// The hardware.
    pub design: Design,
    /// A network's recipe.
    pub recipe: Option<String>,
    /// Images, texts or products at once; graphs have theirs among their dimensions.
    pub batch: Option<u32>,
    /// What is taken of a graph.
    pub coverage: Option<Coverage>,
    /// Which passes.
    pub pass: Pass,
    /// What the shapes leave open.
    pub assumptions: Vec<String>,
    /// One after the other.
    pub programs: Vec<Program>,
}

impl Chosen {
    /// What reports and drawings are headed by.
    pub fn title(&self) -> String {
        let recipe = self.recipe.as_ref().map(|recipe| format!(" under {recipe}"));
        let batch = self.batch.map(|batch| format!(", batch {batch}"));
        [Some(self.name.clone()), recipe, batch].into_iter().flatten().collect()
    }
}

impl Choice<'_> {
    /// Builds what is named.
    pub fn resolve(&self, common: &Common) -> Result<Chosen> {
        if Layers::are_named(self.name) { self.layers(common) } else { self.network(common) }
    }

    fn layers(&self, common: &Common) -> Result<Chosen> {
        if self.recipe.is_some() {
            return Err(miette!("a file's products take mode 0 of the design; leave out --recipe, or set mac.* fields"));
        }
        let design = load_design(self.design.unwrap_or(layers::DESIGN), &common.settings()?)?;
        energy::check(&design, false).map_err(refuse)?;
        let layers = Layers::read(Path::new(self.name), self.dims).map_err(refuse)?;
        let (batch, pass) = (layers.batch(self.batch).map_err(refuse)?, layers.pass(self.pass));
        let programs = vec![layers.program(&design, batch, pass).map_err(refuse)?];
        let assumptions = layers.assumptions(pass);
        let Layers { topology, coverage, .. } = layers;
        Ok(Chosen { name: topology.name, design, recipe: None, batch, coverage, pass, assumptions, programs })
    }

    fn network(&self, common: &Common) -> Result<Chosen> {
        if let Some(Extent { name, extent }) = self.dims.first() {
            return Err(miette!("--dim {name}={extent} is for the named dimensions of ONNX graphs; leave it out"));
        }
        let (design_settings, mut recipe_settings) = split_settings(common.settings()?);
        let known = Workload::find(self.name);
        if let Some(batch) = self.batch.or_else(|| known.map(|workload| workload.batch)) {
            recipe_settings.push(("batch".to_owned(), batch.to_string()));
        }
        let recipe = Recipe::load(self.recipe.unwrap_or("fp8")).map_err(refuse)?;
        let recipe = recipe.with_overrides(&recipe_settings).map_err(refuse)?;
        if recipe.backend == Backend::Host {
            return Err(miette!("recipe `{}` trains on the host and simulates no hardware; name another", recipe.name));
        }
        let design = load_design(self.design.unwrap_or(&recipe.design), &design_settings)?;
        energy::check(&design, false).map_err(refuse)?;
        let model = match known {
            Some(workload) => workload.model(),
            None => {
                let data = data::load(self.data, None).map_err(refuse)?;
                Model::builtin(self.name, data.shape, data.classes).map_err(|e| {
                    miette!(
                        help = "`systole list workloads` and `systole list models` name what there is; a topology's name ends in .csv, a graph's in .onnx",
                        "{e}"
                    )
                })?
            }
        };
        let pass = self.pass.unwrap_or(Pass::Training);
        let programs = workload::of_model(&model, &recipe, &design, pass).map_err(refuse)?;
        let kind = if known.is_some_and(|workload| workload.is_text()) { Kind::Texts } else { Kind::Images };
        let (name, batch) = (model.name, Some(recipe.batch));
        let assumptions = workload::assumptions(kind, pass);
        Ok(Chosen { name, design, recipe: Some(recipe.name), batch, coverage: None, pass, assumptions, programs })
    }
}
