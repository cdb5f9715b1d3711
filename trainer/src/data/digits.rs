//! UCI optical digits: 1,797 images of 8x8 with 17 levels of grey, embedded.
//!
//! E. Alpaydin and C. Kaynak, CC BY 4.0; see `trainer/data/NOTICE`. The images are permuted
//! once by a permutation that is part of this project and depends on no run's seed (the
//! stream [`Purpose::Split`] of seed 0); the first 1,437 train, the last 360 test. So writers
//! occur in both parts, and accuracies compare with other random splits of this file, not
//! with UCI's split by writer.

use super::{Content, DataError, Dataset, Split};
use crate::entropy::{Purpose, Stream};
use crate::layer::Shape;
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::PathBuf;

const TABLE: &[u8] = include_bytes!("../../data/digits.csv.gz");
const PATH: &str = "trainer/data/digits.csv.gz (embedded)";
const SIZE: usize = 64;
const FULL_SCALE: u8 = 16;
const TRAIN: usize = 1437;

/// The embedded digits: 1,437 training and 360 test images.
///
/// # Errors
/// Only if the table embedded at build time is damaged.
pub fn digits() -> Result<Dataset, DataError> {
    let mut text = String::new();
    GzDecoder::new(TABLE).read_to_string(&mut text).map_err(|e| DataError::Gzip { path: PathBuf::from(PATH), reason: e.to_string() })?;
    let mut images = Vec::new();
    for (i, line) in text.lines().enumerate() {
        images.push(parse(line).ok_or_else(|| DataError::Table { path: PathBuf::from(PATH), line: i + 1 })?);
    }
    let order = Stream::new(0, Purpose::Split).permutation(images.len());
    let (train, test) = order.split_at(TRAIN.min(order.len()));
    let pick = |part: &[usize]| Split {
        pixels: part.iter().flat_map(|&i| images[i].0).collect(),
        labels: part.iter().map(|&i| images[i].1).collect(),
        targets: 1,
    };
    Ok(Dataset {
        name: "digits".to_owned(),
        classes: 10,
        shape: Shape::new(8, 8, 1),
        content: Content::Pixels,
        full_scale: FULL_SCALE,
        train: pick(train),
        test: pick(test),
    })
}

fn parse(line: &str) -> Option<([u8; SIZE], u8)> {
    let mut fields = line.split(',').map(|field| field.trim().parse::<u8>().ok());
    let mut pixels = [0; SIZE];
    for pixel in &mut pixels {
        *pixel = fields.next()?.filter(|&v| v <= FULL_SCALE)?;
    }
    let label = fields.next()?.filter(|&v| v < 10)?;
    fields.next().is_none().then_some((pixels, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_set_is_there() {
        let data = digits().unwrap();
        assert_eq!((data.train.len(), data.test.len()), (1437, 360));
        assert_eq!((data.train.pixels.len(), data.test.pixels.len()), (1437 * 64, 360 * 64));
        let mut counts = [0; 10];
        for label in data.train.labels.iter().chain(&data.test.labels) {
            counts[usize::from(*label)] += 1;
        }
        // The numbers of each digit in UCI's test part, from the set's description.
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        let least = (0..10).map(|d| data.test.labels.iter().filter(|&&l| l == d).count()).min();
        assert!(least >= Some(20), "{least:?}");
    }

    #[test]
    fn damaged_lines_are_refused() {
        let good = vec!["16"; 64].join(",") + ",9";
        assert!(parse(&good).is_some());
        for bad in [
            good.replacen("16", "17", 1),
            good.replace(",9", ",10"),
            good.clone() + ",1",
            good.replace(",9", ""),
            String::new(),
            good.replacen("16", "-1", 1),
        ] {
            assert!(parse(&bad).is_none(), "{bad}");
        }
    }
}
