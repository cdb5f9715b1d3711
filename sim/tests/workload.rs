//! `systole workload`: networks by their shapes alone.

#[path = "common/command.rs"]
mod command;

use command::{report, systole};
use serde_json::Value;
use std::path::Path;

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("a file");
    path.to_string_lossy().into_owned()
}

const CONVOLUTIONS: &str = "\
Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,
Conv1, 224, 224, 7, 7, 3, 64, 2,
Rest, 30, 28, 3, 3, 20, 33, 2, 1:1,
Stage_DP, 16, 16, 3, 3, 5, 1, 1,

FC, 1, 1, 1, 1, 512, 1000, 1,
";

/// M, N and K by hand: windows that hang over the edge count.
const EXTENTS: [(&str, [u64; 3], u64); 4] =
    [("Conv1", [110 * 110, 64, 147], 1), ("Rest", [15 * 14, 33, 180], 1), ("Stage_DP", [14 * 14, 1, 9], 5), ("FC", [1, 1000, 512], 1)];

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn topologies_take_scale_sims_cycles_under_its_convention() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = write(directory.path(), "net.csv", CONVOLUTIONS);
    for (dataflow, rows, cols) in [("os", 32, 32), ("ws", 16, 24), ("is", 8, 128), ("os", 1, 7)] {
        let settings = [
            "--set".to_owned(),
            "array.convention=scalesim".to_owned(),
            "--set".to_owned(),
            format!("array.dataflow={dataflow}"),
            "--set".to_owned(),
            format!("array.rows={rows}"),
            "--set".to_owned(),
            format!("array.cols={cols}"),
        ];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let found = report(&[&["workload", &file, "--pass", "forward"][..], &settings].concat());
        assert_eq!(found["workload"], "net");
        let layers = found["layers"].as_array().expect("layers");
        assert_eq!(layers.len(), EXTENTS.len());
        for (layer, (name, [m, n, k], count)) in layers.iter().zip(EXTENTS) {
            assert_eq!((layer["name"].as_str(), layer["pass"].as_str()), (Some(name), Some("forward")));
            assert_eq!(layer["shape"], serde_json::json!([m, n, k]));
            assert_eq!(number(&layer["products"][0]["count"]), count);
            assert_eq!(number(&layer["macs"]), m * n * k * count);
            let (down, across, stream, fill) = match dataflow {
                "os" => (m, n, k, rows + cols),
                "ws" => (k, n, m, 2 * rows + cols),
                _ => (k, m, n, 2 * rows + cols),
            };
            let cycles = down.div_ceil(rows) * across.div_ceil(cols) * (fill + stream - 2) - 1;
            assert_eq!(number(&layer["cycles"]["compute"]), cycles * count, "{dataflow} {name}");
        }
    }
}

#[test]
fn a_topologys_training_step_has_three_products_a_layer() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = write(directory.path(), "net.csv", "Layer, M, N, K,\nfirst, 10, 20, 30,\nheads, 4, 5, 6, 12,\n");
    let found = report(&["workload", &file, "--batch", "3"]);
    let products: Vec<(String, String, Value)> = found["layers"]
        .as_array()
        .expect("layers")
        .iter()
        .map(|layer| {
            let text = |field: &str| layer[field].as_str().expect("text").to_owned();
            (text("name"), text("pass"), layer["products"].clone())
        })
        .collect();
    let one = |name: &str, pass: &str, shape: [u32; 3], count: u32| {
        (name.to_owned(), pass.to_owned(), serde_json::json!([{"shape": shape, "count": count}]))
    };
    // The first layer's input asks for no error.
    let expected = [
        one("first", "forward", [30, 20, 30], 1),
        one("heads", "forward", [12, 5, 6], 12),
        one("heads", "error", [12, 6, 5], 12),
        one("heads", "gradient", [5, 6, 12], 12),
        one("first", "gradient", [20, 30, 30], 1),
    ];
    assert_eq!(products, expected);
    let convolutions = write(directory.path(), "conv.csv", CONVOLUTIONS);
    let found = report(&["workload", &convolutions]);
    let shape = |name: &str, pass: &str| {
        let layers = found["layers"].as_array().expect("layers");
        layers.iter().find(|layer| layer["name"] == name && layer["pass"] == pass).expect("a layer")["shape"].clone()
    };
    assert_eq!(shape("Rest", "error"), serde_json::json!([30 * 28, 20, 9 * 33]));
    assert_eq!(shape("Rest", "gradient"), serde_json::json!([33, 180, 15 * 14]));
}

/// No view describes the windows of errors under a filter that is no square; a square one of as many
/// weights has the products of the same extents, and reads less.
#[test]
fn error_products_of_oblong_filters_read_what_lies_unfolded() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let heading = CONVOLUTIONS.lines().next().expect("a heading");
    let run = |name: &str, sides: &str, filter: &str| {
        let lines = ["First", "Second"].map(|layer| format!("{layer}, {sides}, {filter}, 6, 5, 1,")).join("\n");
        report(&["workload", &write(directory.path(), name, &format!("{heading}\n{lines}\n")), "--batch", "4"])
    };
    let (oblong, square) = (run("oblong.csv", "12, 20", "1, 9"), run("square.csv", "14, 14", "3, 3"));
    let error = |report: &Value| {
        let layers = report["layers"].as_array().expect("layers");
        layers.iter().find(|layer| layer["pass"] == "error").expect("an error product").clone()
    };
    assert_eq!(error(&oblong)["shape"], serde_json::json!([4 * 12 * 20, 6, 9 * 5]));
    assert_eq!(error(&square)["shape"], serde_json::json!([4 * 14 * 14, 6, 9 * 5]));
    let read = |report: &Value| number(&error(report)["events"]["dram_read_bytes"]);
    assert!(read(&oblong) >= 4 * 12 * 20 * 45 && read(&square) < 4 * 14 * 14 * 45, "{} {}", read(&oblong), read(&square));
    let unfolded = "error products whose windows no view describes read them as matrices stored in DRAM: Second";
    let says = |report: &Value| report["assumptions"].as_array().expect("assumptions").iter().any(|line| line == unfolded);
    assert!(says(&oblong) && !says(&square));
}

