//! Operators that make tensors from shapes, parameters and values.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::{Data, LARGEST_KNOWN, Tensor};
use super::Step;

/// Shapes of a node's results.
pub fn infer(node: &Node<'_>) -> Result<Step, Refusal> {
    Ok(match node.operator() {
        "Shape" => shape(node)?,
        "Size" => Tensor::with(vec![], Some(Data::Ints(vec![node.operand(0)?.elements()])))?,
        "Constant" => constant(node)?,
        "ConstantOfShape" => filled(node)?,
        "Range" => range(node)?,
        "OneHot" => one_hot(node)?,
        _ => match node.list("shape")? {
            Some(shape) => Tensor::new(shape.to_vec())?,
            None => return Err(Refusal::wrong("its attribute `shape` is missing")),
        },
    }
    .into())
}

fn shape(node: &Node<'_>) -> Result<Tensor, Refusal> {
    let dims = node.operand(0)?.dims();
    let rank = dims.len() as i64;
    let end = |axis: i64| (if axis < 0 { axis.saturating_add(rank) } else { axis }).clamp(0, rank) as usize;
    let (from, to) = (end(node.int("start", 0)?), end(node.int("end", rank)?));
    Tensor::row(dims.get(from..to).unwrap_or_default().to_vec())
}

fn constant(node: &Node<'_>) -> Result<Tensor, Refusal> {
    if let Some(tensor) = node.tensor("value")? {
        return Ok(tensor);
    }
    if let Some(value) = node.given("value_int")? {
        return Tensor::with(vec![], Some(Data::Ints(vec![value])));
    }
    if let Some(values) = node.list("value_ints")? {
        return Tensor::row(values.to_vec());
    }
    if let Some(value) = node.float("value_float")? {
        return Tensor::with(vec![], Some(Data::Floats(vec![value])));
    }
    if let Some(values) = node.floats("value_floats")? {
        return Tensor::with(vec![values.len() as i64], Some(Data::Floats(values.to_vec())));
    }
    let sparse = node.proto.attribute.iter().find_map(|attribute| attribute.sparse_tensor.as_ref());
    match sparse {
        Some(sparse) => Tensor::of_sparse(sparse),
        None => Err(Refusal::unknown("a constant that is no tensor of numbers")),
    }
}

fn filled(node: &Node<'_>) -> Result<Tensor, Refusal> {
    let Some(dims) = node.ints(0)? else { return Err(Refusal::wrong("operand 1 is missing")) };
    let shape = Tensor::new(dims.to_vec())?;
    if shape.elements() > LARGEST_KNOWN {
        return Ok(shape);
    }
    let count = shape.elements() as usize;
    let data = match node.tensor("value")? {
        None => Some(Data::Floats(vec![0.0; count])),
        Some(value) => match value.data() {
            Some(Data::Ints(values)) => values.first().map(|&value| Data::Ints(vec![value; count])),
            Some(Data::Floats(values)) => values.first().map(|&value| Data::Floats(vec![value; count])),
            None => None,
        },
    };
    Tensor::with(dims.to_vec(), data)
}

fn range(node: &Node<'_>) -> Result<Tensor, Refusal> {
    let one = |index| -> Result<&Data, Refusal> {
        node.values(index)?.ok_or_else(|| Refusal::wrong("it takes start, limit and delta; one is missing"))
    };
    let (start, limit, delta) = match (one(0)?, one(1)?, one(2)?) {
        (Data::Ints(start), Data::Ints(limit), Data::Ints(delta)) => match (&start[..], &limit[..], &delta[..]) {
            (&[start], &[limit], &[delta]) => (start, limit, delta),
            _ => return Err(Refusal::wrong("start, limit and delta must be one number each")),
        },
        (Data::Floats(start), Data::Floats(limit), Data::Floats(delta)) => match (&start[..], &limit[..], &delta[..]) {
            (&[start], &[limit], &[delta]) if delta != 0.0 => {
                let count = ((limit - start) / delta).ceil().max(0.0);
                return Tensor::new(vec![count as i64]);
            }
            _ => return Err(Refusal::wrong("start, limit and delta must be one number each, delta not 0")),
        },
        _ => return Err(Refusal::wrong("start, limit and delta must be of one type")),
    };
    if delta == 0 {
        return Err(Refusal::wrong("its delta is 0"));
    }
    let (span, step) = (i128::from(limit) - i128::from(start), i128::from(delta));
    let count = if (span > 0) == (step > 0) { (span.abs() + step.abs() - 1) / step.abs() } else { 0 };
    let count = i64::try_from(count).map_err(|_| Refusal::wrong("it has more elements than 64 bits count"))?;
    // Every element lies between start and limit.
    let data = (count <= LARGEST_KNOWN).then(|| Data::Ints((0..count).map(|i| start.wrapping_add(i.wrapping_mul(delta))).collect()));
    Tensor::with(vec![count], data)
}

fn one_hot(node: &Node<'_>) -> Result<Tensor, Refusal> {
    let mut dims = node.operand(0)?.dims().to_vec();
    let depth = match node.values(1)? {
        Some(Data::Ints(values)) => values.first().copied(),
        Some(Data::Floats(values)) => values.first().map(|&value| value as i64),
        None => None,
    };
    let depth = depth.ok_or_else(|| Refusal::wrong("its depth must be one number"))?;
    let axis = node.axis(node.int("axis", -1)?, dims.len() + 1)?;
    dims.insert(axis, depth);
    Tensor::new(dims)
}
