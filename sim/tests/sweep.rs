//! `systole sweep`, `merge` and `report`: points, shards, kills, tables, pages.

#[path = "common/command.rs"]
mod command;

use command::{command, systole};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

fn succeeds(args: &[&str]) -> String {
    let output = systole(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

fn refused(args: &[&str]) -> String {
    let output = systole(args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    // Messages are wrapped where they are long.
    String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Six points, one of which no hardware has, and two seeds; seconds in all.
const SPEC: &str = r#"(
    name: "small",
    task: train(limit: 160, seeds: 2),
    set: {"epochs": 1, "modes": "[]"},
    axes: [
        grid({"mac.a + mac.b + roles.weights.format + roles.activations.format + roles.errors.format": ["e4m3fn", "e5m2"]}),
        list([
            {"label": "tiny", "array.rows": 4, "array.cols": 4},
            {"label": "wide", "array.rows": 4, "array.cols": 32},
            {"label": "none", "array.rows": 0},
        ]),
    ],
)"#;

struct Bench {
    directory: tempfile::TempDir,
}

impl Bench {
    fn new(spec: &str) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        std::fs::write(directory.path().join("spec.ron"), spec).expect("a file");
        Self { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_string_lossy().into_owned()
    }

    fn text(&self, name: &str) -> String {
        text(&self.directory.path().join(name))
    }

    fn records(&self, name: &str) -> Vec<Value> {
        self.text(name).lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
    }

    fn sweep(&self, out: &str, more: &[&str]) -> String {
        succeeds(&[&["sweep", &self.path("spec.ron"), "--out", &self.path(out)], more].concat())
    }
}

#[test]
fn points_are_run_once_and_tell_what_training_tells() {
    let bench = Bench::new(SPEC);
    let shown = bench.sweep("out", &[]);
    assert!(shown.contains("6 points, 8 of 8 runs, 2 points failed"), "{shown}");
    assert!(shown.contains("e4m3fn none: design") && shown.contains("array.rows"), "{shown}");
    let records = bench.records("out/runs.jsonl");
    assert_eq!(records.len(), 8);
    // A run alone gives what it gives here.
    let settings = ["modes=[]", "mac.a=e5m2", "mac.b=e5m2", "roles.weights.format=e5m2", "roles.activations.format=e5m2"];
    let settings: Vec<&str> = settings.iter().chain(&["roles.errors.format=e5m2", "array.rows=4", "array.cols=32"]).copied().collect();
    let mut args = vec!["train", "--epochs", "1", "--limit", "160", "--seed", "1", "--json"];
    settings.iter().for_each(|setting| args.extend(["--set", setting]));
    let alone: Value = serde_json::from_str(&succeeds(&args)).expect("an object");
    let here = records.iter().find(|r| r["point"] == "e5m2 wide" && r["seed"] == 1).expect("that run");
    for field in ["test_accuracy", "reference_test_accuracy", "cycles", "energy_pj", "events", "digest"] {
        assert_eq!(here["report"][field], alone[field], "{field}");
    }
    // Nothing is made twice, and nothing is overwritten.
    let made = bench.text("out/runs.jsonl");
    assert!(refused(&["sweep", &bench.path("spec.ron"), "--out", &bench.path("out")]).contains("--resume"));
    bench.sweep("out", &["--resume"]);
    assert_eq!(bench.text("out/runs.jsonl"), made);
    // Results do not depend on how many run at once, or on threads.
    bench.sweep("again", &["--jobs", "3", "--threads", "3"]);
    assert_eq!(bench.text("again/table.csv"), bench.text("out/table.csv"));
    assert_eq!(bench.text("again/table.json"), bench.text("out/table.json"));
}

#[test]
fn shards_come_to_the_same_table() {
    let bench = Bench::new(SPEC);
    bench.sweep("whole", &[]);
    for shard in ["1/3", "2/3", "3/3"] {
        bench.sweep("shared", &["--shard", shard]);
        bench.sweep(&format!("apart-{}", &shard[..1]), &["--shard", shard]);
    }
    assert_eq!(bench.records("shared/runs-2-of-3.jsonl").len(), 3);
    let merged = succeeds(&["merge", &bench.path("shared")]);
    assert!(merged.contains("all 8 runs"), "{merged}");
    assert_eq!(bench.text("shared/table.csv"), bench.text("whole/table.csv"));
    let parts = [bench.path("apart-1"), bench.path("apart-3")];
    let partly = succeeds(&["merge", &parts[0], &parts[1], "--out", &bench.path("together")]);
    assert!(partly.contains("5 of 8 runs"), "{partly}");
    // What the merged directory lacks is made there.
    bench.sweep("together", &["--resume"]);
    assert_eq!(bench.text("together/table.csv"), bench.text("whole/table.csv"));
    // Directories of two sweeps do not mix; nor do two results of one run.
    let other = Bench::new(&SPEC.replace("limit: 160", "limit: 128"));
    other.sweep("out", &[]);
    assert!(refused(&["merge", &bench.path("whole"), &other.path("out")]).contains("another sweep"));
    let line = bench.text("whole/runs.jsonl").lines().next().expect("a line").replace("\"test_accuracy\":0.", "\"test_accuracy\":0.9");
    std::fs::write(bench.directory.path().join("shared/runs-1-of-9.jsonl"), line + "\n").expect("a file");
    assert!(refused(&["merge", &bench.path("shared")]).contains("different results of this run"));
}

#[test]
fn a_sweep_killed_fifty_times_ends_as_one_that_was_not() {
    let bench = Bench::new(SPEC);
    bench.sweep("whole", &[]);
    let (spec, out) = (bench.path("spec.ron"), bench.path("killed"));
    let mut delay: u64 = 12_345;
    for _ in 0..50 {
        let mut child = command(&["sweep", &spec, "--out", &out, "--resume"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("systole starts");
        delay = delay.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(delay >> 57));
        child.kill().expect("it can be killed");
        child.wait().expect("it ended");
    }
    bench.sweep("killed", &["--resume"]);
    assert_eq!(bench.text("killed/table.csv"), bench.text("whole/table.csv"));
    let records = bench.records("killed/runs.jsonl");
    let keys: BTreeSet<&str> = records.iter().map(|r| r["key"].as_str().expect("a key")).collect();
    assert_eq!((records.len(), keys.len()), (8, 8));
}

#[test]
fn constraints_choose_points() {
    let points = |constraint: &str| {
        let spec = SPEC.replace("axes:", &format!("constraints: [{constraint:?}],\n axes:"));
        let bench = Bench::new(&spec);
        let output = systole(&["sweep", &bench.path("spec.ron"), "--dry-run"]);
        (String::from_utf8_lossy(&output.stdout).lines().skip(1).map(|line| line.trim().to_owned()).collect::<Vec<_>>(), {
            String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " ")
        })
    };
    assert_eq!(points("array.rows * array.cols > 100").0, ["e4m3fn wide", "e5m2 wide"]);
    assert_eq!(points("mac.a == 'e5m2' && array.rows > 0").0, ["e5m2 tiny", "e5m2 wide"]);
    assert_eq!(points("bits(mac.a) == 8 && significand(mac.b) > 3 && array.rows > 0").0, ["e4m3fn tiny", "e4m3fn wide"]);
    assert_eq!(points("roles.errors.format.startsWith('e5') && array.cols > 16").0, ["e5m2 wide"]);
    for (constraint, message) in [
        ("array.rows >", "constraints[0]"),
        ("array.sides > 1", "sides"),
        ("array.rows", "must be true or false"),
        ("array.rows * array.clock_mhz > 1.0", "double(x)"),
        ("bits('e9x') > 1", "e9x"),
        ("array.rows > 1000", "no point satisfies"),
    ] {
        let error = points(constraint).1;
        assert!(error.contains(message), "{constraint}: {error}");
    }
}

#[test]
fn what_is_wrong_with_a_spec_is_said() {
    let cases: &[(&str, &str, &str)] = &[
        ("seeds: 2", "seeds: 0", "at least one seed"),
        ("seeds: 2", "seeds: [1, 1]", "names a seed twice"),
        ("seeds: 2", "sedes: 2", "spec.ron:3:"),
        ("grid({", "gird({", "gird"),
        ("[\"e4m3fn\", \"e5m2\"]", "[]", "has no values"),
        ("[\"e4m3fn\", \"e5m2\"]", "\"e4m3fn\"", "takes a list"),
        ("\"mac.a + mac.b", "\"mac.a + + mac.b", "a path is empty"),
        ("{\"label\": \"tiny\", ", "{\"mac.a\": \"fp16\", ", "varied by an axis before"),
        ("name: \"small\"", "name: \"\"", "must not be empty"),
        ("limit: 160", "data: \"nowhere\"", "nowhere"),
        ("set: {", "recipe: \"fp9\", set: {", "fp9"),
        ("set: {", "design: \"fp8-16x17\", set: {", "did you mean"),
        ("seeds: 2", "seeds: -2", "seeds are how many from 0 on"),
        ("set: {", "set: {\"workload\": \"resnet18\", ", "`workload` has no effect on a task `train`"),
        ("\"array.rows\": 4, \"array.cols\": 4}", "\"array.rows\": 4, \"array.rows + array.cols\": 4}", "`array.rows` is set twice"),
        ("set: {", "set: {\"array.rowz\": 3, ", "none of 6 can be run; of the first, `e4m3fn tiny`"),
        ("set: {", "constraints: [\"array.rowz < 3\"], set: {", "there is no field `rowz`"),
        ("name: \"small\",", "name: \"small\", summary: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "spec.ron:"),
    ];
    for (from, to, message) in cases {
        assert!(SPEC.contains(from), "{from}");
        let bench = Bench::new(&SPEC.replacen(from, to, 1));
        let error = refused(&["sweep", &bench.path("spec.ron"), "--out", &bench.path("out")]);
        assert!(error.contains(message), "{to}: {error}");
        assert!(!bench.directory.path().join("out").exists(), "{to}: nothing is begun");
    }
    let bench = Bench::new(&SPEC.replace("grid({\"mac.a + mac.b", "zip({\"label\": [\"one\"], \"mac.a + mac.b"));
    assert!(refused(&["sweep", &bench.path("spec.ron"), "--dry-run"]).contains("`label` has 1"));
    for (args, message) in [
        (&["--shard", "0/3"][..], "I from 1 to N"),
        (&["--shard", "4/3"], "I from 1 to N"),
        (&["--retry"], "--resume"),
        (&["--set", "mac.a=fp16"], "the sweep varies `mac.a`"),
    ] {
        let bench = Bench::new(SPEC);
        let error = refused(&[&["sweep", &bench.path("spec.ron"), "--out", &bench.path("out")], args].concat());
        assert!(error.contains(message), "{args:?}: {error}");
    }
    assert!(refused(&["sweep", "eight-bit", "--dry-run"]).contains("did you mean `eight-bits`?"));
    assert!(refused(&["report", &bench.path("")]).contains("holds no sweep"));
}

#[test]
fn runs_that_fail_are_told_and_the_others_go_on() {
    // What its unit computes is not known: it can be costed, not trained on.
    let spec = SPEC.replace("{\"label\": \"none\", \"array.rows\": 0}", "{\"label\": \"chip\", \"design\": \"tpu-v3\"}");
    let bench = Bench::new(&spec);
    let shown = bench.sweep("out", &[]);
    assert!(shown.contains("12 of 12 runs, 2 points failed") && shown.contains("for costs and cycles only"), "{shown}");
    let failed = bench.records("out/runs.jsonl").iter().filter(|r| r["error"].is_string()).count();
    assert_eq!(failed, 4);
    // Failures stand until they are asked for again.
    bench.sweep("out", &["--resume"]);
    assert_eq!(bench.records("out/runs.jsonl").len(), 12);
    bench.sweep("out", &["--resume", "--retry"]);
    let records = bench.records("out/runs.jsonl");
    assert_eq!((records.len(), records.iter().filter(|r| r["error"].is_string()).count()), (16, 8));
}

#[test]
fn results_of_another_sweep_are_not_gone_on_from() {
    let spec = r#"(name: "one", task: workload(name: "resnet18", batch: 1), axes: [grid({"array.rows": [8, 16]})])"#;
    let bench = Bench::new(spec);
    bench.sweep("out", &[]);
    let table = bench.text("out/table.csv");
    std::fs::write(bench.path("spec.ron"), spec.replace("batch: 1", "batch: 2").replace("one", "other")).expect("a file");
    let error = refused(&["sweep", &bench.path("spec.ron"), "--out", &bench.path("out"), "--resume"]);
    assert!(error.contains("holds results of another sweep, `one`"), "{error}");
    assert_eq!(bench.text("out/table.csv"), table);
    // Points may be added.
    std::fs::write(bench.path("spec.ron"), spec.replace("[8, 16]", "[4, 8, 16]")).expect("a file");
    assert!(bench.sweep("out", &["--resume"]).contains("3 points, 3 of 3 runs"));
}

/// Where nothing is trained each cost has its own cheapest design.
#[test]
fn workloads_have_a_cheapest_design_by_each_cost() {
    let bench = Bench::new(
        r#"(name: "picks", task: workload(name: "resnet18", batch: 1), axes: [grid({"array.rows + array.cols": [4, 16, 64, 128]})])"#,
    );
    let shown = bench.sweep("out", &[]);
    let rows: Vec<Value> = serde_json::from_str(&bench.text("out/table.json")).expect("a table");
    let least = |of: &dyn Fn(&Value) -> f64| {
        rows.iter().min_by(|a, b| of(a).total_cmp(&of(b))).expect("rows")["point"].as_str().expect("a name").to_owned()
    };
    let number = |value: &Value| value.as_f64().expect("a number");
    for (reason, row) in [
        ("least energy", least(&|row| number(&row["energy_pj_per_step"]))),
        ("least area", least(&|row| number(&row["area_um2"]))),
        ("most TFLOPS", least(&|row| -number(&row["tflops"]["achieved"]))),
    ] {
        let line = shown.lines().find(|line| line.contains(reason) && line.ends_with(&row));
        assert!(line.is_some(), "wanted {reason}: {row}\n{shown}");
    }
    assert!(shown.contains("chosen of all designs"), "{shown}");
}

#[test]
fn workloads_are_swept_by_shape() {
    let bench = Bench::new(
        r#"(
            name: "arrays", task: workload(name: "resnet18", batch: 2), set: {"memory.scratchpad_kib": 4096},
            axes: [zip({"array.rows + array.cols": [32, 128]}), grid({"array.dataflow": ["os", "ws"]})],
        )"#,
    );
    let shown = bench.sweep("out", &[]);
    assert!(shown.contains("4 points, 4 of 4 runs"), "{shown}");
    let here = bench.records("out/runs.jsonl").into_iter().find(|r| r["point"] == "rows=128 cols=128 ws").expect("that point");
    let args = ["workload", "resnet18", "--batch", "2", "--json", "--set", "array.rows=128", "--set", "array.cols=128"];
    let args = [&args[..], &["--set", "array.dataflow=ws", "--set", "memory.scratchpad_kib=4096"]].concat();
    let alone: Value = serde_json::from_str(&succeeds(&args)).expect("an object");
    for field in ["cycles", "energy_pj", "area_um2", "tflops"] {
        assert_eq!(here["report"][field], alone[field], "{field}");
    }
    assert!(succeeds(&["report", &bench.path("out")]).contains("report.html"));
    let page = bench.text("out/report.html");
    assert!(page.contains("Throughput against cost") && !page.contains("test accuracy"));
}

#[cfg(feature = "onnx")]
#[test]
fn graphs_are_swept_by_the_shapes_of_their_products() {
    let graph = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/graphs/block.onnx");
    let sweep = |task: &str| {
        Bench::new(&format!(
            r#"(name: "graph", task: workload(name: "{graph}", {task}), axes: [grid({{"array.dataflow": ["os", "ws"]}})])"#
        ))
    };
    let bench = sweep(r#"dims: {"batch": 4, "length": 64}"#);
    assert!(bench.sweep("out", &[]).contains("2 points, 2 of 2 runs"));
    let here = bench.records("out/runs.jsonl").into_iter().find(|r| r["point"] == "ws").expect("that point");
    let args = ["workload", graph, "--dim", "batch=4", "--dim", "length=64", "--pass", "training", "--json", "--set", "array.dataflow=ws"];
    let alone: Value = serde_json::from_str(&succeeds(&args)).expect("an object");
    for field in ["cycles", "energy_pj", "area_um2", "tflops", "assumptions"] {
        assert_eq!(here["report"][field], alone[field], "{field}");
    }
    let passes = |pass: &str| alone["layers"].as_array().expect("layers").iter().filter(|layer| layer["pass"] == pass).count();
    assert_eq!([passes("forward"), passes("error"), passes("gradient")], [9, 8, 9]);
    for (task, needle) in [(r#"batch: 4, dims: {"batch": 4, "length": 64}"#, "is a dimension of its inputs"), ("", "--dim batch=N")] {
        let bench = sweep(task);
        let shown = refused(&["sweep", &bench.path("spec.ron"), "--out", &bench.path("out")]);
        assert!(shown.contains(needle), "wanted `{needle}`: {shown}");
    }
    let recipe = Bench::new(&bench.text("spec.ron").replace("axes:", "recipe: \"hfp8\", axes:"));
    assert!(refused(&["sweep", &recipe.path("spec.ron"), "--dry-run"]).contains("take mode 0 of the design, and no recipe"));
}

#[test]
fn the_page_stands_alone_and_names_every_point() {
    let bench = Bench::new(SPEC);
    bench.sweep("out", &[]);
    let shown = succeeds(&["report", &bench.path("out")]);
    assert!(shown.contains("least energy"), "{shown}");
    let page = bench.text("out/report.html");
    // Names of XML vocabularies are no addresses that are visited.
    let without_names = page.replace("http://www.w3.org/", "");
    for elsewhere in ["http:", "https:", "src=", "<link", "@import", "url("] {
        assert!(!without_names.contains(elsewhere), "{elsewhere}");
    }
    for point in ["e4m3fn tiny", "e4m3fn wide", "e4m3fn none", "e5m2 tiny", "e5m2 wide", "e5m2 none"] {
        assert!(page.contains(point), "{point}");
    }
    for id in ["fronts", "designs", "costs", "training", "in-full", "about", "point-1", "point-6", "figure-front-energy"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    for name in ["front-energy", "front-area", "front-tflops", "energy", "stalls", "accuracy", "loss", "roofline", "utilisation"] {
        let svg = bench.text(&format!("out/{name}.svg"));
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{name}");
    }
    // The same results give the same bytes.
    succeeds(&["report", &bench.path("out")]);
    assert_eq!(bench.text("out/report.html"), page);
}
