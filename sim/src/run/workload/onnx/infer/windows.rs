//! Windows over images: how far they reach, and the operators that pool, resize and pad.

use super::super::Refusal;
use super::super::node::Node;
use super::super::tensor::Tensor;
use super::Step;

/// Windows along one axis of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Extent of the image.
    pub image: i64,
    /// Extent of the kernel.
    pub kernel: i64,
    /// Step between windows.
    pub stride: i64,
    /// Distance between the elements of a window.
    pub dilation: i64,
    /// Border before the image.
    pub before: i64,
    /// Border behind it.
    pub behind: i64,
    /// Windows.
    pub out: i64,
}

/// Windows along the axes of images of this shape.
pub fn axes(node: &Node<'_>, images: &[i64], kernel: &[i64]) -> Result<Vec<Axis>, Refusal> {
    let rank = kernel.len();
    let image = images.get(2..).unwrap_or_default();
    if image.len() != rank || rank == 0 {
        return Err(Refusal::wrong(format!(
            "kernel {kernel:?} does not go with images of shape {images:?}: batch, channels, and its axes"
        )));
    }
    let (strides, dilations, pads) = (list(node, "strides", 1, rank)?, list(node, "dilations", 1, rank)?, list(node, "pads", 0, 2 * rank)?);
    let auto = node.text("auto_pad", "NOTSET")?;
    let up = node.int("ceil_mode", 0)? != 0;
    (0..rank)
        .map(|i| {
            let (image, kernel, stride, dilation, pads) = (image[i], kernel[i], strides[i], dilations[i], [pads[i], pads[rank + i]]);
            along(image, kernel, stride, dilation, pads, auto, up)
        })
        .collect()
}

/// An attribute of so many numbers, or a default for each.
fn list(node: &Node<'_>, name: &str, default: i64, count: usize) -> Result<Vec<i64>, Refusal> {
    match node.list(name)? {
        None => Ok(vec![default; count]),
        Some(list) if list.len() == count => Ok(list.to_vec()),
        Some(list) => Err(Refusal::wrong(format!("its attribute `{name}` has {} numbers, not {count}", list.len()))),
    }
}

/// Extents that windows over images of this shape were taken from, where each puts its whole kernel back.
pub fn scattered(node: &Node<'_>, images: &[i64], kernel: &[i64]) -> Result<Vec<i64>, Refusal> {
    /// Sums and products of these stay within 64 bits.
    const LARGEST: i64 = 1 << 30;
    let rank = kernel.len();
    let image = images.get(2..).unwrap_or_default();
    if image.len() != rank || rank == 0 {
        return Err(Refusal::wrong(format!("kernel {kernel:?} does not go with images of shape {images:?}")));
    }
    if let Some(told) = node.list("output_shape")? {
        // Some exporters list batch and channels too.
        return match told.len().checked_sub(rank) {
            Some(skipped @ (0 | 2)) => Ok(told[skipped..].to_vec()),
            _ => Err(Refusal::wrong(format!("its output_shape {told:?} is not that of {rank} axes"))),
        };
    }
    let (strides, dilations) = (list(node, "strides", 1, rank)?, list(node, "dilations", 1, rank)?);
    let (pads, more) = (list(node, "pads", 0, 2 * rank)?, list(node, "output_padding", 0, rank)?);
    let auto = node.text("auto_pad", "NOTSET")?;
    let all = [image, kernel, &strides, &dilations, &pads, &more].concat();
    if all.iter().any(|n| !(0..LARGEST).contains(n)) || [kernel, &strides, &dilations].concat().contains(&0) {
        return Err(Refusal::wrong(format!(
            "kernel {kernel:?}, strides {strides:?}, dilations {dilations:?}, pads {pads:?} over {image:?} cannot be: they must be 1 to 2^30 - 1, pads 0 on"
        )));
    }
    let of = |i: usize| {
        let whole = strides[i] * (image[i] - 1) + more[i] + (kernel[i] - 1) * dilations[i] + 1;
        match auto {
            "" | "NOTSET" => Ok(whole - pads[i] - pads[rank + i]),
            "VALID" => Ok(whole),
            "SAME_UPPER" | "SAME_LOWER" => Ok(image[i] * strides[i]),
            other => Err(Refusal::wrong(format!("its auto_pad `{other}` is none that ONNX has"))),
        }
    };
    (0..rank).map(of).collect()
}

fn along(image: i64, kernel: i64, stride: i64, dilation: i64, pads: [i64; 2], auto: &str, up: bool) -> Result<Axis, Refusal> {
    // Sums and products of these stay within 64 bits.
    const LARGEST: i64 = 1 << 31;
    let parameters = [kernel, stride, dilation];
    if parameters.iter().any(|n| !(1..LARGEST).contains(n)) || pads.iter().any(|n| !(0..LARGEST).contains(n)) || image >= 1 << 61 {
        return Err(Refusal::wrong(format!(
            "a window of kernel {kernel}, stride {stride}, dilation {dilation}, pads {pads:?} over {image} cannot be: \
             they must be 1 to 2^31 - 1, pads 0 on"
        )));
    }
    let reach = (kernel - 1) * dilation + 1;
    let [before, behind, out] = match auto {
        "" | "NOTSET" | "VALID" => {
            let [before, behind] = if auto == "VALID" { [0; 2] } else { pads };
            let room = image + before + behind - reach;
            if room < 0 {
                return Err(Refusal::wrong(format!("a window that reaches over {reach} does not fit {image} with a border of {pads:?}")));
            }
            let mut out = room / stride + 1;
            // One more where the last hangs over the end, if it begins within the image.
            if up && auto != "VALID" && room % stride != 0 && out * stride < image + before {
                out += 1;
            }
            [before, behind, out]
        }
        "SAME_UPPER" | "SAME_LOWER" => {
            let out = (image + stride - 1) / stride;
            let border = ((out - 1).max(0) * stride + reach - image).max(0);
            let less = border / 2;
            if auto == "SAME_UPPER" { [less, border - less, out] } else { [border - less, less, out] }
        }
        other => return Err(Refusal::wrong(format!("its auto_pad `{other}` is none that ONNX has"))),
    };
    Ok(Axis { image, kernel, stride, dilation, before, behind, out })
}

