//! Extents in tiles, and the DRAM bytes behind elements of a view.

use std::ops::Range;
use systole_isa::view::{Layout, Space, TensorView, Window};

/// An extent cut into tiles.
#[derive(Clone, Copy, Debug)]
pub struct Tiles {
    pub extent: u64,
    pub tile: u64,
}

impl Tiles {
    pub const fn count(self) -> u64 {
        self.extent.div_ceil(self.tile)
    }

    /// Tiles of full size.
    pub const fn full(self) -> u64 {
        self.extent / self.tile
    }

    /// Elements of tiles `from` to `to`, `to` not included.
    pub fn sum(self, from: u64, to: u64) -> u64 {
        let range = self.range(from, to);
        range.end - range.start
    }

    /// First element of tile `from`, and that behind the last of tile `to` - 1.
    pub fn range(self, from: u64, to: u64) -> Range<u64> {
        (from * self.tile).min(self.extent)..(to * self.tile).min(self.extent)
    }
}

/// DRAM bytes behind elements of a view.
#[derive(Clone, Copy, Debug)]
pub enum Traffic {
    /// Bytes of every element; 0 in the scratchpad.
    Each(u64),
    /// Bytes of all elements that are not padding, and the number of all elements.
    Share(u128, u128),
}

impl Traffic {
    pub fn new(view: &TensorView) -> Self {
        let size = view.format.storage_bytes();
        match (view.space, view.layout) {
            (Space::Scratchpad, _) => Self::Each(0),
            (Space::Dram, Layout::Strided { .. }) => Self::Each(size.into()),
            (Space::Dram, Layout::Window(_)) => Self::Share(real_elements(view) * u128::from(size), view.elements().into()),
        }
    }

    /// Bytes of so many elements.
    pub const fn bytes(self, elements: u64) -> u64 {
        match self {
            Self::Each(bytes) => elements * bytes,
            Self::Share(real, all) => (elements as u128 * real).div_ceil(all) as u64,
        }
    }
}

/// Elements of a view that lie in memory.
pub fn real_elements(view: &TensorView) -> u128 {
    let Layout::Window(w) = view.layout else { return u128::from(view.elements()) };
    let images = view.rows / (w.out_h * w.out_w);
    let rows = axis(&w, w.out_h, w.kernel_h, w.h);
    let cols = axis(&w, w.out_w, w.kernel_w, w.w);
    u128::from(images) * u128::from(rows) * u128::from(cols) * u128::from(w.c)
}

/// Pairs of output and kernel position along an axis that read the input.
fn axis(window: &Window, outputs: u32, kernel: u32, extent: u32) -> u64 {
    let (stride, pad, dilate) = (i64::from(window.stride), i64::from(window.pad), i64::from(window.dilate));
    let reads = |out: u32, at: u32| {
        let spread = i64::from(out) * stride + i64::from(at) - pad;
        spread >= 0 && spread % dilate == 0 && spread / dilate < i64::from(extent)
    };
    (0..outputs).map(|out| (0..kernel).filter(|&at| reads(out, at)).count() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::Format;

    #[test]
    fn padding_is_not_fetched() {
        let window = Window { out_h: 4, out_w: 5, h: 4, w: 5, c: 3, kernel_h: 3, kernel_w: 3, stride: 1, pad: 1, dilate: 1 };
        for window in [window, Window { out_h: 2, out_w: 2, stride: 2, ..window }, Window { h: 2, w: 3, dilate: 2, ..window }] {
            let rows = 2 * window.out_h * window.out_w;
            let view = TensorView { layout: Layout::Window(window), ..TensorView::contiguous(Format::INT8, Space::Dram, 0, rows, 27) };
            assert_eq!(view.problem(), None);
            let real = (0..rows).flat_map(|r| (0..27).map(move |c| (r, c))).filter(|&(r, c)| view.offset(r, c).is_some()).count();
            assert_eq!(real_elements(&view), real as u128);
            assert_eq!(Traffic::new(&view).bytes(view.elements()), real as u64);
        }
    }
}
