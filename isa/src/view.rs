//! Tensor views: which memory element each row and column of an operand is.

use crate::format::Format;
use std::ops::Range;

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

    /// Rows at whose multiples [`TensorView::of_rows`] may begin.
    pub const fn row_step(&self) -> u32 {
        match self.layout {
            Layout::Strided { inner, .. } if inner >= self.rows => 1,
            Layout::Strided { inner, .. } => inner,
            Layout::Window(w) => w.out_h * w.out_w,
        }
    }

    /// The view of some rows, which begin at a multiple of [`TensorView::row_step`]; of an im2col
    /// view they end at one too.
    #[must_use]
    pub fn of_rows(&self, rows: Range<u32>) -> Self {
        debug_assert!(rows.start.is_multiple_of(self.row_step()), "rows of a view begin at a step");
        let elements = match self.layout {
            Layout::Strided { .. } => self.offset(rows.start, 0).unwrap_or_default(),
            Layout::Window(w) => i64::from(rows.start / self.row_step()) * i64::from(w.h) * i64::from(w.w) * i64::from(w.c),
        };
        Self { rows: rows.len() as u32, ..self.moved(elements) }
    }

    /// The view of some columns; `None` for im2col views, of which they are no view.
    pub fn of_columns(&self, columns: Range<u32>) -> Option<Self> {
        let Layout::Strided { column, .. } = self.layout else { return None };
        Some(Self { cols: columns.len() as u32, ..self.moved(i64::from(columns.start) * column) })
    }

    const fn moved(&self, elements: i64) -> Self {
        let bytes = elements * self.format.storage_bytes() as i64;
        Self { address: self.address.wrapping_add_signed(bytes), ..*self }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_where_the_whole_has_them() {
        let base = TensorView::contiguous(Format::FP16, Space::Dram, 8000, 12, 18);
        let strided =
            |inner, outer, inner_stride, column| TensorView { layout: Layout::Strided { inner, outer, inner_stride, column }, ..base };
        let window = Window { out_h: 2, out_w: 3, h: 4, w: 4, c: 2, kernel_h: 3, kernel_w: 3, stride: 1, pad: 1, dilate: 1 };
        let views = [
            base,
            strided(12, 0, 1, 12),
            strided(1, 40, 7, 2),
            strided(3, -100, 18, -2),
            strided(20, 5, 18, 1),
            TensorView { layout: Layout::Window(window), ..base },
        ];
        for view in views {
            assert_eq!(view.problem(), None);
            let step = view.row_step();
            let address = |view: &TensorView, row, col| view.offset(row, col).map(|at| view.address as i64 + 2 * at);
            for (first, last) in [(0, 12), (step, 12), (12 / step / 2 * step, 12), (0, step)] {
                let rows = view.of_rows(first..last);
                assert_eq!((rows.rows, rows.problem()), (last - first, None), "{view:?}");
                for (row, col) in (0..rows.rows).flat_map(|row| (0..18).map(move |col| (row, col))) {
                    assert_eq!(address(&rows, row, col), address(&view, first + row, col), "{view:?} {first} {row} {col}");
                }
                let columns = rows.of_columns(5..14);
                assert_eq!(columns.is_none(), matches!(view.layout, Layout::Window(_)));
                let Some(columns) = columns else { continue };
                for (row, col) in (0..rows.rows).flat_map(|row| (0..9).map(move |col| (row, col))) {
                    assert_eq!(address(&columns, row, col), address(&view, first + row, col + 5), "{view:?} {row} {col}");
                }
            }
        }
    }
}
