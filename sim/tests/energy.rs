//! Tables, options and labels of energy, as the command shows them.

#[path = "common/command.rs"]
mod command;

use command::systole;
use serde_json::Value;
use std::path::Path;

fn text(args: &[&str]) -> String {
    let output = systole(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&text(&[args, &["--json"]].concat())).expect("JSON")
}

/// Standard error of a refusal, without the breaks of its lines.
fn refusal(args: &[&str]) -> String {
    let output = systole(args);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    assert!(output.stdout.is_empty() && !message.contains("panicked"), "{args:?}: {message}");
    message.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}

const HOROWITZ: &str = include_str!("../tables/horowitz-45nm.ron");

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("temporary file");
    path.display().to_string()
}

#[test]
fn tables_by_name_and_by_file() {
    let root = tempfile::tempdir().expect("temporary directory");
    let own = HOROWITZ.replace("\"horowitz-45nm\"", "\"own\"").replace("value: 0.012,", "value: 0.024,");
    let file = write(root.path(), "own.ron", &own);
    let setting = format!("energy.table={file}");
    let (old, new) = (json(&["cost"]), json(&["cost", "--set", &setting]));
    assert_eq!((&old["table"], &new["table"]), (&"horowitz-45nm".into(), &"own".into()));
    assert_ne!(old["table_sha256"], new["table_sha256"]);
    for (part, pj) in old["energy_pj"].as_object().expect("parts").iter().filter(|(part, _)| *part != "total") {
        let factor = if part == "leakage" { 2.0 } else { 1.0 };
        let (pj, own) = (pj.as_f64().unwrap(), new["energy_pj"][part].as_f64().unwrap());
        assert!((own - factor * pj).abs() < 1e-12, "{part}: {own} {pj}");
    }
    let table = json(&["cost", "--table", &file]);
    assert_eq!((&table["name"], &table["sha256"]), (&"own".into(), &new["table_sha256"]));
    // The same values in another layout are the same table; a path in a design file begins there.
    let design = include_str!("../../isa/designs/fp8-16x16.ron").trim_end();
    let design = format!("{},\n    energy: (table: \"own.ron\"),\n)\n", design.trim_end_matches(')').trim_end().trim_end_matches(','));
    write(root.path(), "own.ron", &format!("// Another layout.\n{}", own.replace("\n    ", "\n  ")));
    let design = write(root.path(), "design.ron", &design);
    assert_eq!(json(&["cost", "--design", &design])["table_sha256"], new["table_sha256"]);
    let run = json(&["gemm", "--shape", "8,8,8", "--design", &design]);
    assert_eq!(run["energy_table"]["sha256"], new["table_sha256"]);

    let seven = json(&["cost", "--set", "energy.table=jouppi-7nm"]);
    assert!(seven["energy_pj"]["total"].as_f64() < old["energy_pj"]["total"].as_f64());
    let table = json(&["cost", "--table", "jouppi-7nm"]);
    assert_eq!(table["checks"].as_array().expect("bf16").len(), 2);
}

#[test]
fn table_files_are_refused_with_their_mend() {
    let root = tempfile::tempdir().expect("temporary directory");
    let own = HOROWITZ.replace("\"horowitz-45nm\"", "\"own\"");
    let cases: [(&str, String, &[&str]); 8] = [
        ("typo.ron", own.replace("mux_area", "mux_aera"), &["typo.ron:", "mux_aera"]),
        ("zero.ron", own.replace("value: 0.0014,", "value: 0,"), &["zero.ron", "mux_energy.value: must be positive", "is 0"]),
        ("order.ron", own.replace("width: 16,", "width: 40,"), &["integer_adders[2]", "ascending width"]),
        ("source.ron", own.replace("\"engineering choice\"", "\"\""), &["leakage_doubling.source", "must say where"]),
        ("few.ron", own.replacen("integer_adders: [", "integer_adders: [], unused: [", 1), &["unused"]),
        ("same.ron", HOROWITZ.replace("value: 1.9,", "value: 2.9,"), &["built-in table", "a name of its own"]),
        ("less.ron", own.replace("value: 1.1,", "value: 0.1,"), &["float_multipliers: energy", "must be positive and grow"]),
        ("none.ron", own.replace("\"own\"", "\"\""), &["name: must not be empty"]),
    ];
    for (name, content, needles) in cases {
        let file = write(root.path(), name, &content);
        for args in [vec!["cost", "--table", &file], vec!["cost", "--set", &format!("energy.table={file}")]] {
            let message = refusal(&args);
            for needle in needles {
                assert!(message.replace(' ', "").contains(&needle.replace(' ', "")), "{name}: wanted `{needle}` in {message}");
            }
        }
    }
    assert!(refusal(&["cost", "--table", "absent.ron"]).contains("cannot be read"));
    assert!(refusal(&["train", "--set", "energy.table=absent.ron"]).contains("absent.ron"));
    assert!(refusal(&["cost", "--set", "energy.table=jouppi"]).contains("jouppi-7nm"));
}

