//! Operators of several products, and those whose products are not told by two matrices.

use super::build::{Build, int, ints, text};
use super::{read, refused, report, write};
use systole::run::workload::onnx::infer::refused as named;
use systole::run::workload::onnx::proto::AttributeProto;
use systole::run::workload::topology::Work;

type Layers = Vec<(String, [u32; 3], u32)>;

/// A node on inputs of these shapes: its products. Results of other shapes than these are refused.
fn lowered(operator: &str, inputs: &[&[&str]], results: &[&[&str]], attributes: &[AttributeProto]) -> Result<Layers, String> {
    let mut build = Build::default();
    let names: Vec<String> = (0..inputs.len()).map(|i| format!("x{i}")).collect();
    for (name, dims) in names.iter().zip(inputs).filter(|(_, dims)| !dims.contains(&"-")) {
        build = build.input(name, dims);
    }
    let given = |i: usize| if inputs[i].contains(&"-") { "" } else { names[i].as_str() };
    let operands: Vec<&str> = (0..inputs.len()).map(given).collect();
    let made: Vec<String> = (0..results.len()).map(|i| format!("y{i}")).collect();
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    build = build.node(operator, "it", &operands, &made, attributes);
    for (name, dims) in made.iter().zip(results) {
        build = build.told(name, dims);
    }
    let network = read(&build.model(), &[]).map_err(|fault| fault.reason)?;
    let layer = |layer: &systole::run::workload::topology::Layer| match layer.work {
        Work::Product { m, n, k } => (layer.name.clone(), [m, n, k], layer.count),
        Work::Convolution { .. } => panic!("a window"),
    };
    Ok(network.topology.layers.iter().map(layer).collect())
}

fn one(shape: [u32; 3], count: u32) -> Result<Layers, String> {
    Ok(vec![("it".to_owned(), shape, count)])
}

#[test]
fn transposed_convolutions() {
    let images: &[&str] = &["2", "6", "5", "7"];
    let filters: &[&str] = &["6", "4", "3", "2"];
    let of = |result: &[&str], attributes: &[AttributeProto]| lowered("ConvTranspose", &[images, filters], &[result], attributes);
    // 2 (5 - 1) + 3 by 2 (7 - 1) + 2.
    assert_eq!(of(&["2", "4", "11", "14"], &[ints("strides", &[2, 2])]), one([2 * 5 * 7, 4 * 6, 6], 1));
    let all = [
        ints("strides", &[2, 3]),
        ints("pads", &[1, 0, 0, 1]),
        ints("output_padding", &[1, 0]),
        ints("dilations", &[2, 1]),
        int("group", 2),
    ];
    // 2 x 4 + 1 + 2 x 2 + 1 - 1 by 3 x 6 + 0 + 1 + 1 - 1.
    assert_eq!(of(&["2", "8", "13", "19"], &all), one([2 * 5 * 7, 4 * 6, 3], 2));
    assert_eq!(of(&["2", "4", "9", "9"], &[ints("output_shape", &[9, 9])]), one([2 * 5 * 7, 4 * 6, 6], 1));
    let same = [ints("strides", &[2, 3]), text("auto_pad", "SAME_UPPER")];
    assert_eq!(of(&["2", "4", "10", "21"], &same), one([2 * 5 * 7, 4 * 6, 6], 1));
    assert!(of(&["2", "4", "7", "8"], &[ints("kernel_shape", &[2, 3])]).is_err_and(|e| e.contains("kernel_shape")));
    assert!(of(&["2", "4", "7", "8"], &[int("group", 4)]).is_err_and(|e| e.contains("groups")));
    assert!(of(&["2", "4", "7", "8"], &[ints("pads", &[9, 9, 9, 9])]).is_err_and(|e| e.contains("negative")));
    assert!(of(&["2", "4", "7", "8"], &[ints("strides", &[0, 1])]).is_err_and(|e| e.contains("cannot be")));
    // The MACs are those of the convolution that it turns round.
    let directory = tempfile::tempdir().expect("temporary directory");
    let build = Build::default().input("x", &["1", "6", "5", "7"]).weight("w", &[6, 4, 3, 2]);
    let build = build.node("ConvTranspose", "up", &["x", "w"], &["y"], &[ints("strides", &[2, 2])]);
    let found = report(&["workload", &write(directory.path(), "up.onnx", build.bytes())]);
    assert_eq!(found["events"]["macs"], 5 * 7 * 6 * 4 * 3 * 2);
    let assumptions = found["assumptions"].to_string();
    assert!(assumptions.contains("transposed convolutions are products of each pixel") && assumptions.contains(": up"), "{assumptions}");
}

