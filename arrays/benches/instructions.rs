//! Instructions a MAC, a PE-cycle, a converted element: a guard against slowdowns that no noise
//! can hide.
//!
//! `cargo bench -p systole-arrays --features bench --bench instructions` runs itself under
//! `valgrind --tool=callgrind` once a line of `instructions.txt` and exits with 1 where a count
//! is more than 3 % from the one committed. `-- --bless` writes the file anew. Valgrind knows
//! AVX2 and no AVX-512, so the kernels are those of `avx2` and `portable`, and the definition.
//! Counts depend on the compiler: the file names the one it was made by.

use std::fmt::Write;
use std::process::{Command, ExitCode};
use systole_arrays::bench::{Case, cases, conversions};
use systole_arrays::fast::{KernelChoice, gemm};
use systole_arrays::problem::Shape;
use systole_isa::design::Dataflow;

/// How far a count may be from the committed one.
const TOLERANCE: f64 = 0.03;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");

/// What runs under valgrind, and the function inside which instructions count.
#[derive(Clone, Copy)]
enum Work {
    Gemm(KernelChoice),
    Ticked(Dataflow),
    Conversion,
}

impl Work {
    const fn function(self) -> &'static str {
        match self {
            Self::Gemm(_) => "systole_arrays::fast::dispatch::gemm*",
            Self::Ticked(_) => "systole_arrays::ticked::gemm*",
            Self::Conversion => "systole_arrays::vector::elementwise::elementwise*",
        }
    }
}

/// Every count: its name, what is run, and the case or conversion by name.
fn counts() -> Vec<(String, Work, String)> {
    let mut all = Vec::new();
    let hot = ["fp32", "fp16 in range", "e6m9", "e6m9 chunks of 64 into fp32", "e6m9 rtz", "e6m9 sr8", "e8m13", "int8 into int32"];
    let rest = ["fp16 overflowing", "kulisch fx96.32 out to fp32", "exact tree of 24 into fp32", "fp32 chunks of 32, scaled", "h100-fp8"];
    for name in hot.into_iter().chain(rest) {
        all.push((format!("avx2 {name}"), Work::Gemm(KernelChoice::Avx2), name.to_owned()));
    }
    for name in ["fp32", "e6m9", "e6m9 rtz", "e8m13"] {
        all.push((format!("portable {name}"), Work::Gemm(KernelChoice::Portable), name.to_owned()));
    }
    for name in ["fp32", "e6m9", "h100-fp8"] {
        all.push((format!("scalar {name}"), Work::Gemm(KernelChoice::Scalar), name.to_owned()));
    }
    for (flow, dataflow) in [("os", Dataflow::Os), ("ws", Dataflow::Ws), ("is", Dataflow::Is)] {
        all.push((format!("ticked {flow} e6m9"), Work::Ticked(dataflow), "e6m9".to_owned()));
    }
    all.extend(conversions().iter().map(|c| (c.name(), Work::Conversion, c.name())));
    all
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).expect("a case of the table")
}

/// Runs one of [`counts`]; how many MACs, PE-cycles or elements it was.
fn run(work: Work, name: &str) -> u64 {
    match work {
        Work::Gemm(choice) => {
            let shape = if choice == KernelChoice::Scalar { Shape { m: 32, n: 32, k: 64 } } else { Shape { m: 144, n: 192, k: 384 } };
            let problem = case(name).problem(shape);
            let (_, used) = gemm(&problem.setup, shape, &problem.operands(), choice);
            eprintln!("{} {}", used.name, used.reason);
            shape.macs()
        }
        Work::Ticked(dataflow) => {
            let mut problem = case(name).problem(Shape { m: 32, n: 32, k: 32 });
            problem.setup.array.dataflow = dataflow;
            let (_, cost) = systole_arrays::ticked::gemm(&problem.setup, problem.shape, &problem.operands()).expect("a small array");
            let array = problem.setup.array;
            cost.compute_cycles * u64::from(array.rows) * u64::from(array.cols)
        }
        Work::Conversion => {
            let conversion = conversions().into_iter().find(|c| c.name() == name).expect("a conversion of the table");
            let codes = conversion.elements(1 << 17);
            conversion.run(&codes).expect("a conversion");
            codes.len() as u64
        }
    }
}

/// Runs one of [`counts`] on a pool of one thread: the function that counts must be entered
/// on the thread that works.
fn run_alone(wanted: &str) -> Result<(), String> {
    let (_, work, name) = counts().into_iter().find(|(name, ..)| name == wanted).ok_or_else(|| format!("no count is called `{wanted}`"))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|e| e.to_string())?;
    println!("{}", pool.install(|| run(work, &name)));
    Ok(())
}

/// Instructions per unit of work, by valgrind.
fn count(name: &str, work: Work) -> Result<f64, String> {
    let this = std::env::current_exe().map_err(|e| e.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no"])
        .arg(format!("--toggle-collect={}", work.function()))
        .arg(this)
        .args(["--one", name])
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let collected = log.lines().find_map(|line| line.split_once("Collected :")).and_then(|(_, n)| n.trim().parse::<u64>().ok());
    match (said.trim().parse::<u64>(), collected) {
        (Ok(units), Some(instructions)) if output.status.success() && instructions > 0 => Ok(instructions as f64 / units as f64),
        _ => Err(format!("{name}: nothing was counted\n{log}")),
    }
}

fn compiler() -> String {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let output = Command::new(rustc).arg("--version").output();
    output.map_or_else(|_| "rustc unknown".to_owned(), |o| String::from_utf8_lossy(&o.stdout).trim().to_owned())
}

/// Counts everything; true if all is as committed, or was written.
fn guard(bless: bool) -> Result<bool, String> {
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    let expected = |name: &str| {
        let line = committed.lines().find_map(|line| line.strip_suffix(name).and_then(|rest| rest.strip_suffix("  ")))?;
        line.trim().parse::<f64>().ok()
    };
    let made_by = committed.lines().find_map(|line| line.strip_prefix("# by ")).unwrap_or("no compiler");
    if made_by != compiler() {
        println!("the figures committed are by {made_by}, this is {}", compiler());
    }
    let mut text = format!("# Instructions per MAC, PE-cycle or element; benches/instructions.rs\n# by {}\n", compiler());
    let mut good = true;
    for (name, work, _) in counts() {
        let now = count(&name, work)?;
        let _ = writeln!(text, "{now:>9.3}  {name}");
        let verdict = match expected(&name) {
            None => {
                good = false;
                "no figure is committed".to_owned()
            }
            Some(then) => {
                let change = now / then - 1.0;
                good &= change.abs() <= TOLERANCE;
                let mark = if change.abs() > TOLERANCE { "  <<<" } else { "" };
                format!("{:+.1} %{mark}", 100.0 * change)
            }
        };
        println!("{now:>9.3}  {name:<34}{verdict}");
    }
    if bless {
        std::fs::write(FILE, text).map_err(|e| format!("{FILE}: {e}"))?;
    } else if !good {
        println!("counts differ by more than {} %; `-- --bless` writes them, if that is meant", 100.0 * TOLERANCE);
    }
    Ok(good || bless)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().position(|arg| arg == "--one") {
        Some(at) => run_alone(args.get(at + 1).map_or("", String::as_str)).map(|()| true),
        None => guard(args.iter().any(|arg| arg == "--bless")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}
