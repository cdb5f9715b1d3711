//! `systole train --evidence` and `systole evidence`.

#[path = "common/command.rs"]
mod command;

use command::{success, systole};
use serde_json::Value;
use std::path::Path;

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("evidence");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A run of 8 steps an epoch.
fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--limit", "256", "--set", "optimizer.schedule=constant"], more].concat()
}

#[test]
fn lines_tables_and_histories() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let out = directory.path().join("run").display().to_string();
    let watched: Value =
        serde_json::from_str(&success(&with(&["--epochs", "2", "--evidence", "3", "--out", &out, "--json"]))).expect("one object");
    let alone: Value = serde_json::from_str(&success(&with(&["--epochs", "2", "--json"]))).expect("one object");
    assert!(alone["evidence"].is_null());
    for field in ["digest", "cycles", "events", "activity", "energy_pj", "epochs"] {
        assert_eq!(watched[field], alone[field], "{field}");
    }
    let file = Path::new(&out).join("evidence.jsonl");
    let seen = lines(&file);
    assert_eq!(seen.iter().map(|line| line["step"].as_u64()).collect::<Vec<_>>(), [3, 6, 9, 12, 15].map(Some));
    assert_eq!(watched["evidence"]["steps"], 5);
    for line in &seen {
        assert_eq!((line["run"]["recipe"].as_str(), line["run"]["seed"].as_u64()), (Some("fp8"), Some(0)));
        let cost = &line["cost"];
        // Every step is the same work, so its cycles are a share of the run's.
        assert_eq!(cost["cycles"].as_u64().map(|cycles| 16 * cycles), watched["cycles"]["total"].as_u64());
        assert_eq!(cost["macs_spent"].as_u64().map(|macs| 16 * macs), watched["events"]["macs_spent"].as_u64());
        let sums = line["sums"].as_array().expect("sums");
        let of_sums: Vec<(&str, &str, &str)> =
            sums.iter().map(|sums| ["layer", "pass", "place"].map(|key| sums[key].as_str().expect("a name")).into()).collect();
        let products =
            [("linear1", "forward"), ("linear2", "forward"), ("linear2", "error"), ("linear2", "gradient"), ("linear1", "gradient")];
        let expected: Vec<_> =
            products.iter().flat_map(|&(layer, pass)| ["accumulator", "outer"].map(|place| (layer, pass, place))).collect();
        assert_eq!(of_sums, expected);
        assert!(sums.iter().all(|sums| sums["outputs"] == 64 && sums["additions"].as_u64() > sums["swamped"].as_u64()), "{sums:?}");
        let of_modes: u64 = cost["modes"].as_array().expect("modes").iter().map(|mode| mode["macs"].as_u64().expect("a count")).sum();
        assert_eq!(Some(of_modes), cost["macs_spent"].as_u64());
        let total = watched["energy_pj"]["total"].as_f64().expect("energy");
        assert!((cost["energy_pj"].as_f64().expect("energy") * 16.0 / total - 1.0).abs() < 1e-9);
    }

    let svg = directory.path().join("history.svg").display().to_string();
    let text = success(&["evidence", &out, "--svg", &svg]);
    for needle in ["recipe fp8", "weights", "activations", "errors", "weight gradients", "cosine", "flips", "of the MACs", "swamped"] {
        assert!(text.contains(needle), "wanted `{needle}`: {text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    assert!(std::fs::read_to_string(&svg).expect("a drawing").contains("</svg>"));
    let summary: Value = serde_json::from_str(&success(&["evidence", &file.display().to_string(), "--json"])).expect("one object");
    assert_eq!(summary["evidence"], watched["evidence"]);

    let table = success(&with(&["--epochs", "1", "--evidence", "4"]));
    assert!(table.contains("evidence: 2 steps, 4 to 8") && table.contains("weight gradients: cosine"), "{table}");
    assert!(success(&with(&["--epochs", "1", "--evidence", "9"])).contains("none was observed"));
}

/// A run in two parts has the lines of a run in one, but for flips across the gap.
#[test]
fn resumed_runs_append() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let [whole, parts] = ["whole", "parts"].map(|name| directory.path().join(name).display().to_string());
    let run = |more: &[&str]| success(&[&with(&["--evidence", "3"])[..], more].concat());
    let evidence = |out: &str| Path::new(out).join("evidence.jsonl");
    run(&["--epochs", "3", "--out", &whole]);
    run(&["--epochs", "1", "--out", &parts]);
    // A killed run had gone on, and was cut in the middle of a line.
    let mut killed = std::fs::read_to_string(evidence(&parts)).expect("evidence");
    let beyond = killed.lines().last().expect("a line").replace("\"step\":6", "\"step\":9");
    killed += &format!("{beyond}\n{}", &beyond[..100]);
    std::fs::write(evidence(&parts), killed).expect("evidence");
    run(&["--epochs", "3", "--out", &parts, "--resume"]);
    let without_flips = |mut line: Value| {
        for tensor in line["tensors"].as_array_mut().expect("tensors") {
            let fields = tensor.as_object_mut().expect("fields");
            fields.remove("flips");
            fields.remove("reversals");
        }
        line
    };
    let [whole, parts] = [whole, parts].map(|out| lines(&evidence(&out)));
    assert_eq!(whole.len(), 8);
    let clean = |lines: &[Value]| lines.iter().cloned().map(without_flips).collect::<Vec<_>>();
    assert_eq!(clean(&whole), clean(&parts));
    // 8 steps before the gap; the third observed step behind it has both steps before it.
    assert_eq!(whole[4..], parts[4..]);
}

#[test]
fn refusals_name_the_mend() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let good = at("good");
    success(&with(&["--epochs", "1", "--evidence", "4", "--out", &good]));
    let text = std::fs::read_to_string(Path::new(&good).join("evidence.jsonl")).expect("evidence");
    let write = |name: &str, text: &str| {
        std::fs::write(at(name), text).expect("a file");
        at(name)
    };
    let damaged = write("damaged.jsonl", &format!("{text}{{\"step\":1}}\n"));
    let mixed = write("mixed.jsonl", &format!("{text}{}", text.replace("\"seed\":0", "\"seed\":1")));
    let empty = write("empty.jsonl", "");
    let binary = directory.path().join("binary.jsonl");
    std::fs::write(&binary, [0xff, 0xfe, b'\n']).expect("a file");
    let binary = binary.display().to_string();
    for (args, needles) in [
        (vec!["evidence", &damaged], vec!["damaged.jsonl", "line 3", "remove the line"]),
        (vec!["evidence", &mixed], vec!["mixed.jsonl", "line 3", "another run", "seed 1"]),
        (vec!["evidence", &empty], vec!["no observed step", "--evidence"]),
        (vec!["evidence", &binary], vec!["binary.jsonl"]),
        (vec!["evidence", "absent.jsonl"], vec!["absent.jsonl"]),
        (vec!["evidence", &good, "--svg", "/nowhere/x.svg"], vec!["/nowhere/x.svg"]),
        (vec!["train", "--evidence", "0"], vec!["--evidence"]),
        (vec!["train", "--evidence", "1", "--seeds", "2"], vec!["leave out --seeds"]),
        (vec!["train", "--recipe", "fp32-host", "--evidence", "1"], vec!["--evidence"]),
    ] {
        let output = systole(&args);
        let text = String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        for needle in needles {
            assert!(text.contains(needle), "{args:?}, wanted `{needle}`: {text}");
        }
    }
}
