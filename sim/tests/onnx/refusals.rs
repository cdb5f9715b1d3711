//! What is refused names the node, and the mend.

use super::build::{Build, int, integers, ints, lenet, tensor, text};
use super::{graph, read, refused, write};
use systole::run::workload::onnx::proto::{FunctionProto, ModelProto};

fn refuse(model: &ModelProto, needles: &[&str]) {
    let fault = read(model, &[]).expect_err("a refusal");
    let said = format!("{}: {}", fault.place, fault.reason);
    for needle in needles {
        assert!(said.contains(needle), "wanted `{needle}`: {said}");
    }
}

/// A product that takes `y`, so that all before it matters.
fn ended(build: Build) -> ModelProto {
    build.weight("w", &[4, 4]).node("MatMul", "end", &["y", "w"], &["z"], &[]).model()
}

#[test]
fn graphs_that_contradict_themselves() {
    let base = || Build::default().input("x", &["2", "3", "8", "8"]).weight("a", &[4, 3, 3, 3]);
    let conv = |attributes| base().node("Conv", "conv", &["x", "a"], &["c"], attributes).model();
    let cases: &[(ModelProto, &[&str])] = &[
        (ended(base()), &["node `end` (MatMul)", "reads `y`", "no input"]),
        (
            ended(base().node("Relu", "", &["later"], &["y"], &[]).node("Relu", "second", &["x"], &["later"], &[])),
            &["node 0 (Relu)", "`later`", "node `second` (Relu)", "sort the nodes"],
        ),
        (ended(base().node("Add", "loop", &["x", "y"], &["y"], &[])), &["node `loop`", "cycle"]),
        (ended(base().node("Relu", "r", &["x"], &["x"], &[])), &["node `r`", "`x`, which is there already"]),
        (base().node("Relu", "", &["x"], &["c"], &[]).model(), &["no MatMul, Gemm, Conv or other"]),
        (base().node("Conv", "conv", &["x", "a"], &["c"], &[]).output("d", &["1"]).model(), &["result `d`", "no node computes it"]),
        (
            base().node("Conv", "conv", &["x", "a"], &["c"], &[]).told("c", &["2", "4", "6", "7"]).model(),
            &["[2, 4, 6, 6]", "tells [2, 4, 6, 7]"],
        ),
        (base().node("Conv", "conv", &["x"], &["c"], &[]).model(), &["node `conv` (Conv)", "operand 2 is missing"]),
        (conv(&[int("group", 2)]), &["[4, 3, 3, 3] in 2 groups", "[2, 3, 8, 8]"]),
        (conv(&[int("group", i64::MIN)]), &["groups"]),
        (conv(&[ints("kernel_shape", &[5, 5])]), &["kernel_shape [5, 5]", "[3, 3]"]),
        (conv(&[ints("strides", &[0, 1])]), &["stride 0"]),
        (conv(&[ints("strides", &[1])]), &["`strides` has 1 numbers, not 2"]),
        (conv(&[ints("pads", &[0, 0, -1, 0])]), &["pads [0, -1]"]),
        (conv(&[ints("dilations", &[9, 9])]), &["reaches over 19", "8"]),
        (conv(&[ints("dilations", &[i64::MAX, 9])]), &["dilation 9223372036854775807"]),
        (conv(&[text("auto_pad", "SOME")]), &["`SOME`"]),
        (conv(&[int("pads", 1)]), &["`pads` is of type 2, not 7"]),
        (base().weight("b", &[3, 3]).node("Gemm", "g", &["a", "b"], &["c"], &[]).model(), &["must be a matrix", "[4, 3, 3, 3]"]),
        (base().weight("b", &[3, 5]).node("Gemm", "g", &["b", "b"], &["c"], &[]).model(), &["3x5 by 3x5"]),
        (
            base().weight("b", &[3, 5]).node("Gemm", "g", &["b", "b", "a"], &["c"], &[int("transA", 1)]).model(),
            &["[4, 3, 3, 3] and [5, 5]", "broadcast"],
        ),
        (
            base().weight("b", &[3, 5]).weight("e", &[1, 5, 5]).node("Gemm", "g", &["b", "b", "e"], &["c"], &[int("transA", 1)]).model(),
            &["[1, 5, 5]", "not broadcast to its result, 5x5"],
        ),
        (
            base().weight("b", &[3, 5]).node("MatMul", "m", &["x", "b"], &["c"], &[]).model(),
            &["[2, 3, 8, 8] and [3, 5]", "8 columns by 3 rows"],
        ),
        (base().weight("b", &[5, 8, 2]).node("MatMul", "m", &["x", "b"], &["c"], &[]).model(), &["[2, 3] and [5]", "broadcast"]),
        (base().weight("b", &[8, 0]).node("MatMul", "m", &["x", "b"], &["c"], &[]).model(), &["empty", "N is 0"]),
        (ended(base().ints("s", &[2], &[7, -1]).node("Reshape", "r", &["x", "s"], &["y"], &[])), &["node `r`", "384 elements", "[7, -1]"]),
        (ended(base().ints("s", &[2], &[-1, -1]).node("Reshape", "r", &["x", "s"], &["y"], &[])), &["two dimensions open"]),
        (ended(base().ints("s", &[1], &[-2]).node("Reshape", "r", &["x", "s"], &["y"], &[])), &["negative"]),
        (ended(base().node("Transpose", "t", &["x"], &["y"], &[ints("perm", &[0, 1, 1, 2])])), &["no order of the 4"]),
        (ended(base().node("Concat", "c", &["x", "a"], &["y"], &[int("axis", 0)])), &["[2, 3, 8, 8] and [4, 3, 3, 3]"]),
        (ended(base().node("Concat", "c", &["x", "x"], &["y"], &[int("axis", 4)])), &["no axis 4"]),
        (ended(base().node("Softmax", "", &[], &["y"], &[])), &["node 0 (Softmax)", "operand 1 is missing"]),
        (base().weight("a", &[1]).model(), &["initializer `a`", "two of this name"]),
        (base().weight("b", &[-1, 3]).model(), &["initializer `b`", "negative"]),
        (base().weight("b", &[1 << 40, 1 << 40]).model(), &["initializer `b`", "2^60"]),
        (Build::default().input("x", &["9223372036854775806"]).model(), &["input `x`", "2^60"]),
        (base().weight("b", &[1; 100]).model(), &["initializer `b`", "100 axes"]),
        (base().ints("b", &[3], &[1, 2]).model(), &["initializer `b`", "16 bytes", "[3]"]),
    ];
    for (model, needles) in cases {
        refuse(model, needles);
    }
}

