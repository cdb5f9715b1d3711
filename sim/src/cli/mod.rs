//! The `systole` command: one file per subcommand, each flag defined once.

/// `print!`, but an error where standard output takes no more.
macro_rules! out {
    ($($text:tt)*) => { $crate::cli::output::emit(format_args!($($text)*))? };
}

/// The like with a line's end.
macro_rules! outln {
    ($($text:tt)*) => { $crate::cli::output::emit(format_args!("{}\n", format_args!($($text)*)))? };
}

/// `eprintln!`, but nothing where nobody reads.
macro_rules! tell {
    ($($text:tt)*) => { $crate::cli::output::tell(format_args!($($text)*)) };
}

mod asm;
mod bench;
mod compare;
mod cost;
mod evidence;
mod figure;
mod format;
mod gemm;
mod golden;
mod list;
mod output;
mod quantize;
mod report;
mod sweep;
mod trace;
mod train;
mod trials;
mod workload;

use crate::run::specification::{self, Settings, SpecificationError, split_settings};
use clap::{Args, Parser, Subcommand};
use miette::{Result, miette};
use std::process::ExitCode;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::Design;
use systole_isa::overrides;

/// Simulate FP8 MAC arrays to the bit while networks train on them.
///
/// Without a subcommand: train the default recipe on the default design on embedded data and print the report.
#[derive(Parser)]
#[command(name = "systole", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    /// Train a network through the simulated array.
    Train(train::TrainArgs),
    /// Train recipes side by side on the same seeds.
    Compare(compare::CompareArgs),
    /// Train, or cost, many designs side by side.
    ///
    /// A file spans the points: axes over fields of design, recipe, model and data, and constraints.
    /// Every finished run is a line on disk; what is killed goes on with --resume.
    Sweep(sweep::SweepArgs),
    /// Put the results of a sweep's shards together.
    Merge(sweep::MergeArgs),
    /// Show a sweep: which design to take, fronts, tables and pictures in one HTML file.
    Report(report::ReportArgs),
    /// Tables and histories of a training run's evidence.
    ///
    /// Reads what `train --evidence EVERY --out DIR` wrote.
    Evidence(evidence::EvidenceArgs),
    /// Multiply matrices on the simulated array.
    Gemm(gemm::GemmArgs),
    /// Quantise a tensor by a published scheme, bit for bit.
    ///
    /// Each scheme is an exact definition: the same bits on every machine. Without --in, the schemes
    /// with constants of their own give those (the dynamic maps). --set changes a scheme's parameters.
    #[command(after_long_help = quantize::schemes_help())]
    Quantize(quantize::QuantizeArgs),
    /// Cycles, energy and TFLOPS of a network by its shapes alone.
    ///
    /// Networks run the program that trains them, without values; topology files and ONNX graphs run a
    /// product for each layer and pass.
    Workload(workload::WorkloadArgs),
    /// Energy, area and TFLOPS of a design, itemised; or the technology table.
    Cost(cost::CostArgs),
    /// Tables and figures of lectures and papers, computed.
    Figure(figure::FigureArgs),
    /// Limits, special values and value table of a number format.
    Format(format::FormatArgs),
    /// Check test vectors against the golden model, or make them.
    Golden(golden::GoldenArgs),
    /// Assemble a program into its binary form.
    Asm(asm::AsmArgs),
    /// Print a program, text or binary, as assembly.
    Disasm(asm::DisasmArgs),
    /// Run a program on the simulated machine.
    Run(asm::RunArgs),
    /// Waveforms of the arrays' registers, timelines of the machine.
    ///
    /// Of a matrix product, of a program, or (timelines only) of a network's step. Waveforms are FST or VCD,
    /// timelines Chrome trace events that Perfetto opens.
    Trace(trace::TraceArgs),
    /// Measure the speed of this machine's kernels and engines.
    ///
    /// Every product is timed by turns with the machine's own f32 product, and held against another
    /// computation of its bits first. Without --threads everything runs on one thread.
    Bench(bench::BenchArgs),
    /// List what is built in.
    List(list::ListArgs),
}

