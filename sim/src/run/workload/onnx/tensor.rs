//! Tensors by their shapes, the small ones that shapes are computed from by their values too.

use super::Refusal;
use super::proto::{EXTERNAL, SparseTensorProto, TensorProto, data_type};

/// The most axes a tensor may have.
const LARGEST_RANK: usize = 32;
/// The most elements: no memory holds them, and sums of a few such counts stay within 64 bits.
const LARGEST_COUNT: i64 = 1 << 60;
/// The most elements whose values are followed; what computes shapes is far smaller.
pub const LARGEST_KNOWN: i64 = 4096;

/// A tensor: its extents, and its values where they are known.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    dims: Vec<i64>,
    data: Option<Data>,
}

/// Values of a tensor in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Integers and truth values.
    Ints(Vec<i64>),
    /// Floats.
    Floats(Vec<f32>),
}

impl Tensor {
    /// A tensor of unknown values.
    ///
    /// # Errors
    /// Extents that are negative, or too many or too large to count the elements.
    pub fn new(dims: Vec<i64>) -> Result<Self, Refusal> {
        if dims.len() > LARGEST_RANK {
            return Err(Refusal::wrong(format!("a tensor of {} axes; there may be {LARGEST_RANK}", dims.len())));
        }
        // Extents of zero do not hide overflow of the others.
        let mut elements = 1_i64;
        for &dim in &dims {
            if dim < 0 {
                return Err(Refusal::wrong(format!("a shape of {dims:?} has a negative dimension")));
            }
            elements = match elements.checked_mul(dim.max(1)) {
                Some(product) if product <= LARGEST_COUNT => product,
                _ => return Err(Refusal::wrong(format!("a shape of {dims:?} has more elements than 2^60"))),
            };
        }
        Ok(Self { dims, data: None })
    }

    /// A tensor whose values are followed if they are few and as many as its extents ask for.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn with(dims: Vec<i64>, data: Option<Data>) -> Result<Self, Refusal> {
        let tensor = Self::new(dims)?;
        let fits = |data: &Data| tensor.is_small() && data.len() == tensor.elements();
        let data = data.filter(fits);
        Ok(Self { data, ..tensor })
    }

    /// A row of integers.
    ///
    /// # Errors
    /// None of these few values.
    pub fn row(values: Vec<i64>) -> Result<Self, Refusal> {
        Self::with(vec![values.len() as i64], Some(Data::Ints(values)))
    }

    /// Extents.
    pub fn dims(&self) -> &[i64] {
        &self.dims
    }

    /// Number of axes.
    pub const fn rank(&self) -> usize {
        self.dims.len()
    }

    /// Number of elements.
    pub fn elements(&self) -> i64 {
        self.dims.iter().product()
    }

    /// Values, where known.
    pub const fn data(&self) -> Option<&Data> {
        self.data.as_ref()
    }

    /// Values, where they are known integers.
    pub fn ints(&self) -> Option<&[i64]> {
        match &self.data {
            Some(Data::Ints(values)) => Some(values),
            _ => None,
        }
    }

    /// Values, where they are known floats.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Some(Data::Floats(values)) => Some(values),
            _ => None,
        }
    }

    fn is_small(&self) -> bool {
        self.elements() <= LARGEST_KNOWN
    }

    /// The same elements under other extents.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn reshaped(&self, dims: Vec<i64>) -> Result<Self, Refusal> {
        Self::with(dims, self.data.clone())
    }

    /// The tensor whose element at each coordinate is the one of `self` at the offset that `from` gives.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn rearranged(&self, dims: Vec<i64>, from: impl Fn(&[i64]) -> i64) -> Result<Self, Refusal> {
        let tensor = Self::new(dims)?;
        let Some(data) = self.data.as_ref().filter(|_| tensor.is_small()) else { return Ok(tensor) };
        let offsets = coordinates(&tensor.dims).map(|at| usize::try_from(from(&at)).ok());
        let data = match data {
            Data::Ints(values) => offsets.map(|o| values.get(o?).copied()).collect::<Option<_>>().map(Data::Ints),
            Data::Floats(values) => offsets.map(|o| values.get(o?).copied()).collect::<Option<_>>().map(Data::Floats),
        };
        Ok(Self { data, ..tensor })
    }

    /// A weight or constant of the file.
    ///
    /// # Errors
    /// Extents that are none, and values fewer or more than them.
    pub fn of_proto(proto: &TensorProto) -> Result<Self, Refusal> {
        let tensor = Self::new(proto.dims.clone())?;
        if proto.data_location == EXTERNAL {
            return Ok(tensor);
        }
        let elements = tensor.elements();
        let raw = &proto.raw_data;
        if let (Some(width), false) = (width(proto.data_type), raw.is_empty())
            && elements.checked_mul(width) != i64::try_from(raw.len()).ok()
        {
            let bytes = raw.len();
            return Err(Refusal::wrong(format!("{bytes} bytes of values do not fill a shape of {:?}; is the file whole?", proto.dims)));
        }
        if !tensor.is_small() {
            return Ok(tensor);
        }
        let data = match proto.data_type {
            data_type::INT64 if raw.is_empty() => Data::Ints(proto.int64_data.clone()),
            data_type::INT64 => Data::Ints(words(raw).map(i64::from_le_bytes).collect()),
            data_type::INT32 if raw.is_empty() => Data::Ints(proto.int32_data.iter().map(|&v| v.into()).collect()),
            data_type::INT32 => Data::Ints(words(raw).map(|word| i32::from_le_bytes(word).into()).collect()),
            data_type::BOOL if raw.is_empty() => Data::Ints(proto.int32_data.iter().map(|&v| (v != 0).into()).collect()),
            data_type::BOOL => Data::Ints(raw.iter().map(|&v| (v != 0).into()).collect()),
            data_type::FLOAT if raw.is_empty() => Data::Floats(proto.float_data.clone()),
            data_type::FLOAT => Data::Floats(words(raw).map(f32::from_le_bytes).collect()),
            _ => return Ok(tensor),
        };
        // Files may come without their weights: shapes do.
        if data.len() != elements && data.len() != 0 {
            return Err(Refusal::wrong(format!("{} values do not fill a shape of {:?}; is the file whole?", data.len(), proto.dims)));
        }
        Self::with(proto.dims.clone(), Some(data))
    }

    /// A sparse constant of the file: its shape alone.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn of_sparse(proto: &SparseTensorProto) -> Result<Self, Refusal> {
        Self::new(proto.dims.clone())
    }
}

