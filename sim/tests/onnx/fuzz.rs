//! No bytes make the reader panic.

use super::build::{Build, int, integers, ints, lenet, tensor, text, value};
use super::{graph, read};
use proptest::prelude::*;
use proptest::sample::select;
use systole::run::workload::onnx::infer;
use systole::run::workload::onnx::proto::AttributeProto;
use systole::run::workload::{Extent, Pass};
use systole_isa::design;

/// Reads a file's bytes, and lowers what comes out.
fn survives(bytes: Vec<u8>) {
    let extents: Vec<Extent> = ["batch", "length"].map(|name| Extent { name: name.to_owned(), extent: 3 }).into();
    for extents in [&extents[..], &extents[..1]] {
        let Ok(network) = systole::run::workload::onnx::decode(bytes.clone().into(), "net", extents) else { continue };
        network.coverage.assumptions();
        if network.topology.layers.iter().map(|layer| u64::from(layer.count)).sum::<u64>() < 10_000 {
            let design = design::find("fp8-16x16").expect("a design");
            let _ = network.topology.program(&design, 1, Pass::Forward, "net.onnx".as_ref());
        }
    }
}

/// Every operator there is a rule for.
const OPERATORS: &[&str] = &[
    "Add",
    "Div",
    "Mod",
    "Pow",
    "Equal",
    "Max",
    "Sum",
    "Where",
    "Cast",
    "Neg",
    "Floor",
    "Abs",
    "Dropout",
    "Relu",
    "DynamicQuantizeLinear",
    "Attention",
    "Conv",
    "ConvTranspose",
    "Einsum",
    "GRU",
    "LSTM",
    "RNN",
    "ConvInteger",
    "QLinearConv",
    "Gemm",
    "MatMul",
    "QLinearMatMul",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "DepthToSpace",
    "SpaceToDepth",
    "Resize",
    "Upsample",
    "Pad",
    "Shape",
    "Size",
    "Constant",
    "ConstantOfShape",
    "Range",
    "RandomNormal",
    "OneHot",
    "Reshape",
    "Flatten",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Concat",
    "Expand",
    "Tile",
    "Split",
    "Slice",
    "Gather",
    "GatherElements",
    "GatherND",
    "TopK",
    "ArgMax",
    "ReduceMean",
    "ReduceProd",
    "ReduceMax",
    "NonZero",
    "Mystery",
];

const VALUES: &[&str] = &["", "x", "image", "one", "zero", "two", "pair", "far", "minus", "half", "none", "a", "b", "c", "d"];

fn number() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -3_i64..9, 1 => select(vec![i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, 1 << 31, 1 << 32, 1 << 61, 4096, 4097])]
}

fn attribute() -> impl Strategy<Value = AttributeProto> {
    let whole = select(vec![
        "axis",
        "keepdims",
        "allowzero",
        "group",
        "transA",
        "transB",
        "to",
        "fmod",
        "blocksize",
        "ceil_mode",
        "start",
        "end",
        "k",
        "value_int",
        "batch_dims",
        "num_outputs",
        "noop_with_empty_axes",
    ]);
    let lists = select(vec![
        "axes",
        "perm",
        "kernel_shape",
        "strides",
        "dilations",
        "pads",
        "shape",
        "split",
        "starts",
        "ends",
        "value_ints",
        "scales",
    ]);
    let list = || prop::collection::vec(number(), 0..6);
    prop_oneof![
        (whole, number()).prop_map(|(name, value)| int(name, value)),
        (lists, list()).prop_map(|(name, values)| ints(name, &values)),
        select(vec!["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "?"]).prop_map(|way| text("auto_pad", way)),
        (prop::collection::vec(number(), 0..3), list()).prop_map(|(dims, values)| tensor("value", integers("", &dims, &values))),
    ]
}

fn pool(dims: &[i64]) -> Build {
    let mut build = Build::default()
        .input("x", &["batch", "4", "8", "8"])
        .ints("one", &[], &[1])
        .ints("zero", &[1], &[0])
        .ints("two", &[1], &[2])
        .ints("pair", &[2], &[3, -1])
        .ints("far", &[2, 2], &[i64::MAX, i64::MIN, 4096, 0])
        .ints("minus", &[4], &[-1, -2, 1, 2])
        .weight("half", &[4, 4, 3, 3])
        .weight("none", &[0, 3]);
    build
        .0
        .input
        .push(value("image", &dims.iter().map(|dim| dim.to_string()).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>()));
    build
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn graphs_of_any_nodes(
        dims in prop::collection::vec(number(), 0..5),
        version in select(vec![1_i64, 6, 9, 10, 11, 13, 18, 22]),
        nodes in prop::collection::vec(
            (
                select(OPERATORS),
                prop::collection::vec(select(VALUES), 0..5),
                prop::collection::vec(attribute(), 0..4),
            ),
            1..5,
        ),
    ) {
        let mut build = pool(&dims);
        for (i, (operator, inputs, attributes)) in nodes.into_iter().enumerate() {
            let results = [["a", "b", "c", "d"][i % 4], ["e", "f", "g", "h"][i % 4]];
            build = build.node(operator, "", &inputs, &results, &attributes);
        }
        let mut model = build.model();
        model.opset_import[0].version = version;
        survives(prost::Message::encode_to_vec(&model));
    }

    #[test]
    fn bytes_of_models_changed(
        which in 0..2_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..12),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = if which == 0 { lenet().bytes() } else { std::fs::read(graph("block.onnx")).expect("the fixture") };
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => _ = bytes.remove(at),
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        survives(bytes);
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survives(bytes);
    }
}

#[test]
fn nesting_ends() {
    // A graph within an attribute within a node, and so on: fields that are not read.
    let mut bytes = Vec::new();
    for tag in [0x3a, 0x0a, 0x2a, 0x32].into_iter().cycle().take(4000) {
        let mut outer = vec![tag];
        prost::encode_length_delimiter(bytes.len(), &mut outer).expect("room");
        outer.append(&mut bytes);
        bytes = outer;
    }
    survives(bytes);
    // And what is not costed is never a product.
    assert!(OPERATORS.iter().all(|operator| infer::refused(operator).is_none()));
    assert!(read(&Build::default().model(), &[]).is_err());
}
