//! IDX files, the container of MNIST and its kin: a big-endian header and raw bytes.
//!
//! The header is `00 00 08 D`, then D dimensions of 32 bits; 08 says unsigned bytes. Files may
//! be gzipped.

use super::file::{Bytes, LIMIT_BYTES, find};
use super::{Content, DataError, Dataset, Split};
use crate::layer::Shape;
use std::path::{Path, PathBuf};

const IMAGES: Kind = Kind { magic: 0x0000_0803, dimensions: 3, meaning: "unsigned bytes in 3 dimensions, images" };
const LABELS: Kind = Kind { magic: 0x0000_0801, dimensions: 1, meaning: "unsigned bytes in 1 dimension, labels" };

/// What the files do not say themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdxOptions {
    /// Number of classes; labels must be below it.
    pub classes: usize,
}

impl Default for IdxOptions {
    /// Ten classes, as in MNIST, Fashion-MNIST and KMNIST.
    fn default() -> Self {
        Self { classes: 10 }
    }
}

#[derive(Clone, Copy)]
struct Kind {
    magic: u32,
    dimensions: usize,
    meaning: &'static str,
}

struct Contents {
    path: PathBuf,
    /// As many as the kind has.
    dimensions: Vec<u32>,
    bytes: Vec<u8>,
}

/// Reads `{train,t10k}-{images-idx3,labels-idx1}-ubyte` from `directory`; each file may also
/// end in `.gz` and may spell `.idx3-ubyte` with a dot. Of several spellings the plain one
/// with a hyphen comes first. Images have one channel and a full scale of 255.
///
/// # Errors
/// Absent or unreadable files; damaged gzip; a wrong magic number; header, bytes, images or
/// labels that disagree; sizes of 0 or beyond 2 GiB; labels not below `options.classes`.
pub fn read_idx(directory: &Path, options: IdxOptions) -> Result<Dataset, DataError> {
    let (train, size, _) = read_split(directory, "train", options)?;
    let (test, test_size, test_path) = read_split(directory, "t10k", options)?;
    if test_size != size {
        return Err(DataError::Size { path: test_path, found: test_size, expected: size });
    }
    let name = directory.file_name().map_or_else(|| directory.display().to_string(), |n| n.to_string_lossy().into_owned());
    let shape = Shape::new(size.0 as usize, size.1 as usize, 1);
    Ok(Dataset { name, classes: options.classes, shape, content: Content::Pixels, full_scale: 255, train, test })
}

fn read_split(directory: &Path, part: &str, options: IdxOptions) -> Result<(Split, (u32, u32), PathBuf), DataError> {
    let images = read(spelled(directory, &format!("{part}-images"), "idx3")?, IMAGES)?;
    let labels = read(spelled(directory, &format!("{part}-labels"), "idx1")?, LABELS)?;
    let (count, rows, columns) = (images.dimensions[0], images.dimensions[1], images.dimensions[2]);
    if count as usize != labels.bytes.len() {
        return Err(DataError::Disagreement {
            images_path: images.path,
            images: count as usize,
            labels_path: labels.path,
            labels: labels.bytes.len(),
        });
    }
    if let Some((index, &label)) = labels.bytes.iter().enumerate().find(|(_, label)| usize::from(**label) >= options.classes) {
        return Err(DataError::Label { path: labels.path, index, label, classes: options.classes });
    }
    Ok((Split { pixels: images.bytes, labels: labels.bytes, targets: 1 }, (rows, columns), images.path))
}

/// The file of that stem, whose kind is spelled with a hyphen or a dot.
fn spelled(directory: &Path, stem: &str, kind: &str) -> Result<PathBuf, DataError> {
    let names = ["-", "."].map(|dot| format!("{stem}{dot}{kind}-ubyte"));
    find(directory, &names).map_err(|spellings| DataError::Absent { directory: directory.to_owned(), stem: stem.to_owned(), spellings })
}