impl Data {
    const fn len(&self) -> i64 {
        match self {
            Self::Ints(values) => values.len() as i64,
            Self::Floats(values) => values.len() as i64,
        }
    }
}

fn words<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

/// Bytes of an element, of types that fill whole ones.
const fn width(data_type: i32) -> Option<i64> {
    match data_type {
        data_type::UINT8 | data_type::INT8 | data_type::BOOL => Some(1),
        data_type::FLOAT16 | data_type::BFLOAT16 => Some(2),
        data_type::FLOAT | data_type::INT32 => Some(4),
        data_type::INT64 | data_type::DOUBLE => Some(8),
        _ => None,
    }
}

/// Every coordinate of a shape in row-major order.
pub fn coordinates(dims: &[i64]) -> impl Iterator<Item = Vec<i64>> {
    (0..dims.iter().product()).map(move |index: i64| {
        let mut rest = index;
        let mut at: Vec<i64> = dims
            .iter()
            .rev()
            .map(|&dim| {
                let here = rest % dim;
                rest /= dim;
                here
            })
            .collect();
        at.reverse();
        at
    })
}

/// Offset of a coordinate of a shape.
pub fn offset(dims: &[i64], at: &[i64]) -> i64 {
    dims.iter().zip(at).fold(0, |offset, (&dim, &here)| offset * dim + here)
}

/// Offset, in a shape, of a coordinate of a shape that it is broadcast to.
pub fn broadcast_offset(dims: &[i64], at: &[i64]) -> i64 {
    let skipped = at.len().saturating_sub(dims.len());
    dims.iter().zip(&at[skipped..]).fold(0, |offset, (&dim, &here)| offset * dim + if dim == 1 { 0 } else { here })
}

/// The shape that two shapes are broadcast to.
///
/// # Errors
/// Shapes that do not go together.
pub fn broadcast(a: &[i64], b: &[i64]) -> Result<Vec<i64>, Refusal> {
    let rank = a.len().max(b.len());
    let of = |dims: &[i64], axis: usize| (axis + dims.len()).checked_sub(rank).and_then(|axis| dims.get(axis).copied()).unwrap_or(1);
    (0..rank)
        .map(|axis| match (of(a, axis), of(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, x) | (x, 1) => Ok(x),
            _ => Err(Refusal::wrong(format!("shapes {a:?} and {b:?} do not broadcast"))),
        })
        .collect()
}
