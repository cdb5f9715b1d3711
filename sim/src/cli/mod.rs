//! The `systole` command: one file per subcommand, each flag defined once.

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
mod quantize;
mod train;
mod trials;
mod workload;

use crate::energy;
use clap::{Args, Parser, Subcommand};
use miette::{Result, miette};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::{DESIGNS, Design};
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
    /// Networks run the program that trains them, without values; topology files run a product for
    /// each layer and pass.
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
    /// Measure the speed of this machine's kernels and engines.
    ///
    /// Every product is timed by turns with the machine's own f32 product, and held against another
    /// computation of its bits first. Without --threads everything runs on one thread.
    Bench(bench::BenchArgs),
    /// List what is built in.
    List(list::ListArgs),
}

/// `--set` options, split at their equals signs.
type Settings = Vec<(String, String)>;

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
    let design = match systole_isa::design::find(name) {
        Some(design) => design,
        None => {
            let text = read_specification("design", name, &DESIGNS.iter().map(|d| d.name).collect::<Vec<_>>())?;
            Design::from_ron(name, &text).map_err(refuse)?
        }
    };
    // A path in a design file begins where the file lies, one in a setting where the command runs.
    let set = settings.iter().any(|(path, _)| path == "energy.table" || path == "energy");
    let of_file = Path::new(name).parent().filter(|_| !set && systole_isa::design::find(name).is_none());
    let design = design.with_overrides(settings).map_err(refuse)?;
    energy::table::resolve(design, of_file.unwrap_or(Path::new(""))).map_err(refuse)
}

/// Text of a specification file; a name that is neither built in nor a file is explained.
fn read_specification(what: &str, name: &str, known: &[&str]) -> Result<String> {
    let path = PathBuf::from(name);
    let looks_like_file = name.ends_with(".ron") || name.contains(['/', '\\']) || path.exists();
    if !looks_like_file {
        let suggestion = known
            .iter()
            .map(|k| (strsim::damerau_levenshtein(k, name), *k))
            .min()
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, k)| format!(" (did you mean `{k}`?)"))
            .unwrap_or_default();
        return Err(miette!(
            help = format!("built in are {}; anything else is the path of a RON file", known.join(", ")),
            "no {what} is called `{name}`{suggestion}"
        ));
    }
    std::fs::read_to_string(&path).map_err(|e| miette!("{what} file `{name}` cannot be read: {e}"))
}

/// Settings that name a part of the design, and the others.
fn split_settings(settings: Settings) -> (Settings, Settings) {
    const DESIGN_PARTS: [&str; 9] = ["array", "mac", "modes", "output", "vector", "memory", "energy", "arithmetic", "seed"];
    settings.into_iter().partition(|(path, _)| DESIGN_PARTS.contains(&path.split('.').next().unwrap_or_default()))
}

/// A refusal whose text already says everything, causes included.
fn refuse(error: impl std::fmt::Display) -> miette::Report {
    miette!("{error}")
}

/// Prints exactly one JSON object on standard output.
fn print_json(value: &serde_json::Value) {
    println!("{value:#}");
}

/// Runs the command line; the exit status is 0, 1 (ran, but something checked is wrong) or 2 (bad input).
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(report) => {
            eprintln!("{report:?}");
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
        Some(Command::Bench(args)) => bench::run(&args, &cli.common),
        Some(Command::List(args)) => list::run(&args),
    }
}
