//! Commit logs: a frozen example, and the same lines from engines with values.

#[path = "common/command.rs"]
mod command;
mod common;

use command::systole;
use systole::machine::{Engine, Machine};
use systole::trace::log::CommitLog;
use systole_arrays::fast::KernelChoice;
use systole_isa::design::Design;
use systole_isa::device::Record;
use systole_isa::program::Program;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/logs/example.s");
const FROZEN: &str = include_str!("logs/example.log");

fn log(design: &Design, program: &Program, engine: Engine) -> (Vec<String>, Record) {
    let mut machine = Machine::new(design.clone(), engine, KernelChoice::Auto).expect("a machine");
    machine.place(program).expect("data");
    let mut bytes = Vec::new();
    let mut log = CommitLog::new(&mut bytes, &design.name);
    let record = machine.run_watched(program, 0, &mut log).unwrap_or_else(|e| panic!("{e}"));
    log.finish().expect("in memory");
    (String::from_utf8(bytes).expect("text").lines().map(str::to_owned).collect(), record)
}

#[test]
fn the_example_is_frozen() {
    for engine in ["fast", "ticked"] {
        let output = systole(&["run", EXAMPLE, "--engine", engine, "--log"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), FROZEN, "{engine}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("checked 0, differ 0"));
    }
    let page = include_str!("../../docs/src/traces.md");
    assert!(page.contains(FROZEN), "the page on traces shows another log");
    assert!(FROZEN.starts_with(&format!("systole commit log {}\n", systole::trace::log::VERSION)));
}

#[test]
fn a_file_leaves_standard_output_alone() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let path = directory.path().join("run.log");
    let option = format!("--log={}", path.display());
    let output = systole(&["run", EXAMPLE, &option, "--json"]);
    assert!(output.status.success());
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let last = format!("end {} instructions, {} cycles", object["events"]["instructions"], object["cycles"]["total"]);
    let text = std::fs::read_to_string(&path).expect("a log");
    assert_eq!(text, FROZEN);
    assert_eq!(text.lines().last(), Some(last.as_str()));
    for (args, needle) in [
        (&["run", EXAMPLE, "--json", "--log"][..], "write --log=FILE"),
        (&["run", EXAMPLE, "--log=/nowhere/at/all.log"], "/nowhere/at/all.log"),
    ] {
        let output = systole(args);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(needle) && output.stdout.is_empty(), "{message}");
    }
}

/// What retired before a refusal is in the log, and the log does not end.
#[test]
fn a_refused_program_leaves_what_had_retired() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let (program, path) = (directory.path().join("bad.s"), directory.path().join("bad.log"));
    std::fs::write(&program, "format f0, fp32\ntensor t0, f0, dram, 0, 2, 2\nvadd t0, t0, t1\nhalt\n").expect("a file");
    let output = systole(&["run", &program.display().to_string(), &format!("--log={}", path.display())]);
    assert_eq!(output.status.code(), Some(2));
    let text = std::fs::read_to_string(&path).expect("a log");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[1..], ["0 0 0..1 sequencer | format f0, fp32 | - | -", "1 1 1..2 sequencer | tensor t0, f0, dram, 0x0, 2, 2 | - | -"]);
}

/// Of a line, what does not need values.
fn without_values(line: &str) -> Vec<String> {
    let fields: Vec<&str> = line.split(" | ").collect();
    let [head, text, written, _] = fields[..] else { return vec![line.to_owned()] };
    let shape = written.split(' ').take_while(|word| *word == "strided" || !(word.starts_with("sha256:") || is_code(word)));
    let shape: Vec<&str> = shape.take(5).collect();
    vec![head.to_owned(), text.to_owned(), shape.join(" ")]
}

fn is_code(word: &str) -> bool {
    word.starts_with("0x") && !word.contains("..")
}

#[test]
fn engines_write_the_same_lines_and_watching_changes_no_record() {
    for (name, design, program) in common::programs() {
        let (fast, record) = log(&design, &program, Engine::Fast);
        let (ticked, _) = log(&design, &program, Engine::Ticked);
        assert_eq!(fast, ticked, "{name}");
        for engine in Engine::ALL {
            let mut machine = Machine::new(design.clone(), engine, KernelChoice::Auto).expect("a machine");
            let plain = machine.run_with_data(&program, 0).expect("runs");
            assert_eq!(log(&design, &program, engine).1, plain, "{name} under {}", engine.name());
        }
        assert_eq!(fast.len() as u64, record.events.instructions + 4, "{name}");
        let (timing, _) = log(&design, &program, Engine::Timing);
        assert_eq!(timing.len(), fast.len(), "{name}");
        // Masks decide when things happen, and timing does not know them.
        if !name.starts_with("masked") {
            for (a, b) in fast.iter().zip(&timing) {
                assert_eq!(without_values(a), without_values(b), "{name}");
                assert!(!b.contains("sha256") && (b.starts_with('#') || !b.contains(" | ") || b.ends_with(" | -")), "{b}");
            }
        }
        // Ordinals count up; nothing ends before it starts, or after the program.
        let lines = fast.iter().filter(|line| !line.starts_with('#') && line.contains(" | "));
        for (ordinal, line) in lines.enumerate() {
            let words: Vec<&str> = line.split(' ').collect();
            let (start, end) = words[2].split_once("..").expect("two cycles");
            let (start, end): (u64, u64) = (start.parse().expect("a cycle"), end.parse().expect("a cycle"));
            assert_eq!(words[0], ordinal.to_string(), "{line}");
            assert!(start <= end && end <= record.cycles.total, "{line}");
        }
    }
}

/// One code that differs changes a line.
#[test]
fn a_wrong_code_shows() {
    let text = std::fs::read_to_string(EXAMPLE).expect("the example");
    let design = common::design("fp8-16x16", &[]);
    let (right, _) = log(&design, &common::program("a", &text), Engine::Fast);
    let (wrong, _) = log(&design, &common::program("b", &text.replacen("=6", "=7", 1)), Engine::Fast);
    let differing: Vec<&String> = right.iter().zip(&wrong).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
    // Each product of the operand that holds it.
    assert_eq!(differing.len(), 3, "{differing:?}");
}