/// `MaxPool` and its like.
pub fn pool(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let Some(kernel) = node.list("kernel_shape")? else { return Err(Refusal::wrong("its attribute `kernel_shape` is missing")) };
    let windows = axes(node, x.dims(), kernel)?;
    let dims = x.dims()[..2].iter().copied().chain(windows.iter().map(|axis| axis.out)).collect();
    Ok(Step::alike(&Tensor::new(dims)?, 2))
}

/// `GlobalAveragePool` and its like.
pub fn global_pool(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let dims = x.dims().iter().enumerate().map(|(axis, &dim)| if axis < 2 { dim } else { 1 }).collect();
    Ok(Tensor::new(dims)?.into())
}

fn blocks<'a>(node: &Node<'a>) -> Result<(&'a [i64; 4], i64, i64), Refusal> {
    let dims = node.operand(0)?.dims();
    let block = node.int("blocksize", 0)?;
    match (<&[i64; 4]>::try_from(dims), block.checked_mul(block)) {
        (Ok(dims), Some(area)) if block > 0 => Ok((dims, block, area)),
        _ => Err(Refusal::wrong(format!("blocks of {block} and a shape of {dims:?} do not go together"))),
    }
}

/// `DepthToSpace`.
pub fn depth_to_space(node: &Node<'_>) -> Result<Step, Refusal> {
    let (&[n, c, h, w], block, area) = blocks(node)?;
    Ok(Tensor::new(vec![n, c / area, h.saturating_mul(block), w.saturating_mul(block)])?.into())
}

/// `SpaceToDepth`.
pub fn space_to_depth(node: &Node<'_>) -> Result<Step, Refusal> {
    let (&[n, c, h, w], block, area) = blocks(node)?;
    Ok(Tensor::new(vec![n, c.saturating_mul(area), h / block, w / block])?.into())
}

/// `Resize` by sizes or factors, and `Upsample`.
pub fn resize(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    if node.text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err(Refusal::unknown("policies of aspect ratios are not followed"));
    }
    let axes = match node.list("axes")? {
        Some(axes) => axes.iter().map(|&axis| node.axis(axis, x.rank())).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).collect(),
    };
    let mut dims = x.dims().to_vec();
    let count = |found: usize| {
        let message = || Refusal::wrong(format!("{found} sizes or factors for {} axes", axes.len()));
        (found == axes.len()).then_some(()).ok_or_else(message)
    };
    if let Some(sizes) = node.ints(3)?.filter(|sizes| !sizes.is_empty()) {
        count(sizes.len())?;
        axes.iter().zip(sizes).for_each(|(&axis, &size)| dims[axis] = size);
        return Ok(Tensor::new(dims)?.into());
    }
    // Factors were the second operand before there were regions.
    let index = if node.operator() == "Upsample" || node.opset < 11 { 1 } else { 2 };
    let factors = match node.floats("scales")? {
        Some(factors) => factors,
        None => {
            node.values(index)?;
            node.optional(index)?.and_then(Tensor::floats).ok_or_else(|| Refusal::wrong("it has neither sizes nor factors"))?
        }
    };
    count(factors.len())?;
    for (&axis, &factor) in axes.iter().zip(factors) {
        if !(factor > 0.0 && factor.is_finite()) {
            return Err(Refusal::wrong(format!("its factor {factor} is none")));
        }
        dims[axis] = (dims[axis] as f32 * factor).floor() as i64;
    }
    Ok(Tensor::new(dims)?.into())
}

/// `Pad`: attributes in early versions, operands later.
pub fn pad(node: &Node<'_>) -> Result<Step, Refusal> {
    let x = node.operand(0)?;
    let Some(pads) = node.list_or_ints("pads", 1)? else { return Err(Refusal::wrong("its pads are missing")) };
    let axes = match node.ints(3)? {
        Some(axes) => axes.iter().map(|&axis| node.axis(axis, x.rank())).collect::<Result<Vec<_>, _>>()?,
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(Refusal::wrong(format!("{} pads for {} axes; there are two for each", pads.len(), axes.len())));
    }
    let (before, behind) = pads.split_at(axes.len());
    let mut dims = x.dims().to_vec();
    for ((&axis, &before), &behind) in axes.iter().zip(before).zip(behind) {
        let sum = before.checked_add(behind).and_then(|border| border.checked_add(dims[axis]));
        dims[axis] = sum.ok_or_else(|| Refusal::wrong(format!("pads {pads:?} are beyond 64 bits")))?;
    }
    Ok(Tensor::new(dims)?.into())
}
