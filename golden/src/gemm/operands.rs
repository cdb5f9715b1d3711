//! The numbers a matrix multiplication starts from: operands, biases and block scales read
//! off their codes.

use super::{Gemm, GemmError, Roundings, Step};
use crate::round::floor_log2;
use crate::value::{Value, is_signalling};
use systole_isa::design::{Product, Scaling};
use systole_isa::format::{Format, Subnormals};
use systole_isa::round::{Flags, SubnormalPolicy};

/// Block scales, by blocks of `mode.chunk` consecutive k.
#[derive(Clone, Copy, Debug)]
pub struct Scales<'a> {
    /// Of A: a row for every `mode.scale_rows` rows of A, a column for every block.
    pub a: &'a [u64],
    /// Of B: a row for every block, a column for every `mode.scale_cols` columns of B.
    pub b: &'a [u64],
}

/// A matrix read, row-major.
pub(super) struct Matrix {
    format: Format,
    columns: usize,
    values: Vec<(Value, Flags)>,
}

/// A factor of a product, and the format whose range bounds its exponent from below.
#[derive(Clone, Copy)]
pub(super) struct Factor<'a> {
    pub format: Format,
    pub value: &'a Value,
}

impl Matrix {
    fn at(&self, row: usize, column: usize) -> (Factor<'_>, Flags) {
        let (value, flags) = &self.values[row * self.columns + column];
        (Factor { format: self.format, value }, *flags)
    }
}

impl Factor<'_> {
    /// The exponent an alignment sees: that of the value, but no less than the format's
    /// smallest; for a zero the given one.
    pub fn exponent(self, of_zero: Option<i32>) -> Option<i64> {
        let Value::Finite { magnitude, .. } = self.value else { return None };
        if magnitude.is_zero() {
            return of_zero.map(i64::from);
        }
        let own = floor_log2(magnitude);
        let Format::Float(f) = self.format else { return Some(own) };
        let smallest = i64::from(matches!(f.subnormals, Subnormals::Gradual)) - i64::from(f.bias);
        Some(own.max(smallest))
    }
}

/// All matrices of a multiplication, read.
pub(super) struct Operands<'a> {
    pub gemm: &'a Gemm<'a>,
    a: Matrix,
    b: Matrix,
    scales: Option<(Matrix, Matrix)>,
    c: Option<Matrix>,
}

/// The operands behind one output.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub operands: &'a Operands<'a>,
    pub row: usize,
    pub column: usize,
}

/// One product on its way into a unit.
pub(super) struct Term {
    /// The product, shared exponent biases and scale exponents applied.
    pub value: Value,
    /// Sum of the factors' exponents; absent if the product is zero and zeros have none, or
    /// not finite.
    pub exponent: Option<i64>,
}

impl<'a> Operands<'a> {
    pub fn read(gemm: &'a Gemm<'a>) -> Result<Self, GemmError> {
        let mode = gemm.mode;
        let [m, n, k] = gemm.shape;
        let read_by = |subnormals, name, format: Format, rows: usize, columns: usize, codes: &[u64]| {
            if rows.checked_mul(columns) != Some(codes.len()) {
                return Err(GemmError::Shape { matrix: name, rows, columns, found: codes.len() });
            }
            if format.bits() > 64 {
                return Err(GemmError::Wide { matrix: name, format });
            }
            let one = |&code: &u64| {
                let flags = if is_signalling(format, code) { Flags::INVALID } else { Flags::NONE };
                (Value::of_operand(format, code, subnormals), flags)
            };
            Ok(Matrix { format, columns, values: codes.iter().map(one).collect() })
        };
        let matrix = |name, format, rows, columns, codes| read_by(mode.subnormals, name, format, rows, columns, codes);
        let a = matrix("A", mode.a, m, k, gemm.a)?;
        let b = matrix("B", mode.b, k, n, gemm.b)?;
        // Registers keep subnormals: C in their format goes in as it is.
        let c = match (gemm.c, gemm.c_format.unwrap_or(mode.outermost())) {
            (None, _) => None,
            (Some(c), format) if format == mode.outermost() => Some(read_by(SubnormalPolicy::Gradual, "C", format, m, n, c)?),
            (Some(c), format) => Some(matrix("C", format, m, n, c)?),
        };
        let scales = match (mode.scale, gemm.scales) {
            (Scaling::None, _) => None,
            (_, None) => return Err(GemmError::Mode("its block scales were not given")),
            (_, Some(scales)) => {
                let blocks = k.div_ceil(gemm.block_length()?);
                let rows = m.div_ceil(mode.scale_rows as usize);
                let columns = n.div_ceil(mode.scale_cols as usize);
                let a = matrix("the scales of A", mode.scale_format, rows, blocks, scales.a)?;
                Some((a, matrix("the scales of B", mode.scale_format, blocks, columns, scales.b)?))
            }
        };
        Ok(Self { gemm, a, b, scales, c })
    }

    pub fn line(&'a self, row: usize, column: usize) -> Line<'a> {
        Line { operands: self, row, column }
    }
}

impl<'a> Line<'a> {
    /// C, if there is one.
    pub fn c(self) -> Option<(&'a Value, Flags)> {
        self.operands.c.as_ref().map(|c| {
            let (factor, flags) = c.at(self.row, self.column);
            (factor.value, flags)
        })
    }

    /// The scales of the block that k belongs to.
    pub fn scales(self, k: usize) -> Option<[(Factor<'a>, Flags); 2]> {
        let mode = self.operands.gemm.mode;
        let (a, b) = self.operands.scales.as_ref()?;
        let block = k / mode.chunk? as usize;
        Some([a.at(self.row / mode.scale_rows as usize, block), b.at(block, self.column / mode.scale_cols as usize)])
    }

    /// The product at k as it reaches the unit, rounded first if the mode says so.
    /// `of_zero` is the exponent of zero factors.
    pub fn term(self, k: usize, of_zero: Option<i32>, roundings: &mut Roundings<'_>) -> Term {
        let mode = self.operands.gemm.mode;
        let shift = -i64::from(mode.bias_a) - i64::from(mode.bias_b);
        let mut factors = vec![self.operands.a.at(self.row, k), self.operands.b.at(k, self.column)];
        if matches!(mode.scale, Scaling::Exponent) {
            factors.extend(self.scales(k).into_iter().flatten());
        }
        let mut value = Value::finite(crate::Rational::ONE);
        let mut exponent = Some(shift);
        for (factor, flags) in factors {
            roundings.flags |= flags;
            value = roundings.product(&value, factor.value);
            exponent = exponent.zip(factor.exponent(of_zero)).map(|(x, y)| x + y);
        }
        let value = value.scaled(shift);
        match mode.product {
            Product::Exact => Term { value, exponent },
            Product::Rounded(format) => Term { value: roundings.round(format, &value, Step::Product { k }), exponent },
        }
    }
}
