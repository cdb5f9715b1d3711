//! Codebooks: tables of values, and indices into them.
//!
//! [`nearest`] is the definition of `vfind`. Values within binary32 are found by a binary search
//! without a branch over the least binary32s that belong to each value but the first: exact, as the
//! middle of two binary32s and the error of its sum are binary64s.

use super::blocks::{BLOCK, Kernel, Source, run};
use super::decoder::within_fp32;
use super::elementwise::{Binary32s, Verbatim, check_shapes as check_operands, elementwise_into};
use super::exact::{numerically, order};
use super::operation::{Blocks, Codebook, Elementwise, Operand, Target, VectorError, check_buffers, check_count};
use super::{Word, fit, with_words};
use std::cmp::Ordering;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::exact::Exact;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{SubnormalPolicy, decode_with};

/// Elements of a table at most.
const MAX_ENTRIES: usize = 1 << 16;

/// Refuses shapes of values or indices, and of a table, that the operation does not take; the
/// table's elements.
pub(super) fn check_shapes(
    op: Codebook,
    blocks: Blocks,
    target: (usize, usize),
    operands: &[(usize, usize)],
) -> Result<usize, VectorError> {
    check_count(op.mnemonic(), 2, operands.len())?;
    check_operands(op.mnemonic(), 1, blocks, target, &operands[..1])?;
    match operands[1] {
        (1, entries @ 1..=MAX_ENTRIES) => Ok(entries),
        (rows, cols) => Err(VectorError::Table { mnemonic: op.mnemonic(), rows, cols }),
    }
}

/// Refuses a result of `vfind` whose codes cannot number the elements of the table.
///
/// # Errors
/// Codes of fewer bits than the last index.
pub fn check_indices(format: Format, entries: usize) -> Result<(), VectorError> {
    let bits = usize::BITS - entries.saturating_sub(1).leading_zeros();
    if bits <= format.bits() { Ok(()) } else { Err(VectorError::NarrowIndex { format, entries, bits }) }
}

/// The index of the value of a table that is nearest to `value` by exact arithmetic, the lowest of
/// equals. An infinite value takes the largest or smallest value there is, which may be infinite; to
/// finite ones infinities are the furthest. NaN takes index 0, and no value is nearest to a NaN of
/// the table; if there is nothing else, the index is 0.
pub fn nearest(value: Decoded, table: &[Decoded]) -> usize {
    let mut best: Option<usize> = None;
    for (i, &candidate) in table.iter().enumerate() {
        if candidate != Decoded::Nan && best.is_none_or(|best| is_nearer(value, candidate, table[best])) {
            best = Some(i);
        }
    }
    if value == Decoded::Nan { 0 } else { best.unwrap_or(0) }
}

/// True if `x` is nearer to a value than `y` is; none of them NaN, or the value is.
fn is_nearer(value: Decoded, x: Decoded, y: Decoded) -> bool {
    match (value, x, y) {
        (Decoded::Infinite { negative }, ..) => order(x, y) == Some(if negative { Ordering::Less } else { Ordering::Greater }),
        (Decoded::Finite(a), Decoded::Finite(x), Decoded::Finite(y)) => distance(a, x, y) == Ordering::Less,
        (Decoded::Finite(_), Decoded::Finite(_), Decoded::Infinite { .. }) => true,
        _ => false,
    }
}

