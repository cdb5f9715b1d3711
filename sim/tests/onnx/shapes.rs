//! Shapes by hand, and the same layers as a topology file lists them.

use super::build::{Build, int, integers, ints, lenet, tensor, text};
use super::{expected, graph, products, read, report, write};
use serde_json::json;
use systole::run::workload::onnx::proto::AttributeProto;
use systole::run::workload::topology::{Layer, Work};

#[test]
fn lenet_by_hand() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = write(directory.path(), "lenet.onnx", lenet().bytes());
    let found = report(&["workload", &file, "--dim", "batch=2"]);
    let layers = [
        ("conv1", [2 * 28 * 28, 6, 25], 1),
        ("conv2", [2 * 10 * 10, 16, 150], 1),
        ("fc1", [2, 120, 400], 1),
        ("fc2", [2, 84, 120], 1),
        ("MatMul_11", [2, 10, 84], 1),
    ];
    assert_eq!(products(&found), expected(&layers));
    assert_eq!((&found["workload"], &found["pass"], &found["dims"]), (&json!("lenet"), &json!("forward"), &json!({"batch": 2})));
    assert_eq!(found["not_costed"], json!({"Add": 1, "AveragePool": 1, "Flatten": 1, "MaxPool": 1, "Relu": 3, "Tanh": 1}));
    assert_eq!(found.get("batch"), None);
    let output = super::systole(&["workload", &file, "--dim", "batch=2", "--pass", "forward"]);
    let text = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for needle in ["lenet, forward, batch 2, design fp8-16x16", "nodes not costed, by kind: Add 1, AveragePool 1,"] {
        assert!(text.contains(needle), "{text}");
    }
}

/// What the `onnx` package wrote: `graphs/block.py`.
#[test]
fn a_transformer_block_whose_shapes_are_computed() {
    let (batch, length) = (3, 5);
    let found = report(&["workload", &graph("block.onnx"), "--dim", "batch=3", "--dim", "length=5"]);
    let rows = batch * length;
    let layers = [
        ("query", [rows, 16, 16], 1),
        ("key", [rows, 16, 16], 1),
        ("value", [rows, 16, 16], 1),
        ("scores", [length, length, 8], 2 * batch),
        ("mix", [length, 8, length], 2 * batch),
        ("project", [rows, 16, 16], 1),
        ("up", [rows, 48, 16], 1),
        ("down", [rows, 16, 48], 1),
        ("classes", [batch, 4, 16], 1),
    ];
    let mut found = products(&found);
    let mut layers = expected(&layers);
    found.sort();
    layers.sort();
    assert_eq!(found, layers);
}

const SAME: [&str; 4] = ["layers", "cycles", "energy_pj", "events"];

#[test]
fn convolutions_cost_what_a_topology_of_them_does() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let net = Build::default()
        .input("x", &["n", "3", "33", "35"])
        .weight("w1", &[12, 3, 7, 5])
        .weight("w2", &[12, 1, 3, 3])
        .weight("w3", &[20, 12, 1, 1])
        .node("Conv", "first", &["x", "w1"], &["a"], &[ints("strides", &[2, 2])])
        .node("Conv", "depth_DP", &["a", "w2"], &["b"], &[int("group", 12)])
        .node("Conv", "point", &["b", "w3"], &["c"], &[])
        .told("c", &["n", "20", "12", "14"]);
    let csv = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n\
               first, 33, 35, 7, 5, 3, 12, 2,\ndepth_DP, 14, 16, 3, 3, 12, 1, 1,\npoint, 12, 14, 1, 1, 12, 20, 1,\n";
    let (net, csv) = (write(directory.path(), "net.onnx", net.bytes()), write(directory.path(), "net.csv", csv));
    let [by_graph, by_list] = [
        report(&["workload", &net, "--dim", "n=3", "--design", "bf16-16x16"]),
        report(&["workload", &csv, "--batch", "3", "--pass", "forward", "--design", "bf16-16x16"]),
    ];
    for field in SAME {
        assert_eq!(by_graph[field], by_list[field], "{field}");
    }
}

#[test]
fn products_cost_what_a_topology_of_them_does() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let net = Build::default()
        .input("x", &["2", "6", "40", "24"])
        .input("y", &["6", "24", "50"])
        .weight("w", &[50, 70])
        .weight("v", &[70])
        .weight("u", &[5, 12])
        .weight("t", &[5, 9])
        .node("MatMul", "heads", &["x", "y"], &["a"], &[])
        .node("MatMul", "dense", &["a", "w"], &["b"], &[])
        .node("MatMul", "row", &["b", "v"], &["c"], &[])
        .node("Gemm", "gemm", &["u", "t"], &["d"], &[int("transA", 1)])
        .told("c", &["2", "6", "40"])
        .told("d", &["12", "9"]);
    let csv = "Layer, M, N, K,\nheads, 40, 50, 24, 12\ndense, 480, 70, 50\nrow, 480, 1, 70\ngemm, 12, 9, 5\n";
    let (net, csv) = (write(directory.path(), "net.onnx", net.bytes()), write(directory.path(), "net.csv", csv));
    let [by_graph, by_list] = [report(&["workload", &net]), report(&["workload", &csv, "--pass", "forward"])];
    for field in SAME {
        assert_eq!(by_graph[field], by_list[field], "{field}");
    }
}