/// Both engines count the same zeros; without values gating has nothing to follow.
#[test]
fn gating_follows_values() {
    let on = ["--set", "energy.gating=zero_operand"];
    let shape = ["gemm", "--shape", "24,20,40", "--data", "codes"];
    let with = json(&[&shape[..], &on].concat());
    let without = json(&[&shape[..], &["--set", "energy.gating=none"]].concat());
    assert!(with["activity"]["zero_operand_macs"].as_u64() > Some(0));
    assert_eq!((&with["activity"], &with["digest"], &with["events"]), (&without["activity"], &without["digest"], &without["events"]));
    assert!(with["energy_pj"]["multipliers"].as_f64() < without["energy_pj"]["multipliers"].as_f64());
    assert!(without["energy_pj"].get("zero_detectors").is_none(), "absent, not 0");
    let ticked = json(&[&shape[..], &on, &["--engine", "ticked"]].concat());
    assert_eq!(with["energy_pj"], ticked["energy_pj"]);
    for args in [vec!["gemm", "--shape", "8,8,8", "--engine", "timing"], vec!["workload", "mlp"]] {
        let message = refusal(&[&args[..], &on].concat());
        assert!(message.contains("energy.gating") && message.contains("timing"), "{message}");
    }
    assert!(refusal(&["cost", "--set", "energy.gating=zeros"]).contains("zero_operand"));
    let cost = json(&["cost", "--set", "energy.gating=zero_operand"]);
    assert!(cost["gated_mac_energy_pj"]["total"].as_f64() < cost["energy_pj"]["total"].as_f64());
}

#[test]
fn scaling_is_labelled_wherever_it_is_printed() {
    let on = ["--set", "energy.node_nm=16"];
    let label = "optimistic, device-only";
    for args in [vec!["cost"], vec!["gemm", "--shape", "8,8,8"], vec!["workload", "mlp"], vec!["figure", "formats"]] {
        let args = [&args[..], &on].concat();
        let flat = text(&args).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(label), "{args:?}: {flat}");
        assert!(json(&args).to_string().contains(label), "{args:?}");
    }
    let (plain, scaled) = (json(&["cost"]), json(&[&["cost"][..], &on].concat()));
    let total = |cost: &Value, group: &str, part: &str| cost[group][part].as_f64().unwrap();
    let factor = scaled["scaling"]["energy"].as_f64().unwrap();
    assert!((total(&scaled, "energy_pj", "multipliers") / total(&plain, "energy_pj", "multipliers") / factor - 1.0).abs() < 1e-9);
    assert!((total(&scaled, "area_um2", "total") / total(&plain, "area_um2", "total") - 0.19).abs() < 1e-9);
    assert_eq!((plain.get("scaling"), &plain["table_sha256"]), (None, &scaled["table_sha256"]));
    assert!(text(&["cost", "--set", "energy.node_nm=7"]).contains("jouppi-7nm"));
    for (setting, needle) in
        [("energy.node_nm=22", "45, 32, 20, 16"), ("energy.voltage_v=0.5", "0.6 to 1.1 V"), ("energy.table=jouppi-7nm", "")]
    {
        let args = ["cost", "--set", setting];
        if needle.is_empty() {
            assert!(refusal(&[&args[..], &on].concat()).contains("cannot be scaled"));
        } else {
            assert!(refusal(&args).contains(needle), "{setting}");
        }
    }
}

/// The engines count the same toggles, under every dataflow, and change nothing else by it.
#[test]
fn toggles_are_counted_alike_and_reported_beside_the_table() {
    for dataflow in ["os", "ws", "is"] {
        let dataflow = format!("array.dataflow={dataflow}");
        let shape = ["gemm", "--shape", "40,24,50", "--set", &dataflow];
        let on = ["--set", "energy.activity=toggles"];
        let (plain, fast) = (json(&shape), json(&[&shape[..], &on].concat()));
        let ticked = json(&[&shape[..], &on, &["--engine", "ticked"]].concat());
        for field in ["energy_pj", "events", "activity", "cycles", "digest", "tflops"] {
            assert_eq!(plain[field], fast[field], "{field}");
        }
        assert!(plain.get("toggles").is_none() && plain.get("energy_by_toggles_pj").is_none(), "absent, not 0");
        assert_eq!((&fast["toggles"], &fast["energy_by_toggles_pj"]), (&ticked["toggles"], &ticked["energy_by_toggles_pj"]));
        assert!(fast["toggles"]["partial_product_toggles"].as_u64() > Some(0));
        assert_ne!(fast["energy_by_toggles_pj"]["total"], fast["energy_pj"]["total"]);
        assert!(text(&[&shape[..], &on].concat()).contains("by toggles"));
    }
    let on = ["--set", "energy.activity=toggles"];
    for args in [vec!["gemm", "--shape", "8,8,8", "--engine", "timing"], vec!["workload", "mlp"]] {
        let message = refusal(&[&args[..], &on].concat());
        assert!(message.contains("energy.activity") && message.contains("timing"), "{message}");
    }
    assert!(refusal(&[&["cost", "--set", "energy.gating=zero_operand"][..], &on].concat()).contains("not gated"));
}