/// The order of |a - x| and |a - y|.
fn distance(a: Exact, x: Exact, y: Exact) -> Ordering {
    match (numerically(a, x), numerically(a, y)) {
        (Ordering::Greater, Ordering::Greater) => return numerically(y, x),
        (Ordering::Less, Ordering::Less) => return numerically(x, y),
        _ => {}
    }
    // Sums that do not hold all bits hold one that says so. With `a` between the two that orders
    // them: they are equal only if both hold all.
    let [x, y] = [x, y].map(|z| a.add(z.negate(), false));
    let scaled = |z: Exact| (z.magnitude_exponent(), z.significand << z.significand.leading_zeros());
    match (x.is_zero(), y.is_zero()) {
        (false, false) => scaled(x).cmp(&scaled(y)),
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// A codebook instruction into a buffer, whatever it holds, from the values (`vfind`) or indices
/// (`vlook`) and the table, one row. The first operand repeats as those of elementwise instructions.
///
/// Indices are codes as they are: `vfind` neither rounds nor counts. `vlook` takes the last element
/// for every index beyond the table, and converts as `vcvt` would, draws and counts included.
///
/// # Errors
/// A wrong number of operands, buffers that do not hold them, shapes that do not repeat to the
/// result's, a table of more than one row or 2^16 elements, or codes too narrow for its indices.
pub fn codebook_into(op: Codebook, target: &Target, operands: &[Operand], codes: &mut Codes) -> Result<Activity, VectorError> {
    let shapes: Vec<_> = operands.iter().map(Operand::shape).collect();
    let entries = check_shapes(op, target.blocks, target.shape(), &shapes)?;
    check_buffers(op.mnemonic(), operands)?;
    let [values, table] = [operands[0], operands[1]];
    let len = target.rows * target.cols;
    if op == Codebook::Look {
        let mut found = Codes::zeros(table.format, len);
        let last = u32::try_from(entries - 1).unwrap_or(u32::MAX);
        let (source, mask) = (Source::new(target, &values, Verbatim), u32::try_from(values.format.mask()).unwrap_or(u32::MAX));
        match (&mut found, table.codes) {
            (Codes::U8(found), Codes::U8(table)) => run(&ByIndex { source, mask, last, table }, found),
            (Codes::U16(found), Codes::U16(table)) => run(&ByIndex { source, mask, last, table }, found),
            (Codes::U32(found), Codes::U32(table)) => run(&ByIndex { source, mask, last, table }, found),
            (Codes::U64(found), Codes::U64(table)) => run(&ByIndex { source, mask, last, table }, found),
            // Both are buffers of the table's format.
            _ => Activity::default(),
        };
        let found = Operand { format: table.format, rows: target.rows, cols: target.cols, codes: &found };
        return elementwise_into(Elementwise::Convert, target, &[found], codes);
    }
    check_indices(target.format, entries)?;
    fit(codes, target.format, len);
    let subnormals = target.policy.subnormals;
    if within_fp32(values.format)
        && within_fp32(table.format)
        && subnormals == SubnormalPolicy::Gradual
        && let Some(steps) = Steps::new(&table)
    {
        let kernel = BySearch { source: Source::new(target, &values, Binary32s::new(values.format)), steps };
        return Ok(with_words!(codes, |words| run(&kernel, words)));
    }
    let table: Vec<Decoded> = table.codes.iter().map(|code| decode_with(table.format, code, subnormals)).collect();
    let kernel = ByNearest { source: Source::new(target, &values, Verbatim), format: values.format, subnormals, table: &table };
    Ok(with_words!(codes, |words| run(&kernel, words)))
}

/// Elements of a table by their indices.
struct ByIndex<'a, T> {
    source: Source<'a, u32, Verbatim>,
    mask: u32,
    last: u32,
    table: &'a [T],
}

impl<T: Word> Kernel<T> for ByIndex<'_, T> {
    type Buffers = [u32; BLOCK];

    fn buffers(&self) -> Self::Buffers {
        [0; BLOCK]
    }

    #[inline(always)]
    fn block(&self, buffer: &mut Self::Buffers, start: usize, out: &mut [T], _: &mut Activity) {
        let indices = &mut buffer[..out.len()];
        self.source.fill(start, indices);
        for (element, &index) in out.iter_mut().zip(&*indices) {
            *element = self.table[(index & self.mask).min(self.last) as usize];
        }
    }
}

/// The definition, element by element.
struct ByNearest<'a> {
    source: Source<'a, u64, Verbatim>,
    format: Format,
    subnormals: SubnormalPolicy,
    table: &'a [Decoded],
}

impl<T: Word> Kernel<T> for ByNearest<'_> {
    type Buffers = [u64; BLOCK];

    fn buffers(&self) -> Self::Buffers {
        [0; BLOCK]
    }

    #[inline(always)]
    fn block(&self, buffer: &mut Self::Buffers, start: usize, out: &mut [T], _: &mut Activity) {
        let codes = &mut buffer[..out.len()];
        self.source.fill(start, codes);
        for (index, &code) in out.iter_mut().zip(&*codes) {
            *index = T::of(nearest(decode_with(self.format, code, self.subnormals), self.table) as u64);
        }
    }
}