fn one(build: Build) -> Layer {
    let network = read(&build.model(), &[]).expect("a network");
    let [layer] = &network.topology.layers[..] else { panic!("{:?}", network.topology.layers) };
    layer.clone()
}

fn conv(image: &[&str], filters: &[i64], attributes: &[AttributeProto]) -> Build {
    Build::default().input("x", image).weight("w", filters).node("Conv", "conv", &["x", "w"], &["y"], attributes)
}

#[test]
fn windows_of_every_kind() {
    let window = |build: Build| match one(build).work {
        Work::Convolution { window: w, .. } => ([w.out_h, w.out_w, w.h, w.w], [w.kernel_h, w.kernel_w, w.stride, w.pad]),
        product => panic!("{product:?} is no window"),
    };
    let image = &["1", "4", "11", "14"];
    let filters = &[8, 4, 3, 3];
    // Borders alike stay a view's; borders that differ along the axes are listed with the image.
    let same = conv(image, filters, &[text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])]);
    assert_eq!(window(same), ([6, 7, 13, 15], [3, 3, 2, 0]));
    let padded = conv(image, filters, &[ints("pads", &[1, 1, 0, 2])]);
    assert_eq!(window(padded), ([10, 15, 11, 14], [3, 3, 1, 1]));
    let valid = conv(image, filters, &[text("auto_pad", "VALID"), ints("strides", &[3, 3])]);
    assert_eq!(window(valid), ([3, 4, 11, 14], [3, 3, 3, 0]));
    let line = conv(&["1", "4", "100"], &[8, 4, 5], &[ints("strides", &[4]), ints("pads", &[2, 2])]);
    assert_eq!(window(line), ([1, 25, 1, 104], [1, 5, 4, 0]));
    // A single window has any stride, a kernel of one any dilation.
    let all = conv(&["1", "4", "3", "9"], filters, &[ints("strides", &[5, 2])]);
    assert_eq!(window(all), ([1, 4, 3, 9], [3, 3, 2, 0]));
    let point = conv(image, &[8, 4, 1, 1], &[ints("dilations", &[3, 4])]);
    assert_eq!(window(point), ([11, 14, 11, 14], [1, 1, 1, 0]));
}

#[test]
fn windows_without_a_view_are_products() {
    let cases = [
        (conv(&["2", "4", "11", "14"], &[8, 4, 3, 3], &[ints("dilations", &[2, 2])]), [2 * 7 * 10, 8, 36], 1),
        (conv(&["2", "4", "11", "14"], &[8, 4, 3, 3], &[ints("strides", &[2, 1])]), [2 * 5 * 12, 8, 36], 1),
        (conv(&["2", "4", "5", "6", "7"], &[8, 4, 3, 3, 3], &[]), [2 * 3 * 4 * 5, 8, 108], 1),
        (conv(&["2", "4", "5000"], &[8, 2, 3], &[int("group", 2)]), [2 * 4998, 4, 6], 2),
    ];
    for (build, [m, n, k], count) in cases {
        let network = read(&build.model(), &[]).expect("a network");
        let layer = Layer { name: "conv".to_owned(), work: Work::Product { m, n, k }, images: 1, count };
        assert_eq!(network.topology.layers, [layer]);
        assert_eq!(network.coverage.unfolded, ["conv"]);
        assert!(network.coverage.assumptions()[0].contains("no view describes them: conv"));
    }
}

#[test]
fn names_are_unique() {
    let mut build = Build::default().input("x", &["2", "2"]);
    for (i, name) in ["a", "", "a", "a_2", "MatMul_1", "a b\n"].into_iter().enumerate() {
        build = build.node("MatMul", name, &["x", "x"], &[&format!("y{i}")], &[]);
    }
    let network = read(&build.model(), &[]).expect("a network");
    let names: Vec<&str> = network.topology.layers.iter().map(|layer| &layer.name[..]).collect();
    assert_eq!(names, ["a", "MatMul_1", "a_2", "a_2_3", "MatMul_1_4", "a b_"]);
}