#[test]
fn recurrent_operators() {
    let both = |input: [u32; 3], inputs: u32, state: [u32; 3], steps: u32| {
        Ok(vec![("it input".to_owned(), input, inputs), ("it recurrent".to_owned(), state, steps)])
    };
    // Length 9, batch 2, input 5, hidden 7.
    let lstm = lowered(
        "LSTM",
        &[&["9", "2", "5"], &["2", "28", "5"], &["2", "28", "7"]],
        &[&["9", "2", "2", "7"], &["2", "2", "7"], &["2", "2", "7"]],
        &[int("hidden_size", 7), text("direction", "bidirectional")],
    );
    assert_eq!(lstm, both([18, 28, 5], 2, [2, 28, 7], 18));
    let gru = lowered(
        "GRU",
        &[&["2", "9", "5"], &["1", "21", "5"], &["1", "21", "7"]],
        &[&["2", "9", "1", "7"], &["2", "1", "7"]],
        &[int("hidden_size", 7), int("layout", 1)],
    );
    assert_eq!(gru, both([18, 21, 5], 1, [2, 21, 7], 9));
    let rnn = lowered("RNN", &[&["9", "2", "5"], &["1", "7", "5"], &["1", "7", "7"]], &[&["9", "1", "2", "7"]], &[]);
    assert_eq!(rnn, both([18, 7, 5], 1, [2, 7, 7], 9));
    for (weights, attributes) in [
        ([["1", "28", "6"], ["1", "28", "7"]], vec![]),
        ([["1", "28", "5"], ["1", "28", "6"]], vec![]),
        ([["2", "28", "5"], ["2", "28", "7"]], vec![]),
        ([["1", "28", "5"], ["1", "28", "7"]], vec![int("hidden_size", 8)]),
    ] {
        let wrong = lowered("LSTM", &[&["9", "2", "5"], &weights[0], &weights[1]], &[&["9", "1", "2", "7"]], &attributes);
        assert!(wrong.is_err_and(|e| e.contains("do not go together")), "{weights:?}");
    }
}

#[test]
fn einsums() {
    let of =
        |equation: &'static str, inputs: &[&[&str]], result: &[&str]| lowered("Einsum", inputs, &[result], &[text("equation", equation)]);
    let (a, b): (&[&str], &[&str]) = (&["3", "4", "5", "6"], &["3", "7", "5", "6"]);
    assert_eq!(of("bqhd,bkhd->bhqk", &[a, b], &["3", "5", "4", "7"]), one([4, 7, 6], 15));
    assert_eq!(of("bqhd, bkhd -> bhqk", &[a, b], &["3", "5", "4", "7"]), one([4, 7, 6], 15));
    assert_eq!(of("ij,jk", &[&["2", "3"], &["3", "4"]], &["2", "4"]), one([2, 4, 3], 1));
    // Of an outer product nothing is summed; of a dot product all.
    assert_eq!(of("i,j->ij", &[&["2"], &["3"]], &["2", "3"]), one([2, 3, 1], 1));
    assert_eq!(of("i,i->", &[&["9"], &["9"]], &[]), one([1, 1, 9], 1));
    // An axis that one operand alone sums away takes part in its rows.
    assert_eq!(of("ijl,jk->ik", &[&["2", "3", "5"], &["3", "4"]], &["2", "4"]), one([10, 4, 3], 1));
    // An ellipsis stands for axes that are broadcast.
    let stacks: [&[&str]; 2] = [&["7", "1", "2", "3"], &["5", "3", "4"]];
    assert_eq!(of("...ij,...jk->...ik", &stacks, &["7", "5", "2", "4"]), one([7 * 2, 5 * 4, 3], 1));
    assert_eq!(of("...ij,...jk", &[&["7", "2", "3"], &["7", "3", "4"]], &["7", "2", "4"]), one([2, 4, 3], 7));
    assert_eq!(of("...ij,jk->...ik", &[&["7", "5", "2", "3"], &["3", "4"]], &["7", "5", "2", "4"]), one([70, 4, 3], 1));
    for (equation, inputs, needle) in [
        ("ij,jk->ik", vec![&["2", "3"][..], &["4", "4"]], "both 3 and 4"),
        ("ij,jk->il", vec![&["2", "3"], &["3", "4"]], "asks for `l`"),
        ("ij->ji", vec![&["2", "3"], &["3", "4"]], "1 terms for 2 operands"),
        ("ijk,jk->ik", vec![&["2", "3"], &["3", "4"]], "does not name the axes"),
        ("i.j,jk->ik", vec![&["2", "5", "3"], &["3", "4"]], "more than letters"),
        ("...ij,...jk->...ik", vec![&["7", "2", "3"], &["5", "3", "4"]], "from the end of `...` is both"),
        ("ii,ik->k", vec![&["3", "3"], &["3", "4"]], "twice in one term"),
        ("ij,jk,kl->il", vec![&["2", "3"], &["3", "4"], &["4", "5"]], "two operands at a time"),
    ] {
        let wrong = of(equation, &inputs, &["2", "4"]).expect_err(equation);
        assert!(wrong.contains(needle), "{equation}: {wrong}");
    }
    // One operand is only moved about.
    let build = Build::default().input("x", &["2", "3"]).weight("w", &[2, 5]);
    let build = build.node("Einsum", "turned", &["x"], &["t"], &[text("equation", "ij->ji")]).node("MatMul", "m", &["t", "w"], &["y"], &[]);
    let network = read(&build.model(), &[]).expect("a graph");
    assert_eq!(network.topology.layers[0].work, Work::Product { m: 3, n: 5, k: 2 });
    assert_eq!(network.coverage.not_costed["Einsum"], 1);
}

