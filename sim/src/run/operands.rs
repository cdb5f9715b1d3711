//! Operand matrices: generated from a seed, or read from and written to `.npy` files.

use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read};
use std::path::{Path, PathBuf};
use systole_isa::codes::Codes;
use systole_isa::entropy::philox;
use systole_isa::exact::Exact;
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy, encode, encode_f64};

/// A matrix of codes, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Rows.
    pub rows: u32,
    /// Columns.
    pub cols: u32,
    /// rows x cols codes.
    pub codes: Codes,
}

/// How operands are generated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generator {
    /// An integer-only approximation of N(0, 1): the sum of twelve uniforms less six, exact
    /// until rounded to the format (rne, saturating).
    #[default]
    Normal,
    /// Every code equally often.
    Codes,
    /// NaNs, infinities, zeros, subnormals and extremes over-weighted.
    Specials,
}

/// Which operand, so that A, B and C of one seed differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Left operand.
    A = 0,
    /// Right operand.
    B = 1,
    /// Addend.
    C = 2,
    /// Block scales of A.
    ScaleA = 3,
    /// Block scales of B.
    ScaleB = 4,
}

impl Generator {
    /// The codes of one operand: a pure function of the arguments.
    pub fn generate(self, format: Format, rows: u32, cols: u32, role: Role, seed: u64) -> Matrix {
        let block = |index: u64, part: u32| philox([index as u32, (index >> 32) as u32, part, 0x4745_4d00 | role as u32], seed);
        let code = |i: usize| -> u64 {
            let index = i as u64;
            let first = block(index, 0);
            let any = (u64::from(first[1]) << 32 | u64::from(first[0])) & format.mask();
            match self {
                Self::Codes => any,
                Self::Normal => {
                    let sum: i128 = (0..3).flat_map(|part| block(index, part)).map(i128::from).sum();
                    let centred = Exact::from_i128(sum - (6 << 32)).scale(-32);
                    encode(format, centred, Policy::RNE.overflow(Overflow::Saturate), 0).0
                }
                Self::Specials => special(format, first[2], first[3], any),
            }
        };
        Matrix { rows, cols, codes: Codes::from_fn(format, rows as usize * cols as usize, code) }
    }
}

impl Generator {
    /// Block scales: under [`Generator::Normal`] numbers from 1/4 to 4, powers of two where the
    /// format has no others; else as operands.
    pub fn scales(self, format: Format, rows: u32, cols: u32, role: Role, seed: u64) -> Matrix {
        if self != Self::Normal {
            return self.generate(format, rows, cols, role, seed);
        }
        let code = |i: usize| -> u64 {
            let random = philox([i as u32, (i as u64 >> 32) as u32, 0, 0x4745_4d00 | role as u32], seed);
            let fraction = if format.precision() == 1 { 0 } else { random[1] >> 9 };
            // 2^23 1.f, times 2^-25 to 2^-22.
            let value = Exact::from_i128((1 << 23 | fraction).into()).scale((random[0] & 3) as i32 - 25);
            encode(format, value, Policy::RNE.overflow(Overflow::Saturate), 0).0
        };
        Matrix { rows, cols, codes: Codes::from_fn(format, rows as usize * cols as usize, code) }
    }
}

/// One of the format's landmarks, its neighbours, or any code.
fn special(format: Format, choice: u32, sign: u32, any: u64) -> u64 {
    let negative = sign & 1 == 1;
    let near = u64::from(sign >> 1 & 3);
    let sign_code = format.zero(true);
    let signed = |code: u64| match format {
        Format::Posit(p) if negative => p.negate(code),
        _ => (if negative { code | sign_code } else { code }) & format.mask(),
    };
    match choice % 16 {
        0 => format.canonical_nan().unwrap_or(any),
        1 => format.infinity(negative).unwrap_or(any),
        2 | 3 => format.zero(negative),
        4 | 5 => signed(1 + near),
        6 | 7 => match format {
            Format::Float(f) => signed((1u64 << f.mantissa_bits).saturating_sub(near)),
            Format::Fixed(_) | Format::Posit(_) | Format::Quire(_) => signed(near),
        },
        8 | 9 => format.max_finite(negative).wrapping_sub(near) & format.mask(),
        _ => any,
    }
}

