//! Operators that give elements another order or another shape.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::{Data, Tensor, broadcast, broadcast_offset, offset};
use super::Step;

/// `Reshape`: 0 keeps an extent, -1 takes what is left.
pub fn reshape(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let Some(asked) = node.list_or_ints("shape", 1)? else { return Err(Refusal::wrong("operand 2, the shape, is missing")) };
    let keeps = node.int("allowzero", 0)? == 0;
    let mut dims = Vec::with_capacity(asked.len());
    let mut open = None;
    for (axis, &dim) in asked.iter().enumerate() {
        dims.push(match dim {
            0 if keeps => *x.dims().get(axis).ok_or_else(|| {
                Refusal::wrong(format!("shape {asked:?} keeps axis {axis}, which its operand of shape {:?} has not", x.dims()))
            })?,
            -1 if open.is_some() => return Err(Refusal::wrong(format!("shape {asked:?} leaves two dimensions open"))),
            -1 => {
                open = Some(axis);
                1
            }
            dim => dim,
        });
    }
    let known = Tensor::new(dims.clone())?.elements();
    if let Some(axis) = open {
        dims[axis] = x.elements().checked_div(known).unwrap_or(0);
    }
    let result = x.reshaped(dims)?;
    if result.elements() != x.elements() {
        let (from, to) = (x.dims(), asked);
        return Err(Refusal::wrong(format!("{} elements of shape {from:?} do not take shape {to:?}", x.elements())));
    }
    Ok(result.into())
}

/// `Flatten`: two axes.
pub fn flatten(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let rank = x.rank() as i64;
    let asked = node.int("axis", 1)?;
    let axis = if asked < 0 { asked.saturating_add(rank) } else { asked };
    if !(0..=rank).contains(&axis) {
        return Err(Refusal::wrong(format!("there is no axis {asked} in a tensor of {rank} axes")));
    }
    let (outer, inner) = x.dims().split_at(axis as usize);
    Ok(x.reshaped(vec![outer.iter().product(), inner.iter().product()])?.into())
}

/// `Transpose`.
pub fn transpose(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let rank = x.rank();
    let axes: Vec<usize> = match node.list("perm")? {
        Some(axes) => axes.iter().map(|&axis| node.axis(axis, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    if (0..rank).any(|axis| !axes.contains(&axis)) || axes.len() != rank {
        return Err(Refusal::wrong(format!("axes {axes:?} are no order of the {rank} that its operand has")));
    }
    let dims = axes.iter().map(|&axis| x.dims()[axis]).collect();
    let from = |at: &[i64]| {
        let mut source = vec![0; rank];
        axes.iter().zip(at).for_each(|(&axis, &here)| source[axis] = here);
        offset(x.dims(), &source)
    };
    Ok(x.rearranged(dims, from)?.into())
}

/// `Squeeze`: the axes given, or all of extent 1.
pub fn squeeze(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let mut gone: Vec<bool> = x.dims().iter().map(|&dim| dim == 1).collect();
    if let Some(axes) = node.list_or_ints("axes", 1)? {
        gone = vec![false; x.rank()];
        for &axis in axes {
            let axis = node.axis(axis, x.rank())?;
            if x.dims()[axis] != 1 {
                return Err(Refusal::wrong(format!("axis {axis} of shape {:?} is not of extent 1", x.dims())));
            }
            gone[axis] = true;
        }
    }
    let dims = x.dims().iter().zip(gone).filter(|(_, gone)| !gone).map(|(&dim, _)| dim).collect();
    Ok(x.reshaped(dims)?.into())
}

/// `Unsqueeze`: axes of the result.
pub fn unsqueeze(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let Some(axes) = node.list_or_ints("axes", 1)? else { return Err(Refusal::wrong("its axes are missing")) };
    let rank = x.rank() + axes.len();
    let mut new = vec![false; rank];
    for &axis in axes {
        let axis = node.axis(axis, rank)?;
        if std::mem::replace(&mut new[axis], true) {
            return Err(Refusal::wrong(format!("axis {axis} is named twice")));
        }
    }
    let mut old = x.dims().iter();
    let dims = new.iter().map(|&new| if new { 1 } else { old.next().copied().unwrap_or(1) }).collect();
    Ok(x.reshaped(dims)?.into())
}

/// `Concat`.
pub fn concat(node: &Node<'_>) -> Result<Step, Refusal> {
    let all = node.all()?;
    let first = all[0];
    // Version 1 had a default.
    let axis = node.axis(node.int("axis", 1)?, first.rank())?;
    let mut dims = first.dims().to_vec();
    for other in &all[1..] {
        let alike = other.rank() == first.rank() && (0..dims.len()).all(|i| i == axis || dims[i] == other.dims()[i]);
        if !alike {
            let (a, b) = (first.dims(), other.dims());
            return Err(Refusal::wrong(format!("shapes {a:?} and {b:?} do not go together along axis {axis}")));
        }
        let sum = dims[axis].checked_add(other.dims()[axis]);
        dims[axis] = sum.ok_or_else(|| Refusal::wrong("its result has more elements than 64 bits count"))?;
    }
    // Only what has one axis computes shapes.
    let data = if first.rank() == 1 { joined(&all) } else { None };
    Ok(Tensor::with(dims, data)?.into())
}

fn joined(all: &[&Tensor]) -> Option<Data> {
    if let Some(ints) = all.iter().map(|tensor| tensor.ints()).collect::<Option<Vec<_>>>() {
        return Some(Data::Ints(ints.concat()));
    }
    let floats = all.iter().map(|tensor| tensor.floats()).collect::<Option<Vec<_>>>()?;
    Some(Data::Floats(floats.concat()))
}

/// `Expand`: broadcast to a shape, and the shape to it.
pub fn expand(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let Some(asked) = node.ints(1)? else { return Err(Refusal::wrong("operand 2, the shape, is missing")) };
    let dims = broadcast(x.dims(), Tensor::new(asked.to_vec())?.dims())?;
    Ok(x.rearranged(dims, |at| broadcast_offset(x.dims(), at))?.into())
}

/// `Tile`.
pub fn tile(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let Some(repeats) = node.ints(1)? else { return Err(Refusal::wrong("operand 2, the repeats, is missing")) };
    if repeats.len() != x.rank() {
        return Err(Refusal::wrong(format!("{} repeats for a tensor of {} axes", repeats.len(), x.rank())));
    }
    let dims = x.dims().iter().zip(repeats).map(|(&dim, &times)| dim.checked_mul(times)).collect::<Option<Vec<_>>>();
    let dims = dims.ok_or_else(|| Refusal::wrong("its result has more elements than 64 bits count"))?;
    let from = |at: &[i64]| x.dims().iter().zip(at).fold(0, |offset, (&dim, &here)| offset * dim + here % dim.max(1));
    Ok(x.rearranged(dims, from)?.into())
}
