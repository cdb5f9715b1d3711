//! Random numbers of training: every draw is a pure function of seed, purpose and index.
//!
//! The 64 bits at `index` are the first two words of Philox4x32-10 of the counter (index,
//! purpose, ordinal) under the seed. Purposes count down from 2^32 - 1, out of the way of the
//! instruction numbers that the roundings of a design of the same seed put there. Nothing
//! here calls a transcendental function, so all draws have the same bits on every platform.

use systole_isa::entropy::philox;

/// What random numbers are drawn for. Streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The fixed division of a data set into training and test images.
    Split,
    /// The order of training images in the given epoch.
    Shuffle {
        /// Epoch, counted from 0.
        epoch: u32,
    },
    /// Initial values of one parameter tensor.
    Weights {
        /// Ordinal of the tensor among the model's parameters.
        parameter: u32,
    },
    /// Where training images are cropped and whether they are mirrored, one word an image.
    Augment {
        /// Epoch, counted from 0.
        epoch: u32,
    },
    /// The step whose weights are a run's result, where one is drawn.
    Draw,
}

/// An unlimited sequence of random words, each reached by its index.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    seed: u64,
    purpose: [u32; 2],
}

impl Stream {
    /// The stream of `purpose` under `seed`.
    pub const fn new(seed: u64, purpose: Purpose) -> Self {
        let purpose = match purpose {
            Purpose::Split => [u32::MAX, 0],
            Purpose::Shuffle { epoch } => [u32::MAX - 1, epoch],
            Purpose::Weights { parameter } => [u32::MAX - 2, parameter],
            Purpose::Augment { epoch } => [u32::MAX - 3, epoch],
            Purpose::Draw => [u32::MAX - 4, 0],
        };
        Self { seed, purpose }
    }

    /// The 64 random bits at `index`.
    pub const fn word(&self, index: u64) -> u64 {
        let [kind, ordinal] = self.purpose;
        let [low, high, ..] = philox([index as u32, (index >> 32) as u32, kind, ordinal], self.seed);
        low as u64 | (high as u64) << 32
    }

    /// An integer in `0..bound`, each with probability 1/bound up to bound * 2^-64.
    pub const fn below(&self, index: u64, bound: u64) -> u64 {
        ((self.word(index) as u128 * bound as u128) >> 64) as u64
    }

    /// One of the 2^24 odd multiples of 2^-24 in (-1, 1), exact in binary32.
    pub const fn symmetric(&self, index: u64) -> f32 {
        let k = (self.word(index) >> 40) as i32;
        (2 * k + 1 - (1 << 24)) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// A uniformly random permutation of `0..count` (Fisher and Yates).
    pub fn permutation(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last as u64, last as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_hold_every_index_once_and_depend_on_epoch_and_seed() {
        let order = |seed, epoch| Stream::new(seed, Purpose::Shuffle { epoch }).permutation(1000);
        let mut sorted = order(0, 0);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<_>>());
        assert_ne!(order(0, 0), order(0, 1));
        assert_ne!(order(0, 0), order(1, 0));
        assert_ne!(order(0, 0), order(1 << 32, 0));
    }

    #[test]
    fn symmetric_draws_fill_the_open_interval() {
        let stream = Stream::new(3, Purpose::Weights { parameter: 1 });
        let draws: Vec<f64> = (0..100_000).map(|i| f64::from(stream.symmetric(i))).collect();
        assert!(draws.iter().all(|x| x.abs() < 1.0));
        let mean = draws.iter().sum::<f64>() / draws.len() as f64;
        let square = draws.iter().map(|x| x * x).sum::<f64>() / draws.len() as f64;
        // Standard errors: 0.58/sqrt(1e5) = 0.0018 and 0.30/sqrt(1e5) = 0.00094.
        assert!(mean.abs() < 0.008, "{mean}");
        assert!((square - 1.0 / 3.0).abs() < 0.004, "{square}");
    }
}
