//! `systole workload FILE.onnx`: graphs made here by hand, and one that the `onnx` package wrote.
#![cfg(feature = "onnx")]

mod build;
#[path = "../common/command.rs"]
mod command;
mod fuzz;
mod operators;
mod refusals;
mod shapes;

use command::{report, systole};
use serde_json::Value;
use std::path::Path;
use systole::run::workload::Extent;
use systole::run::workload::onnx::graph::Fault;
use systole::run::workload::onnx::proto::ModelProto;
use systole::run::workload::onnx::{Network, decode};

fn refused(args: &[&str], needles: &[&str]) {
    let output = systole(args);
    let text = String::from_utf8_lossy(&output.stderr).split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    for needle in needles {
        assert!(text.contains(needle), "{args:?}, wanted `{needle}`: {text}");
    }
}

fn write(directory: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = directory.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path.to_string_lossy().into_owned()
}

fn graph(name: &str) -> String {
    format!("{}/tests/graphs/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn read(model: &ModelProto, dims: &[(&str, u32)]) -> Result<Network, Fault> {
    let extents: Vec<Extent> = dims.iter().map(|&(name, extent)| Extent { name: name.to_owned(), extent }).collect();
    decode(prost::Message::encode_to_vec(model).into(), "net", &extents)
}

/// Name, shape and number of each layer's products.
fn products(report: &Value) -> Vec<(String, [u64; 3], u64)> {
    let number = |value: &Value| value.as_u64().expect("a count");
    let layers = report["layers"].as_array().expect("layers").iter();
    layers
        .map(|layer| {
            let [product] = &layer["products"].as_array().expect("products")[..] else { panic!("{layer} has several products") };
            let shape = [0, 1, 2].map(|i| number(&product["shape"][i]));
            (layer["name"].as_str().expect("a name").to_owned(), shape, number(&product["count"]))
        })
        .collect()
}

fn expected(list: &[(&str, [u64; 3], u64)]) -> Vec<(String, [u64; 3], u64)> {
    list.iter().map(|&(name, shape, count)| (name.to_owned(), shape, count)).collect()
}
