//! `systole asm`, `disasm` and `run`: programs as text, as words, and at work.

use super::{Common, gemm::EngineArg, load_design, output, print_json, refuse};
use crate::machine::{Engine, Machine};
use crate::report;
use crate::text::grouped;
use crate::trace::log::CommitLog;
use clap::Args;
use miette::{Result, miette};
use serde_json::json;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use systole_isa::asm;
use systole_isa::device::DeviceError;
use systole_isa::program::Program;

/// Arguments of `asm`.
#[derive(Args)]
pub struct AsmArgs {
    /// Assembly text.
    file: PathBuf,
    /// Binary program to write.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

/// Arguments of `disasm`.
#[derive(Args)]
pub struct DisasmArgs {
    /// Binary program, or assembly text to normalise.
    file: PathBuf,
}

/// Arguments of `run`.
#[derive(Args)]
pub struct RunArgs {
    /// Program, text or binary. Its `.data` fills DRAM, its `.expect` is checked afterwards.
    file: PathBuf,
    /// Built-in design or RON file.
    #[arg(long, value_name = "DESIGN", default_value = "fp8-16x16")]
    design: String,
    /// Engine: fast, ticked or timing.
    #[arg(long, value_enum, default_value_t = EngineArg::Fast)]
    engine: EngineArg,
    /// Write a line for each instruction as it retires: to FILE, or without one to standard output,
    /// the summary then to standard error.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    log: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads a program, text or binary.
pub fn read(path: &Path) -> Result<Program> {
    let bytes = std::fs::read(path).map_err(|e| miette!("program `{}` cannot be read: {e}", path.display()))?;
    if bytes.starts_with(&asm::MAGIC) {
        return asm::from_bytes(&bytes).map_err(|e| miette!("program `{}`: {e}", path.display()));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| miette!("program `{}` is neither assembly text nor a binary made by `systole asm`", path.display()))?;
    asm::assemble(&path.display().to_string(), &text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        miette!("{}", lines.join("\n"))
    })
}

/// Assembles.
pub fn assemble(args: &AsmArgs) -> Result<ExitCode> {
    let program = read(&args.file)?;
    std::fs::write(&args.out, asm::to_bytes(&program)).map_err(|e| miette!("`{}` cannot be written: {e}", args.out.display()))?;
    tell!("{} instructions in {}", program.instructions.len(), args.out.display());
    Ok(ExitCode::SUCCESS)
}

/// Disassembles.
pub fn disassemble(args: &DisasmArgs) -> Result<ExitCode> {
    out!("{}", asm::disassemble(&read(&args.file)?));
    Ok(ExitCode::SUCCESS)
}

/// Runs a program and checks what it expects.
pub fn run(args: &RunArgs, common: &Common) -> Result<ExitCode> {
    let program = read(&args.file)?;
    let design = load_design(&args.design, &common.settings()?)?;
    let engine = Engine::from(args.engine);
    let mut machine = Machine::new(design.clone(), engine, common.kernel()?).map_err(refuse)?;
    let to_output = args.log.as_deref().is_some_and(|log| log == Path::new("-"));
    if to_output && args.json {
        return Err(miette!(help = "write --log=FILE", "--json prints one object on standard output, and --log would print there too"));
    }
    let refuse_program = |e: DeviceError| miette!("program `{}`: {e}", args.file.display());
    let record = match &args.log {
        None => machine.run_with_data(&program, 0).map_err(refuse_program)?,
        Some(path) => {
            let failure = |e: std::io::Error| miette!("log `{}` cannot be written: {e}", path.display());
            let out: Box<dyn Write> =
                if to_output { Box::new(std::io::stdout().lock()) } else { Box::new(File::create(path).map_err(failure)?) };
            let mut log = CommitLog::new(BufWriter::new(out), &design.name);
            machine.place(&program).map_err(refuse_program)?;
            let ran = machine.run_watched(&program, 0, &mut log);
            // What had retired is in the log, whatever came then.
            let logged = log.finish();
            if to_output {
                output::written(logged)?
            } else {
                logged.map_err(failure)?
            }
            ran.map_err(refuse_program)?
        }
    };
    let differing: Vec<String> = if engine.computes_values() {
        let differences = machine.differences(&program).map_err(refuse)?;
        differences
            .iter()
            .map(|d| {
                let value = |code| d.format.to_f64(code);
                let (want, got) = (d.expected, d.found);
                format!("{:#x}: expected {want:#x} ({}), found {got:#x} ({}) in {}", d.address, value(want), value(got), d.format)
            })
            .collect()
    } else {
        Vec::new()
    };
    let checked: usize = if engine.computes_values() { program.expect.iter().map(|s| s.codes.len()).sum() } else { 0 };
    if args.json {
        let mut object = json!({
            "design": design.name,
            "engine": engine.name(),
            "cycles": report::cycles_json(&record.cycles),
            "events": report::counters_json(record.events.iter()),
            "expected": checked,
            "differ": differing.len(),
        });
        if let Some(activity) = &record.activity {
            object["activity"] = report::counters_json(activity.iter());
        }
        print_json(&object)?;
    } else {
        let cycles = &record.cycles;
        let mut text = format!("{} on {} ({})\n", args.file.display(), design.name, engine.name());
        text += &format!("  instructions {}\n", grouped(record.events.instructions));
        text += &format!(
            "  cycles       {} total, {} compute; stalls: {}\n",
            grouped(cycles.total),
            grouped(cycles.compute),
            report::stalls_text(cycles)
        );
        for line in differing.iter().take(20) {
            text += &format!("  {line}\n");
        }
        text += &format!("  checked {checked}, differ {}", differing.len());
        if to_output {
            tell!("{text}");
        } else {
            outln!("{text}");
        }
    }
    Ok(if differing.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