/// A tensor file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TensorError {
    /// The file cannot be read or written.
    #[error("tensor file `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Its contents do not fit.
    #[error("tensor file `{}`: {message}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// Reads a matrix: unsigned integers are codes of `format`, floats are rounded to it (rne,
/// saturating).
///
/// # Errors
/// A missing or malformed file, a tensor that is not a matrix, an element type that is
/// neither, or a code wider than the format.
pub fn read_npy(path: &Path, format: Format) -> Result<Matrix, TensorError> {
    read(path, format, |value| Ok(encode_f64(format, value)))
}

/// Reads block scales: as [`read_npy`], but a format of powers of two takes no other floats.
///
/// # Errors
/// Those of [`read_npy`], and a float that would be rounded to a power of two.
pub fn read_scales(path: &Path, format: Format) -> Result<Matrix, TensorError> {
    let powers_of_two = format.precision() == 1;
    read(path, format, |value| {
        let code = encode_f64(format, value);
        if powers_of_two && !value.is_nan() && format.to_f64(code) != value {
            return Err(format!("holds {value}, but {format} holds powers of two only; give exact ones, or codes"));
        }
        Ok(code)
    })
}

/// Opens a .npy file with its header read and looked over, and its size in bytes.
pub(super) fn open_npy(path: &Path) -> Result<(NpyFile<BufReader<File>>, u64), TensorError> {
    let io = |source| TensorError::Io { path: path.to_owned(), source };
    let unfit = |message: String| TensorError::Unfit { path: path.to_owned(), message };
    let size = std::fs::metadata(path).map_err(io)?.len();
    let mut reader = BufReader::new(File::open(path).map_err(io)?);
    let mut magic = [0; 6];
    reader.read_exact(&mut magic).map_err(|_| unfit("is shorter than a .npy header".to_owned()))?;
    if &magic != b"\x93NUMPY" {
        return Err(unfit("does not begin as a .npy file does; save it with numpy.save".to_owned()));
    }
    if let Some(header) = header_text(&mut reader) {
        if promises_too_much(&header) {
            return Err(unfit("is cut short: its header promises more elements than a file can hold".to_owned()));
        }
        if nests_too_deep(&header) {
            return Err(unfit("has no valid .npy header: its brackets are nested too deep; save the file with numpy.save".to_owned()));
        }
    }
    let file = NpyFile::new(BufReader::new(File::open(path).map_err(io)?)).map_err(|e| unfit(format!("has no valid .npy header: {e}")))?;
    Ok((file, size))
}

