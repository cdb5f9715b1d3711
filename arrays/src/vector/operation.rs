//! Operations of the vector unit, their operands, and what can be wrong with them.

use super::function::{Function, FunctionError};
use std::fmt;
use systole_isa::codes::Codes;
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::Policy;

/// Significant bits of the widest product that a fused multiply-add adds exactly.
const MAX_PRODUCT_BITS: u32 = 107;

/// An operation on corresponding elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Elementwise {
    /// `vadd`: A + B.
    Add,
    /// `vsub`: A - B.
    Subtract,
    /// `vmul`: A B.
    Multiply,
    /// `vdiv`: A / B.
    Divide,
    /// `vmax`: IEEE 754-2019 maximum.
    Maximum,
    /// `vmin`: IEEE 754-2019 minimum.
    Minimum,
    /// `vfma`: A B + C, one rounding.
    FusedMultiplyAdd,
    /// `vgate`: A where the second operand is above 0, else +0 (also where it is NaN).
    Gate,
    /// `vhyst`: A rounded upward where P > A, else downward.
    Hysteresis,
    /// `vsign`: |A| with the sign bit of X.
    CopySign,
    /// `vcvt`: A.
    Convert,
    /// `vneg`: -A.
    Negate,
    /// `vabs`: |A|.
    Absolute,
    /// `vrelu`: A where A > 0, NaN where it is NaN, else +0.
    Relu,
    /// `vexp` to `vsqrt`: a correctly rounded function of A.
    Function(Function),
}

impl Elementwise {
    /// Every operation that is no elementary function.
    pub const ARITHMETIC: [Self; 14] = [
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::Maximum,
        Self::Minimum,
        Self::FusedMultiplyAdd,
        Self::Gate,
        Self::Hysteresis,
        Self::CopySign,
        Self::Convert,
        Self::Negate,
        Self::Absolute,
        Self::Relu,
    ];

    /// Operands it takes.
    pub const fn arity(self) -> usize {
        match self {
            Self::Add
            | Self::Subtract
            | Self::Multiply
            | Self::Divide
            | Self::Maximum
            | Self::Minimum
            | Self::Gate
            | Self::Hysteresis
            | Self::CopySign => 2,
            Self::FusedMultiplyAdd => 3,
            Self::Convert | Self::Negate | Self::Absolute | Self::Relu | Self::Function(_) => 1,
        }
    }

    /// The instruction's mnemonic.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            Self::Add => "vadd",
            Self::Subtract => "vsub",
            Self::Multiply => "vmul",
            Self::Divide => "vdiv",
            Self::Maximum => "vmax",
            Self::Minimum => "vmin",
            Self::FusedMultiplyAdd => "vfma",
            Self::Gate => "vgate",
            Self::Hysteresis => "vhyst",
            Self::CopySign => "vsign",
            Self::Convert => "vcvt",
            Self::Negate => "vneg",
            Self::Absolute => "vabs",
            Self::Relu => "vrelu",
            Self::Function(function) => match function {
                Function::Exp => "vexp",
                Function::Exp2 => "vexp2",
                Function::Log => "vlog",
                Function::Log2 => "vlog2",
                Function::Tanh => "vtanh",
                Function::Sigmoid => "vsigmoid",
                Function::Erf => "verf",
                Function::Reciprocal => "vrecip",
                Function::Rsqrt => "vrsqrt",
                Function::Sqrt => "vsqrt",
            },
        }
    }
}

/// A reduction along the axes where the result has extent 1 and the operand has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduction {
    /// `rsum`: a chain from +0 in row-major order, rounded after every addition.
    Sum,
    /// `rmax`: IEEE 754-2019 maximum, converted once.
    Maximum,
    /// `ramax`: maximum of the magnitudes, converted once.
    Amax,
}

impl Reduction {
    /// The instruction's mnemonic.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            Self::Sum => "rsum",
            Self::Maximum => "rmax",
            Self::Amax => "ramax",
        }
    }
}

/// An operation between values and the indices of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codebook {
    /// `vfind`: the index of the nearest value.
    Find,
    /// `vlook`: the value at an index.
    Look,
}

impl Codebook {
    /// The instruction's mnemonic.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            Self::Find => "vfind",
            Self::Look => "vlook",
        }
    }
}

