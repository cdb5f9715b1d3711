//! CIFAR-10's binary files: records of 3,073 bytes, a label and an image of 32x32 in three planes.
//!
//! A plane holds the red, the green or the blue values of an image, row by row. Here the three
//! values of a pixel come together, as everywhere in this crate. Files may be gzipped. The format is
//! that of A. Krizhevsky, <https://www.cs.toronto.edu/~kriz/cifar.html>, "binary version".

use super::file::{Bytes, LIMIT_BYTES, find};
use super::{Content, DataError, Dataset, Split};
use crate::layer::Shape;
use std::path::{Path, PathBuf};

const SHAPE: Shape = Shape::new(32, 32, 3);
const CLASSES: usize = 10;
const RECORD: usize = 1 + SHAPE.elements();
const TEST: &str = "test_batch.bin";

/// True if `path` is a directory with one of the set's files, or a file with such a name.
pub fn is_cifar(path: &Path) -> bool {
    let named = |name: &str| {
        let stem = name.strip_suffix(".gz").unwrap_or(name);
        stem == TEST || stem.starts_with("data_batch_") && stem.ends_with(".bin")
    };
    if path.is_dir() {
        let names = std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.file_name());
        return names.into_iter().any(|name| name.to_str().is_some_and(named));
    }
    path.is_file() && path.file_name().and_then(|name| name.to_str()).is_some_and(named)
}

/// Reads `data_batch_1.bin` to `data_batch_5.bin`, in that order, as training images and
/// `test_batch.bin` as test images from a directory; each may also end in `.gz`. The path of one
/// `.bin` file in place of a directory makes that file's images the training images, with the
/// `test_batch.bin` beside it. A file may hold any number of records.
///
/// # Errors
/// Absent or unreadable files; damaged gzip; a file without records, with a part of one, or beyond
/// 2 GiB; labels not below 10.
pub fn read_cifar(path: &Path) -> Result<Dataset, DataError> {
    let whole = path.is_dir();
    let directory = if whole { path } else { path.parent().unwrap_or(path) };
    let in_directory = |name: String| {
        find(directory, std::slice::from_ref(&name)).map_err(|spellings| DataError::Absent {
            directory: directory.to_owned(),
            stem: name,
            spellings,
        })
    };
    let files = if whole {
        (1..=5).map(|batch| in_directory(format!("data_batch_{batch}.bin"))).collect::<Result<Vec<_>, _>>()?
    } else {
        vec![path.to_owned()]
    };
    let test_file = in_directory(TEST.to_owned())?;
    let mut train = Split { pixels: Vec::new(), labels: Vec::new(), targets: 1 };
    for file in files {
        append(file, &mut train)?;
    }
    let mut test = Split { pixels: Vec::new(), labels: Vec::new(), targets: 1 };
    append(test_file, &mut test)?;
    let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    Ok(Dataset { name, classes: CLASSES, shape: SHAPE, content: Content::Pixels, full_scale: 255, train, test })
}

