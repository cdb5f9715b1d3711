//! Placement of tensors in DRAM.

use std::ops::Range;
use systole_isa::format::Format;
use systole_isa::view::{Layout, Space, TensorView, Window};

/// Alignment of tensors, bytes: one burst of DRAM.
const ALIGNMENT: u64 = 64;

/// A contiguous row-major tensor in DRAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Byte address.
    pub address: u64,
    /// Format of its codes.
    pub format: Format,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
}

impl Tensor {
    /// Number of elements.
    pub const fn elements(self) -> usize {
        self.rows * self.cols
    }

    /// The same elements as another shape of equal size.
    pub const fn reshaped(self, rows: usize, cols: usize) -> Self {
        debug_assert!(rows * cols == self.rows * self.cols);
        Self { rows, cols, ..self }
    }

    const fn with(self, offset: u64, rows: usize, cols: usize, layout: Layout) -> TensorView {
        TensorView { format: self.format, space: Space::Dram, address: self.address + offset, rows: rows as u32, cols: cols as u32, layout }
    }

    /// As stored.
    pub(super) const fn view(self) -> TensorView {
        TensorView::contiguous(self.format, Space::Dram, self.address, self.rows as u32, self.cols as u32)
    }

    /// Rows and columns exchanged.
    pub(super) const fn transposed(self) -> TensorView {
        let layout = Layout::Strided { inner: self.cols as u32, outer: 0, inner_stride: 1, column: self.cols as i64 };
        self.with(0, self.cols, self.rows, layout)
    }

    /// Element `index` as a tensor of its own.
    pub(super) const fn element(self, index: usize) -> Self {
        Self { address: self.address + index as u64 * self.format.storage_bytes() as u64, rows: 1, cols: 1, ..self }
    }

    /// A convolution's weights `[(ky, kx, c)][o]` turned by half a turn for the error product:
    /// `[(ky', kx', o)][c]` with ky' and kx' counted from the kernel's end.
    pub(super) const fn turned(self, kernel: usize, channels: usize) -> TensorView {
        let positions = kernel * kernel;
        let layout =
            Layout::Strided { inner: self.cols as u32, outer: -((channels * self.cols) as i64), inner_stride: 1, column: self.cols as i64 };
        let last = ((positions - 1) * channels * self.cols) as u64 * self.format.storage_bytes() as u64;
        self.with(last, positions * self.cols, channels, layout)
    }

    /// Some of the columns.
    pub(super) const fn columns(self, columns: Range<usize>) -> TensorView {
        let layout = Layout::Strided { inner: self.rows as u32, outer: 0, inner_stride: self.cols as i64, column: 1 };
        let offset = columns.start as u64 * self.format.storage_bytes() as u64;
        self.with(offset, self.rows, columns.end - columns.start, layout)
    }

    /// Some of the rows as a tensor of their own.
    pub(super) const fn rows(self, rows: Range<usize>) -> Self {
        Self { address: self.address + self.offset(rows.start, 0), rows: rows.end - rows.start, ..self }
    }

    /// As many matrices as `parts` under one another, rows and columns of each exchanged.
    pub(super) const fn parts_transposed(self, parts: usize) -> TensorView {
        let rows = self.rows / parts;
        let layout =
            Layout::Strided { inner: self.cols as u32, outer: (rows * self.cols) as i64, inner_stride: 1, column: self.cols as i64 };
        self.with(0, parts * self.cols, rows, layout)
    }

    /// The tensor `times` times under itself.
    pub(super) const fn repeated(self, times: usize) -> TensorView {
        let layout = Layout::Strided { inner: self.rows as u32, outer: 0, inner_stride: self.cols as i64, column: 1 };
        self.with(0, times * self.rows, self.cols, layout)
    }

    /// Some of the rows of some of the columns.
    pub(super) const fn part(self, rows: Range<usize>, columns: Range<usize>) -> TensorView {
        let layout = Layout::Strided { inner: (rows.end - rows.start) as u32, outer: 0, inner_stride: self.cols as i64, column: 1 };
        self.with(self.offset(rows.start, columns.start), rows.end - rows.start, columns.end - columns.start, layout)
    }

