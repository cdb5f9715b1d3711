//! `systole bench`: what it measures, what it says of other programs, what it keeps.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn systole(args: &[&str], python: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_systole"));
    command.args(["bench", "--quick", "--size", "64"]).args(args).env_remove("SYSTOLE_KERNEL");
    if let Some(directory) = python {
        let others = std::env::var("PATH").expect("a path");
        command.env("PATH", format!("{}:{others}", directory.display()));
    }
    command.output().expect("systole runs")
}

fn text(args: &[&str], python: Option<&Path>) -> String {
    let output = systole(args, python);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn a_case_is_measured_beside_both_yardsticks() {
    let report: Value = serde_json::from_str(&text(&["--only", "e6m9 rtz", "--no-peers", "--json"], None)).expect("one JSON object");
    let rows = report["arithmetic"].as_array().expect("rows");
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["case"], &rows[0]["size"]), (&"e6m9 rtz".into(), &64.into()));
    assert!(rows[0]["reason"].as_str().expect("a reason").contains("fma32"));
    for field in ["of_native", "of_softfloat"] {
        assert!(rows[0][field].as_f64().expect("a ratio") > 0.0, "{field}");
    }
    for speed in [&rows[0]["macs_per_second"], &report["native"], &report["softfloat"]] {
        let [low, median, high] = ["lowest", "median", "highest"].map(|field| speed[field].as_f64().expect("a speed"));
        assert!(0.0 < low && low <= median && median <= high && speed["rounds"].as_u64() >= Some(3), "{speed}");
    }
    assert_eq!((&report["threads"], &report["peers"]["not_measured"]), (&1.into(), &"not asked for".into()));
    assert!(report["conversions"].as_array().expect("rows").is_empty());

    let forced = text(&["--only", "e6m9 rtz", "--no-peers", "--kernel", "scalar", "--threads", "2"], None);
    assert!(forced.contains("2 threads, kernels scalar"), "{forced}");
    assert!(forced.lines().any(|line| line.trim_start().starts_with("e6m9 rtz  ") && line.contains("scalar")), "{forced}");
}

#[test]
fn settings_are_refused() {
    let output = systole(&["--set", "mac.accumulator=fp16"], None);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("bench takes no --set"));
}

#[test]
fn records_are_kept_by_date_and_processor() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = directory.path().join("records").display().to_string();
    for _ in 0..2 {
        text(&["--only", "timing", "--no-peers", "--record", &at], None);
    }
    let mut names: Vec<String> =
        std::fs::read_dir(&at).expect("a directory").map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!((names.len(), names[1].as_str()), (2, "index.md"));
    let read = |name: &str| std::fs::read_to_string(Path::new(&at).join(name)).expect("a page");
    assert_eq!(read("index.md").matches(&format!("{{{{#include {}}}}}", names[0])).count(), 1);
    let page = read(&names[0]);
    assert!(page.contains("$ systole bench --quick --size 64 --only timing --no-peers --record ") && page.contains("ResNet-18"), "{page}");
}

/// A `python3` that answers for each program what a test wants.
#[cfg(unix)]
#[test]
fn answers_of_other_programs_are_compared() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("temporary directory");
    let python = directory.path().join("python3");
    let script = r#"#!/bin/sh
case "$3" in
    apytypes) cat > /dev/null; echo '{"version": "0.1", "side": 2, "seconds": 1.5, "codes": "00001111ffff0000"}' ;;
    verifloat) exit 1 ;;
    mptorch) echo '{"why": "no torch here"}' ;;
    scalesim) cat > /dev/null; echo '{"version": "0.2", "side": 64, "seconds": 2.5, "cycles": 7}' ;;
esac
"#;
    std::fs::write(&python, script).expect("a script");
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).expect("a script");
    let report = |only: &str| text(&["--only", only], Some(directory.path()));
    let line = |only: &str, wanted: &str| {
        let report = report(only);
        assert!(report.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").contains(wanted)), "{wanted} in\n{report}");
    };
    line("apytypes", "apytypes 0.1 2 x 2 x 2, e4m3fn into e6m9 1.50 s");
    line("apytypes", "4 of 4 codes differ");
    line("verifloat", "verifloat: not measured: python3 stopped without an answer");
    line("mptorch", "mptorch: not measured: no torch here");
    // 2 x 2 folds of 2 x 32 + 32 + 64 - 2 cycles, less one, by SCALE-Sim's closed form.
    line("scalesim", "7 cycles, ours 631");
}
