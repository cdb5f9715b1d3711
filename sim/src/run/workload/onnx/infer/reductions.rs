//! Operators that reduce axes to one element.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::{Data, Tensor};
use super::Step;

/// `ReduceMean` and its like: axes as an attribute, or as the second operand.
pub fn reduce(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let keep = node.int("keepdims", 1)? != 0;
    let axes = node.list_or_ints("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && node.int("noop_with_empty_axes", 0)? != 0 {
        return Ok(x.clone().into());
    }
    let mut reduced = vec![axes.is_empty(); x.rank()];
    for &axis in axes {
        reduced[node.axis(axis, x.rank())?] = true;
    }
    let dims = left(x.dims(), &reduced, keep);
    let whole = reduced.iter().all(|&axis| axis);
    let data = x.ints().filter(|_| whole).and_then(|values| {
        let sum = |of: fn(i64, i64) -> Option<i64>, first| values.iter().try_fold(first, |sum, &value| of(sum, value));
        match node.operator() {
            "ReduceProd" => sum(i64::checked_mul, 1),
            "ReduceSum" => sum(i64::checked_add, 0),
            "ReduceMax" => values.iter().copied().max(),
            "ReduceMin" => values.iter().copied().min(),
            _ => None,
        }
    });
    Ok(Tensor::with(dims, data.map(|value| Data::Ints(vec![value])))?.into())
}

/// `ArgMax` and `ArgMin`.
pub fn arg(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let mut reduced = vec![false; x.rank()];
    reduced[node.axis(node.int("axis", 0)?, x.rank())?] = true;
    Ok(Tensor::new(left(x.dims(), &reduced, node.int("keepdims", 1)? != 0))?.into())
}

fn left(dims: &[i64], reduced: &[bool], keep: bool) -> Vec<i64> {
    let axes = dims.iter().zip(reduced);
    axes.filter(|(_, gone)| keep || !**gone).map(|(&dim, &gone)| if gone { 1 } else { dim }).collect()
}
