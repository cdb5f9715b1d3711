//! Other programs at the same product, where a `python3` on the path has them.

use super::Options;
use super::turns::{Pace, by_turns, median};
use crate::machine::Engine;
use crate::run::gemm::{self, Task};
use serde::Deserialize;
use serde_json::json;
use std::hint::black_box;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use systole_arrays::bench::{Case, cases};
use systole_arrays::fast;
use systole_arrays::problem::{Operands, Shape};
use systole_isa::codes::Codes;
use systole_isa::design::find;
use systole_isa::format::Format;

/// Times one of them.
const SCRIPT: &str = include_str!("peers.py");

/// After this a program is stopped.
const PATIENCE: Duration = Duration::from_secs(300);

/// Extent of the array whose cycles are compared.
const ARRAY: u32 = 32;

/// Programs, as the script and the package index call them.
const NAMES: [&str; 4] = ["apytypes", "verifloat", "mptorch", "scalesim"];

/// Another program.
#[derive(Debug)]
pub struct Peer {
    /// Its name.
    pub name: &'static str,
    /// What it took, or why that is not known.
    pub outcome: Result<Measured, String>,
}

/// What another program took.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Its version.
    pub version: String,
    /// Extent of the product in every direction.
    pub side: u32,
    /// Processor seconds it took.
    pub seconds: f64,
    /// Seconds systole took for the same.
    pub ours: f64,
    /// Whether both answered the same.
    pub agreement: Agreement,
}

/// How two answers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Results.
    Codes {
        /// How many differ.
        differing: usize,
        /// Of how many.
        of: usize,
    },
    /// Cycles.
    Cycles {
        /// The other's.
        theirs: u64,
        /// Ours.
        ours: u64,
    },
}

/// What the script prints.
#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Product { version: String, side: u32, seconds: f64, codes: String },
    Timing { version: String, side: u32, seconds: f64, cycles: u64 },
    Refusal { why: String },
}

/// Asks every program for the same work.
pub fn measure(options: &Options, progress: &impl Fn(&str)) -> Result<Vec<Peer>, String> {
    if !NAMES.iter().any(|name| options.wants(name)) {
        return Ok(Vec::new());
    }
    let case = cases().into_iter().find(|case| case.name == "e6m9").ok_or("no such case")?;
    Command::new("python3")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|e| format!("python3 cannot be run: {e}"))?;
    let (side, cycles_side) = if options.quick { (128, 128) } else { (512, 512) };
    let problem = case.problem(Shape { m: side, n: side, k: side });
    let hex = |codes: &Codes| codes.to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let operands = problem.operands();
    let seconds = if options.quick { 0.1 } else { 1.0 };
    let task = json!({
        "side": side, "a": hex(operands.a), "b": hex(operands.b), "seconds": seconds, "cycles_side": cycles_side, "array": ARRAY,
    })
    .to_string();
    let peers = NAMES.into_iter().filter(|name| options.wants(name)).map(|name| {
        progress(name);
        let outcome = ask(name, &task).and_then(|answer| match answer {
            Answer::Product { version, side: n, seconds, codes } => {
                product(options, &case, side, n, &codes).map(|(ours, agreement)| Measured { version, side: n, seconds, ours, agreement })
            }
            Answer::Timing { version, side, seconds, cycles } => {
                timing(options, side, cycles).map(|(ours, agreement)| Measured { version, side, seconds, ours, agreement })
            }
            Answer::Refusal { why } => Err(why),
        });
        Peer { name, outcome }
    });
    Ok(peers.collect())
}

/// Runs the script for one program.
fn ask(name: &str, task: &str) -> Result<Answer, String> {
    let mut child = Command::new("python3")
        .args(["-c", SCRIPT, name])
        .env("OMP_NUM_THREADS", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let task = task.to_owned();
    // Both pipes are shorter than what goes through them. A script that stops early shuts them.
    std::thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(task.as_bytes())));
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.map(|mut stdout| stdout.read_to_string(&mut text));
        text
    });
    let start = Instant::now();
    while child.try_wait().map_err(|e| e.to_string())?.is_none() {
        if start.elapsed() > PATIENCE {
            child.kill().and_then(|()| child.wait()).map_err(|e| e.to_string())?;
            return Err(format!("stopped after {} seconds", PATIENCE.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let said = said.join().map_err(|_| "its answer could not be read")?;
    serde_json::from_str(&said).map_err(|_| "python3 stopped without an answer".to_owned())
}

/// The upper left `side` x `side` of an `of` x `of` matrix.
fn corner(codes: &Codes, format: Format, of: u32, side: u32) -> Codes {
    let (of, side) = (of as usize, side as usize);
    Codes::from_fn(format, side * side, |i| codes.get(i / side * of + i % side))
}

/// Our seconds for the corner of the product of extent `of`, and how the results compare.
fn product(options: &Options, case: &Case, of: u32, side: u32, codes: &str) -> Result<(f64, Agreement), String> {
    if !(1..=of).contains(&side) || codes.len() != 4 * (side * side) as usize || !codes.is_ascii() {
        return Err("its answer is no matrix of that extent".to_owned());
    }
    let whole = case.problem(Shape { m: of, n: of, k: of });
    let mode = &whole.setup.mode;
    let [a, b] = [(whole.operands().a, mode.a), (whole.operands().b, mode.b)].map(|(codes, format)| corner(codes, format, of, side));
    let shape = Shape { m: side, n: side, k: side };
    let operands = Operands::new(&a, &b, None);
    let run = || fast::gemm(&whole.setup, shape, &operands, options.kernel);
    let (values, _) = run();
    let theirs = (0..codes.len()).step_by(4).map(|i| u64::from_str_radix(&codes[i..i + 4], 16).ok());
    let differing = values.d.iter().zip(theirs).filter(|(ours, theirs)| *theirs != Some(*ours)).count();
    let agreement = Agreement::Codes { differing, of: values.d.len() };
    Ok((
        seconds(options.pace(), &mut || {
            black_box(run());
        })?,
        agreement,
    ))
}

/// Our seconds for a product by shape alone, and how the cycles compare.
fn timing(options: &Options, side: u32, theirs: u64) -> Result<(f64, Agreement), String> {
    let array = ARRAY.to_string();
    let settings = [("array.rows", array.as_str()), ("array.cols", &array), ("array.dataflow", "ws"), ("array.convention", "scalesim")];
    let settings = settings.map(|(path, value)| (path.to_owned(), value.to_owned()));
    let design = find("fp8-16x16").ok_or("no such design")?.with_overrides(&settings).map_err(|e| e.to_string())?;
    let run = || gemm::run(&design, &Task::shape(&design, side, side, side), Engine::Timing, options.kernel);
    let ours = run().map_err(|e| e.to_string())?.record.cycles.compute;
    let seconds = seconds(options.pace(), &mut || {
        let _ = black_box(run());
    })?;
    Ok((seconds, Agreement::Cycles { theirs, ours }))
}

fn seconds(pace: Pace, task: &mut dyn FnMut()) -> Result<f64, String> {
    let [seconds] = by_turns(pace, [task]);
    median(seconds).ok_or_else(|| "no rounds".to_owned())
}