/// A table's distinct values in order, as the least binary32s that belong to them.
struct Steps {
    /// A power of two of them: of every value but the first, then NaNs.
    least: Vec<f32>,
    /// Indices of the values, as many.
    indices: Vec<u32>,
}

impl Steps {
    /// The steps of a table of binary32 values; `None` if none of them is finite.
    fn new(table: &Operand) -> Option<Self> {
        let values = table.codes.iter().map(|code| table.format.to_f64(code));
        let mut values: Vec<(f64, u32)> = values.zip(0..).filter(|(value, _)| !value.is_nan()).collect();
        values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        // The lowest index of equals is the first now.
        values.dedup_by(|later, first| later.0 == first.0);
        values.iter().any(|(value, _)| value.is_finite()).then(|| {
            let mut least: Vec<f32> = values.windows(2).map(|pair| least_of_second(pair[0], pair[1])).collect();
            let mut indices: Vec<u32> = values.iter().map(|&(_, index)| index).collect();
            let len = values.len().next_power_of_two();
            least.resize(len, f32::NAN);
            indices.resize(len, 0);
            Self { least, indices }
        })
    }

    /// The index for a value.
    #[inline(always)]
    fn index(least: &[f32], indices: &[u32], value: f32) -> u32 {
        let mask = least.len() - 1;
        let (mut at, mut step) = (0, least.len() / 2);
        while step > 0 {
            at += if value >= least[(at + step - 1) & mask] { step } else { 0 };
            step /= 2;
        }
        if value.is_nan() { 0 } else { indices[at & mask] }
    }
}

/// The least binary32 nearer to the second of two neighbours in the table than to the first, or as
/// near where the second has the lower index.
fn least_of_second((first, before): (f64, u32), (second, after): (f64, u32)) -> f32 {
    if second.is_infinite() {
        return f32::INFINITY;
    }
    if first.is_infinite() {
        return f32::MIN;
    }
    let sum = first + second;
    let part = sum - first;
    let error = (first - (sum - part)) + (second - part);
    let middle = sum / 2.0;
    let rounded = middle as f32;
    // Where the middle rounded twice is one of its neighbours, or itself.
    match f64::from(rounded).partial_cmp(&middle).unwrap_or(Ordering::Equal).then(0.0f64.partial_cmp(&error).unwrap_or(Ordering::Equal)) {
        Ordering::Greater => rounded,
        Ordering::Less => rounded.next_up(),
        Ordering::Equal => {
            if after < before {
                rounded
            } else {
                rounded.next_up()
            }
        }
    }
}

/// Indices of binary32 values by search.
struct BySearch<'a> {
    source: Source<'a, u32, Binary32s>,
    steps: Steps,
}

impl BySearch<'_> {
    #[inline(always)]
    fn all<T: Word>(least: &[f32], indices: &[u32], values: &[u32], out: &mut [T]) {
        for (index, &bits) in out.iter_mut().zip(values) {
            *index = T::of(Steps::index(least, indices, f32::from_bits(bits)).into());
        }
    }

    /// The same, of a length the compiler knows.
    #[inline(always)]
    fn known<T: Word, const N: usize>(least: &[f32], indices: &[u32], values: &[u32], out: &mut [T]) {
        if let (Some(least), Some(indices)) = (least.first_chunk::<N>(), indices.first_chunk::<N>()) {
            Self::all(least, indices, values, out);
        }
    }
}

impl<T: Word> Kernel<T> for BySearch<'_> {
    type Buffers = [u32; BLOCK];

    fn buffers(&self) -> Self::Buffers {
        [0; BLOCK]
    }

    #[inline(always)]
    fn block(&self, buffer: &mut Self::Buffers, start: usize, out: &mut [T], _: &mut Activity) {
        let buffer = &mut buffer[..out.len()];
        let values = match self.source.in_place(start, out.len()) {
            Some(values) => values,
            None => {
                self.source.fill(start, buffer);
                buffer
            }
        };
        let Steps { least, indices } = &self.steps;
        match least.len() {
            16 => Self::known::<T, 16>(least, indices, values, out),
            256 => Self::known::<T, 256>(least, indices, values, out),
            _ => Self::all(least, indices, values, out),
        }
    }
}
