//! Tensor views: which memory element each row and column of an operand is.

use crate::format::Format;

/// A memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Off-chip memory.
    Dram,
    /// The banked on-chip scratchpad.
    Scratchpad,
}

/// How rows and columns map to elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Row r = q * inner + p lies at q * outer + p * inner_stride elements, column c at
    /// c * column elements from there.
    Strided {
        /// Rows per outer step.
        inner: u32,
        /// Elements between outer steps.
        outer: i64,
        /// Elements between rows within a step.
        inner_stride: i64,
        /// Elements between columns.
        column: i64,
    },
    /// An im2col view of an NHWC tensor.
    Window(Window),
}

/// Geometry of an im2col view: row (n, oy, ox), column (ky, kx, c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Output height.
    pub out_h: u32,
    /// Output width.
    pub out_w: u32,
    /// Input height.
    pub h: u32,
    /// Input width.
    pub w: u32,
    /// Channels.
    pub c: u32,
    /// Kernel height.
    pub kernel_h: u32,
    /// Kernel width.
    pub kernel_w: u32,
    /// Step between windows.
    pub stride: u32,
    /// Zero border.
    pub pad: u32,
    /// The input is spread so that neighbours lie this far apart, zeros between them.
    pub dilate: u32,
}

impl Window {
    /// Input coordinate along one axis, or `None` where the view reads a zero.
    const fn source(&self, out: u32, kernel: u32, extent: u32) -> Option<u32> {
        let spread = (out * self.stride + kernel) as i64 - self.pad as i64;
        if spread < 0 || spread % self.dilate as i64 != 0 {
            return None;
        }
        let source = spread / self.dilate as i64;
        if source < extent as i64 { Some(source as u32) } else { None }
    }

    /// Input pixel index (n h + y) w + x read by output pixel `row` at kernel position
    /// (ky, kx), or `None` for the zero border and the zeros of dilation.
    pub const fn pixel(&self, row: u64, ky: u32, kx: u32) -> Option<u64> {
        let ox = (row % self.out_w as u64) as u32;
        let rest = row / self.out_w as u64;
        let oy = (rest % self.out_h as u64) as u32;
        let n = rest / self.out_h as u64;
        match (self.source(oy, ky, self.h), self.source(ox, kx, self.w)) {
            (Some(y), Some(x)) => Some((n * self.h as u64 + y as u64) * self.w as u64 + x as u64),
            _ => None,
        }
    }
}

/// An operand: format, place, shape and layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TensorView {
    /// Format of the codes.
    pub format: Format,
    /// Memory.
    pub space: Space,
    /// Byte address of element 0.
    pub address: u64,
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// Layout.
    pub layout: Layout,
}

impl TensorView {
    /// A contiguous row-major tensor.
    pub const fn contiguous(format: Format, space: Space, address: u64, rows: u32, cols: u32) -> Self {
        let layout = Layout::Strided { inner: rows, outer: 0, inner_stride: cols as i64, column: 1 };
        Self { format, space, address, rows, cols, layout }
    }

    /// Elements of the view.
    pub const fn elements(&self) -> u64 {
        self.rows as u64 * self.cols as u64
    }

    /// Bytes of the view's elements, repeats and padding included.
    pub const fn bytes(&self) -> u64 {
        self.elements() * self.format.storage_bytes() as u64
    }

    /// True if the elements lie contiguously in row-major order.
    pub const fn is_contiguous(&self) -> bool {
        match self.layout {
            Layout::Strided { inner, inner_stride, column, .. } => {
                inner >= self.rows && (column == 1 || self.cols == 1) && (inner_stride == self.cols as i64 || self.rows == 1)
            }
            Layout::Window(_) => false,
        }
    }

    /// Element offset from the address, or `None` where the view reads a zero.
    pub const fn offset(&self, row: u32, col: u32) -> Option<i64> {
        match self.layout {
            Layout::Strided { inner, outer, inner_stride, column } => {
                Some((row / inner) as i64 * outer + (row % inner) as i64 * inner_stride + col as i64 * column)
            }
            Layout::Window(window) => {
                let channel = col % window.c;
                let position = col / window.c;
                match window.pixel(row as u64, position / window.kernel_w, position % window.kernel_w) {
                    Some(pixel) => Some((pixel * window.c as u64 + channel as u64) as i64),
                    None => None,
                }
            }
        }
    }

    /// Lowest and highest element offset the view can touch; `None` if it touches none.
    pub fn offset_range(&self) -> Option<(i64, i64)> {
        if self.rows == 0 || self.cols == 0 {
            return None;
        }
        match self.layout {
            Layout::Strided { inner, outer, inner_stride, column } => {
                let steps = [
                    (i64::from((self.rows - 1) / inner), outer),
                    (i64::from(self.rows.min(inner) - 1), inner_stride),
                    (i64::from(self.cols - 1), column),
                ];
                let low = steps.iter().map(|(n, s)| (n * s).min(0)).sum();
                let high = steps.iter().map(|(n, s)| (n * s).max(0)).sum();
                Some((low, high))
            }
            Layout::Window(window) => {
                let images = u64::from(self.rows) / (u64::from(window.out_h) * u64::from(window.out_w)).max(1);
                let elements = images * u64::from(window.h) * u64::from(window.w) * u64::from(window.c);
                (elements > 0).then(|| (0, elements as i64 - 1))
            }
        }
    }

    /// First and last byte the view can touch; `None` if it touches none.
    pub fn byte_range(&self) -> Option<(i128, i128)> {
        let size = i128::from(self.format.storage_bytes());
        let (low, high) = self.offset_range()?;
        let base = i128::from(self.address);
        Some((base + i128::from(low) * size, base + i128::from(high) * size + size - 1))
    }

    /// What makes the view meaningless, if anything.
    pub fn problem(&self) -> Option<String> {
        if self.rows == 0 || self.cols == 0 {
            return Some("a tensor needs at least one row and one column".to_owned());
        }
        match self.layout {
            Layout::Strided { inner: 0, .. } => Some("`inner` counts rows and must be at least 1".to_owned()),
            Layout::Strided { .. } => None,
            Layout::Window(w) => {
                if [w.out_h, w.out_w, w.h, w.w, w.c, w.kernel_h, w.kernel_w, w.stride, w.dilate].contains(&0) {
                    return Some("every extent of a window, its stride and its dilation must be at least 1".to_owned());
                }
                let pixels = u64::from(w.out_h) * u64::from(w.out_w);
                if u64::from(self.rows) % pixels != 0 {
                    return Some(format!("{} rows are no whole number of {}x{} outputs", self.rows, w.out_h, w.out_w));
                }
                let columns = u64::from(w.kernel_h) * u64::from(w.kernel_w) * u64::from(w.c);
                (u64::from(self.cols) != columns)
                    .then(|| format!("a {}x{} window of {} channels has {columns} columns, not {}", w.kernel_h, w.kernel_w, w.c, self.cols))
            }
        }
    }
}
