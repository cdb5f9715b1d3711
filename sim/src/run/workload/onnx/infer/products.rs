//! Operators that are matrix products, and the extents of those.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::{Tensor, broadcast};
use super::windows::{self, Axis};
use super::{Part, Step};

/// The products of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Product {
    /// Products of M x K by K x N.
    Matrix {
        /// Rows of the result.
        m: i64,
        /// Columns of the result.
        n: i64,
        /// Products summed.
        k: i64,
        /// How many.
        count: i64,
    },
    /// Convolutions.
    Windows {
        /// Images.
        images: i64,
        /// Channels that each filter sees.
        channels: i64,
        /// Filters of a group.
        filters: i64,
        /// Groups of channels, each a convolution of its own.
        groups: i64,
        /// Axes of an image.
        axes: Vec<Axis>,
    },
    /// Transposed convolutions: every pixel times the whole of each filter, M x K by K x N, of which what
    /// overlaps is added up.
    Scattered {
        /// Pixels of all images.
        m: i64,
        /// Elements of a filter's kernels.
        n: i64,
        /// Channels that each filter sees.
        k: i64,
        /// Groups of channels.
        count: i64,
    },
}

fn step(dims: Vec<i64>, product: Product) -> Result<Step, Refusal> {
    Ok(Step { results: vec![Some(Tensor::new(dims)?)], products: vec![Part::of("", product)] })
}

/// Refuses a kernel that is told and is not that of the filters.
fn agrees(node: &Node<'_>, kernel: &[i64]) -> Result<(), Refusal> {
    match node.list("kernel_shape")? {
        Some(given) if given != kernel => Err(Refusal::wrong(format!("its kernel_shape {given:?} is not that of its filters, {kernel:?}"))),
        _ => Ok(()),
    }
}

/// `Conv` and its quantised forms, filters the operand of this index.
pub fn convolution(node: &Node<'_>, index: usize) -> Result<Step, Refusal> {
    let (x, w) = (node.operand(0)?.dims(), node.operand(index)?.dims());
    let (&[images, channels, ..], &[filters, seen, ref kernel @ ..]) = (x, w) else {
        return Err(Refusal::wrong(format!("images of shape {x:?} and filters of shape {w:?} have too few axes")));
    };
    agrees(node, kernel)?;
    let groups = node.int("group", 1)?;
    if groups < 1 || seen.checked_mul(groups) != Some(channels) || filters % groups != 0 {
        return Err(Refusal::wrong(format!("filters of shape {w:?} in {groups} groups do not go with images of shape {x:?}")));
    }
    let axes = windows::axes(node, x, kernel)?;
    let dims = [images, filters].into_iter().chain(axes.iter().map(|axis| axis.out)).collect();
    step(dims, Product::Windows { images, channels: seen, filters: filters / groups, groups, axes })
}

/// `ConvTranspose`.
pub fn transposed_convolution(node: &Node<'_>) -> Result<Step, Refusal> {
    let (x, w) = (node.operand(0)?.dims(), node.operand(1)?.dims());
    let (&[images, channels, ref image @ ..], &[seen, filters, ref kernel @ ..]) = (x, w) else {
        return Err(Refusal::wrong(format!("images of shape {x:?} and filters of shape {w:?} have too few axes")));
    };
    agrees(node, kernel)?;
    let groups = node.int("group", 1)?;
    if groups < 1 || seen != channels || channels % groups != 0 {
        return Err(Refusal::wrong(format!("filters of shape {w:?} in {groups} groups do not go with images of shape {x:?}")));
    }
    let outs = windows::scattered(node, x, kernel)?;
    let beyond = || Refusal::wrong(format!("images of shape {x:?} under filters of shape {w:?} are beyond 64 bits"));
    let all = |first: i64, extents: &[i64]| extents.iter().try_fold(first, |product, &n| product.checked_mul(n)).ok_or_else(beyond);
    let dims = [images, filters.checked_mul(groups).ok_or_else(beyond)?].into_iter().chain(outs).collect();
    step(dims, Product::Scattered { m: all(images, image)?, n: all(filters, kernel)?, k: channels / groups, count: groups })
}

/// `Gemm`: either operand transposed, a third one added.
pub fn gemm(node: &Node<'_>) -> Result<Step, Refusal> {
    let matrix = |index, flag| -> Result<[i64; 2], Refusal> {
        match *node.operand(index)?.dims() {
            [rows, cols] => Ok(if node.int(flag, 0)? == 0 { [rows, cols] } else { [cols, rows] }),
            ref other => Err(Refusal::wrong(format!("operand {} must be a matrix, not of shape {other:?}", index + 1))),
        }
    };
    let ([m, k], [inner, n]) = (matrix(0, "transA")?, matrix(1, "transB")?);
    if k != inner {
        return Err(Refusal::wrong(format!("a product of {m}x{k} by {inner}x{n} does not go together")));
    }
    // Early versions had flags that say how the third is spread.
    if let Some(added) = node.optional(2)?.filter(|_| node.opset >= 7)
        && broadcast(added.dims(), &[m, n])? != [m, n]
    {
        return Err(Refusal::wrong(format!("a shape of {:?} is not broadcast to its result, {m}x{n}", added.dims())));
    }
    step(vec![m, n], Product::Matrix { m, n, k, count: 1 })
}

/// `MatMul` and its quantised forms, the right operand that of this index.
///
/// A left operand of several matrices by one right one is a single product of all their rows.
pub fn matmul(node: &Node<'_>, index: usize) -> Result<Step, Refusal> {
    let (a, b) = (node.operand(0)?.dims(), node.operand(index)?.dims());
    let (many_a, m, k) = match a {
        [] => return Err(Refusal::wrong("its left operand has no axes")),
        &[k] => (&[][..], None, k),
        &[ref many @ .., m, k] => (many, Some(m), k),
    };
    let (many_b, inner, n) = match b {
        [] => return Err(Refusal::wrong("its right operand has no axes")),
        &[k] => (&[][..], k, None),
        &[ref many @ .., k, n] => (many, k, Some(n)),
    };
    if k != inner {
        return Err(Refusal::wrong(format!("shapes {a:?} and {b:?} do not multiply: {k} columns by {inner} rows")));
    }
    let many = broadcast(many_a, many_b)?;
    let dims = [&many[..], m.as_slice(), n.as_slice()].concat();
    let result = Tensor::new(dims)?;
    // The result of one row or column counts them too.
    let times: i64 = many.iter().product();
    let (rows, n) = (m.unwrap_or(1), n.unwrap_or(1));
    let product = if many_b.iter().all(|&dim| dim == 1) {
        Product::Matrix { m: rows * times, n, k, count: 1 }
    } else {
        Product::Matrix { m: rows, n, k, count: times }
    };
    Ok(Step { results: vec![Some(result)], products: vec![Part::of("", product)] })
}