#[test]
fn what_is_not_modelled_is_refused_by_name() {
    let base = || Build::default().input("x", &["2", "4", "8", "8"]);
    for operator in ["If", "Loop", "Scan"] {
        refuse(&ended(base().node(operator, "sub", &["x"], &["y"], &[])), &[&format!("node `sub` ({operator})"), "control flow"]);
    }
    for operator in ["DeformConv", "DynamicQuantizeLSTM", "FusedMatMul", "MatMulNBits"] {
        refuse(&ended(base().node(operator, "more", &["x"], &["y"], &[])), &[&format!("node `more` ({operator})"), "products"]);
    }
    refuse(&ended(base().node("Mystery", "odd", &["x"], &["y"], &[])), &["node `odd` (Mystery)", "not known", "`y`", "value_info"]);
    let mut own = ended(base().node("Block", "own", &["x"], &["y"], &[]));
    own.functions.push(FunctionProto { name: "Block".to_owned(), domain: String::new() });
    refuse(&own, &["node `own` (Block)", "function", "inline"]);
    let mut foreign = base().weight("w", &[4, 4, 1, 1]).node("Conv", "theirs", &["x", "w"], &["y"], &[]).model();
    foreign.graph.as_mut().expect("a graph").node[0].domain = "com.example".to_owned();
    refuse(&foreign, &["node `theirs` (Conv)", "`com.example`"]);
    // Shapes that follow from values: the first node whose result is not known is the one named.
    let found = base().node("NonZero", "where", &["x"], &["n"], &[]).node("Transpose", "turned", &["n"], &["y"], &[]);
    refuse(&ended(found.clone()), &["node `end` (MatMul)", "`y`", "node `where` (NonZero)", "value_info"]);
    let told = ended(found.told("n", &["4", "9"]));
    assert!(read(&told, &[]).is_ok());
    let given = base().input("s", &["2"]).node("Reshape", "r", &["x", "s"], &["y"], &[]);
    refuse(&ended(given), &["node `r` (Reshape)", "values of `s`", "constant"]);
    let constant = tensor("value", integers("", &[2], &[-1, 4]));
    let made = base().node("Constant", "", &[], &["s"], &[constant]).node("Reshape", "r", &["x", "s"], &["y"], &[]);
    assert!(read(&ended(made), &[]).is_ok());
}

