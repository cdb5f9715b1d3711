//! Shapes of what nodes compute, operator by operator, and the products they hold.
//!
//! Values are followed where shapes are computed from them: `Shape`, arithmetic on it, and what moves its
//! elements about. Semantics are those of ONNX's operator reference, of every version that exporters write.

mod arithmetic;
mod constants;
mod einsum;
mod movement;
mod products;
mod recurrent;
mod reductions;
mod selection;
mod windows;

use super::Refusal;
use super::node::Node;
use super::tensor::Tensor;
pub use products::Product;
pub use windows::Axis;

/// What a node computes.
#[derive(Debug, Default)]
pub struct Step {
    /// The shape of each result; none of those that nothing tells.
    pub results: Vec<Option<Tensor>>,
    /// The matrix products it is costed by.
    pub products: Vec<Part>,
}

/// Products of a node that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What they are to the node; empty where it has no others.
    pub name: &'static str,
    /// The products.
    pub product: Product,
}

impl Part {
    const fn of(name: &'static str, product: Product) -> Self {
        Self { name, product }
    }
}

impl From<Tensor> for Step {
    fn from(tensor: Tensor) -> Self {
        Self { results: vec![Some(tensor)], products: Vec::new() }
    }
}

impl Step {
    /// Several results of a shape.
    fn alike(tensor: &Tensor, count: usize) -> Self {
        Self { results: vec![Some(tensor.clone()); count], products: Vec::new() }
    }
}

/// Operators costed by their products.
pub fn is_costed(operator: &str) -> bool {
    matches!(
        operator,
        "Attention"
            | "Conv"
            | "ConvInteger"
            | "ConvTranspose"
            | "Einsum"
            | "GRU"
            | "Gemm"
            | "LSTM"
            | "MatMul"
            | "MatMulInteger"
            | "QLinearConv"
            | "QLinearMatMul"
            | "RNN"
    )
}

/// Why an operator is refused by its name, if it is.
pub fn refused(operator: &str) -> Option<&'static str> {
    match operator {
        "If" | "Loop" | "Scan" | "SequenceMap" => {
            Some("holds a graph of its own, which is not followed; export the model with control flow unrolled or folded")
        }
        "CausalConvWithState" | "DeformConv" | "FlexAttention" | "LinearAttention" => {
            Some("holds products that are not lowered, and leaving them out would cost too little; export it as MatMul, Gemm or Conv nodes")
        }
        // Of other domains: what runtimes fuse.
        "BiasSplitGelu"
        | "DynamicQuantizeLSTM"
        | "DynamicQuantizeMatMul"
        | "FusedConv"
        | "FusedGemm"
        | "FusedMatMul"
        | "GemmFastGelu"
        | "GroupQueryAttention"
        | "LongformerAttention"
        | "MatMulIntegerToFloat"
        | "MatMulBnb4"
        | "MatMulNBits"
        | "MoE"
        | "MultiHeadAttention"
        | "NhwcConv"
        | "PackedAttention"
        | "PackedMultiHeadAttention"
        | "PagedAttention"
        | "QAttention"
        | "QGemm"
        | "QMoE"
        | "QOrderedMatMul"
        | "SparseAttention"
        | "TransposeMatMul" => Some("holds fused products that are not lowered; take the model from before its runtime's optimiser"),
        _ => None,
    }
}

/// Shapes of a node's results, or `None` of operators that are not known.
///
/// # Errors
/// Operands that the operator does not take, and shapes that follow from values which are not known.
pub fn infer(node: &Node<'_>) -> Result<Option<Step>, Refusal> {
    let step = match node.operator() {
        "Conv" | "ConvInteger" => products::convolution(node, 1)?,
        "QLinearConv" => products::convolution(node, 3)?,
        "ConvTranspose" => products::transposed_convolution(node)?,
        "Einsum" => einsum::einsum(node)?,
        "Attention" => recurrent::attention(node)?,
        "LSTM" | "GRU" | "RNN" => recurrent::recurrent(node)?,
        "Gemm" => products::gemm(node)?,
        "MatMul" | "MatMulInteger" => products::matmul(node, 1)?,
        "QLinearMatMul" => products::matmul(node, 3)?,
        "MaxPool" | "AveragePool" | "LpPool" => windows::pool(node)?,
        "GlobalAveragePool" | "GlobalMaxPool" | "GlobalLpPool" => windows::global_pool(node)?,
        "DepthToSpace" => windows::depth_to_space(node)?,
        "SpaceToDepth" => windows::space_to_depth(node)?,
        "Resize" | "Upsample" => windows::resize(node)?,
        "Pad" => windows::pad(node)?,
        "Shape" | "Size" | "Constant" | "ConstantOfShape" | "Range" | "RandomNormal" | "RandomUniform" | "OneHot" => {
            constants::infer(node)?
        }
        "Reshape" => movement::reshape(node)?,
        "Flatten" => movement::flatten(node)?,
        "Transpose" => movement::transpose(node)?,
        "Squeeze" => movement::squeeze(node)?,
        "Unsqueeze" => movement::unsqueeze(node)?,
        "Concat" => movement::concat(node)?,
        "Expand" => movement::expand(node)?,
        "Tile" => movement::tile(node)?,
        "Split" => selection::split(node)?,
        "Slice" => selection::slice(node)?,
        "Gather" => selection::gather(node)?,
        "GatherElements" => selection::gather_elements(node)?,
        "GatherND" => selection::gather_nd(node)?,
        "TopK" => selection::top_k(node)?,
        "ArgMax" | "ArgMin" => reductions::arg(node)?,
        name if name.starts_with("Reduce") => reductions::reduce(node)?,
        "Compress" | "NonMaxSuppression" | "NonZero" | "Unique" => {
            return Err(Refusal::unknown("the shape of its result follows from values, which shapes do not tell; give it in value_info"));
        }
        _ => return arithmetic::infer(node),
    };
    Ok(Some(step))
}
