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
