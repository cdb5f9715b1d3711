//! Graphs by hand.

use systole::run::workload::onnx::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TensorType, TypeProto,
    ValueInfoProto, attribute_type, data_type,
};

/// A graph under construction.
#[derive(Clone, Default)]
pub struct Build(pub GraphProto);

impl Build {
    pub fn input(mut self, name: &str, dims: &[&str]) -> Self {
        self.0.input.push(value(name, dims));
        self
    }

    pub fn output(mut self, name: &str, dims: &[&str]) -> Self {
        self.0.output.push(value(name, dims));
        self
    }

    pub fn told(mut self, name: &str, dims: &[&str]) -> Self {
        self.0.value_info.push(value(name, dims));
        self
    }

    /// A weight, without its values.
    pub fn weight(mut self, name: &str, dims: &[i64]) -> Self {
        self.0.initializer.push(TensorProto {
            name: name.into(),
            dims: dims.into(),
            data_type: data_type::FLOAT,
            ..TensorProto::default()
        });
        self
    }

    pub fn ints(mut self, name: &str, dims: &[i64], values: &[i64]) -> Self {
        self.0.initializer.push(integers(name, dims, values));
        self
    }

    pub fn node(mut self, operator: &str, name: &str, inputs: &[&str], outputs: &[&str], attributes: &[AttributeProto]) -> Self {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        self.0.node.push(NodeProto {
            name: name.into(),
            op_type: operator.into(),
            input: own(inputs),
            output: own(outputs),
            attribute: attributes.into(),
            domain: String::new(),
        });
        self
    }

    pub fn model(self) -> ModelProto {
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
            graph: Some(self.0),
            functions: vec![],
        }
    }

    pub fn bytes(self) -> Vec<u8> {
        prost::Message::encode_to_vec(&self.model())
    }
}

pub fn integers(name: &str, dims: &[i64], values: &[i64]) -> TensorProto {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    TensorProto { name: name.into(), dims: dims.into(), data_type: data_type::INT64, raw_data: raw.into(), ..TensorProto::default() }
}

/// Name and shape: numbers, names, or nothing between the quotes.
pub fn value(name: &str, dims: &[&str]) -> ValueInfoProto {
    let dimension = |dim: &&str| match (dim.parse(), *dim) {
        (Ok(value), _) => Dimension { dim_value: Some(value), dim_param: None },
        (Err(_), "") => Dimension::default(),
        (Err(_), name) => Dimension { dim_value: None, dim_param: Some(name.into()) },
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dimension).collect() };
    let tensor = TensorType { elem_type: data_type::FLOAT, shape: Some(shape) };
    ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: attribute_type::INT, ..AttributeProto::default() }
}

pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { name: name.into(), ints: ints.into(), r#type: attribute_type::INTS, ..AttributeProto::default() }
}

pub fn text(name: &str, text: &'static str) -> AttributeProto {
    AttributeProto { name: name.into(), s: text.as_bytes().into(), r#type: attribute_type::STRING, ..AttributeProto::default() }
}

/// LeNet-5 with a batch by name.
pub fn lenet() -> Build {
    Build::default()
        .input("image", &["batch", "1", "28", "28"])
        .weight("w1", &[6, 1, 5, 5])
        .weight("b1", &[6])
        .weight("w2", &[16, 6, 5, 5])
        .weight("w3", &[120, 400])
        .weight("b3", &[120])
        .weight("w4", &[84, 120])
        .weight("w5", &[84, 10])
        .weight("b5", &[10])
        .node("Conv", "conv1", &["image", "w1", "b1"], &["c1"], &[ints("pads", &[2, 2, 2, 2]), ints("kernel_shape", &[5, 5])])
        .node("Relu", "", &["c1"], &["r1"], &[])
        .node("MaxPool", "", &["r1"], &["p1"], &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("Conv", "conv2", &["p1", "w2"], &["c2"], &[])
        .node("Relu", "", &["c2"], &["r2"], &[])
        .node("AveragePool", "", &["r2"], &["p2"], &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("Flatten", "", &["p2"], &["f"], &[])
        .node("Gemm", "fc1", &["f", "w3", "b3"], &["g1"], &[int("transB", 1)])
        .node("Relu", "", &["g1"], &["r3"], &[])
        .node("Gemm", "fc2", &["r3", "w4"], &["g2"], &[int("transB", 1)])
        .node("Tanh", "", &["g2"], &["r4"], &[])
        .node("MatMul", "", &["r4", "w5"], &["g3"], &[])
        .node("Add", "", &["g3", "b5"], &["logits"], &[])
        .told("logits", &["batch", "10"])
}

pub fn tensor(name: &str, tensor: TensorProto) -> AttributeProto {
    AttributeProto { name: name.into(), t: Some(tensor), r#type: attribute_type::TENSOR, ..AttributeProto::default() }
}