/// A pooling operation or its gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pool {
    /// `pmax`: maximum of the input elements in each window.
    Maximum,
    /// `pmaxg`: each gradient goes to the first maximum of its window.
    MaximumGradient,
    /// `psum`: sum of each window.
    Sum,
    /// `pspread`: each gradient goes to all inputs of its window.
    Spread,
}

impl Pool {
    /// Operands [`super::pool`] takes: the input, the input and G, the input, or G.
    pub const fn arity(self) -> usize {
        match self {
            Self::Maximum | Self::Sum | Self::Spread => 1,
            Self::MaximumGradient => 2,
        }
    }

    /// The instruction's mnemonic.
    pub const fn mnemonic(self) -> &'static str {
        match self {
            Self::Maximum => "pmax",
            Self::MaximumGradient => "pmaxg",
            Self::Sum => "psum",
            Self::Spread => "pspread",
        }
    }
}

/// A gathered operand: `rows * cols` codes of `format`, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Format of the codes.
    pub format: Format,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// The codes.
    pub codes: &'a Codes,
}

impl Operand<'_> {
    /// Rows and columns.
    pub const fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }
}

/// Extents of the blocks that share an element of an operand, or are reduced by themselves; 0 is
/// the whole axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// Rows of a block.
    pub rows: usize,
    /// Columns of a block.
    pub cols: usize,
}

impl Blocks {
    /// Whole axes.
    pub const WHOLE: Self = Self { rows: 0, cols: 0 };

    /// Rows and columns of `large` that belong to one element of `small`; the last along an axis
    /// may be fewer. `None` if neither shape nor blocks make `small` of `large`: along each axis it
    /// has the same extent, or 1, or one for each block.
    pub(super) const fn steps(self, large: (usize, usize), small: (usize, usize)) -> Option<(usize, usize)> {
        match (step(large.0, small.0, self.rows), step(large.1, small.1, self.cols)) {
            (Some(rows), Some(cols)) => Some((rows, cols)),
            _ => None,
        }
    }
}

/// `rows`x`cols`, as refusals write it.
impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.rows, self.cols)
    }
}

const fn step(large: usize, small: usize, block: usize) -> Option<usize> {
    if small == large {
        Some(1)
    } else if small == 1 {
        Some(if large > 0 { large } else { 1 })
    } else if block > 0 && large.div_ceil(block) == small {
        Some(block)
    } else {
        None
    }
}

/// What the result is to be.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Format of the result.
    pub format: Format,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// How results are rounded.
    pub policy: Policy,
    /// Blocks in which operands repeat or are reduced.
    pub blocks: Blocks,
    /// Where in the run the instruction stands, for stochastic rounding.
    pub site: Site,
}

impl Target {
    /// Rows and columns.
    pub const fn shape(&self) -> (usize, usize) {
        (self.rows, self.cols)
    }
}

