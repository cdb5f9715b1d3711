//! Products of nodes as layers of a topology.

use super::super::topology::{LARGEST_CHANNELS, LARGEST_EXTENT, LARGEST_KERNEL, LARGEST_SIDE, Layer, Work};
use super::infer::{Axis, Product};
use systole_isa::view::Window;

/// How a layer's operands lie, where that is not what the node says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As they are.
    Plain,
    /// Images with their borders, as a topology file lists them.
    Bordered,
    /// Windows one by one, a stored matrix: no view describes them.
    Unfolded,
    /// Results lie apart, to be added up where they overlap.
    Scattered,
}

/// The layer of a node's products.
///
/// # Errors
/// Empty products, and extents beyond those that instructions can name.
pub fn layer(name: String, product: &Product) -> Result<(Layer, Reading), String> {
    let (work, images, count, reading) = match *product {
        Product::Matrix { m, n, k, count } | Product::Scattered { m, n, k, count } => {
            let [m, n, k, count] = extents([("M", m), ("N", n), ("K", k), ("the number of products", count)])?;
            let reading = if matches!(product, Product::Matrix { .. }) { Reading::Plain } else { Reading::Scattered };
            (Work::Product { m, n, k }, 1, count, reading)
        }
        Product::Windows { images, channels, filters, groups, ref axes } => {
            let [many, c, n, count] = extents([("the batch", images), ("channels", channels), ("filters", filters), ("groups", groups)])?;
            if let Some((window, reading)) = window(c, axes) {
                (Work::Convolution { window, filters: n }, many, count, reading)
            } else {
                let all = |first: i64, of: fn(&Axis) -> i64| axes.iter().try_fold(first, |product, axis| product.checked_mul(of(axis)));
                let m = all(images, |axis| axis.out).unwrap_or(i64::MAX);
                let k = all(channels, |axis| axis.kernel).unwrap_or(i64::MAX);
                let [m, k] = extents([("M", m), ("K", k)])?;
                (Work::Product { m, n, k }, 1, count, Reading::Unfolded)
            }
        }
    };
    Ok((Layer { name, work, images, count }, reading))
}

fn extents<const N: usize>(all: [(&str, i64); N]) -> Result<[u32; N], String> {
    let mut found = [0; N];
    for (slot, (what, extent)) in found.iter_mut().zip(all) {
        *slot = match u32::try_from(extent) {
            Ok(0) => return Err(format!("its product is empty: {what} is 0")),
            Ok(extent) if extent <= LARGEST_EXTENT => extent,
            _ => return Err(format!("its product is too large: {what} is {extent}, and instructions name at most {LARGEST_EXTENT}")),
        };
    }
    Ok(found)
}

/// The view of an image's windows, where one describes them: it has one stride and one border for both axes,
/// and no dilation. Axes of a single window have any stride, those of a kernel of one any dilation.
fn window(c: u32, axes: &[Axis]) -> Option<(Window, Reading)> {
    const ONE: Axis = Axis { image: 1, kernel: 1, stride: 1, dilation: 1, before: 0, behind: 0, out: 1 };
    let [y, x] = match *axes {
        [x] => [ONE, x],
        [y, x] => [y, x],
        _ => return None,
    };
    if [y, x].iter().any(|axis| axis.kernel > 1 && axis.dilation > 1) {
        return None;
    }
    let stride = match [y, x].map(|axis| (axis.out > 1).then_some(axis.stride)) {
        [Some(y), Some(x)] if y != x => return None,
        [Some(stride), _] | [None, Some(stride)] => stride,
        [None, None] => 1,
    };
    let bordered = y.before != x.before;
    let (pad, [h, w]) =
        if bordered { (0, [y, x].map(|axis| axis.image + axis.before + axis.behind)) } else { (y.before, [y, x].map(|axis| axis.image)) };
    let within = |n: i64, largest: u32| u32::try_from(n).ok().filter(|n| (1..=largest).contains(n));
    let window = Window {
        out_h: within(y.out, LARGEST_SIDE)?,
        out_w: within(x.out, LARGEST_SIDE)?,
        h: within(h, LARGEST_SIDE)?,
        w: within(w, LARGEST_SIDE)?,
        c: within(c.into(), LARGEST_CHANNELS)?,
        kernel_h: within(y.kernel, LARGEST_KERNEL)?,
        kernel_w: within(x.kernel, LARGEST_KERNEL)?,
        stride: within(stride, LARGEST_KERNEL)?,
        pad: u32::try_from(pad).ok().filter(|&pad| pad <= LARGEST_KERNEL)?,
        dilate: 1,
    };
    Some((window, if bordered { Reading::Bordered } else { Reading::Plain }))
}
