//! Tensors of numbers in .npy files, of any rank: what is quantised and what comes of it.

use super::operands::{TensorError, open_npy};
use npyz::{DType, Order, TypeChar, WriterBuilder};
use std::fs::File;
use std::io::{BufWriter, Read};
use std::path::Path;
use systole_golden::scheme::Numbers;
use systole_isa::format::Format;

/// Most elements a tensor may have.
const MOST: u64 = 1 << 30;

/// A row-major tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements.
    pub values: Vec<f64>,
}

impl Tensor {
    /// The elements as binary32.
    ///
    /// # Errors
    /// The first element that is none, with its place and what to do.
    pub fn binary32(&self, path: &Path) -> Result<Vec<f32>, TensorError> {
        let narrow = |(place, &x): (usize, &f64)| {
            let narrowed = x as f32;
            if x.is_nan() || f64::from(narrowed) == x {
                return Ok(narrowed);
            }
            let message = format!("element {place} is {x}, which is no float32; round the tensor first (numpy: x.astype(numpy.float32))");
            Err(TensorError::Unfit { path: path.to_owned(), message })
        };
        self.values.iter().enumerate().map(narrow).collect()
    }
}

/// Reads a tensor of floats: f2, f4 or f8, each exactly.
///
/// # Errors
/// A missing or malformed file, another element type, more than four dimensions or no element.
pub fn read_floats(path: &Path) -> Result<Tensor, TensorError> {
    let unfit = |message: String| TensorError::Unfit { path: path.to_owned(), message };
    let (file, size) = open_npy(path)?;
    let shape = file.shape().to_vec();
    if shape.len() > 4 {
        return Err(unfit(format!("holds a tensor of {} dimensions; at most 4 are possible", shape.len())));
    }
    let order = file.order();
    let DType::Plain(element) = file.dtype() else {
        return Err(unfit("holds structured records; floats are needed".to_owned()));
    };
    let width = element.num_bytes().unwrap_or(1).max(1) as u64;
    let count = shape.iter().try_fold(1u64, |n, &extent| n.checked_mul(extent)).filter(|&n| n <= MOST);
    let Some(count) = count.filter(|&n| n > 0) else {
        return Err(unfit(format!("has shape {shape:?}; 1 to 2^30 elements are possible")));
    };
    if count * width > size {
        return Err(unfit(format!("is cut short: its header promises {count} elements of {width} bytes, the file has {size} bytes")));
    }
    let short = |e: std::io::Error| unfit(format!("is cut short: {e}"));
    let big_endian = element.to_string().starts_with('>');
    let values: Vec<f64> = match (element.type_char(), width) {
        (TypeChar::Float, 2) => {
            let mut bytes = vec![0; 2 * count as usize];
            file.into_inner().read_exact(&mut bytes).map_err(short)?;
            let code =
                |pair: &[u8]| if big_endian { u16::from_be_bytes([pair[0], pair[1]]) } else { u16::from_le_bytes([pair[0], pair[1]]) };
            bytes.chunks_exact(2).map(|pair| Format::FP16.to_f64(code(pair).into())).collect()
        }
        (TypeChar::Float, 4) => file.into_vec::<f32>().map_err(short)?.into_iter().map(f64::from).collect(),
        (TypeChar::Float, 8) => file.into_vec::<f64>().map_err(short)?,
        _ => return Err(unfit(format!("holds elements of type {element}; floats are needed: f2, f4 or f8"))),
    };
    let shape: Vec<usize> = shape.iter().map(|&extent| extent as usize).collect();
    let values = match order {
        Order::C => values,
        Order::Fortran => row_major(&shape, &values),
    };
    Ok(Tensor { shape, values })
}

/// Column-major elements in row-major order.
fn row_major(shape: &[usize], values: &[f64]) -> Vec<f64> {
    let place = |mut flat: usize| {
        let mut at = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            at[axis] = flat % shape[axis];
            flat /= shape[axis];
        }
        at.iter().zip(shape).rev().fold(0, |place, (i, n)| place * n + i)
    };
    (0..values.len()).map(|flat| values[place(flat)]).collect()
}

/// Writes numbers of a shape, row-major.
///
/// # Errors
/// The file cannot be written.
pub fn write_numbers(path: &Path, shape: &[usize], numbers: &Numbers) -> Result<(), TensorError> {
    let io = |source| TensorError::Io { path: path.to_owned(), source };
    let shape: Vec<u64> = shape.iter().map(|&extent| extent as u64).collect();
    let mut out = BufWriter::new(File::create(path).map_err(io)?);
    macro_rules! write {
        ($v:expr) => {{
            let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut out).begin_nd().map_err(io)?;
            writer.extend($v.iter().copied()).map_err(io)?;
            writer.finish().map_err(io)?;
        }};
    }
    match numbers {
        Numbers::U8(v) => write!(v),
        Numbers::U16(v) => write!(v),
        Numbers::U32(v) => write!(v),
        Numbers::I8(v) => write!(v),
        Numbers::I16(v) => write!(v),
        Numbers::I32(v) => write!(v),
        Numbers::F32(v) => write!(v),
        Numbers::F64(v) => write!(v),
    }
    std::io::Write::flush(&mut out).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::row_major;

    #[test]
    fn columns_become_rows() {
        // Element (i, j, k) of a 2 x 3 x 2 tensor is 100 i + 10 j + k; the first index runs fastest.
        let column_major: Vec<f64> = (0..12).map(|flat| f64::from(100 * (flat % 2) + 10 * (flat / 2 % 3) + flat / 6)).collect();
        let expected = [0, 1, 10, 11, 20, 21, 100, 101, 110, 111, 120, 121].map(f64::from);
        assert_eq!(row_major(&[2, 3, 2], &column_major), expected);
        assert_eq!(row_major(&[], &[7.0]), [7.0]);
    }
}