/// Reads header and contents. Memory follows the bytes that are there, not those the header
/// promises.
fn read(path: PathBuf, kind: Kind) -> Result<Contents, DataError> {
    let mut file = Bytes::open(path)?;
    let header_bytes = 4 + 4 * kind.dimensions;
    let header = file.take(header_bytes as u64)?;
    let path = file.path.clone();
    let words: Vec<u32> = header.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]])).collect();
    match words.first() {
        Some(&found) if found != kind.magic => {
            return Err(DataError::Magic { path, found, expected: kind.magic, meaning: kind.meaning });
        }
        Some(_) if header.len() == header_bytes => {}
        _ => {
            return Err(DataError::Header { path, found: header.len(), expected: header_bytes });
        }
    }
    let dimensions = words[1..].to_vec();
    if dimensions.contains(&0) {
        return Err(DataError::ZeroDimension { path, dimensions });
    }
    let expected = dimensions.iter().try_fold(1_u64, |product, &d| product.checked_mul(u64::from(d)).filter(|&p| p <= LIMIT_BYTES));
    let Some(expected) = expected else {
        return Err(DataError::TooLarge { path, dimensions, limit: LIMIT_BYTES });
    };
    let bytes = file.take(expected)?;
    let more = !file.take(1)?.is_empty();
    let found = bytes.len() as u64;
    if found != expected || more {
        return Err(DataError::Length { path, dimensions, expected, found, more });
    }
    Ok(Contents { path, dimensions, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write;

    fn file(magic: u32, dimensions: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut out: Vec<u8> = std::iter::once(&magic).chain(dimensions).flat_map(|w| w.to_be_bytes()).collect();
        out.extend_from_slice(bytes);
        out
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn images(count: u32) -> Vec<u8> {
        file(0x803, &[count, 2, 3], &(0..count * 6).map(|i| i as u8).collect::<Vec<_>>())
    }

    /// A directory with two training images and one test image, `edit` applied last.
    fn directory(edit: impl FnOnce(&Path)) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [
            ("train-images-idx3-ubyte", images(2)),
            ("train-labels-idx1-ubyte", file(0x801, &[2], &[3, 9])),
            ("t10k-images-idx3-ubyte", images(1)),
            ("t10k-labels-idx1-ubyte", file(0x801, &[1], &[0])),
        ] {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        edit(dir.path());
        dir
    }

    #[test]
    fn reads_plain_gzipped_and_dotted_files() {
        let check = |dir: &Path| {
            let data = read_idx(dir, IdxOptions::default()).unwrap();
            assert_eq!((data.shape, data.classes, data.full_scale), (Shape::new(2, 3, 1), 10, 255));
            assert_eq!(data.train, Split { pixels: (0..12).collect(), labels: vec![3, 9], targets: 1 });
            assert_eq!(data.test, Split { pixels: (0..6).collect(), labels: vec![0], targets: 1 });
        };
        check(directory(|_| ()).path());
        check(
            directory(|dir| {
                for name in ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"] {
                    let bytes = fs::read(dir.join(name)).unwrap();
                    fs::remove_file(dir.join(name)).unwrap();
                    fs::write(dir.join(name.replace("-idx", ".idx") + ".gz"), gzip(&bytes)).unwrap();
                }
            })
            .path(),
        );
        // gzip is told by content, and may come in several members.
        check(
            directory(|dir| {
                fs::write(dir.join("train-images-idx3-ubyte"), [gzip(&images(2)[..20]), gzip(&images(2)[20..])].concat()).unwrap()
            })
            .path(),
        );
    }

    type Case<'a> = (&'a str, Option<Vec<u8>>, &'a [&'a str]);

    /// Every way a file can be wrong: which file, its new contents (none: removed), and what
    /// the error must say beside the file's name.
    #[test]
    fn refusals_name_the_file_the_finding_and_the_mend() {
        let truncated = |bytes: Vec<u8>, cut: usize| bytes[..bytes.len() - cut].to_vec();
        let flipped = |mut bytes: Vec<u8>| {
            let at = bytes.len() - 6;
            bytes[at] ^= 0x40;
            bytes
        };
        let cases: Vec<Case> = vec![
            ("train-images-idx3-ubyte", None, &["no train-images", "train-images.idx3-ubyte.gz"]),
            ("t10k-labels-idx1-ubyte", None, &["no t10k-labels"]),
            ("train-images-idx3-ubyte", Some(truncated(gzip(&images(2)), 9)), &["damaged gzip", "fetch"]),
            ("train-images-idx3-ubyte", Some(truncated(gzip(&images(2)), 4)), &["damaged gzip", "fetch"]),
            ("train-images-idx3-ubyte", Some(flipped(gzip(&images(2)))), &["damaged gzip", "fetch"]),
            ("train-images-idx3-ubyte", Some(gzip(&gzip(&images(2)))), &["magic", "unpacked only once"]),
            ("train-images-idx3-ubyte", Some(file(0x801, &[2], &[1, 2])), &["0x00000801", "expected 0x00000803"]),
            ("train-labels-idx1-ubyte", Some(images(2)), &["0x00000803", "expected 0x00000801"]),
            ("train-labels-idx1-ubyte", Some(b"<html>404</html>".to_vec()), &["0x3c68746d", "right file"]),
            ("train-images-idx3-ubyte", Some(vec![]), &["0 bytes are too few", "16"]),
            ("train-images-idx3-ubyte", Some(images(2)[..10].to_vec()), &["10 bytes are too few", "16"]),
            ("train-images-idx3-ubyte", Some(truncated(images(2), 1)), &["[2, 2, 3] need 12 bytes", "holds 11"]),
            ("train-images-idx3-ubyte", Some([images(2), vec![0]].concat()), &["need 12 bytes", "more than 12"]),
            ("train-images-idx3-ubyte", Some(file(0x803, &[0, 2, 3], &[])), &["[0, 2, 3] hold no data"]),
            ("train-images-idx3-ubyte", Some(file(0x803, &[2, 0, 3], &[])), &["[2, 0, 3] hold no data"]),
            ("train-images-idx3-ubyte", Some(file(0x803, &[u32::MAX; 3], &[1])), &["exceed the limit of 2147483648 bytes"]),
            ("train-images-idx3-ubyte", Some(file(0x803, &[1 << 31, 1, 1], &[1])), &["need 2147483648 bytes", "holds 1"]),
            ("train-labels-idx1-ubyte", Some(file(0x801, &[3], &[1, 2, 3])), &["2 images", "3 labels"]),
            ("train-labels-idx1-ubyte", Some(file(0x801, &[2], &[1, 10])), &["label 10 of image 1", "0 to 9"]),
            ("t10k-images-idx3-ubyte", Some(file(0x803, &[1, 3, 2], &[0; 6])), &["3x2", "2x3"]),
        ];
        for (name, contents, needles) in cases {
            let dir = directory(|dir| match &contents {
                None => fs::remove_file(dir.join(name)).unwrap(),
                Some(bytes) => fs::write(dir.join(name), bytes).unwrap(),
            });
            let error = read_idx(dir.path(), IdxOptions::default()).unwrap_err().to_string();
            let place = if contents.is_none() { dir.path().to_owned() } else { dir.path().join(name) };
            assert!(error.contains(&place.display().to_string()), "{name}: {error}");
            for needle in needles {
                assert!(error.contains(needle), "{name}, wanted `{needle}`: {error}");
            }
        }
    }
}
