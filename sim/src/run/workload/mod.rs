//! What networks cost by their shapes alone: programs run under the timing engine.
//!
//! A network of the trainer runs the very program that trains it, one step of it; a topology file, or an
//! ONNX graph, runs a product for each layer and pass.

pub mod coverage;
pub mod layers;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod topology;

pub use coverage::{Coverage, Extent};
pub use layers::Layers;

use crate::energy::{self, EnergyAccount, EnergyError};
use crate::lint::{self, Note};
use crate::machine::{Engine, Machine, Products};
use std::path::PathBuf;
use std::time::Instant;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::Design;
use systole_isa::device::{Cycles, Device, DeviceError, Record};
use systole_isa::program::Program;
use systole_trainer::lower::{LowerError, compile};
use systole_trainer::model::Model;
use systole_trainer::recipe::Recipe;

/// Which passes over the layers are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Forward alone.
    Forward,
    /// Forward, backward and what follows: a step of training.
    Training,
}

impl Pass {
    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Training => "training",
        }
    }
}

/// A workload cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The network has no program on this design.
    #[error(transparent)]
    Lower(#[from] LowerError),
    /// The machine refused the program.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The run cannot be priced.
    #[error(transparent)]
    Energy(#[from] EnergyError),
    /// The recipe decides its steps by values.
    #[error("recipe `{recipe}` tries steps and decides by their losses, so a step has no fixed cost; train it, or name another recipe")]
    Searches {
        /// The recipe.
        recipe: String,
    },
    /// A topology or a graph.
    #[error("`{}`{place}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The line, layer or node, where there is one.
        place: String,
        /// What is wrong, and the mend.
        reason: String,
    },
}

/// A workload's cost.
#[derive(Debug)]
pub struct Outcome {
    /// Cycles and events, by layer and pass.
    pub record: Record,
    /// Matrix products of every region, in the record's order.
    pub products: Vec<Products>,
    /// Energy, area and rates.
    pub account: EnergyAccount,
    /// Time of the schedule, seconds.
    pub seconds: f64,
}

/// The programs of a network's step, or the one of its forward pass with tracked statistics.
///
/// # Errors
/// A network or recipe that the design cannot run, and recipes that search for their steps.
pub fn of_model(model: &Model, recipe: &Recipe, design: &Design, pass: Pass) -> Result<Vec<Program>, WorkloadError> {
    if pass == Pass::Training && recipe.searches() {
        return Err(WorkloadError::Searches { recipe: recipe.name.clone() });
    }
    let compiled = compile(model, recipe, design)?;
    Ok(match pass {
        Pass::Forward => vec![compiled.evaluate],
        Pass::Training => match compiled.step.whole {
            Some(whole) => vec![whole],
            None => vec![compiled.step.gradients, compiled.step.update],
        },
    })
}

/// Every matrix product of programs, M, N and K, and how often each is asked for.
///
/// # Errors
/// What the machine refuses.
pub fn products(design: &Design, programs: &[Program]) -> Result<Vec<lint::Product>, WorkloadError> {
    let machine = machine(design)?;
    let mut all: Vec<lint::Product> = Vec::new();
    for program in programs {
        for (shape, count) in machine.products(program)?.into_iter().flat_map(|region| region.shapes) {
            match all.iter_mut().find(|(known, _)| *known == shape) {
                Some((_, sum)) => *sum += count,
                None => all.push((shape, count)),
            }
        }
    }
    Ok(all)
}

/// Notes on a design that trained a model in that many cycles: without its products where it has no
/// fixed step.
pub fn notes(model: &Model, recipe: &Recipe, design: &Design, cycles: &Cycles) -> Vec<Note> {
    let products = of_model(model, recipe, design, Pass::Training).and_then(|programs| products(design, &programs));
    let of_work = products.map_or_else(|_| lint::of_design(design), |products| lint::of_work(design, &products));
    [of_work, lint::of_run(design, cycles)].concat()
}

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A network that reads images.
    Images,
    /// A network that reads texts.
    Texts,
    /// The layers of a file.
    Layers,
}

/// What the shapes leave open.
pub fn assumptions(kind: Kind, pass: Pass) -> Vec<String> {
    let mut all = match (kind, pass) {
        (Kind::Layers, _) => vec![
            "matrix products alone, in mode 0 of the design, operands and results in DRAM; no vector work",
            "layers do not hand on their results: each reads its own operands",
        ],
        (_, Pass::Forward) => vec!["the program that evaluates the network, by shapes alone"],
        (_, Pass::Training) => vec!["the program that trains the network, one step of it, by shapes alone"],
    };
    match (kind, pass) {
        (Kind::Layers, Pass::Training) => all.push("backward, every layer passes errors on but the first; no update"),
        (Kind::Texts, _) => all.push("the lookup of embedded tokens is not counted; their weights are those of the logits"),
        _ => {}
    }
    all.push("DRAM has room for all tensors of a run, none in another's place");
    all.into_iter().map(str::to_owned).collect()
}

/// The largest DRAM a design may have, MiB.
pub const LARGEST_DRAM: u32 = 1 << 20;

/// A machine without values, with as much DRAM as a design may have.
///
/// # Errors
/// What the machine refuses.
pub fn machine(design: &Design) -> Result<Machine, DeviceError> {
    let mut design = design.clone();
    design.memory.dram_mib = LARGEST_DRAM;
    Machine::new(design, Engine::Timing, KernelChoice::Scalar)
}

/// Runs programs by their shapes, one after the other, in as much DRAM as a design may have: what is
/// there costs nothing.
///
/// # Errors
/// What the machine or the energy model refuse.
pub fn run(design: &Design, programs: &[Program]) -> Result<Outcome, WorkloadError> {
    let mut machine = machine(design)?;
    let start = Instant::now();
    let mut record = Record::default();
    for program in programs {
        record.accumulate(&machine.run(program, 0)?);
    }
    let seconds = start.elapsed().as_secs_f64();
    let mut found = Vec::new();
    for program in programs {
        found.extend(machine.products(program)?);
    }
    // Those of every region the record has, in its order.
    let of = |name: &str| Products {
        region: name.to_owned(),
        shapes: found.iter().filter(|products| products.region == name).flat_map(|products| products.shapes.clone()).collect(),
    };
    let products = record.regions.iter().map(|region| of(&region.name)).collect();
    let account = energy::account(design, &record)?;
    Ok(Outcome { record, products, account, seconds })
}
