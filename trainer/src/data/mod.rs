//! Labelled images and text: where they come from and the order in which training sees them.
//!
//! A sequence of text is an image of height 1: its width is the number of tokens, its channels are
//! the vocabulary, and every position has a label of its own, the next token.

mod augment;
mod characters;
mod cifar;
mod digits;
mod error;
mod file;
mod idx;

pub use augment::Augment;
pub use characters::characters;
pub use cifar::{is_cifar, read_cifar};
pub use digits::digits;
pub use error::DataError;
pub use idx::{IdxOptions, read_idx};

use crate::entropy::{Purpose, Stream};
use crate::layer::Shape;
use std::borrow::Cow;
use std::path::Path;

/// Images of one part of a data set with their classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Pixels, row-major in (image, row, column, channel); of text the tokens, one a position.
    pub pixels: Vec<u8>,
    /// Class of each image, or of each position of each.
    pub labels: Vec<u8>,
    /// Labels of one image: 1, or one for each position.
    pub targets: usize,
}

impl Split {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len() / self.targets.max(1)
    }

    /// True if there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The labels of the images `indices`, one image after the other.
    ///
    /// # Panics
    /// If an index is not below `len()`.
    pub fn labels_of(&self, indices: &[usize]) -> Vec<usize> {
        let of = |&i: &usize| &self.labels[i * self.targets..(i + 1) * self.targets];
        indices.iter().flat_map(of).map(|&label| usize::from(label)).collect()
    }
}

/// What the bytes of [`Split::pixels`] are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// One value of one channel each.
    Pixels,
    /// One position each: the channel whose value is 1.0; the others are 0.0.
    Tokens,
}

/// Labelled images of one size, divided into a training and a test part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// The name reports print.
    pub name: String,
    /// Number of classes; every label is below it.
    pub classes: usize,
    /// Size of an image.
    pub shape: Shape,
    /// What the bytes of images are.
    pub content: Content,
    /// The level that stands for 1.0; 0 stands for 0.0. Of tokens it is 1.
    pub full_scale: u8,
    /// Images to learn from.
    pub train: Split,
    /// Images to judge by.
    pub test: Split,
}

impl Dataset {
    /// Bytes of one image in [`Split::pixels`].
    pub const fn image_bytes(&self) -> usize {
        match self.content {
            Content::Pixels => self.shape.elements(),
            Content::Tokens => self.shape.positions(),
        }
    }

    /// The bytes of the images `indices` of `split`.
    ///
    /// # Panics
    /// If an index is not below `split.len()`.
    pub fn pixels(&self, split: &Split, indices: &[usize]) -> Vec<u8> {
        let size = self.image_bytes();
        indices.iter().flat_map(|&i| &split.pixels[i * size..(i + 1) * size]).copied().collect()
    }

    /// The bytes of the training images `indices` as the given epoch of a run sees them. Text has
    /// no augmentation but [`Augment::None`].
    ///
    /// # Panics
    /// If an index is not below `train.len()`.
    pub fn training_pixels(&self, indices: &[usize], augment: Augment, seed: u64, epoch: u32) -> Vec<u8> {
        let size = self.image_bytes();
        let mut pixels = Vec::with_capacity(indices.len() * size);
        for &i in indices {
            augment.append(self.shape, &self.train.pixels[i * size..(i + 1) * size], (seed, epoch, i), &mut pixels);
        }
        pixels
    }

    /// A level for each channel of each position, from 0 to [`Dataset::full_scale`]: pixels
    /// themselves, tokens as rows of zeros with a one.
    pub fn levels<'a>(&self, pixels: &'a [u8]) -> Cow<'a, [u8]> {
        match self.content {
            Content::Pixels => Cow::Borrowed(pixels),
            Content::Tokens => {
                let channels = self.shape.channels;
                let mut levels = vec![0; pixels.len() * channels];
                for (row, &token) in levels.chunks_exact_mut(channels).zip(pixels) {
                    row[usize::from(token)] = 1;
                }
                Cow::Owned(levels)
            }
        }
    }

    /// Images as values in [0, 1]: the correctly rounded binary32 quotients of levels and full
    /// scale.
    pub fn values(&self, pixels: &[u8]) -> Vec<f32> {
        let scale = f32::from(self.full_scale);
        self.levels(pixels).iter().map(|&level| f32::from(level) / scale).collect()
    }

    /// The images `indices` of `split` as rows of [`Dataset::values`].
    ///
    /// # Panics
    /// If an index is not below `split.len()`.
    pub fn rows(&self, split: &Split, indices: &[usize]) -> Vec<f32> {
        self.values(&self.pixels(split, indices))
    }

    /// Keeps the first `limit` training images.
    fn limit(&mut self, limit: usize) -> Result<(), DataError> {
        if limit == 0 {
            return Err(DataError::EmptyLimit);
        }
        if limit < self.train.len() {
            self.train.labels.truncate(limit * self.train.targets);
            self.train.pixels.truncate(limit * self.image_bytes());
        }
        Ok(())
    }
}