/// Chains that exporters write for the shapes of `Reshape`, `Expand`, `Resize` and `Slice`.
#[test]
fn shapes_that_are_computed() {
    let base = || Build::default().input("x", &["b", "6", "8", "10"]).node("Shape", "", &["x"], &["s"], &[]);
    let float = |name: &str, values: &[f32]| {
        let mut tensor = integers(name, &[values.len() as i64], &[]);
        (tensor.data_type, tensor.float_data) = (1, values.to_vec());
        tensor
    };
    let m_of = |build: Build, columns: i64| {
        let build = build.weight("w", &[columns, 2]).node("MatMul", "m", &["y", "w"], &["z"], &[]);
        match read(&build.model(), &[("b", 4)]).unwrap_or_else(|fault| panic!("{fault:?}")).topology.layers[0].work {
            Work::Product { m, .. } => m,
            ref other => panic!("{other:?}"),
        }
    };
    let sliced = base()
        .ints("from", &[1], &[-1])
        .ints("to", &[1], &[i64::MIN])
        .ints("axis", &[1], &[0])
        .ints("step", &[1], &[-1])
        .node("Slice", "", &["s", "from", "to", "axis", "step"], &["t"], &[])
        .node("Reshape", "", &["x", "t"], &["y"], &[]);
    // Backwards: 10, 8, 6, 4.
    assert_eq!(m_of(sliced, 4), 10 * 8 * 6);
    let halved = base()
        .ints("two", &[], &[2])
        .ints("parts", &[2], &[3, 1])
        .ints("end", &[1], &[-1])
        .node("Split", "", &["s", "parts"], &["front", "back"], &[])
        .node("Div", "", &["back", "two"], &["half"], &[])
        .node("Concat", "", &["half", "end"], &["t"], &[int("axis", 0)])
        .node("Reshape", "", &["x", "t"], &["y"], &[]);
    assert_eq!(m_of(halved, 4 * 6 * 8 * 2), 5);
    let chosen = base()
        .ints("want", &[4], &[-1, 1, 1, 1])
        .ints("minus", &[1], &[-1])
        .ints("four", &[1], &[4])
        .node("ConstantOfShape", "", &["four"], &["ones"], &[tensor("value", integers("", &[1], &[1]))])
        .node("Mul", "", &["ones", "minus"], &["minuses"], &[])
        .node("Equal", "", &["want", "minuses"], &["which"], &[])
        .node("Where", "", &["which", "ones", "want"], &["t"], &[])
        .node("Expand", "", &["x", "t"], &["y"], &[]);
    assert_eq!(m_of(chosen, 10), 4 * 6 * 8);
    let mut resized = base()
        .ints("axes", &[2], &[2, 3])
        .node("Gather", "", &["s", "axes"], &["image"], &[])
        .node("Cast", "", &["image"], &["floats"], &[int("to", 1)])
        .node("Mul", "", &["floats", "factor"], &["larger"], &[])
        .node("Floor", "", &["larger"], &["whole"], &[])
        .node("Cast", "", &["whole"], &["sizes"], &[int("to", 7)])
        .ints("nul", &[1], &[0])
        .ints("two", &[1], &[2])
        .node("Slice", "", &["s", "nul", "two"], &["front"], &[])
        .node("Concat", "", &["front", "sizes"], &["t"], &[int("axis", 0)])
        .node("Resize", "", &["x", "", "", "t"], &["y"], &[]);
    resized.0.initializer.push(float("factor", &[0.7]));
    // 0.7 x 10 is 7 in single precision.
    assert_eq!(m_of(resized, 7), 4 * 6 * 5);
    let ranged = base()
        .ints("nul", &[], &[0])
        .ints("one", &[], &[1])
        .node("Size", "", &["x"], &["size"], &[])
        .node("Range", "", &["nul", "size", "one"], &["r"], &[])
        .ints("lone", &[1], &[1])
        .node("Unsqueeze", "", &["r", "lone"], &["y"], &[]);
    assert_eq!(m_of(ranged, 1), 4 * 6 * 8 * 10);
}

#[test]
fn results_of_unknown_operators_that_the_file_tells() {
    let mut build = Build::default()
        .input("x", &["n", "8"])
        .node("Mystery", "odd", &["x"], &["y"], &[])
        .weight("w", &[16, 3])
        .node("MatMul", "m", &["y", "w"], &["z"], &[])
        .told("y", &["n", "16"]);
    build.0.node[0].domain = "com.example".to_owned();
    let network = read(&build.model(), &[("n", 5)]).expect("a network");
    assert_eq!(network.topology.layers[0].work, Work::Product { m: 5, n: 3, k: 16 });
    assert_eq!(network.coverage.not_costed.into_iter().collect::<Vec<_>>(), [("com.example.Mystery".to_owned(), 1)]);
}

/// Nothing follows from what a file tells of its results, so that may be wrong; of what lies between it may not.
#[test]
fn results_of_other_shapes_than_the_file_tells() {
    let build = || Build::default().input("x", &["3", "4"]).weight("w", &[4, 5]).node("MatMul", "m", &["x", "w"], &["y"], &[]);
    let network = read(&build().output("y", &["1", "?"]).model(), &[]).expect("a graph");
    assert_eq!(network.coverage.contradicted, ["y"]);
    let said = network.coverage.assumptions();
    assert!(said.iter().any(|line| line.contains("other shapes than the file tells") && line.ends_with(": y")), "{said:?}");
    assert_eq!(read(&build().output("y", &["3", "?"]).model(), &[]).expect("a graph").coverage.contradicted, [""; 0]);
    let between = read(&build().told("y", &["1", "?"]).model(), &[]).expect_err("a contradiction");
    assert!(between.reason.contains("is of shape [3, 5], but the file tells [1, ?]"), "{}", between.reason);
}