#[test]
fn attention_of_heads_in_groups() {
    let parts =
        |scores: [u32; 3], mix: [u32; 3], count: u32| Ok(vec![("it scores".to_owned(), scores, count), ("it mix".to_owned(), mix, count)]);
    // Batch 2; 6 heads of 8 on queries, 3 on keys and values; 5 queries, 7 keys behind 4 of the past.
    let heads = [int("q_num_heads", 6), int("kv_num_heads", 3)];
    let flat = lowered(
        "Attention",
        &[&["2", "5", "48"], &["2", "7", "24"], &["2", "7", "30"], &["-"], &["2", "3", "4", "8"], &["2", "3", "4", "10"]],
        &[&["2", "5", "60"], &["2", "3", "11", "8"], &["2", "3", "11", "10"], &["2", "6", "5", "11"]],
        &heads,
    );
    assert_eq!(flat, parts([5, 11, 8], [5, 10, 11], 12));
    let cut = lowered("Attention", &[&["2", "6", "5", "8"], &["2", "3", "7", "8"], &["2", "3", "7", "8"]], &[&["2", "6", "5", "8"]], &[]);
    assert_eq!(cut, parts([5, 7, 8], [5, 8, 7], 12));
    let uncut = lowered("Attention", &[&["2", "5", "48"], &["2", "7", "24"], &["2", "7", "24"]], &[&["2", "5", "48"]], &[]);
    assert!(uncut.is_err_and(|e| e.contains("q_num_heads")));
    let apart = lowered("Attention", &[&["2", "6", "5", "8"], &["2", "4", "7", "8"], &["2", "4", "7", "8"]], &[&["2", "6", "5", "8"]], &[]);
    assert!(apart.is_err_and(|e| e.contains("do not go together")));
}

/// Training by shapes takes every part of a node.
#[test]
fn parts_have_passes_of_their_own() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let build = Build::default().input("x", &["9", "2", "5"]).weight("w", &[1, 28, 5]).weight("r", &[1, 28, 7]);
    let file = write(directory.path(), "cell.onnx", build.node("LSTM", "cell", &["x", "w", "r"], &["y"], &[]).bytes());
    let found = report(&["workload", &file, "--pass", "training"]);
    let layers = found["layers"].as_array().expect("layers");
    let of = |name: &str, pass: &str| layers.iter().find(|layer| layer["name"] == name && layer["pass"] == pass);
    assert_eq!(of("cell input", "gradient").expect("a pass")["shape"], serde_json::json!([28, 5, 18]));
    assert_eq!(of("cell recurrent", "error").expect("a pass")["shape"], serde_json::json!([2, 7, 28]));
    assert!(of("cell input", "error").is_none());
    refused(&["workload", &file, "--dim", "x=3"], &["no dimension is called `x`"]);
    assert!(["LSTM", "GRU", "RNN", "ConvTranspose", "Einsum", "Attention"].iter().all(|operator| named(operator).is_none()));
}