/// Options every subcommand takes.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// Override a field of the design, recipe or scheme, e.g. mac.accumulator=fp16 (repeatable).
    #[arg(long = "set", value_name = "PATH=VALUE", global = true)]
    settings: Vec<String>,
    /// Worker threads; results do not depend on it [default: all cores].
    #[arg(long, value_name = "N", global = true, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Arithmetic kernels of the fast engine: auto, avx512fp16, avx512, avx2, portable or scalar.
    #[arg(long, value_name = "KERNEL", global = true, env = "SYSTOLE_KERNEL", default_value = "auto")]
    kernel: String,
}

impl Common {
    /// The overrides, split at their equals signs.
    fn settings(&self) -> Result<Settings> {
        self.settings
            .iter()
            .map(|s| {
                overrides::split(s)
                    .ok_or_else(|| miette!(help = "for example --set mac.accumulator=fp16", "--set takes PATH=VALUE, not `{s}`"))
            })
            .collect()
    }

    fn kernel(&self) -> Result<KernelChoice> {
        self.kernel.parse().map_err(|e| miette!("--kernel {}: {e}", self.kernel))
    }
}

/// Reads `--design`: a built-in name or a RON file, with overrides applied.
fn load_design(name: &str, settings: &[(String, String)]) -> Result<Design> {
    specification::design(name, settings).map_err(explain)
}

/// A refused specification; a name that is neither built in nor a file is explained.
fn explain(error: SpecificationError) -> miette::Report {
    match &error {
        SpecificationError::Unknown { known, .. } => {
            miette!(help = format!("built in are {}; anything else is the path of a RON file", known.join(", ")), "{error}")
        }
        SpecificationError::Read { .. } | SpecificationError::Design(_) | SpecificationError::Energy(_) => miette!("{error}"),
    }
}

/// A refusal whose text already says everything, causes included.
fn refuse(error: impl std::fmt::Display) -> miette::Report {
    miette!("{error}")
}

/// Prints exactly one JSON object on standard output.
fn print_json(value: &serde_json::Value) -> Result<()> {
    outln!("{value:#}");
    Ok(())
}

/// Runs the command line; the exit status is 0, 1 (ran, but something checked is wrong) or 2 (bad input).
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(report) => {
            tell!("{report:?}");
            ExitCode::from(2)
        }
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode> {
    if let Some(threads) = cli.common.threads {
        rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global().map_err(|e| miette!("--threads {threads}: {e}"))?;
    }
    match cli.command {
        None => train::run(&train::TrainArgs::default(), &cli.common),
        Some(Command::Train(args)) => train::run(&args, &cli.common),
        Some(Command::Compare(args)) => compare::run(&args, &cli.common),
        Some(Command::Sweep(args)) => sweep::run(&args, &cli.common),
        Some(Command::Merge(args)) => sweep::merge(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Evidence(args)) => evidence::run(&args),
        Some(Command::Gemm(args)) => gemm::run(&args, &cli.common),
        Some(Command::Quantize(args)) => quantize::run(&args, &cli.common),
        Some(Command::Workload(args)) => workload::run(&args, &cli.common),
        Some(Command::Cost(args)) => cost::run(&args, &cli.common),
        Some(Command::Figure(args)) => figure::run(&args, &cli.common),
        Some(Command::Format(args)) => format::run(&args),
        Some(Command::Golden(args)) => golden::run(&args, &cli.common),
        Some(Command::Asm(args)) => asm::assemble(&args),
        Some(Command::Disasm(args)) => asm::disassemble(&args),
        Some(Command::Run(args)) => asm::run(&args, &cli.common),
        Some(Command::Trace(args)) => trace::run(&args, &cli.common),
        Some(Command::Bench(args)) => bench::run(&args, &cli.common),
        Some(Command::List(args)) => list::run(&args),
    }
}
