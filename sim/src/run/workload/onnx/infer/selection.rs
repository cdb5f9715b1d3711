//! Operators that take parts of a tensor.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::{Tensor, offset};
use super::Step;

/// `Split`: parts given as an attribute, as an operand, or alike.
pub fn split(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let axis = node.axis(node.int("axis", 0)?, x.rank())?;
    let extent = x.dims()[axis];
    let parts = match node.list_or_ints("split", 1)? {
        Some(parts) => parts.to_vec(),
        None => even(node, extent)?,
    };
    let sum = parts.iter().try_fold(0_i64, |sum, &part| sum.checked_add(part));
    if sum != Some(extent) || parts.iter().any(|&part| part < 0) || parts.len() < node.results() {
        return Err(Refusal::wrong(format!("parts of {parts:?} for {} results do not make up axis {axis} of {extent}", node.results())));
    }
    let mut results = Vec::with_capacity(parts.len());
    let mut first = 0;
    for part in parts {
        let mut dims = x.dims().to_vec();
        dims[axis] = part;
        let from = |at: &[i64]| {
            let mut at = at.to_vec();
            at[axis] += first;
            offset(x.dims(), &at)
        };
        results.push(Some(x.rearranged(dims, from)?));
        first += part;
    }
    Ok(Step { results, products: Vec::new() })
}

/// Parts alike, the last one smaller where that is allowed.
fn even(node: &Node<'_>, extent: i64) -> Result<Vec<i64>, Refusal> {
    let asked = node.given("num_outputs")?;
    let count = node.results() as i64;
    if count == 0 || asked.is_some_and(|asked| asked != count) {
        return Err(Refusal::wrong(format!("it has {count} results, not the {} it asks for", asked.unwrap_or(1))));
    }
    if asked.is_none() && extent % count != 0 {
        return Err(Refusal::wrong(format!("{extent} elements do not split into {count} parts alike")));
    }
    let part = (extent + count - 1) / count;
    Ok((0..count).map(|i| (extent - i * part).clamp(0, part)).collect())
}

/// `Slice`: attributes in early versions, operands later.
pub fn slice(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let missing = || Refusal::wrong("it takes starts and ends; one is missing");
    let starts = node.list_or_ints("starts", 1)?.ok_or_else(missing)?;
    let ends = node.list_or_ints("ends", 2)?.ok_or_else(missing)?;
    let axes = match node.list_or_ints("axes", 3)? {
        Some(axes) => axes.iter().map(|&axis| node.axis(axis, x.rank())).collect::<Result<Vec<_>, _>>()?,
        None => (0..starts.len()).collect(),
    };
    let steps = node.ints(4)?.map_or_else(|| vec![1; starts.len()], <[i64]>::to_vec);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || axes.iter().any(|&axis| axis >= x.rank()) {
        return Err(Refusal::wrong(format!(
            "starts {starts:?}, ends {ends:?}, axes and steps are not as many as the axes of {:?}",
            x.dims()
        )));
    }
    let mut dims = x.dims().to_vec();
    let mut taken = vec![(0, 1); x.rank()];
    for (i, &axis) in axes.iter().enumerate() {
        let (first, count) = part(x.dims()[axis], starts[i], ends[i], steps[i]).ok_or_else(|| Refusal::wrong("one of its steps is 0"))?;
        dims[axis] = count;
        taken[axis] = (first, steps[i]);
    }
    let from = |at: &[i64]| {
        let at: Vec<i64> = at.iter().zip(&taken).map(|(&here, &(first, step))| first + here * step).collect();
        offset(x.dims(), &at)
    };
    Ok(x.rearranged(dims, from)?.into())
}

/// First element and number of those a slice takes of an axis.
fn part(extent: i64, start: i64, end: i64, step: i64) -> Option<(i64, i64)> {
    let counted = |index: i64| i128::from(if index < 0 { index.saturating_add(extent) } else { index });
    let (extent, step) = (i128::from(extent), i128::from(step));
    let (start, end) = (counted(start), counted(end));
    let (first, span) = match step {
        0 => return None,
        1.. => {
            let first = start.clamp(0, extent);
            (first, end.clamp(0, extent) - first)
        }
        _ => {
            let first = start.min(extent - 1).max(-1);
            (first, first - end.min(extent - 1).max(-1))
        }
    };
    let count = (span + step.abs() - 1) / step.abs();
    Some((first as i64, count.max(0) as i64))
}

/// `Gather`: slices along an axis, by index.
pub fn gather(node: &Node<'_>) -> Result<Step, Refusal> {
    let (x, index) = (node.operand(0)?, node.operand(1)?);
    let axis = node.axis(node.int("axis", 0)?, x.rank())?;
    let extent = x.dims()[axis];
    let counted = |index: i64| if index < 0 { index.saturating_add(extent) } else { index };
    if let Some(&wrong) = index.ints().unwrap_or_default().iter().find(|&&index| !(0..extent).contains(&counted(index))) {
        return Err(Refusal::wrong(format!("index {wrong} is beyond axis {axis} of shape {:?}", x.dims())));
    }
    let dims = [&x.dims()[..axis], index.dims(), &x.dims()[axis + 1..]].concat();
    let Some(indices) = index.ints() else { return Ok(Tensor::new(dims)?.into()) };
    let from = |at: &[i64]| {
        let (before, rest) = at.split_at(axis);
        let (which, after) = rest.split_at(index.rank());
        let chosen = indices.get(offset(index.dims(), which) as usize).map_or(-1, |&index| counted(index));
        offset(x.dims(), &[before, &[chosen], after].concat())
    };
    Ok(x.rearranged(dims, from)?.into())
}

/// `GatherElements`: an element for each index.
pub fn gather_elements(node: &Node<'_>) -> Result<Step, Refusal> {
    Ok(Tensor::new(node.operand(1)?.dims().to_vec())?.into())
}

/// `GatherND`: slices by coordinates.
pub fn gather_nd(node: &Node<'_>) -> Result<Step, Refusal> {
    let (x, index) = (node.operand(0)?, node.operand(1)?);
    let refuse = || Refusal::wrong(format!("indices of shape {:?} do not go into shape {:?}", index.dims(), x.dims()));
    let (&depth, outer) = index.dims().split_last().ok_or_else(refuse)?;
    let skipped = usize::try_from(node.int("batch_dims", 0)?).ok().and_then(|batch| batch.checked_add(usize::try_from(depth).ok()?));
    let inner = skipped.and_then(|skipped| x.dims().get(skipped..)).ok_or_else(refuse)?;
    Ok(Tensor::new([outer, inner].concat())?.into())
}

/// `TopK`: values and their indices.
pub fn top_k(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let axis = node.axis(node.int("axis", -1)?, x.rank())?;
    let count = match node.given("k")? {
        Some(count) => Some(count),
        None => node.ints(1)?.and_then(|values| values.first().copied()),
    };
    let mut dims = x.dims().to_vec();
    dims[axis] = count.ok_or_else(|| Refusal::wrong("its K must be one number"))?;
    Ok(Step::alike(&Tensor::new(dims)?, 2))
}
