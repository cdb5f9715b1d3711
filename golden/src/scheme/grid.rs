//! How a tensor falls into blocks, and what a block's scale is found from.

/// One element after quantisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Element {
    /// The number its code stands for.
    pub value: f32,
    /// Its code.
    pub code: i64,
    /// True if it was cut to the largest number of its block.
    pub saturated: bool,
}

/// What a block holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Extent {
    /// Largest magnitude of its finite numbers.
    pub largest: f32,
    /// Smallest magnitude of its finite numbers other than zero; 0 if all are zero.
    pub smallest: f32,
    /// True if a finite number in it is zero.
    pub zeros: bool,
    /// True if a NaN is in it.
    pub nan: bool,
    /// True if an infinity is in it.
    pub infinite: bool,
}

impl Extent {
    /// True if every number in it is zero.
    pub const fn is_zero(&self) -> bool {
        self.largest == 0.0 && !self.nan && !self.infinite
    }

    fn add(&mut self, x: f32) {
        let magnitude = x.abs();
        if x.is_nan() {
            self.nan = true;
        } else if x.is_infinite() {
            self.infinite = true;
        } else if x == 0.0 {
            self.zeros = true;
        } else {
            self.largest = self.largest.max(magnitude);
            self.smallest = if self.smallest == 0.0 { magnitude } else { self.smallest.min(magnitude) };
        }
    }
}

/// A tensor cut into blocks.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    /// Extents of the blocks' own tensor: one scale each.
    pub shape: Vec<usize>,
    /// The block of each element, row-major.
    pub of: Vec<usize>,
    /// What each block holds.
    pub extents: Vec<Extent>,
}

impl Grid {
    /// Blocks by rule: `block` gives the block's place from an element's.
    pub fn new(shape: &[usize], values: &[f32], blocks: &[usize], block: impl Fn(&[usize]) -> Vec<usize>) -> Self {
        let mut at = vec![0; shape.len()];
        let mut of = Vec::with_capacity(values.len());
        let mut extents = vec![Extent::default(); blocks.iter().product()];
        for &x in values {
            let place = block(&at).iter().zip(blocks).fold(0, |flat, (i, n)| flat * n + i);
            extents[place].add(x);
            of.push(place);
            for axis in (0..shape.len()).rev() {
                at[axis] += 1;
                if at[axis] < shape[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
        Self { shape: blocks.to_vec(), of, extents }
    }

    /// One block.
    pub fn whole(shape: &[usize], values: &[f32]) -> Self {
        Self::new(shape, values, &[1], |_| vec![0])
    }

    /// A block for each index of the first `axes` dimensions.
    pub fn leading(shape: &[usize], values: &[f32], axes: usize) -> Self {
        Self::new(shape, values, &shape[..axes], |at| at[..axes].to_vec())
    }

    /// A block for each index of one dimension.
    pub fn along(shape: &[usize], values: &[f32], axis: usize) -> Self {
        Self::new(shape, values, &shape[axis..=axis], |at| vec![at[axis]])
    }

    /// Runs of `length` elements of the flattened tensor; the last may be short.
    pub fn runs(values: &[f32], length: usize) -> Self {
        let flat = [values.len()];
        Self::new(&flat, values, &[values.len().div_ceil(length)], |at| vec![at[0] / length])
    }

    /// Tiles, an extent to each dimension; those at the far edges may be short.
    pub fn tiles(shape: &[usize], values: &[f32], tile: &[usize]) -> Self {
        let blocks: Vec<usize> = shape.iter().zip(tile).map(|(n, t)| n.div_ceil(*t)).collect();
        Self::new(shape, values, &blocks, |at| at.iter().zip(tile).map(|(i, t)| i / t).collect())
    }

    /// Number of blocks, and of those in which all is zero.
    pub fn counts(&self) -> (usize, usize) {
        (self.extents.len(), self.extents.iter().filter(|e| e.is_zero()).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_by_every_rule() {
        let values: Vec<f32> = (0..12).map(|i| i as f32 - 3.0).collect();
        let grid = Grid::tiles(&[3, 4], &values, &[2, 3]);
        assert_eq!(grid.shape, [2, 2]);
        assert_eq!(grid.of, [0, 0, 0, 1, 0, 0, 0, 1, 2, 2, 2, 3]);
        assert_eq!(grid.extents[0], Extent { largest: 3.0, smallest: 1.0, zeros: false, nan: false, infinite: false });
        assert_eq!(grid.extents[1], Extent { largest: 4.0, smallest: 4.0, zeros: true, nan: false, infinite: false });
        assert_eq!(Grid::leading(&[3, 2, 2], &values, 2).of, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
        assert_eq!(Grid::along(&[3, 2, 2], &values, 1).of, [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]);
        assert_eq!(Grid::runs(&values, 5).of, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2]);
        assert_eq!(Grid::whole(&[12], &values).counts(), (1, 0));
        assert_eq!(Grid::whole(&[2], &[0.0, -0.0]).counts(), (1, 1));
    }
}
