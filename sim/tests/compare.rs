//! `systole compare`, and runs that are killed.

#[path = "common/command.rs"]
mod command;

use command::{command, report, systole};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).expect("results").lines().map(str::to_owned).collect()
}

const SMALL: [&str; 6] = ["--epochs", "1", "--limit", "160", "--seeds", "2"];

#[test]
fn recipes_are_compared_with_fp32_and_runs_are_made_once() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let out = directory.path().to_string_lossy().into_owned();
    let args = [&["compare", "fp8", "bf16", "--out", &out][..], &SMALL].concat();
    let first = report(&args);
    let rows = first["recipes"].as_array().expect("recipes");
    assert_eq!(rows.iter().map(|row| row["recipe"].as_str().expect("a name")).collect::<Vec<_>>(), ["fp8", "bf16"]);
    for row in rows {
        assert_eq!(row["by_seed"].as_array().map(Vec::len), Some(2));
        assert!(row["energy_pj_per_step"].as_f64() > Some(0.0) && row["cycles_per_step"].as_f64() > Some(0.0));
    }
    // A run alone gives what it gives here.
    let alone = report(&["train", "--recipe", "bf16", "--epochs", "1", "--limit", "160", "--seed", "1"]);
    assert_eq!(rows[1]["by_seed"][1][1], alone["test_accuracy"]);
    assert_eq!(rows[1]["by_seed"][1][2], alone["reference_test_accuracy"]);
    // Two recipes and two baselines, which both recipes share, on two seeds.
    let results = directory.path().join("runs.jsonl");
    let made = lines(&results);
    assert_eq!(made.len(), 8);
    assert_eq!(report(&args), first);
    assert_eq!(lines(&results), made);
    // What was cut off is made again, and nothing else.
    std::fs::write(&results, format!("{}\n{}", made[..6].join("\n"), &made[6][..20])).expect("a file");
    let cut = systole(&args);
    assert_eq!(cut.status.code(), Some(0), "{}", String::from_utf8_lossy(&cut.stderr));
    let svg = std::fs::read_to_string(directory.path().join("compare.svg")).expect("a plot");
    assert!(svg.contains("bf16") && svg.ends_with("</svg>\n"));
    assert!(lines(&directory.path().join("compare.md")).iter().any(|line| line.starts_with("| bf16 | ")));
}

#[test]
fn refusals_name_the_mend() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let out = directory.path().to_string_lossy().into_owned();
    std::fs::write(directory.path().join("runs.jsonl"), "{}\n").expect("a file");
    for (args, needles) in [
        (vec!["compare"], vec!["RECIPE"]),
        (vec!["compare", "fp9"], vec!["did you mean `fp8`"]),
        (vec!["compare", "fp32-host"], vec!["leave it out"]),
        (vec!["compare", "fp8", "--seeds", "0"], vec!["--seeds"]),
        (vec!["compare", "fp8", "--out", &out], vec!["runs.jsonl", "line 1", "another --out"]),
    ] {
        let output = systole(&args);
        let text = String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        for needle in needles {
            assert!(text.contains(needle), "{args:?}, wanted `{needle}`: {text}");
        }
    }
}

/// SIGKILL between any two instants leaves a checkpoint from which the run ends in the same bits.
#[cfg(unix)]
#[test]
fn killed_runs_go_on_to_the_same_bits() {
    let directory = tempfile::tempdir().expect("temporary directory");
    for recipe in ["fp8-seb", "adam8bit"] {
        let out = directory.path().join(recipe).to_string_lossy().into_owned();
        let run = ["train", "--recipe", recipe, "--epochs", "6", "--limit", "320"];
        let whole = report(&run);
        let kept = [&run[..], &["--out", &out]].concat();
        let mut child = command(&kept).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a run");
        // Somewhere behind the first checkpoint.
        let checkpoint = Path::new(&out).join("checkpoint.json");
        while !checkpoint.exists() && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        child.kill().expect("a signal");
        child.wait().expect("an end");
        let resumed = report(&[&kept[..], &["--resume"]].concat());
        for field in ["digest", "cycles", "events", "activity", "test_accuracy"] {
            assert_eq!(resumed[field], whole[field], "{recipe}: {field}");
        }
    }
}

#[test]
fn trust_regions_are_drawn_beside_gradient_descent_and_runs_are_made_once() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let out = directory.path().to_string_lossy().into_owned();
    let args = ["figure", "trust-region", "--epochs", "2", "--limit", "384", "--seeds", "2", "--out", &out];
    let first = report(&args);
    let runs = first["runs"].as_array().expect("runs");
    let names: Vec<&str> = runs.iter().step_by(2).map(|run| run["recipe"].as_str().expect("a name")).collect();
    assert_eq!(names, ["sgd-fp8", "trust-region", "dynamic-precision-tr", "storm"]);
    for run in runs {
        let bits: Vec<f64> = run["bits"].as_array().expect("bits").iter().filter_map(Value::as_f64).collect();
        let name = run["recipe"].as_str().expect("a name");
        assert_eq!(bits.len(), 2);
        assert!(bits.iter().all(|b| (8.0..=32.0).contains(b)), "{name}: {bits:?}");
        assert!(name != "sgd-fp8" || bits == [8.0, 8.0]);
        assert!(name != "trust-region" || bits == [32.0, 32.0]);
        let tests = run["tests"].as_array().expect("tests").iter().filter_map(Value::as_u64).collect::<Vec<_>>();
        assert!(tests[1] <= tests[0] && (tests[0] > 0) == (name != "sgd-fp8"), "{name}: {tests:?}");
    }
    let results = directory.path().join("runs.jsonl");
    let made = lines(&results);
    assert_eq!(made.len(), 8);
    assert_eq!(report(&args), first);
    assert_eq!(lines(&results), made);
    assert!(std::fs::read_to_string(directory.path().join("trust-region.svg")).expect("a plot").ends_with("</svg>\n"));
    assert!(lines(&directory.path().join("trust-region.md")).iter().any(|line| line.starts_with("| storm | ")));
    let host = systole(&["figure", "trust-region", "fp32-host"]);
    assert_eq!(host.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&host.stderr).contains("trains on the host"));
}
