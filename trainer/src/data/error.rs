//! What can be wrong with data, each with its place and its mend.

use std::io;
use std::path::PathBuf;

/// A data set could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The name given is neither a built-in data set nor a directory.
    #[error(
        "`{source_name}` is neither a data set nor a directory; use `digits`, `chars`, a directory with IDX files (MNIST, Fashion-MNIST), or one with CIFAR-10's binary files"
    )]
    NoSource {
        /// What was given.
        source_name: String,
    },
    /// Sequences of a length that cannot be.
    #[error("`chars:{given}`: sequences have 1 to {longest} characters; give `chars:64`, or `chars` for the same")]
    SequenceLength {
        /// What was given.
        given: String,
        /// The longest.
        longest: usize,
    },
    /// A limit of 0 images.
    #[error("a limit of 0 leaves no training images; give at least 1")]
    EmptyLimit,
    /// None of the spellings of a file's name exists.
    #[error("{}: no {stem}; the directory must hold {stem} as {spellings}", directory.display())]
    Absent {
        /// The directory searched.
        directory: PathBuf,
        /// What the file holds, as the start of its name.
        stem: String,
        /// Names that would be accepted.
        spellings: String,
    },
    /// The operating system refused.
    #[error("{}: {source}; check that the file exists and can be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The gzip stream is cut off or damaged.
    #[error("{}: damaged gzip stream ({reason}); fetch the file again", path.display())]
    Gzip {
        /// The file.
        path: PathBuf,
        /// What the decompressor found.
        reason: String,
    },
    /// The first four bytes are not those of the wanted kind of IDX file.
    #[error("{}: IDX magic number {found:#010x}, expected {expected:#010x} ({meaning}); is this the right file, and unpacked only once?", path.display())]
    Magic {
        /// The file.
        path: PathBuf,
        /// The number found.
        found: u32,
        /// The number wanted.
        expected: u32,
        /// What the wanted number stands for.
        meaning: &'static str,
    },
    /// The file ends within its header.
    #[error("{}: {found} bytes are too few for an IDX header of {expected}; fetch the file again", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// Bytes in the file.
        found: usize,
        /// Bytes of the header.
        expected: usize,
    },
    /// The header promises no data.
    #[error("{}: dimensions {dimensions:?} hold no data; every dimension must be at least 1", path.display())]
    ZeroDimension {
        /// The file.
        path: PathBuf,
        /// The header's dimensions.
        dimensions: Vec<u32>,
    },
    /// The header promises more than is ever read.
    #[error("{}: dimensions {dimensions:?} exceed the limit of {limit} bytes; the header is damaged, or the set must be divided", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The header's dimensions.
        dimensions: Vec<u32>,
        /// Bytes read at most.
        limit: u64,
    },
    /// Header and contents disagree.
    #[error("{}: dimensions {dimensions:?} need {expected} bytes, the file holds {}; fetch the file again", path.display(), if *more { format!("more than {found}") } else { found.to_string() })]
    Length {
        /// The file.
        path: PathBuf,
        /// The header's dimensions.
        dimensions: Vec<u32>,
        /// Bytes the header promises.
        expected: u64,
        /// Bytes found.
        found: u64,
        /// True if more bytes follow those found.
        more: bool,
    },
    /// Images and labels differ in number.
    #[error("{}: {images} images, but {}: {labels} labels; the two files must come from the same set", images_path.display(), labels_path.display())]
    Disagreement {
        /// The file of images.
        images_path: PathBuf,
        /// Its number of images.
        images: usize,
        /// The file of labels.
        labels_path: PathBuf,
        /// Its number of labels.
        labels: usize,
    },
    /// Training and test images differ in size.
    #[error("{}: images of {}x{}, but the training images are {}x{}; the files must come from the same set", path.display(), found.0, found.1, expected.0, expected.1)]
    Size {
        /// The file of test images.
        path: PathBuf,
        /// Its rows and columns.
        found: (u32, u32),
        /// Rows and columns of the training images.
        expected: (u32, u32),
    },
    /// A label names no class.
    #[error("{}: label {label} of image {index}; with {classes} classes labels are 0 to {}", path.display(), classes - 1)]
    Label {
        /// The file.
        path: PathBuf,
        /// Ordinal of the image, from 0.
        index: usize,
        /// The label found.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
    /// A file of records without any.
    #[error("{}: holds no record of {record} bytes; fetch the file again", path.display())]
    NoRecords {
        /// The file.
        path: PathBuf,
        /// Bytes of a record.
        record: usize,
    },
    /// A file ends within a record.
    #[error("{}: the record at byte {offset} has {found} bytes of {record}; fetch the file again", path.display())]
    CutRecord {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// Bytes it has.
        found: usize,
        /// Bytes of a whole one.
        record: usize,
    },
    /// A record's label names no class.
    #[error("{}: the record at byte {offset} has label {label}, classes are 0 to {}; is this a file of CIFAR-10's binary version?", path.display(), classes - 1)]
    RecordLabel {
        /// The file.
        path: PathBuf,
        /// Where the record begins.
        offset: u64,
        /// The label found.
        label: u8,
        /// Number of classes.
        classes: usize,
    },
    /// A file of records goes on and on.
    #[error("{}: goes on beyond {limit} bytes; divide the set, or fetch the file again", path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// Bytes read at most.
        limit: u64,
    },
    /// A line of the digits table is not 64 values 0 to 16 and a digit.
    #[error("{}: line {line} is not 64 integers 0 to 16 and a digit; the embedded table is damaged, rebuild from a clean source", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Ordinal of the line, from 1.
        line: usize,
    },
}
