//! `systole workload`: cycles, energy and rates of networks by their shapes alone.

use super::{Common, load_design, print_json, refuse, split_settings};
use crate::energy;
use crate::report::workload::Summary;
use crate::run::workload::topology::Topology;
use crate::run::workload::{self, Kind, Pass};
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
    /// A network (`systole list workloads`), a built-in model, or a SCALE-Sim topology file (.csv).
    #[arg(value_name = "NAME|TOPOLOGY.csv")]
    name: String,
    /// Built-in design or RON file [default: the recipe's native design; of topologies fp8-16x16].
    #[arg(long, value_name = "DESIGN")]
    design: Option<String>,
    /// Built-in recipe or RON file that says in which formats a network computes [default: fp8].
    #[arg(long, value_name = "RECIPE")]
    recipe: Option<String>,
    /// Forward alone, or a whole step of training.
    #[arg(long, value_enum, value_name = "PASS", default_value_t = PassArg::Training)]
    pass: PassArg,
    /// Images, texts or products at once [default: the network's own; of models the recipe's; of topologies 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
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

/// Runs the workload and reports.
pub fn run(args: &WorkloadArgs, common: &Common) -> Result<ExitCode> {
    let path = Path::new(&args.name);
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
        of_topology(args, path, common)
    } else {
        of_network(args, common)
    }
}

fn of_topology(args: &WorkloadArgs, path: &Path, common: &Common) -> Result<ExitCode> {
    if args.recipe.is_some() {
        return Err(miette!("a topology's products take mode 0 of the design; leave out --recipe, or set mac.* fields"));
    }
    let design = load_design(args.design.as_deref().unwrap_or("fp8-16x16"), &common.settings()?)?;
    energy::check(&design, false).map_err(refuse)?;
    let topology = Topology::read(path).map_err(refuse)?;
    let (batch, pass) = (args.batch.unwrap_or(1), args.pass.into());
    let program = topology.program(&design, batch, pass, path).map_err(refuse)?;
    let assumptions = workload::assumptions(Kind::Topology, pass);
    report(args, &topology.name, None, (batch, pass), &design, &[program], &assumptions)
}

/// A network's programs, and what they follow from.
pub struct Network {
    /// The network.
    pub model: Model,
    /// The recipe.
    pub recipe: Recipe,
    /// The design.
    pub design: Design,
    /// A step of training, or the forward pass.
    pub programs: Vec<Program>,
    is_text: bool,
}

/// How a network is named on the command line.
pub struct Choice<'a> {
    /// The network or built-in model.
    pub name: &'a str,
    /// The recipe, if not the default.
    pub recipe: Option<&'a str>,
    /// The design, if not the recipe's.
    pub design: Option<&'a str>,
    /// Images or texts at once.
    pub batch: Option<u32>,
    /// Data whose shape a built-in model takes.
    pub data: &'a str,
    /// Which passes.
    pub pass: Pass,
}

/// Builds what a choice names.
pub fn network(choice: &Choice<'_>, common: &Common) -> Result<Network> {
    let (design_settings, mut recipe_settings) = split_settings(common.settings()?);
    let known = Workload::find(choice.name);
    if let Some(batch) = choice.batch.or_else(|| known.map(|workload| workload.batch)) {
        recipe_settings.push(("batch".to_owned(), batch.to_string()));
    }
    let recipe = Recipe::load(choice.recipe.unwrap_or("fp8")).map_err(refuse)?;
    let recipe = recipe.with_overrides(&recipe_settings).map_err(refuse)?;
    if recipe.backend == Backend::Host {
        return Err(miette!("recipe `{}` trains on the host and simulates no hardware; name another", recipe.name));
    }
    let design = load_design(choice.design.unwrap_or(&recipe.design), &design_settings)?;
    energy::check(&design, false).map_err(refuse)?;
    let model = match known {
        Some(workload) => workload.model(),
        None => {
            let data = data::load(choice.data, None).map_err(refuse)?;
            Model::builtin(choice.name, data.shape, data.classes).map_err(|e| {
                miette!(
                    help = "`systole list workloads` and `systole list models` name what there is; a topology's name ends in .csv",
                    "{e}"
                )
            })?
        }
    };
    let programs = workload::of_model(&model, &recipe, &design, choice.pass).map_err(refuse)?;
    let is_text = known.is_some_and(|workload| workload.is_text());
    Ok(Network { model, recipe, design, programs, is_text })
}

fn of_network(args: &WorkloadArgs, common: &Common) -> Result<ExitCode> {
    let pass = args.pass.into();
    let choice = Choice {
        name: &args.name,
        recipe: args.recipe.as_deref(),
        design: args.design.as_deref(),
        batch: args.batch,
        data: &args.data,
        pass,
    };
    let Network { model, recipe, design, programs, is_text } = network(&choice, common)?;
    let assumptions = workload::assumptions(if is_text { Kind::Texts } else { Kind::Images }, pass);
    report(args, &model.name, Some(&recipe.name), (recipe.batch, pass), &design, &programs, &assumptions)
}

fn report(
    args: &WorkloadArgs,
    name: &str,
    recipe: Option<&str>,
    (batch, pass): (u32, Pass),
    design: &Design,
    programs: &[Program],
    assumptions: &[String],
) -> Result<ExitCode> {
    let outcome = workload::run(design, programs).map_err(refuse)?;
    let summary = Summary { name, design, recipe, batch, pass, assumptions, outcome: &outcome };
    if args.json {
        print_json(&summary.json());
    } else {
        print!("{}", summary.text());
    }
    Ok(ExitCode::SUCCESS)
}