/// The data set called `source`: `digits`, the embedded UCI digits; `chars` or `chars:T`, the
/// embedded text in sequences of 64 or of T characters; or a directory of IDX files or of
/// CIFAR-10's, or one of CIFAR-10's files. `limit` keeps the first so many training images.
///
/// # Errors
/// Whatever is wrong with the files, a length that sequences cannot have, or a limit of 0.
pub fn load(source: &str, limit: Option<usize>) -> Result<Dataset, DataError> {
    let mut dataset = match source {
        "digits" => digits()?,
        "chars" => characters(characters::LENGTH)?,
        sequences if sequences.starts_with("chars:") => {
            let given = &sequences["chars:".len()..];
            characters(given.parse().map_err(|_| characters::refused(given))?)?
        }
        path if is_cifar(Path::new(path)) => read_cifar(Path::new(path))?,
        path if Path::new(path).is_dir() => read_idx(Path::new(path), IdxOptions::default())?,
        other => {
            return Err(DataError::NoSource { source_name: other.to_owned() });
        }
    };
    if let Some(limit) = limit {
        dataset.limit(limit)?;
    }
    Ok(dataset)
}

/// The order in which one epoch visits the training images: a permutation drawn from
/// (seed, epoch), cut into full batches. The images left over when the batch does not divide
/// the number of images are not seen in that epoch.
#[derive(Clone, Debug)]
pub struct Batches {
    order: Vec<usize>,
    batch: usize,
}

impl Batches {
    /// The batches of `epoch` (from 0) over `images` images; none if `batch` is 0.
    pub fn new(images: usize, batch: usize, seed: u64, epoch: u32) -> Self {
        Self { order: Stream::new(seed, Purpose::Shuffle { epoch }).permutation(images), batch }
    }

    /// Number of batches.
    pub fn len(&self) -> usize {
        self.order.len().checked_div(self.batch).unwrap_or(0)
    }

    /// True if there are fewer images than one batch holds.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Indices of the images of each batch.
    pub fn iter(&self) -> impl Iterator<Item = &[usize]> {
        self.order.chunks_exact(self.batch.max(1)).take(self.len())
    }
}

/// Images judged together. Hardware programs have a fixed batch, so the last one is padded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvaluationBatch {
    /// As many indices as the batch holds; those from `valid` on repeat the last image.
    pub indices: Vec<usize>,
    /// How many of the indices count.
    pub valid: usize,
}

/// Batches that cover `0..images` in order.
pub fn evaluation_batches(images: usize, batch: usize) -> impl Iterator<Item = EvaluationBatch> {
    let batch = batch.max(1);
    (0..images).step_by(batch).map(move |first| EvaluationBatch {
        indices: (first..first + batch).map(|i| i.min(images - 1)).collect(),
        valid: batch.min(images - first),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_full_batches_of_distinct_images() {
        for (images, batch, expected) in [(10, 3, 3), (9, 3, 3), (2, 3, 0), (0, 3, 0), (5, 0, 0), (4, 1, 4)] {
            let batches = Batches::new(images, batch, 0, 0);
            assert_eq!(batches.len(), expected);
            let mut seen: Vec<usize> = batches.iter().flatten().copied().collect();
            assert_eq!(seen.len(), expected * batch);
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), expected * batch);
        }
    }

    #[test]
    fn evaluation_covers_every_image_once() {
        for (images, batch) in [(7, 3), (6, 3), (2, 5), (0, 4), (3, 1)] {
            let valid: Vec<usize> = evaluation_batches(images, batch)
                .inspect(|b| assert_eq!(b.indices.len(), batch))
                .flat_map(|b| b.indices[..b.valid].to_vec())
                .collect();
            assert_eq!(valid, (0..images).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_limit_keeps_the_first_training_images() {
        let all = load("digits", None).unwrap();
        let few = load("digits", Some(100)).unwrap();
        assert_eq!(few.train.labels, all.train.labels[..100]);
        assert_eq!(few.train.pixels, all.train.pixels[..6400]);
        assert_eq!(few.test, all.test);
        assert_eq!(load("digits", Some(1_000_000)).unwrap(), all);
        assert!(matches!(load("digits", Some(0)), Err(DataError::EmptyLimit)));
        let error = load("digit", None).unwrap_err().to_string();
        assert!(error.contains("`digit`") && error.contains("`digits`"), "{error}");
    }

    #[test]
    fn values_are_pixels_over_full_scale() {
        let data = load("digits", None).unwrap();
        let rows = data.rows(&data.test, &[5, 0]);
        assert_eq!(rows.len(), 128);
        for (value, pixel) in rows.iter().zip(data.test.pixels[5 * 64..6 * 64].iter().chain(&data.test.pixels[..64])) {
            assert_eq!(*value, f32::from(*pixel) / 16.0);
        }
    }
}