#[test]
fn what_is_too_large() {
    let square = |side: i64| Build::default().weight("a", &[side, side]).node("MatMul", "big", &["a", "a"], &["c"], &[]).model();
    refuse(&square(1 << 24), &["node `big`", "M is 16777216", "16777215"]);
    let many = Build::default().weight("a", &[1 << 11, 1 << 10, 1, 1]).node("MatMul", "many", &["a", "a"], &["c"], &[]).model();
    refuse(&many, &["node `many`", "more than 1048576 products"]);
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = write(directory.path(), "dram.onnx", prost::Message::encode_to_vec(&square(1 << 20)));
    refused(&["workload", &file], &["layer `big`", "MiB of DRAM", "the batch smaller"]);
}

#[test]
fn dimensions_by_name() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let file = write(directory.path(), "lenet.onnx", lenet().bytes());
    refused(&["workload", &file], &["lenet.onnx", "`batch`", "--dim batch=N"]);
    refused(&["workload", &file, "--dim", "seq=3"], &["no dimension is called `seq`", "`batch`"]);
    refused(&["workload", &file, "--dim", "batch=3", "--dim", "batch=3"], &["`batch` is given twice"]);
    refused(&["workload", &file, "--dim", "batch"], &["NAME=N"]);
    refused(&["workload", &file, "--dim", "batch=0"], &["`0`", "whole number"]);
    refused(&["workload", &graph("block.onnx"), "--dim", "batch=3"], &["`length`", "--dim length=N"]);
    // Dimensions without a name go by the input's.
    let open = Build::default().input("x", &["", "?", "-1", "4"]).weight("w", &[4, 4]).node("MatMul", "m", &["x", "w"], &["y"], &[]);
    refuse(&open.clone().model(), &["`x.0` `x.1` `x.2`", "--dim x.0=N --dim x.1=N --dim x.2=N"]);
    assert!(read(&open.model(), &[("x.0", 2), ("x.1", 3), ("x.2", 4)]).is_ok());
    let mut none = Build::default().input("x", &[]).weight("w", &[4, 4]).node("MatMul", "m", &["x", "w"], &["y"], &[]).model();
    none.graph.as_mut().expect("a graph").input[0].r#type = None;
    refuse(&none, &["node `m` (MatMul)", "`x`", "the file tells none"]);
}

#[test]
fn files_that_are_no_models_and_options_that_do_not_go_with_them() {
    let directory = tempfile::tempdir().expect("temporary directory");
    let whole = lenet().bytes();
    let file = write(directory.path(), "cut.onnx", &whole[..whole.len() - 7]);
    refused(&["workload", &file], &["cut.onnx", "no ONNX model, or not all of one"]);
    let file = write(directory.path(), "empty.onnx", "");
    refused(&["workload", &file], &["empty.onnx", "without a graph"]);
    let file = write(directory.path(), "text.onnx", "Layer, M, N, K,\na, 1, 2, 3,\n");
    refused(&["workload", &file], &["text.onnx", "no ONNX model"]);
    refused(&["workload", "nosuch.onnx"], &["nosuch.onnx", "No such file"]);
    let file = write(directory.path(), "lenet.onnx", &whole);
    let with = |options: &[&'static str]| [&["workload", &file, "--dim", "batch=1"][..], options].concat().join("\n");
    for (options, needle) in [(&["--batch", "4"], "--dim NAME=N"), (&["--recipe", "fp8"], "leave out --recipe")] {
        refused(&with(options).split('\n').collect::<Vec<_>>(), &[needle]);
    }
    refused(&["workload", "resnet18", "--dim", "batch=1"], &["--dim batch=1", "ONNX"]);
}
