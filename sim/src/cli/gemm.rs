//! `systole gemm`: one matrix product on the simulated array.

use super::{Common, load_design, print_json, refuse};
use crate::energy;
use crate::machine::Engine;
use crate::report;
use crate::run::gemm::{self, Task};
use crate::run::operands::{Generator, read_npy, read_scales, write_npy};
use clap::{Args, ValueEnum};
use miette::{Result, miette};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use systole_isa::design::Design;

/// Operands of a product: from files, or made.
#[derive(Args)]
pub struct OperandArgs {
    /// A (M x K) as .npy: unsigned integers are codes, floats are rounded to the format.
    #[arg(long, value_name = "NPY", requires = "b")]
    a: Option<PathBuf>,
    /// B (K x N) as .npy.
    #[arg(long, value_name = "NPY", requires = "a")]
    b: Option<PathBuf>,
    /// C (M x N) as .npy, in the outermost accumulator's format, or in the output's where that is wider than 64 bits.
    #[arg(long, value_name = "NPY", requires = "a")]
    c: Option<PathBuf>,
    /// Block scales of A as .npy, a row to mac.scale_rows rows of A and a column to a chunk:
    /// codes of mac.scale_format, or floats (exact powers of two for e8m0).
    #[arg(long, value_name = "NPY", requires = "a")]
    scale_a: Option<PathBuf>,
    /// Block scales of B as .npy, a row to a chunk and a column to mac.scale_cols columns of B.
    #[arg(long, value_name = "NPY", requires = "a")]
    scale_b: Option<PathBuf>,
    /// Make operands of these extents, and block scales where the design takes them, from its seed.
    #[arg(long, value_name = "M,N,K", conflicts_with = "a")]
    shape: Option<String>,
    /// What the made operands hold.
    #[arg(long, value_enum, default_value_t = Data::Normal)]
    data: Data,
}

impl OperandArgs {
    /// Whether there are any.
    pub const fn is_given(&self) -> bool {
        self.a.is_some() || self.shape.is_some()
    }

    /// The product of them.
    pub fn task(&self, design: &Design, with_values: bool) -> Result<Task> {
        match (&self.shape, &self.a, &self.b) {
            (Some(shape), _, _) => {
                let [m, n, k] = parse_shape(shape)?;
                Ok(if with_values { Task::generated(design, m, n, k, self.data.into()) } else { Task::shape(design, m, n, k) })
            }
            (None, Some(a), Some(b)) => {
                let c = self.c.as_ref().map(|c| read_npy(c, design.addend_format(&design.mac))).transpose().map_err(refuse)?;
                let a = read_npy(a, design.mac.a).map_err(refuse)?;
                let b = read_npy(b, design.mac.b).map_err(refuse)?;
                let scales = |path: &Option<PathBuf>| path.as_ref().map(|path| read_scales(path, design.mac.scale_format)).transpose();
                let scales = [scales(&self.scale_a).map_err(refuse)?, scales(&self.scale_b).map_err(refuse)?];
                Task::given(design, a, b, c, scales).map_err(refuse)
            }
            _ => Err(miette!("give --shape M,N,K, or both --a and --b")),
        }
    }
}

/// Arguments of `gemm`.
#[derive(Args)]
pub struct GemmArgs {
    /// Built-in design or RON file.
    #[arg(long, value_name = "DESIGN", default_value = "fp8-16x16")]
    design: String,
    #[command(flatten)]
    operands: OperandArgs,
    /// Write D as .npy codes of the output format.
    #[arg(long, value_name = "NPY")]
    out: Option<PathBuf>,
    /// Engine: fast, ticked (every register, every cycle) or timing (no values).
    #[arg(long, value_enum, default_value_t = EngineArg::Fast)]
    engine: EngineArg,
    /// Look at the partial sums of that many outputs, spread over D: by exponent, swamped, overflows.
    #[arg(long, value_name = "OUTPUTS", default_value_t = 0, hide_default_value = true)]
    sums: u64,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Generators by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Data {
    /// Nearly normal numbers, no specials.
    Normal,
    /// Every code alike.
    Codes,
    /// Specials over-weighted.
    Specials,
}

impl From<Data> for Generator {
    fn from(data: Data) -> Self {
        match data {
            Data::Normal => Self::Normal,
            Data::Codes => Self::Codes,
            Data::Specials => Self::Specials,
        }
    }
}

/// Engines by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EngineArg {
    /// Whole problems by kernels and closed forms.
    Fast,
    /// Every register, every cycle.
    Ticked,
    /// Cycles and events without values.
    Timing,
}

impl From<EngineArg> for Engine {
    fn from(arg: EngineArg) -> Self {
        match arg {
            EngineArg::Fast => Self::Fast,
            EngineArg::Ticked => Self::Ticked,
            EngineArg::Timing => Self::Timing,
        }
    }
}

/// Extents as `M,N,K`.
pub fn parse_shape(text: &str) -> Result<[u32; 3]> {
    let parts: Vec<u32> = text.split(',').filter_map(|p| p.trim().parse().ok()).collect();
    match parts[..] {
        [m, n, k] if text.split(',').count() == 3 && [m, n, k].iter().all(|&x| x > 0 && x < 1 << 24) => Ok([m, n, k]),
        _ => Err(miette!(help = "for example --shape 37,29,53", "--shape takes M,N,K, each 1 to 16777215, not `{text}`")),
    }
}

/// Runs the product and reports.
pub fn run(args: &GemmArgs, common: &Common) -> Result<ExitCode> {
    let design = load_design(&args.design, &common.settings()?)?;
    let engine = Engine::from(args.engine);
    energy::check(&design, engine.computes_values()).map_err(refuse)?;
    let task = args.operands.task(&design, engine.computes_values())?;
    if args.out.is_some() && !engine.computes_values() {
        return Err(miette!("--out needs values, and --engine timing computes none; use --engine fast"));
    }
    if args.sums > 0 && !engine.computes_values() {
        return Err(miette!("--sums needs values, and --engine timing computes none; use --engine fast"));
    }
    let outcome = gemm::run_with_sums(&design, &task, engine, common.kernel()?, args.sums).map_err(refuse)?;
    if let (Some(path), Some(d)) = (&args.out, &outcome.d) {
        write_npy(path, d).map_err(refuse)?;
    }
    let account = energy::account(&design, &outcome.record).map_err(refuse)?;
    if args.json {
        let mut object = json!({
            "design": design.name,
            "shape": [task.m, task.n, task.k],
            "engine": engine.name(),
            "cycles": report::cycles_json(&outcome.record.cycles),
            "events": report::counters_json(outcome.record.events.iter()),
        });
        if let Some(activity) = &outcome.record.activity {
            object["activity"] = report::counters_json(activity.iter());
        }
        if let Some(digest) = outcome.digest() {
            object["digest"] = json!(digest);
            object["output_format"] = json!(design.output_format(&design.mac).to_string());
            object["kernels"] = json!(outcome.kernels);
        }
        if args.sums > 0 {
            object["partial_sums"] = json!(outcome.sums());
        }
        object["energy_pj"] = account.energy_json();
        object["energy_table"] = account.table_json();
        account.add_toggles(&mut object);
        object["tflops"] = account.tflops.json();
        object["assumptions"] = json!(account.assumptions);
        object["seconds"] = json!(outcome.seconds);
        print_json(&object)?;
    } else {
        out!("{}", report::gemm_text(&design, &task, engine, &outcome, &account));
    }
    Ok(ExitCode::SUCCESS)
}
