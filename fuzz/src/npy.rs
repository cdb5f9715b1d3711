//! A tensor file.

use crate::Case;
use crate::source::Source;
use std::fmt;
use systole::run::operands::{read_npy, write_npy};
use systole_isa::format::Format;

/// A file and the format its elements are to have.
#[derive(Debug)]
pub struct File {
    format: Format,
    bytes: Vec<u8>,
}

const FORMATS: [&str; 6] = ["e4m3fn", "fp16", "fp32", "fp64", "int8", "e2m1f"];
const TYPES: [&str; 14] =
    ["'|u1'", "'<u2'", "'<u4'", "'<u8'", "'>u4'", "'<f4'", "'<f8'", "'>f8'", "'<f2'", "'<i4'", "'|b1'", "'<c8'", "'|S3'", "[('x', '<f4')]"];

impl Case for File {
    fn read(source: &mut Source<'_>) -> Self {
        let format = source.pick(&FORMATS).parse().unwrap_or(Format::FP32);
        let bytes = match source.below(4) {
            // Any bytes behind the magic, any bytes at all, else a header that may lie.
            0 => [b"\x93NUMPY".as_slice(), source.rest()].concat(),
            1 => source.rest().to_vec(),
            _ => with_header(source),
        };
        Self { format, bytes }
    }

    fn check(&self) {
        let directory = tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary directory: {e}"));
        let path = directory.path().join("case.npy");
        std::fs::write(&path, &self.bytes).unwrap_or_else(|e| panic!("{e}"));
        match read_npy(&path, self.format) {
            Ok(matrix) => {
                assert_eq!(matrix.codes.len() as u64, u64::from(matrix.rows) * u64::from(matrix.cols), "{self}");
                assert!(matrix.codes.iter().all(|code| code & !self.format.mask() == 0), "a code beyond the format: {self}");
                let copy = directory.path().join("copy.npy");
                write_npy(&copy, &matrix).unwrap_or_else(|e| panic!("{e}: {self}"));
                match read_npy(&copy, self.format) {
                    Ok(again) => assert_eq!(again, matrix, "written, read: {self}"),
                    Err(e) => panic!("written, not read: {e}: {self}"),
                }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("case.npy"), "the file is not named: {text}: {self}");
            }
        }
    }
}

fn with_header(source: &mut Source<'_>) -> Vec<u8> {
    let extent = |source: &mut Source<'_>| match source.below(16) {
        0 => source.pick(&["0", "16777216", "4294967296", "18446744073709551615", "-1", "x", ""]).to_owned(),
        n => n.to_string(),
    };
    let shape = match source.below(8) {
        0 => "()".to_owned(),
        1 => format!("({},)", extent(source)),
        2 => format!("({}, {}, {})", extent(source), extent(source), extent(source)),
        _ => format!("({}, {})", extent(source), extent(source)),
    };
    let order = source.pick(&["False", "True", "None"]);
    let mut header = format!("{{'descr': {}, 'fortran_order': {order}, 'shape': {shape}, }}\n", source.pick(&TYPES)).into_bytes();
    let version = source.pick(&[1u8, 1, 1, 2, 3, 0, 4]);
    let length = header.len() as u32 + if source.one_in(12) { u32::from(source.byte()) << 8 } else { 0 };
    let mut bytes = [b"\x93NUMPY".as_slice(), &[version, 0]].concat();
    bytes.extend_from_slice(&length.to_le_bytes()[..if version >= 2 { 4 } else { 2 }]);
    if source.one_in(8) {
        let at = source.below(header.len().min(256));
        header[at] = source.byte();
    }
    bytes.extend(header);
    bytes.extend_from_slice(source.rest());
    bytes
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "as {}: {}", self.format, self.bytes.escape_ascii())
    }
}
