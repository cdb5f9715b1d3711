//! The four IDX files of a data set.

use crate::Case;
use crate::source::Source;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fmt;
use std::io::Write as _;
use systole_trainer::data::{IdxOptions, read_idx};

const NAMES: [(&str, u32, usize); 4] = [
    ("train-images-idx3-ubyte", 0x803, 3),
    ("train-labels-idx1-ubyte", 0x801, 1),
    ("t10k-images-idx3-ubyte", 0x803, 3),
    ("t10k-labels-idx1-ubyte", 0x801, 1),
];

/// Bytes of the four files of a data set.
#[derive(Debug)]
pub struct Files([Vec<u8>; 4]);

impl Case for Files {
    fn read(source: &mut Source<'_>) -> Self {
        let counts = [1 + source.below(4) as u32, 1 + source.below(4) as u32];
        let size = (1 + source.below(3) as u32, 1 + source.below(3) as u32);
        Self(std::array::from_fn(|i| {
            let (_, magic, dimensions) = NAMES[i];
            let mut shape = vec![counts[i / 2], size.0, size.1];
            shape.truncate(dimensions);
            file(source, magic, &shape)
        }))
    }

    fn check(&self) {
        let directory = tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        for ((name, ..), bytes) in NAMES.iter().zip(&self.0) {
            std::fs::write(directory.path().join(name), bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
        match read_idx(directory.path(), IdxOptions::default()) {
            Ok(data) => {
                for (part, split) in [(0, &data.train), (2, &data.test)] {
                    assert_eq!(split.pixels.len(), split.len() * data.shape.elements(), "{self}");
                    assert!(!split.is_empty() && split.labels.iter().all(|&l| usize::from(l) < data.classes), "{self}");
                    if !self.0[part].starts_with(&[0x1f, 0x8b]) {
                        assert_eq!(split.pixels, self.0[part][16..], "pixels are the bytes behind the header: {self}");
                    }
                    if !self.0[part + 1].starts_with(&[0x1f, 0x8b]) {
                        assert_eq!(split.labels, self.0[part + 1][8..], "labels are the bytes behind the header: {self}");
                    }
                }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(NAMES.iter().any(|(name, ..)| text.contains(name)), "no file is named: {text}: {self}");
            }
        }
    }
}

/// A sound file, a sound one damaged in one place, or any bytes; plain or gzipped.
fn file(source: &mut Source<'_>, magic: u32, shape: &[u32]) -> Vec<u8> {
    let fault = source.below(12);
    let mut shape = shape.to_vec();
    if fault == 1 {
        shape[0] = source.pick(&[0, 1, 5, 0x8000_0000, u32::MAX]);
    }
    let mut bytes: Vec<u8> =
        [if fault == 2 { source.bits(32) as u32 } else { magic }].iter().chain(&shape).flat_map(|word| word.to_be_bytes()).collect();
    let contents = if fault == 1 { 2 } else { shape.iter().product() };
    bytes.extend((0..contents).map(|_| if fault == 3 { source.byte() } else { source.byte() % 10 }));
    match fault {
        4 => bytes.truncate(source.below(20)),
        5 => bytes.push(source.byte()),
        6 => {
            bytes.pop();
        }
        7 => bytes = (0..source.below(40)).map(|_| source.byte()).collect(),
        _ => {}
    }
    if fault >= 8 && source.one_in(2) {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        let _ = packed.write_all(&bytes);
        bytes = packed.finish().unwrap_or_default();
        match fault {
            8 => bytes.truncate(bytes.len().saturating_sub(1 + source.below(12))),
            9 => {
                let at = source.below(bytes.len().clamp(1, 256));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << source.below(8);
                }
            }
            _ => {}
        }
    }
    bytes
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((name, ..), bytes) in NAMES.iter().zip(&self.0) {
            writeln!(f, "{name}: {bytes:02x?}")?;
        }
        Ok(())
    }
}