/// Stages of a MAC cost time and registers, and change no bit; the engines agree on all of it.
#[test]
fn pipelined_macs_change_costs_and_no_bits() {
    let run = |dataflow: &str, settings: &[&str], engine: &str| {
        let dataflow = format!("array.dataflow={dataflow}");
        let settings: Vec<&str> = settings.iter().chain([&dataflow.as_str()]).flat_map(|setting| ["--set", setting]).collect();
        json(&[&["gemm", "--shape", "40,24,50", "--engine", engine], &settings[..]].concat())
    };
    let compute = |report: &Value| report["cycles"]["compute"].as_u64().expect("a count");
    for dataflow in ["os", "ws", "is"] {
        let one = run(dataflow, &[], "fast");
        for settings in [&["array.mac_stages=4"][..], &["array.mac_stages=5", "array.loop_stages=2"]] {
            let (fast, ticked) = (run(dataflow, settings, "fast"), run(dataflow, settings, "ticked"));
            for field in ["digest", "activity"] {
                assert_eq!(fast[field], one[field], "{dataflow} {field}");
            }
            for field in ["digest", "activity", "cycles", "events", "energy_pj", "tflops"] {
                assert_eq!(fast[field], ticked[field], "{dataflow} {field}");
            }
            assert!(compute(&fast) > compute(&one));
            assert!(fast["energy_pj"]["registers"].as_f64() > one["energy_pj"]["registers"].as_f64());
            assert!(fast["tflops"]["per_mm2"].as_f64() < one["tflops"]["per_mm2"].as_f64(), "registers have an area");
        }
        let peak = |report: &Value| report["tflops"]["peak"].as_f64().expect("a number");
        let staged = run(dataflow, &["array.mac_stages=4"], "timing");
        assert_eq!(peak(&one) / peak(&staged), if dataflow == "os" { 4.0 } else { 1.0 });
    }
    // Two folds of one array: the first one and a period of K L, of K, of one product a cycle.
    let os = |settings: &[&str]| compute(&json(&[&["gemm", "--shape", "32,16,100", "--engine", "timing"], settings].concat()));
    assert_eq!(os(&[]), 100 + 16 + 32 + 100);
    assert_eq!(os(&["--set", "array.mac_stages=4"]), 99 * 4 + 4 + 16 + 32 + 400);
    assert_eq!(os(&["--set", "array.mac_stages=4", "--set", "array.loop_stages=1"]), 99 + 4 + 16 + 32 + 100);
    for (settings, needle) in [
        (["array.mac_stages=0", "array.dataflow=os"], "array.mac_stages"),
        (["array.mac_stages=2", "array.loop_stages=3"], "array.loop_stages"),
        (["array.mac_stages=2", "array.convention=scalesim"], "one stage"),
    ] {
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let message = refusal(&[&["gemm", "--shape", "8,8,8"], &settings[..]].concat());
        assert!(message.contains(needle), "{message}");
    }
}

/// Options at their defaults are not written: results kept from earlier go on being found.
#[test]
fn defaults_say_nothing() {
    let design = systole_isa::design::find("fp8-16x16").expect("built in");
    let written = systole::run::results::identity(&design);
    assert!(written.contains(r#""energy":{"table":"horowitz-45nm","calibration":"table","temperature_c":25.0}"#), "{written}");
    let set = |path: &str, value: &str| design.with_overrides(&[(path.to_owned(), value.to_owned())]).expect("a setting");
    for (path, value) in [
        ("energy.gating", "none"),
        ("energy.activity", "table"),
        ("energy.node_nm", "none"),
        ("energy.voltage_v", "none"),
        ("array.mac_stages", "1"),
    ] {
        assert_eq!(systole::run::results::identity(&set(path, value)), written, "{path}");
    }
    for (path, value) in [("energy.gating", "zero_operand"), ("energy.activity", "toggles"), ("energy.node_nm", "16")] {
        assert_ne!(systole::run::results::identity(&set(path, value)), written, "{path}");
    }
}