    /// The same with rows and columns exchanged.
    pub(super) const fn part_transposed(self, rows: Range<usize>, columns: Range<usize>) -> TensorView {
        let size = columns.end - columns.start;
        let layout = Layout::Strided { inner: size as u32, outer: 0, inner_stride: 1, column: self.cols as i64 };
        self.with(self.offset(rows.start, columns.start), size, rows.end - rows.start, layout)
    }

    /// Bytes from the address to an element.
    const fn offset(self, row: usize, column: usize) -> u64 {
        (row * self.cols + column) as u64 * self.format.storage_bytes() as u64
    }

    /// An im2col view of this tensor's images.
    pub(super) const fn windows(self, window: Window, images: usize) -> TensorView {
        let rows = images * (window.out_h * window.out_w) as usize;
        self.with(0, rows, (window.kernel_h * window.kernel_w * window.c) as usize, Layout::Window(window))
    }
}

impl From<Tensor> for TensorView {
    /// The tensor as stored.
    fn from(tensor: Tensor) -> Self {
        tensor.view()
    }
}

/// The bump allocator of one compilation, and its pool of constants.
#[derive(Debug, Default)]
pub(super) struct Memory {
    next: u64,
    constants: Vec<(Tensor, Vec<f64>)>,
}

impl Memory {
    /// A new tensor.
    pub(super) fn tensor(&mut self, format: Format, rows: usize, cols: usize) -> Tensor {
        let address = self.next;
        let bytes = (rows * cols) as u64 * u64::from(format.storage_bytes());
        self.next += bytes.next_multiple_of(ALIGNMENT);
        Tensor { address, format, rows, cols }
    }

    /// A tensor of one element that the host fills with `value`, rounded to the format.
    pub(super) fn constant(&mut self, format: Format, value: f64) -> Tensor {
        self.table(format, &[value])
    }

    /// A row that the host fills with `values`, rounded to the format.
    pub(super) fn table(&mut self, format: Format, values: &[f64]) -> Tensor {
        let same = |known: &[f64]| known.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits()));
        if let Some((tensor, _)) = self.constants.iter().find(|(t, v)| t.format == format && same(v)) {
            return *tensor;
        }
        let tensor = self.tensor(format, 1, values.len());
        self.constants.push((tensor, values.to_vec()));
        tensor
    }

    /// Every constant.
    pub(super) fn constants(&self) -> Vec<(Tensor, Vec<f64>)> {
        self.constants.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from the tensor's address to each element of a view.
    fn offsets(tensor: Tensor, view: TensorView) -> Vec<Vec<i64>> {
        let base = view.address as i64 - tensor.address as i64;
        let element = |row, col| base + 4 * view.offset(row, col).unwrap();
        (0..view.rows).map(|row| (0..view.cols).map(|col| element(row, col) / 4).collect()).collect()
    }

    #[test]
    fn views_of_parts_by_hand() {
        let mut memory = Memory::default();
        memory.tensor(Format::FP32, 1, 5);
        let x = memory.tensor(Format::FP32, 4, 3);
        assert_eq!(offsets(x, x.rows(1..3).view()), [[3, 4, 5], [6, 7, 8]]);
        assert_eq!(offsets(x, x.part(1..4, 1..3)), [[4, 5], [7, 8], [10, 11]]);
        assert_eq!(offsets(x, x.part_transposed(1..4, 1..3)), [[4, 7, 10], [5, 8, 11]]);
        assert_eq!(offsets(x, x.rows(0..2).repeated(2)), [[0, 1, 2], [3, 4, 5], [0, 1, 2], [3, 4, 5]]);
        assert_eq!(offsets(x, x.parts_transposed(2)), [[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8, 11]]);
        assert_eq!(offsets(x, x.parts_transposed(2).of_rows(3..6)), [[6, 9], [7, 10], [8, 11]]);
        assert_eq!(offsets(x, x.parts_transposed(1)), offsets(x, x.transposed()));
    }
}