/// What a model's workload costs is what one step of its training costs.
#[test]
fn a_models_workload_is_a_step_of_its_training() {
    for (model, recipe) in [("cnn", "fp8"), ("mlp", "mxfp8"), ("cnn", "amp-o2")] {
        let step = report(&["workload", model, "--recipe", recipe, "--batch", "32"]);
        let run = report(&["train", "--model", model, "--recipe", recipe, "--epochs", "1", "--limit", "32"]);
        for field in ["cycles", "events", "energy_pj", "tflops"] {
            assert_eq!(step[field], run[field], "{model} {recipe}: {field}");
        }
        let costs = |object: &Value| -> Vec<(Value, Value, Value)> {
            let layers = object["layers"].as_array().expect("layers");
            layers.iter().map(|layer| (layer["name"].clone(), layer["pass"].clone(), layer["cycles"].clone())).collect()
        };
        assert_eq!(costs(&step), costs(&run), "{model} {recipe}");
    }
}

fn input_is_text(name: &str) -> bool {
    ["bert-base", "gpt2"].contains(&name)
}

#[test]
fn large_networks_run_by_shape() {
    let wide = ["--set", "array.rows=128", "--set", "array.cols=128"];
    // MACs of a forward pass by the papers; BERT's and GPT-2's by 2 x parameters and attention.
    for (name, batch, macs) in [
        ("resnet18", 32, 32 * 1_814_073_344_u64),
        ("resnet50", 32, 32 * 4_089_184_256),
        ("bert-base", 8, 8 * 128 * (12 * (12 * 768 * 768 + 2 * 128 * 768) + 768 * 768 + 768 * 30_522)),
        ("gpt2", 1, 1024 * (12 * (12 * 768 * 768 + 2 * 1024 * 768) + 768 * 50_257)),
    ] {
        let forward = report(&[&["workload", name, "--pass", "forward"][..], &wide].concat());
        assert_eq!(number(&forward["batch"]), batch);
        assert_eq!(number(&forward["events"]["macs"]), macs, "{name}");
        let training = report(&[&["workload", name][..], &wide].concat());
        let ratio = number(&training["events"]["macs"]) as f64 / macs as f64;
        // Three products a layer, but for the first one's error; those of strided convolutions see zeros
        // between the errors.
        assert!((2.8..=3.6).contains(&ratio) && (input_is_text(name) == (ratio == 3.0)), "{name}: {ratio}");
        assert!(training["tflops"]["achieved"].as_f64() < training["tflops"]["peak"].as_f64());
        assert!(number(&training["cycles"]["total"]) > number(&forward["cycles"]["total"]));
    }
}

#[test]
fn refusals_name_the_place_and_the_mend() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let heading = CONVOLUTIONS.lines().next().expect("a heading");
    let conv = |line: &str| format!("{heading}\n{line}\n");
    let cases: [(&str, String, &[&str]); 9] = [
        ("empty", String::new(), &["lists no layers"]),
        ("only", format!("{heading}\n"), &["lists no layers"]),
        ("heading", "a, b\n1, 2\n".to_owned(), &["line 1", "Layer, M, N, K"]),
        ("short", conv("Conv1, 8, 8, 3, 3, 4,"), &["line 2", "Num Filter", "column 7"]),
        ("word", conv("Conv1, 8, 8, 3, 3, four, 4, 1,"), &["line 2", "Channels", "`four`"]),
        ("filter", conv("Conv1, 8, 8, 9, 3, 4, 4, 1,"), &["line 2", "9x3 does not fit", "8x8"]),
        ("sparse", conv("Conv1, 8, 8, 3, 3, 4, 4, 1, 2:4,"), &["line 2", "`2:4`", "dense"]),
        ("large", "Layer,M,N,K\nall,16777215,2,2\n".to_owned(), &["layer `all`", "the batch smaller"]),
        ("dram", "Layer,M,N,K\nall,1048576,1048576,2,2\n".to_owned(), &["layer `all`", "MiB of DRAM", "the batch smaller"]),
    ];
    for (name, text, needles) in &cases {
        let file = write(directory.path(), &format!("{name}.csv"), text);
        refused(&["workload", &file, "--batch", if *name == "large" { "2" } else { "1" }], needles);
    }
    refused(&["workload", "nosuch.csv"], &["nosuch.csv", "No such file"]);
    refused(&["workload", "resnet19"], &["no model `resnet19`", "list workloads"]);
    refused(&["workload", "mlp", "--recipe", "trust-region"], &["trust-region", "no fixed cost"]);
    refused(&["workload", "mlp", "--recipe", "fp32-host"], &["fp32-host", "simulates no hardware"]);
    let file = write(directory.path(), "net.csv", CONVOLUTIONS);
    refused(&["workload", &file, "--recipe", "fp8"], &["leave out --recipe"]);
}

#[cfg(not(feature = "onnx"))]
#[test]
fn without_the_feature_graphs_are_refused() {
    refused(&["workload", "net.onnx"], &["net.onnx", "without the feature `onnx`", "--features onnx"]);
}

fn refused(args: &[&str], needles: &[&str]) {
    let output = systole(args);
    let text = String::from_utf8_lossy(&output.stderr).split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    for needle in needles {
        assert!(text.contains(needle), "{args:?}, wanted `{needle}`: {text}");
    }
}
