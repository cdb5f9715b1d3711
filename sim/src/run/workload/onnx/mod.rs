//! ONNX graphs as workloads: the shapes of their products.
//!
//! [`proto`] reads the file; [`graph`] walks its nodes in order and follows shapes through them, by [`infer`];
//! what comes out are layers as a [topology](super::topology) lists them, [`lower`]ed from the `MatMul`, `Gemm`
//! and `Conv` nodes. Weights do not matter, and values only where shapes are computed from them.

pub mod graph;
pub mod infer;
pub mod lower;
pub mod node;
pub mod proto;
pub mod tensor;

use super::WorkloadError;
use super::topology::Topology;
use super::{Coverage, Extent};
use prost::Message;
use prost::bytes::Bytes;
use std::path::Path;

/// What a graph comes to.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its products, a layer for each node.
    pub topology: Topology,
    /// What they leave out.
    pub coverage: Coverage,
}

/// Why a node has no shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The file contradicts itself or the operator.
    Wrong(String),
    /// Shapes alone do not tell; the file may.
    Unknown(String),
}

impl Refusal {
    fn wrong(reason: impl Into<String>) -> Self {
        Self::Wrong(reason.into())
    }

    fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown(reason.into())
    }

    /// The reason.
    pub fn reason(self) -> String {
        match self {
            Self::Wrong(reason) | Self::Unknown(reason) => reason,
        }
    }
}

/// Reads a model's file under the extents that its named dimensions are given.
///
/// # Errors
/// A file that cannot be read or is no model, dimensions without an extent, and nodes without a shape.
pub fn read(path: &Path, extents: &[Extent]) -> Result<Network, WorkloadError> {
    let refuse = |place: String, reason: String| WorkloadError::File { path: path.to_owned(), place, reason };
    let bytes = std::fs::read(path).map_err(|e| refuse(String::new(), e.to_string()))?;
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    decode(bytes.into(), &name, extents).map_err(|graph::Fault { place, reason }| refuse(place, reason))
}

/// The same of a file's bytes.
///
/// # Errors
/// As [`read`].
pub fn decode(bytes: Bytes, name: &str, extents: &[Extent]) -> Result<Network, graph::Fault> {
    let no_model = |reason: String| graph::Fault { place: String::new(), reason };
    let model = proto::ModelProto::decode(bytes)
        .map_err(|e| no_model(format!("it is no ONNX model, or not all of one ({e}); export or copy it again")))?;
    let Some(graph) = &model.graph else {
        return Err(no_model("it is no ONNX model, or one without a graph; export or copy it again".to_owned()));
    };
    graph::walk(&model, graph, name, extents)
}
