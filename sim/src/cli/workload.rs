//! `systole workload`: cycles, energy and rates of networks by their shapes alone.

use super::{Common, load_design, print_json, refuse, split_settings};
use crate::energy;
use crate::report::workload::Summary;
use crate::run::workload::topology::Topology;
use crate::run::workload::{self, Coverage, Extent, Kind, Pass};
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

impl WorkloadArgs {
    fn pass(&self) -> Pass {
        self.pass.unwrap_or(PassArg::Training).into()
    }
}

/// A name and an extent as the command line has them; names may hold `=`.
fn extent(text: &str) -> Result<Extent, String> {
    let (name, extent) = text.rsplit_once('=').filter(|(name, _)| !name.is_empty()).ok_or("give it as NAME=N")?;
    match extent.parse() {
        Ok(extent) if extent > 0 => Ok(Extent { name: name.to_owned(), extent }),
        _ => Err(format!("`{extent}` is no whole number of 1 to {}", u32::MAX)),
    }
}

/// Runs the workload and reports.
pub fn run(args: &WorkloadArgs, common: &Common) -> Result<ExitCode> {
    let path = Path::new(&args.name);
    let ends = |ending: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending));
    if ends("onnx") {
        return of_graph(args, path, common);
    }
    if let Some(extent) = args.dims.first() {
        return Err(miette!("--dim {}={} is for the named dimensions of ONNX graphs; leave it out", extent.name, extent.extent));
    }
    if ends("csv") { of_topology(args, path, common) } else { of_network(args, common) }
}

/// The design of layers that no recipe goes with.
fn design_of_layers(args: &WorkloadArgs, common: &Common) -> Result<Design> {
    if args.recipe.is_some() {
        return Err(miette!("a file's products take mode 0 of the design; leave out --recipe, or set mac.* fields"));
    }
    let design = load_design(args.design.as_deref().unwrap_or("fp8-16x16"), &common.settings()?)?;
    energy::check(&design, false).map_err(refuse)?;
    Ok(design)
}

fn of_topology(args: &WorkloadArgs, path: &Path, common: &Common) -> Result<ExitCode> {
    let design = design_of_layers(args, common)?;
    let topology = Topology::read(path).map_err(refuse)?;
    let (batch, pass) = (args.batch.unwrap_or(1), args.pass());
    let program = topology.program(&design, batch, pass, path).map_err(refuse)?;
    let assumptions = workload::assumptions(Kind::Topology, pass);
    let header = Header { name: &topology.name, recipe: None, batch: Some(batch), coverage: None, pass };
    report(args, header, &design, &[program], &assumptions)
}

#[cfg(feature = "onnx")]
fn of_graph(args: &WorkloadArgs, path: &Path, common: &Common) -> Result<ExitCode> {
    use crate::run::workload::onnx;
    if args.pass == Some(PassArg::Training) {
        return Err(miette!("an ONNX graph is a forward pass; give --pass forward, or list its layers in a topology file (.csv)"));
    }
    if args.batch.is_some() {
        return Err(miette!("the batch of an ONNX graph is a dimension of its inputs; leave out --batch, and give its name: --dim NAME=N"));
    }
    let twice = args.dims.iter().enumerate().find(|(i, extent)| args.dims[..*i].iter().any(|other| other.name == extent.name));
    if let Some((_, extent)) = twice {
        return Err(miette!("--dim gives `{}` twice; give it once", extent.name));
    }
    let design = design_of_layers(args, common)?;
    let onnx::Network { topology, coverage } = onnx::read(path, &args.dims).map_err(refuse)?;
    let pass = Pass::Forward;
    let program = topology.program(&design, 1, pass, path).map_err(refuse)?;
    let assumptions = workload::assumptions(Kind::Topology, pass);
    let header = Header { name: &topology.name, recipe: None, batch: None, coverage: Some(&coverage), pass };
    report(args, header, &design, &[program], &assumptions)
}

#[cfg(not(feature = "onnx"))]
fn of_graph(_: &WorkloadArgs, path: &Path, _: &Common) -> Result<ExitCode> {
    Err(miette!(
        help = "build it with `cargo build --release -p systole --features onnx`, or list the layers in a topology file (.csv)",
        "`{}`: this `systole` is built without the feature `onnx`, which reads graphs",
        path.display()
    ))
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
                    help = "`systole list workloads` and `systole list models` name what there is; a topology's name ends in .csv, a graph's in .onnx",
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
    let pass = args.pass();
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
    let header = Header { name: &model.name, recipe: Some(&recipe.name), batch: Some(recipe.batch), coverage: None, pass };
    report(args, header, &design, &programs, &assumptions)
}

/// What a report is headed by.
struct Header<'a> {
    name: &'a str,
    recipe: Option<&'a str>,
    batch: Option<u32>,
    coverage: Option<&'a Coverage>,
    pass: Pass,
}

fn report(
    args: &WorkloadArgs,
    Header { name, recipe, batch, coverage, pass }: Header<'_>,
    design: &Design,
    programs: &[Program],
    assumptions: &[String],
) -> Result<ExitCode> {
    let outcome = workload::run(design, programs).map_err(refuse)?;
    let summary = Summary { name, design, recipe, batch, coverage, pass, assumptions, outcome: &outcome };
    if args.json {
        print_json(&summary.json());
    } else {
        print!("{}", summary.text());
    }
    Ok(ExitCode::SUCCESS)
}
