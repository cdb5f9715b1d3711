//! `systole trace`: waveforms of the arrays and timelines of the machine.

use super::gemm::OperandArgs;
use super::workload::{Choice, PassArg, extent};
use super::{Common, asm, load_design, refuse};
use crate::machine::{Engine, Machine};
use crate::run::gemm::{self, Prepared, Task};
use crate::run::workload::{self, Extent, Pass};
use crate::text::grouped;
use crate::trace::task::{Plan, Time, waveform};
use crate::trace::timeline::Timeline;
use crate::trace::wave;
use clap::{Args, ValueEnum};
use miette::{Result, miette};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use systole_isa::design::{Arithmetic, Design};
use systole_isa::program::Program;

/// Arguments of `trace`.
#[derive(Args)]
pub struct TraceArgs {
    /// Program, text or binary; its .data fills DRAM. Without one: --shape, --a and --b, or --model.
    #[arg(conflicts_with_all = ["a", "shape", "model"])]
    program: Option<PathBuf>,
    /// Built-in design or RON file [default: fp8-16x16; of networks the recipe's].
    #[arg(long, value_name = "DESIGN")]
    design: Option<String>,
    #[command(flatten)]
    operands: OperandArgs,
    /// Trace a step of a network or built-in model, or of a file of layers (.csv, .onnx), by shapes alone: timeline only.
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = ["a", "shape"])]
    model: Option<String>,
    /// Recipe of the network [default: fp8].
    #[arg(long, value_name = "RECIPE", requires = "model")]
    recipe: Option<String>,
    /// Forward alone, or a whole step of training [default: training; of graphs forward].
    #[arg(long, value_enum, value_name = "PASS", requires = "model")]
    pass: Option<PassArg>,
    /// Extent of a named dimension of an ONNX graph, such as `batch=32`; repeatable.
    #[arg(long = "dim", value_name = "NAME=N", requires = "model", value_parser = extent)]
    dims: Vec<Extent>,
    /// Images or texts at once [default: the network's own; of models the recipe's; of topologies 1].
    #[arg(long, value_name = "N", requires = "model", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: Option<u32>,
    /// Data whose shape a built-in model takes.
    #[arg(long, value_name = "PATH", requires = "model", default_value = "digits")]
    dataset: String,
    /// Write the waveform of the arrays' registers: FST, or VCD if the name ends in .vcd.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Format of the waveform, whatever its name.
    #[arg(long, value_enum, value_name = "FORMAT", requires = "out")]
    format: Option<FormatArg>,
    /// Look at these cycles only: from the first, up to but not including the second.
    #[arg(long, value_name = "FROM..TO", requires = "out", value_parser = parse_window)]
    cycles: Option<Range<u64>>,
    /// Write the machine's timeline as Chrome trace events, for Perfetto.
    #[arg(long, value_name = "JSON")]
    timeline: Option<PathBuf>,
}

/// Waveform formats by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatArg {
    /// Compressed.
    Fst,
    /// Text.
    Vcd,
}

fn parse_window(text: &str) -> std::result::Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
    match ends {
        Some((from, to)) if from < to => Ok(from..to),
        _ => Err("a window is FROM..TO, two cycles of which the first is the lesser, for example 0..200".to_owned()),
    }
}

impl TraceArgs {
    /// The format of a waveform of this name.
    fn format(&self, path: &Path) -> Result<wave::Format> {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
        match (self.format, extension.as_str()) {
            (Some(FormatArg::Fst), _) => Ok(wave::Format::Fst),
            (Some(FormatArg::Vcd), _) | (None, "vcd") => Ok(wave::Format::Vcd),
            (None, "fst" | "") => Ok(wave::Format::Fst),
            (None, "json") => Err(miette!(help = format!("write --timeline {}", path.display()), "a waveform is no JSON")),
            (None, other) => Err(miette!(help = "name it .fst or .vcd, or add --format fst", "--out: `.{other}` is no waveform format")),
        }
    }
}

/// Traces.
pub fn run(args: &TraceArgs, common: &Common) -> Result<ExitCode> {
    if args.out.is_none() && args.timeline.is_none() {
        return Err(miette!(
            help = "give --out FILE.fst (or .vcd) for a waveform, --timeline FILE.json for a timeline, or both",
            "nothing to write"
        ));
    }
    if args.out.is_some() && args.out == args.timeline {
        return Err(miette!("--out and --timeline name the same file; give them two"));
    }
    match (&args.program, &args.model) {
        (Some(path), _) => of_program(args, path, common)?,
        (None, Some(name)) => of_network(args, name, common)?,
        (None, None) if args.operands.is_given() => of_product(args, common)?,
        (None, None) => return Err(miette!("give a program, --shape M,N,K, both --a and --b, or --model NAME")),
    }
    Ok(ExitCode::SUCCESS)
}

