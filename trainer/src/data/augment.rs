//! Augmentation: training images moved and mirrored anew in every epoch.
//!
//! What happens to an image is a pure function of (seed, epoch, index of the image), so it
//! depends on neither the order of images nor where the run is computed.

use crate::entropy::{Purpose, Stream};
use crate::layer::Shape;
use serde::{Deserialize, Serialize};

/// Rows and columns of zeros on each side before a crop.
const PADDING: usize = 4;

/// What is done to training images before a step; test images are never changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Augment {
    /// Nothing.
    #[default]
    None,
    /// Padded with 4 pixels of zero on each side, cut to the old size at a random place, and in
    /// half of the cases mirrored left to right (He et al. 2016, section 4.2).
    CropFlip,
}

/// Where a crop lies, and whether it is mirrored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placement {
    top: usize,
    left: usize,
    flip: bool,
}

impl Placement {
    /// With w the 64 bits at index `image` of [`Purpose::Augment`]: top = floor(9 a / 2^24) with a
    /// bits 0 to 23 of w, left the same of bits 24 to 47, flip bit 63.
    fn draw(seed: u64, epoch: u32, image: usize) -> Self {
        let word = Stream::new(seed, Purpose::Augment { epoch }).word(image as u64);
        let place = |bits: u64| ((bits & 0xff_ffff) as usize * (2 * PADDING + 1)) >> 24;
        Self { top: place(word), left: place(word >> 24), flip: word >> 63 == 1 }
    }

    /// Appends the image: pixel (y, x) is (y + top - 4, x' + left - 4) of the old one, 0 where that
    /// lies outside, with x' = width - 1 - x if it is mirrored, else x.
    fn apply(self, shape: Shape, image: &[u8], out: &mut Vec<u8>) {
        let Shape { height, width, channels } = shape;
        for y in 0..height {
            for x in 0..width {
                let x = if self.flip { width - 1 - x } else { x };
                let (y, x) = ((y + self.top).checked_sub(PADDING), (x + self.left).checked_sub(PADDING));
                match (y.filter(|&y| y < height), x.filter(|&x| x < width)) {
                    (Some(y), Some(x)) => out.extend_from_slice(&image[(y * width + x) * channels..][..channels]),
                    _ => out.resize(out.len() + channels, 0),
                }
            }
        }
    }
}

impl Augment {
    /// Appends training image number `index` as `epoch` sees it.
    pub(super) fn append(self, shape: Shape, image: &[u8], (seed, epoch, index): (u64, u32, usize), out: &mut Vec<u8>) {
        match self {
            Self::None => out.extend_from_slice(image),
            Self::CropFlip => Placement::draw(seed, epoch, index).apply(shape, image, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(placement: Placement, shape: Shape, image: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        placement.apply(shape, image, &mut out);
        out
    }

    #[test]
    fn crops_and_mirrors_by_hand() {
        let shape = Shape::new(2, 3, 2);
        let image: Vec<u8> = (1..=12).collect();
        let middle = Placement { top: 4, left: 4, flip: false };
        assert_eq!(applied(middle, shape, &image), image);
        // Channels keep their order in a mirrored image.
        assert_eq!(applied(Placement { flip: true, ..middle }, shape, &image), [5, 6, 3, 4, 1, 2, 11, 12, 9, 10, 7, 8]);
        // One row down and one column to the right: the window begins there.
        let moved = Placement { top: 5, left: 5, flip: false };
        assert_eq!(applied(moved, shape, &image), [9, 10, 11, 12, 0, 0, 0, 0, 0, 0, 0, 0]);
        // Cropped first, mirrored then.
        assert_eq!(applied(Placement { flip: true, ..moved }, shape, &image), [0, 0, 11, 12, 9, 10, 0, 0, 0, 0, 0, 0]);
        assert_eq!(applied(Placement { top: 0, left: 4, flip: false }, shape, &image), [0; 12]);
    }

    #[test]
    fn every_place_is_drawn_alike() {
        let (mut tops, mut lefts, mut flips) = ([0; 9], [0; 9], 0);
        let count = 90_000;
        for image in 0..count {
            let placement = Placement::draw(0, 3, image);
            tops[placement.top] += 1;
            lefts[placement.left] += 1;
            flips += usize::from(placement.flip);
        }
        // Standard deviations: 94 of a place, 150 of flips.
        for seen in tops.iter().chain(&lefts) {
            assert!((9_500..10_500).contains(seen), "{tops:?} {lefts:?}");
        }
        assert!((44_250..45_750).contains(&flips), "{flips}");
    }

    /// Bits that must never change: they are part of every run with augmentation.
    #[test]
    fn draws_depend_on_seed_epoch_and_image_alone() {
        let word = |seed, epoch, image| Stream::new(seed, Purpose::Augment { epoch }).word(image);
        let placement = Placement::draw(5, 2, 7);
        assert_eq!(placement, Placement::draw(5, 2, 7));
        let [low, high, ..] = systole_isa::entropy::philox([7, 0, u32::MAX - 3, 2], 5);
        assert_eq!(word(5, 2, 7), u64::from(low) | u64::from(high) << 32);
        assert_eq!(placement.top, (low as usize & 0xff_ffff) * 9 / (1 << 24));
        assert_eq!(placement.left, (((low >> 24) | (high & 0xffff) << 8) as usize) * 9 / (1 << 24));
        assert_eq!(placement.flip, high >> 31 == 1);
        assert_ne!(word(5, 2, 7), word(6, 2, 7));
        assert_ne!(word(5, 2, 7), word(5, 3, 7));
        assert_ne!(word(5, 2, 7), word(5, 2, 8));
    }
}