/// Appends the records of one file.
fn append(path: PathBuf, split: &mut Split) -> Result<(), DataError> {
    let mut file = Bytes::open(path)?;
    let mut read = 0;
    loop {
        let record = file.take(RECORD as u64)?;
        let offset = read;
        read += record.len() as u64;
        match record.split_first() {
            None if offset == 0 => return Err(DataError::NoRecords { path: file.path, record: RECORD }),
            None => return Ok(()),
            Some((&label, planes)) if record.len() == RECORD => {
                if usize::from(label) >= CLASSES {
                    return Err(DataError::RecordLabel { path: file.path, offset, label, classes: CLASSES });
                }
                if read > LIMIT_BYTES {
                    return Err(DataError::Long { path: file.path, limit: LIMIT_BYTES });
                }
                split.labels.push(label);
                let positions = SHAPE.positions();
                split.pixels.extend((0..positions).flat_map(|i| (0..SHAPE.channels).map(move |c| planes[c * positions + i])));
            }
            Some(_) => return Err(DataError::CutRecord { path: file.path, offset, found: record.len(), record: RECORD }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::fs;
    use std::io::Write;

    /// Plane c of the image holds (y, x, c) mixed into a byte.
    fn value(seed: usize, y: usize, x: usize, c: usize) -> u8 {
        (seed * 151 + y * 7 + x * 31 + c * 101) as u8
    }

    fn record(label: u8, seed: usize) -> Vec<u8> {
        let planes = (0..3).flat_map(|c| (0..32).flat_map(move |y| (0..32).map(move |x| value(seed, y, x, c))));
        std::iter::once(label).chain(planes).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Batch b holds b records; the test batch two.
    fn directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for batch in 1..=5 {
            let records: Vec<u8> = (0..batch).flat_map(|i| record((batch + i) as u8 % 10, 10 * batch + i)).collect();
            fs::write(dir.path().join(format!("data_batch_{batch}.bin")), records).unwrap();
        }
        fs::write(dir.path().join(TEST), [record(9, 100), record(0, 101)].concat()).unwrap();
        dir
    }

    #[test]
    fn records_become_images_with_channels_innermost() {
        let dir = directory();
        let check = |data: &Dataset, first: usize| {
            assert_eq!((data.shape, data.classes, data.full_scale), (Shape::new(32, 32, 3), 10, 255));
            assert_eq!(data.test.labels, [9, 0]);
            assert_eq!(data.train.pixels.len(), data.train.len() * 3072);
            for (y, x, c) in [(0, 0, 0), (0, 0, 2), (0, 1, 0), (1, 0, 1), (31, 31, 2), (5, 17, 1)] {
                let at = (y * 32 + x) * 3 + c;
                assert_eq!(data.train.pixels[at], value(first, y, x, c));
                assert_eq!(data.test.pixels[3072 + at], value(101, y, x, c));
            }
        };
        assert!(is_cifar(dir.path()));
        let data = read_cifar(dir.path()).unwrap();
        assert_eq!(data.train.labels, [1, 2, 3, 3, 4, 5, 4, 5, 6, 7, 5, 6, 7, 8, 9]);
        check(&data, 10);
        // The same through the general door.
        assert_eq!(super::super::load(&dir.path().display().to_string(), None).unwrap(), data);
        let one = dir.path().join("data_batch_3.bin");
        assert!(is_cifar(&one));
        let part = super::super::load(&one.display().to_string(), Some(2)).unwrap();
        assert_eq!((part.name.as_str(), &part.train.labels[..]), ("data_batch_3.bin", &[3, 4][..]));
        check(&part, 30);
        // Compressed files, told by content, whatever the name.
        let packed = gzip(&fs::read(&one).unwrap());
        fs::remove_file(&one).unwrap();
        fs::write(dir.path().join("data_batch_3.bin.gz"), packed).unwrap();
        let test = gzip(&fs::read(dir.path().join(TEST)).unwrap());
        fs::write(dir.path().join(TEST), test).unwrap();
        assert_eq!(read_cifar(dir.path()).unwrap(), data);
    }

    #[test]
    fn other_paths_are_not_taken_for_cifar() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_cifar(dir.path()) && !is_cifar(&dir.path().join("data_batch_1.bin")));
        fs::write(dir.path().join("batch.bin"), [0]).unwrap();
        assert!(!is_cifar(dir.path()) && !is_cifar(&dir.path().join("batch.bin")));
        fs::write(dir.path().join("data_batch_2.bin.gz"), [0]).unwrap();
        assert!(is_cifar(dir.path()));
    }

    /// A file, its new contents (none: removed), and what the error must say.
    type Case<'a> = (&'a str, Option<Vec<u8>>, &'a [&'a str]);

    #[test]
    fn refusals_name_the_file_the_place_and_the_mend() {
        let cut = |bytes: Vec<u8>, by: usize| bytes[..bytes.len() - by].to_vec();
        let two = || [record(1, 1), record(2, 2)].concat();
        let cases: Vec<Case> = vec![
            ("data_batch_4.bin", None, &["no data_batch_4.bin", "data_batch_4.bin.gz"]),
            (TEST, None, &["no test_batch.bin"]),
            ("data_batch_1.bin", Some(vec![]), &["holds no record of 3073 bytes", "fetch"]),
            ("data_batch_2.bin", Some(cut(two(), 73)), &["byte 3073", "3000 bytes", "of 3073", "fetch"]),
            ("data_batch_2.bin", Some([two(), vec![3]].concat()), &["byte 6146", "1 bytes"]),
            ("data_batch_5.bin", Some([two(), record(10, 0)].concat()), &["byte 6146", "label 10", "0 to 9", "CIFAR-10"]),
            (TEST, Some(cut(gzip(&two()), 4)), &["damaged gzip", "fetch"]),
        ];
        for (name, contents, needles) in cases {
            let dir = directory();
            let path = dir.path().join(name);
            match &contents {
                None => fs::remove_file(&path).unwrap(),
                Some(bytes) => fs::write(&path, bytes).unwrap(),
            }
            let error = read_cifar(dir.path()).unwrap_err().to_string();
            let place = if contents.is_none() { dir.path() } else { &path };
            assert!(error.contains(&place.display().to_string()), "{name}: {error}");
            for needle in needles {
                assert!(error.contains(needle), "{name}, wanted `{needle}`: {error}");
            }
        }
    }
}