fn report(path: &Path, outcome: &crate::trace::task::Outcome) {
    tell!(
        "{}: {} signals, cycles {}..{} of {}, {} matrix {}",
        path.display(),
        grouped(outcome.signals as u64),
        outcome.window.start,
        outcome.window.end,
        grouped(outcome.cycles),
        outcome.products,
        if outcome.products == 1 { "instruction" } else { "instructions" }
    );
}

fn draw(path: &Path, design: &Design, title: &str, timeline: Timeline) -> Result<()> {
    let cycles = timeline.cycles().clone();
    timeline.write(path, design, title).map_err(refuse)?;
    tell!("{}: {} cycles, {} compute", path.display(), grouped(cycles.total), grouped(cycles.compute));
    Ok(())
}

fn of_product(args: &TraceArgs, common: &Common) -> Result<()> {
    let design = load_design(args.design.as_deref().unwrap_or("fp8-16x16"), &common.settings()?)?;
    let kernel = common.kernel()?;
    let task = args.operands.task(&design, false)?;
    let prepare = |task: &Task, engine| gemm::prepare(&design, task, engine, kernel).map_err(refuse);
    if let Some(path) = &args.out {
        let format = args.format(path)?;
        let Prepared { mut machine, program, .. } = prepare(&task, Engine::Timing)?;
        let plan = Plan::new(&design, &mut machine, &program, Time::Array, args.cycles.as_ref()).map_err(refuse)?;
        // Operands are made once it is known that they are wanted; files have been read.
        let made = if task.operands.is_none() { Some(args.operands.task(&design, true)?) } else { None };
        let mut ticked = prepare(made.as_ref().unwrap_or(&task), Engine::Ticked)?;
        report(path, &waveform(&design, plan, &mut ticked.machine, &program, (path, format)).map_err(refuse)?);
    }
    if let Some(path) = &args.timeline {
        let mut timed = prepare(&task, Engine::Timing)?;
        let mut timeline = Timeline::default();
        timed.machine.run_watched(&timed.program, 0, &mut timeline).map_err(refuse)?;
        draw(path, &design, &format!("product of {} x {} x {}", task.m, task.n, task.k), timeline)?;
    }
    Ok(())
}

fn of_program(args: &TraceArgs, path: &Path, common: &Common) -> Result<()> {
    let design = load_design(args.design.as_deref().unwrap_or("fp8-16x16"), &common.settings()?)?;
    let program = asm::read(path)?;
    // Masks decide what the arrays do, so values are computed where they can be.
    let timing = if matches!(design.arithmetic, Arithmetic::Modelled) { Engine::Fast } else { Engine::Timing };
    let machine = |engine| -> Result<Machine> {
        let mut machine = Machine::new(design.clone(), engine, common.kernel()?).map_err(refuse)?;
        machine.place(&program).map_err(|e| of(path, &e))?;
        Ok(machine)
    };
    if let Some(out) = &args.out {
        let format = args.format(out)?;
        let plan = Plan::new(&design, &mut machine(timing)?, &program, Time::Program, args.cycles.as_ref());
        let plan = plan.map_err(|e| of(path, &e))?;
        let outcome = waveform(&design, plan, &mut machine(Engine::Ticked)?, &program, (out, format)).map_err(|e| of(path, &e))?;
        report(out, &outcome);
    }
    if let Some(file) = &args.timeline {
        let mut timeline = Timeline::default();
        machine(timing)?.run_watched(&program, 0, &mut timeline).map_err(|e| of(path, &e))?;
        draw(file, &design, &path.display().to_string(), timeline)?;
    }
    Ok(())
}

fn of(program: &Path, error: &dyn std::fmt::Display) -> miette::Report {
    miette!("program `{}`: {error}", program.display())
}

fn of_network(args: &TraceArgs, name: &str, common: &Common) -> Result<()> {
    let Some(file) = args.timeline.as_ref().filter(|_| args.out.is_none()) else {
        return Err(miette!(
            help = "leave out --out; --timeline FILE.json draws the network's step, and a product of its shapes has a waveform: --shape M,N,K --out FILE.fst",
            "a network runs by its shapes alone, so its registers hold nothing"
        ));
    };
    let choice = Choice {
        name,
        recipe: args.recipe.as_deref(),
        design: args.design.as_deref(),
        batch: args.batch,
        dims: &args.dims,
        data: &args.dataset,
        pass: args.pass.map(Pass::from),
    };
    let chosen = choice.resolve(common)?;
    let mut machine = workload::machine(&chosen.design).map_err(refuse)?;
    let mut timeline = Timeline::default();
    let run = |program: &Program| machine.run_watched(program, 0, &mut timeline).map(drop);
    chosen.programs.iter().try_for_each(run).map_err(refuse)?;
    draw(file, &chosen.design, &chosen.title(), timeline)
}
