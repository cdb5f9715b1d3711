//! Characters of a book, embedded: each predicts the next.
//!
//! L. Carroll, Alice's Adventures in Wonderland (1865), in the public domain; see
//! `trainer/data/NOTICE`. The vocabulary is the text's distinct bytes in ascending order. The
//! first nine tenths of the characters train, the rest tests; each part is cut into sequences of T
//! characters one after the other, whose labels are the same characters moved by one place. What
//! is too short for a sequence and its last label is left out.

use super::{Content, DataError, Dataset, Split};
use crate::layer::Shape;
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::PathBuf;

const TEXT: &[u8] = include_bytes!("../../data/alice.txt.gz");
const PATH: &str = "trainer/data/alice.txt.gz (embedded)";

/// Characters of a sequence where nothing else is asked for.
pub(super) const LENGTH: usize = 64;
/// A sequence is an image, whose width instructions express up to this.
const LONGEST: usize = 4095;

/// The embedded text in sequences of `length` characters.
///
/// # Errors
/// A length of 0 or beyond 4095, or a text damaged at build time.
pub fn characters(length: usize) -> Result<Dataset, DataError> {
    if !(1..=LONGEST).contains(&length) {
        return Err(refused(&length.to_string()));
    }
    let mut text = Vec::new();
    GzDecoder::new(TEXT).read_to_end(&mut text).map_err(|e| DataError::Gzip { path: PathBuf::from(PATH), reason: e.to_string() })?;
    let mut vocabulary = text.clone();
    vocabulary.sort_unstable();
    vocabulary.dedup();
    let token = |byte: &u8| vocabulary.binary_search(byte).unwrap_or_default() as u8;
    let tokens: Vec<u8> = text.iter().map(token).collect();
    let (train, test) = tokens.split_at(tokens.len() / 10 * 9);
    let name = if length == LENGTH { "chars".to_owned() } else { format!("chars:{length}") };
    Ok(Dataset {
        name,
        classes: vocabulary.len(),
        shape: Shape::new(1, length, vocabulary.len()),
        content: Content::Tokens,
        full_scale: 1,
        train: sequences(train, length),
        test: sequences(test, length),
    })
}

/// A length that sequences cannot have.
pub(super) fn refused(given: &str) -> DataError {
    DataError::SequenceLength { given: given.to_owned(), longest: LONGEST }
}

fn sequences(tokens: &[u8], length: usize) -> Split {
    let whole = tokens.len().saturating_sub(1) / length * length;
    Split { pixels: tokens[..whole].to_vec(), labels: tokens.get(1..=whole).unwrap_or_default().to_vec(), targets: length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_next_characters() {
        let data = characters(64).unwrap();
        assert_eq!((data.classes, data.shape, data.image_bytes()), (70, Shape::new(1, 64, 70), 64));
        // 133,578 and 14,848 characters.
        assert_eq!((data.train.len(), data.test.len()), (2087, 231));
        for split in [&data.train, &data.test] {
            assert_eq!((split.pixels.len(), split.labels.len()), (split.len() * 64, split.len() * 64));
            assert_eq!(split.pixels[1..], split.labels[..split.labels.len() - 1]);
            assert!(split.pixels.iter().chain(&split.labels).all(|&token| usize::from(token) < data.classes));
        }
        assert_eq!(split_labels(&data, 3), data.train.pixels[3 * 64 + 1..=4 * 64]);
        // Other lengths cut the same characters.
        let short = characters(5).unwrap();
        assert_eq!(short.train.pixels[..1000], data.train.pixels[..1000]);
        assert_eq!((short.name.as_str(), short.train.targets, short.train.len()), ("chars:5", 5, 26_715));
        assert_eq!(characters(4095).unwrap().test.len(), 3);
    }

    fn split_labels(data: &Dataset, index: usize) -> Vec<u8> {
        data.train.labels_of(&[index]).into_iter().map(|label| label as u8).collect()
    }

    #[test]
    fn the_text_is_there() {
        let data = characters(64).unwrap();
        let mut vocabulary: Vec<u8> = b"\n !\"'()*,-.:;?[]_`".iter().copied().chain(b'A'..=b'Z').chain(b'a'..=b'z').collect();
        vocabulary.sort_unstable();
        let text: String = data.train.pixels.iter().map(|&token| char::from(vocabulary[usize::from(token)])).collect();
        assert!(text.trim_start().starts_with("ALICE'S ADVENTURES IN WONDERLAND"));
        assert!(text.contains("Alice was beginning to get very tired of sitting by her sister\non the bank"));
    }

    #[test]
    fn tokens_are_rows_with_a_one() {
        let data = characters(3).unwrap();
        let rows = data.rows(&data.test, &[7, 2]);
        assert_eq!(rows.len(), 2 * 3 * 70);
        let tokens = data.test.pixels[21..24].iter().chain(&data.test.pixels[6..9]);
        for (row, &token) in rows.chunks(70).zip(tokens) {
            let hot: Vec<usize> = (0..70).filter(|&c| row[c] != 0.0).collect();
            assert_eq!((hot, row[usize::from(token)]), (vec![usize::from(token)], 1.0));
        }
    }

    #[test]
    fn lengths_that_are_none_are_refused() {
        for given in ["chars:0", "chars:4096", "chars:", "chars:x", "chars:-3", "chars:99999999999999999999"] {
            let error = super::super::load(given, None).unwrap_err().to_string();
            assert!(error.contains("1 to 4095") && error.contains(&given["chars:".len()..]), "{error}");
        }
        assert_eq!(super::super::load("chars", None).unwrap(), super::super::load("chars:64", None).unwrap());
        assert_eq!(super::super::load("chars:8", Some(3)).unwrap().train.labels.len(), 24);
    }
}