fn read(path: &Path, format: Format, round: impl Fn(f64) -> Result<u64, String>) -> Result<Matrix, TensorError> {
    let unfit = |message: String| TensorError::Unfit { path: path.to_owned(), message };
    let (file, size) = open_npy(path)?;
    let &[rows, cols] = file.shape() else {
        return Err(unfit(format!("holds a tensor of shape {:?}; a matrix of two dimensions is needed", file.shape())));
    };
    let (Ok(rows32), Ok(cols32)) = (u32::try_from(rows), u32::try_from(cols)) else {
        return Err(unfit(format!("is {rows} x {cols}; at most 2^24 rows and columns are possible")));
    };
    if rows == 0 || cols == 0 || rows32 >= 1 << 24 || cols32 >= 1 << 24 {
        return Err(unfit(format!("is {rows} x {cols}; 1 to 2^24 - 1 rows and columns are possible")));
    }
    let order = file.order();
    let DType::Plain(element) = file.dtype() else {
        return Err(unfit("holds structured records; unsigned integers (codes) or floats are needed".to_owned()));
    };
    let width = element.num_bytes().unwrap_or(1).max(1) as u64;
    if rows.checked_mul(cols).and_then(|n| n.checked_mul(width)).is_none_or(|bytes| bytes > size) {
        return Err(unfit(format!(
            "is cut short: its header promises {rows} x {cols} elements of {width} bytes, the file has {size} bytes"
        )));
    }
    let short = |e: std::io::Error| unfit(format!("is cut short: {e}"));
    macro_rules! codes {
        ($type:ty) => {
            file.into_vec::<$type>().map_err(short)?.into_iter().map(u64::from).collect::<Vec<u64>>()
        };
    }
    let values: Vec<u64> = match (element.type_char(), width) {
        (TypeChar::Uint, 1) => codes!(u8),
        (TypeChar::Uint, 2) => codes!(u16),
        (TypeChar::Uint, 4) => codes!(u32),
        (TypeChar::Uint, 8) => codes!(u64),
        (TypeChar::Float, 4) => {
            let values = file.into_vec::<f32>().map_err(short)?;
            values.into_iter().map(|v| round(v.into())).collect::<Result<_, _>>().map_err(unfit)?
        }
        (TypeChar::Float, 8) => {
            let values = file.into_vec::<f64>().map_err(short)?;
            values.into_iter().map(round).collect::<Result<_, _>>().map_err(unfit)?
        }
        _ => {
            return Err(unfit(format!("holds elements of type {element}; u1, u2, u4 or u8 (codes) and f4 or f8 (values) are understood")));
        }
    };
    if let Some(position) = values.iter().position(|v| v & !format.mask() != 0) {
        return Err(unfit(format!(
            "code {:#x} at element {position} is wider than the {} bits of {format}",
            values[position],
            format.bits()
        )));
    }
    let (r, c) = (rows as usize, cols as usize);
    let codes = match order {
        Order::C => Codes::from_fn(format, values.len(), |i| values[i]),
        Order::Fortran => Codes::from_fn(format, values.len(), |i| values[(i % c) * r + i / c]),
    };
    Ok(Matrix { rows: rows32, cols: cols32, codes })
}

/// The text of a .npy header, read from behind its magic; `None` where it is cut short.
fn header_text(reader: &mut impl Read) -> Option<String> {
    let mut version = [0; 2];
    let mut length = [0; 4];
    reader.read_exact(&mut version).ok()?;
    let bytes = if version[0] == 1 { 2 } else { 4 };
    reader.read_exact(&mut length[..bytes]).ok()?;
    let mut header = Vec::new();
    reader.take(u32::from_le_bytes(length).into()).read_to_end(&mut header).ok()?;
    Some(String::from_utf8_lossy(&header).into_owned())
}

/// True if brackets nest deeper than in any header of a matrix: the reader of headers tries
/// each level anew for every kind of value that it could be.
fn nests_too_deep(header: &str) -> bool {
    const DEEPEST: i32 = 6;
    let depths = header.chars().scan(0, |depth, c| {
        *depth += i32::from("([{".contains(c)) - i32::from(")]}".contains(c));
        Some(*depth)
    });
    depths.max().unwrap_or(0) > DEEPEST
}

/// True if the numbers in a .npy header multiply beyond 2^48: the reader of headers multiplies
/// extents and element size, in any order, without looking.
fn promises_too_much(header: &str) -> bool {
    let words = header.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let mut product = 1u64;
    for number in words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit())) {
        // Other notations than a plain decimal are not written by anyone; zeros hide nothing.
        let Ok(number) = number.trim_end_matches('L').parse::<u64>() else { return true };
        product = product.saturating_mul(number.max(1));
    }
    product > 1 << 48
}

/// Writes a matrix of codes as unsigned integers of the narrowest width.
///
/// # Errors
/// The file cannot be written.
pub fn write_npy(path: &Path, matrix: &Matrix) -> Result<(), TensorError> {
    let io = |source| TensorError::Io { path: path.to_owned(), source };
    let shape = [u64::from(matrix.rows), u64::from(matrix.cols)];
    let mut out = BufWriter::new(File::create(path).map_err(io)?);
    macro_rules! write {
        ($v:expr) => {{
            let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut out).begin_nd().map_err(io)?;
            writer.extend($v.iter().copied()).map_err(io)?;
            writer.finish().map_err(io)?;
        }};
    }
    match &matrix.codes {
        Codes::U8(v) => write!(v),
        Codes::U16(v) => write!(v),
        Codes::U32(v) => write!(v),
        Codes::U64(v) => write!(v),
    }
    std::io::Write::flush(&mut out).map_err(io)
}