/// A vector instruction cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VectorError {
    /// Too few or too many operands.
    #[error("`{mnemonic}` takes {expected} operands, not {given}")]
    OperandCount {
        /// The instruction.
        mnemonic: &'static str,
        /// Operands it takes.
        expected: usize,
        /// Operands given.
        given: usize,
    },
    /// A buffer does not hold its operand.
    #[error("`{mnemonic}`, operand {operand}: {rows}x{cols} elements of {format} need {} codes in the buffer its width asks for, not {codes} of {bytes} bytes", rows * cols)]
    Buffer {
        /// The instruction.
        mnemonic: &'static str,
        /// Position of the operand, from 1.
        operand: usize,
        /// Its format.
        format: Format,
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
        /// Codes in the buffer.
        codes: usize,
        /// Bytes of each.
        bytes: usize,
    },
    /// An operand does not repeat to the result's shape.
    #[error(
        "`{mnemonic}`, operand {operand}: {rows}x{cols} does not repeat to the result's {target_rows}x{target_cols}; an operand's extent is the result's or 1, or one for each block (`blocks`: {blocks})"
    )]
    Broadcast {
        /// The instruction.
        mnemonic: &'static str,
        /// Position of the operand, from 1.
        operand: usize,
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
        /// Rows of the result.
        target_rows: usize,
        /// Columns of the result.
        target_cols: usize,
        /// The blocks in force.
        blocks: Blocks,
    },
    /// A reduction's result has another extent than the operand's or 1.
    #[error(
        "`{mnemonic}`: {rows}x{cols} does not reduce to {target_rows}x{target_cols}; the result's extent is the operand's or 1, or one for each block (`blocks`: {blocks}), and no extent is 0"
    )]
    Reduce {
        /// The instruction.
        mnemonic: &'static str,
        /// Rows of the operand.
        rows: usize,
        /// Columns of the operand.
        cols: usize,
        /// Rows of the result.
        target_rows: usize,
        /// Columns of the result.
        target_cols: usize,
        /// The blocks in force.
        blocks: Blocks,
    },
    /// A table has another shape than one row, or too many elements.
    #[error("`{mnemonic}`: the table is {rows}x{cols}; it must be one row of 1 to 65536 elements")]
    Table {
        /// The instruction.
        mnemonic: &'static str,
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
    },
    /// Codes too narrow for the indices of a table.
    #[error(
        "`vfind`: the table has {entries} elements, more than the codes of {format} can number; give D a format of {bits} bits or more"
    )]
    NarrowIndex {
        /// Format of the result.
        format: Format,
        /// Elements of the table.
        entries: usize,
        /// Bits its indices need.
        bits: u32,
    },
    /// A pooling tensor does not fit the window.
    #[error("`{mnemonic}`: the {what} is {rows}x{cols}, but the window asks for {expected_rows}x{expected_cols}")]
    PoolShape {
        /// The instruction.
        mnemonic: &'static str,
        /// `input`, `result` or `gradient`.
        what: &'static str,
        /// Its rows.
        rows: usize,
        /// Its columns.
        cols: usize,
        /// Rows it should have.
        expected_rows: usize,
        /// Columns it should have.
        expected_cols: usize,
    },
    /// The window itself is meaningless.
    #[error("`{mnemonic}`: every extent of a window, its stride and its dilation must be at least 1")]
    Window {
        /// The instruction.
        mnemonic: &'static str,
    },
    /// A maximum over no element.
    #[error("`{mnemonic}`: the window at output ({y}, {x}) holds no input element; reduce the padding or the output's extents")]
    EmptyWindow {
        /// The instruction.
        mnemonic: &'static str,
        /// Output row.
        y: u32,
        /// Output column.
        x: u32,
    },
    /// A product is wider than the adder of a fused multiply-add.
    #[error("`vfma`: the product of {a} and {b} has {} significant bits, {MAX_PRODUCT_BITS} at most; narrow an operand", a.precision() + b.precision())]
    WideProduct {
        /// Format of A.
        a: Format,
        /// Format of B.
        b: Format,
    },
    /// An elementary function is not defined for the formats.
    #[error(transparent)]
    Function(#[from] FunctionError),
}

/// Refuses a wrong number of operands.
pub(super) const fn check_count(mnemonic: &'static str, expected: usize, given: usize) -> Result<(), VectorError> {
    if expected == given { Ok(()) } else { Err(VectorError::OperandCount { mnemonic, expected, given }) }
}

/// Refuses buffers of another length or width than their operands need.
pub(super) fn check_buffers(mnemonic: &'static str, operands: &[Operand]) -> Result<(), VectorError> {
    for (i, o) in operands.iter().enumerate() {
        let bytes = Codes::zeros(o.format, 0).bytes_per_code();
        if o.rows.checked_mul(o.cols) != Some(o.codes.len()) || o.codes.bytes_per_code() != bytes {
            return Err(VectorError::Buffer {
                mnemonic,
                operand: i + 1,
                format: o.format,
                rows: o.rows,
                cols: o.cols,
                codes: o.codes.len(),
                bytes: o.codes.bytes_per_code(),
            });
        }
    }
    Ok(())
}

/// Refuses operand formats the operation is not defined for.
pub(super) fn check_formats(op: Elementwise, formats: &[Format]) -> Result<(), VectorError> {
    match (op, formats) {
        (Elementwise::FusedMultiplyAdd, &[a, b, ..]) if a.precision() + b.precision() > MAX_PRODUCT_BITS => {
            Err(VectorError::WideProduct { a, b })
        }
        _ => Ok(()),
    }
}
