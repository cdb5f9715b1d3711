//! Elementwise instructions: broadcasting, and the choice among definition, tables and fast paths.
//!
//! Elements are walked in blocks: operands are gathered into short buffers (repeated where the
//! operand has extent 1), computed, rounded. Blocks run in parallel; an element's bits depend on
//! its operands and site alone.

use super::decoder::{Decoder, within_fp32};
use super::exact::Scalar;
use super::narrow::Narrower;
use super::operation::{Elementwise, Operand, Target, VectorError, check_buffers, check_count};
use super::rounder::{Rounder, plain};
use super::{PARALLEL_ELEMENTS, count_result, fit, native, on_wide_lanes, random, total, wide, with_words};
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::format::Format;
use systole_isa::round::Flags;

/// Elements staged at a time.
const BLOCK: usize = 512;
/// Elements one thread takes at a time.
const GRAIN: usize = 16 * BLOCK;
/// Widest operand whose unary results are tabulated.
const TABLE_BITS: u32 = 8;

/// Refuses operands that do not repeat to the result's shape.
pub(super) fn check_shapes(op: Elementwise, target: (usize, usize), operands: &[(usize, usize)]) -> Result<(), VectorError> {
    check_count(op.mnemonic(), op.arity(), operands.len())?;
    for (i, &(rows, cols)) in operands.iter().enumerate() {
        if (rows != target.0 && rows != 1) || (cols != target.1 && cols != 1) {
            let (target_rows, target_cols) = target;
            return Err(VectorError::Broadcast { mnemonic: op.mnemonic(), operand: i + 1, rows, cols, target_rows, target_cols });
        }
    }
    Ok(())
}

/// An elementwise instruction: result codes (row-major, `target.rows * target.cols`) and the
/// overflows, underflows and NaNs among them. Operands with extent 1 repeat along that axis.
///
/// Stochastic rounding draws at the element's row and column, stage `Vector`, index 0.
///
/// # Errors
/// A wrong number of operands, buffers that do not hold them, shapes that do not repeat to the
/// result's, or formats the operation is not defined for.
pub fn elementwise(op: Elementwise, target: &Target, operands: &[Operand]) -> Result<(Codes, Activity), VectorError> {
    let mut codes = Codes::zeros(target.format, 0);
    let activity = elementwise_into(op, target, operands, &mut codes)?;
    Ok((codes, activity))
}

/// [`elementwise`] into a buffer, whatever it holds.
///
/// # Errors
/// As [`elementwise`].
pub fn elementwise_into(op: Elementwise, target: &Target, operands: &[Operand], codes: &mut Codes) -> Result<Activity, VectorError> {
    let shapes: Vec<_> = operands.iter().map(Operand::shape).collect();
    check_shapes(op, target.shape(), &shapes)?;
    check_buffers(op.mnemonic(), operands)?;
    let formats: Vec<_> = operands.iter().map(|o| o.format).collect();
    let scalar = Scalar::new(op, &formats, target.format, target.policy)?;
    fit(codes, target.format, target.rows * target.cols);
    let fp32 = formats.iter().all(|&f| within_fp32(f));
    if fp32
        && native::computes(op, target.format, target.policy)
        && let Codes::U32(out) = &mut *codes
    {
        return by_native(op, target, operands, out);
    }
    if op.arity() == 1 && formats[0].bits() <= TABLE_BITS && target.policy.rounding.random_bits() == 0 {
        return Ok(by_table(&scalar, target, &operands[0], codes));
    }
    if fp32 && let Some(narrower) = Narrower::new(op, target.format, target.policy) {
        return Ok(by_narrowing(&narrower, op, target, operands, codes));
    }
    Ok(match Wide::new(op, target, operands) {
        Some(wide) => by_wide(&wide, op, target, operands, codes),
        None => by_definition(&scalar, target, operands, codes),
    })
}

/// An operand as blocks of elements of the result's shape.
enum Source<'a, E> {
    Whole(&'a Codes),
    /// A row or a single element: `period` values again and again, for a block from any of them.
    Repeated {
        values: Vec<E>,
        period: usize,
    },
    Column(Vec<E>),
}

impl<'a, E: Copy + Default> Source<'a, E> {
    /// `decode` fills a buffer with consecutive elements from an index on.
    fn new(target: &Target, operand: &Operand<'a>, decode: &impl Fn(&Codes, usize, &mut [E])) -> Self {
        let all = || {
            let mut values = vec![E::default(); operand.codes.len()];
            decode(operand.codes, 0, &mut values);
            values
        };
        match operand.shape() {
            shape if shape == target.shape() => Self::Whole(operand.codes),
            (1, period) => Self::Repeated { values: all().into_iter().cycle().take(period + BLOCK).collect(), period },
            _ => Self::Column(all()),
        }
    }

    /// The `len` elements from `start` on, at most a block, where they lie side by side.
    fn side_by_side(&self, start: usize, len: usize) -> Option<&[E]> {
        match self {
            Self::Repeated { values, period } => Some(&values[start % period..][..len]),
            Self::Whole(_) | Self::Column(_) => None,
        }
    }

    /// The elements from `start` on, at most a block.
    fn fill(&self, cols: usize, start: usize, decode: &impl Fn(&Codes, usize, &mut [E]), out: &mut [E]) {
        match self {
            Self::Whole(codes) => decode(codes, start, out),
            Self::Repeated { values, period } => out.copy_from_slice(&values[start % period..][..out.len()]),
            Self::Column(values) => {
                let (mut done, mut row, mut left) = (0, start / cols, cols - start % cols);
                while done < out.len() {
                    let run = left.min(out.len() - done);
                    out[done..done + run].fill(values[row]);
                    done += run;
                    row += 1;
                    left = cols;
                }
            }
        }
    }
}

/// Fills `out` block by block; `kernel` gets a block's first index.
fn blocks<T: Send>(out: &mut [T], kernel: impl Fn(usize, &mut [T], &mut Activity) + Sync) -> Activity {
    let grain = |start: usize, out: &mut [T]| {
        let mut activity = Activity::default();
        on_wide_lanes(|| {
            for (i, block) in out.chunks_mut(BLOCK).enumerate() {
                kernel(start + i * BLOCK, block, &mut activity);
            }
        });
        activity
    };
    if out.len() <= PARALLEL_ELEMENTS {
        return grain(0, out);
    }
    out.par_chunks_mut(GRAIN).enumerate().map(|(i, out)| grain(i * GRAIN, out)).reduce(Activity::default, total)
}

/// Fills a buffer of codes, of whatever width, block by block.
macro_rules! fill_codes {
    ($codes:expr, |$start:ident, $out:ident, $narrow:ident, $activity:ident| $body:expr) => {
        with_words!($codes, |words, $narrow| blocks(words, |$start, $out, $activity| $body))
    };
}

/// Operands beyond the operation's arity are stood in for by the first.
fn three<T>(count: usize, get: impl Fn(usize) -> T) -> [T; 3] {
    std::array::from_fn(|i| get(if i < count { i } else { 0 }))
}

fn by_definition(scalar: &Scalar, target: &Target, operands: &[Operand], codes: &mut Codes) -> Activity {
    let decode = |codes: &Codes, start: usize, out: &mut [u64]| {
        for (i, code) in out.iter_mut().enumerate() {
            *code = codes.get(start + i);
        }
    };
    let sources: Vec<_> = operands.iter().map(|o| Source::new(target, o, &decode)).collect();
    let bits = target.policy.rounding.random_bits();
    fill_codes!(codes, |start, out, narrow, activity| {
        let mut buffers = [[0; BLOCK]; 3];
        let mut randoms = [0; BLOCK];
        for (buffer, source) in buffers.iter_mut().zip(&sources) {
            source.fill(target.cols, start, &decode, &mut buffer[..out.len()]);
        }
        if bits > 0 {
            random::fill(target.site, bits, target.cols, start, &mut randoms[..out.len()]);
        }
        for (i, result) in out.iter_mut().enumerate() {
            let (code, flags) = scalar.apply([buffers[0][i], buffers[1][i], buffers[2][i]], randoms[i]);
            count_result(target.format, code, flags, activity);
            *result = narrow(code);
        }
    })
}

/// Unary operations on at most 8 bits: every result is computed once, by definition.
fn by_table(scalar: &Scalar, target: &Target, operand: &Operand, codes: &mut Codes) -> Activity {
    let table: Vec<(u64, Flags)> = (0..1 << operand.format.bits()).map(|code| scalar.apply([code, 0, 0], 0)).collect();
    let counts: Vec<Activity> = table
        .iter()
        .map(|&(code, flags)| {
            let mut activity = Activity::default();
            count_result(target.format, code, flags, &mut activity);
            activity
        })
        .collect();
    let mask = operand.format.mask();
    let decode = |codes: &Codes, start: usize, out: &mut [u8]| {
        for (i, code) in out.iter_mut().enumerate() {
            *code = (codes.get(start + i) & mask) as u8;
        }
    };
    let source = Source::new(target, operand, &decode);
    fill_codes!(codes, |start, out, narrow, activity| {
        let mut buffer = [0; BLOCK];
        source.fill(target.cols, start, &decode, &mut buffer[..out.len()]);
        for (result, &code) in out.iter_mut().zip(&buffer) {
            *result = narrow(table[usize::from(code)].0);
            *activity += counts[usize::from(code)];
        }
    })
}

/// What binary64 and one rounding need, where operands, result and operation are in that domain.
struct Wide {
    rounder: Rounder,
    decoders: Vec<Decoder>,
}

impl Wide {
    fn new(op: Elementwise, target: &Target, operands: &[Operand]) -> Option<Self> {
        if !plain(target.policy) || !wide::computes(op, target.format, target.policy) {
            return None;
        }
        let decoders = operands.iter().map(|o| Decoder::new(o.format)).collect::<Option<_>>()?;
        Some(Self { rounder: Rounder::new(target.format, target.policy)?, decoders })
    }
}

fn by_wide(Wide { rounder, decoders }: &Wide, op: Elementwise, target: &Target, operands: &[Operand], codes: &mut Codes) -> Activity {
    let decode = |i: usize| {
        let decoder = &decoders[i];
        move |codes: &Codes, start: usize, out: &mut [f64]| decoder.fill(codes, start, out)
    };
    let sources: Vec<_> = operands.iter().enumerate().map(|(i, o)| Source::new(target, o, &decode(i))).collect();
    let bits = rounder.rounding().random_bits();
    let down = rounder.rounding().cancels_to_negative_zero();
    fill_codes!(codes, |start, out, narrow, activity| {
        let mut buffers = [[0.0; BLOCK]; 3];
        let mut exact = [0.0; BLOCK];
        let mut randoms = [0; BLOCK];
        for (i, (buffer, source)) in buffers.iter_mut().zip(&sources).enumerate() {
            source.fill(target.cols, start, &decode(i), &mut buffer[..out.len()]);
        }
        if bits > 0 {
            random::fill(target.site, bits, target.cols, start, &mut randoms[..out.len()]);
        }
        wide::compute(op, down, three(sources.len(), |i| &buffers[i][..out.len()]), &mut exact[..out.len()]);
        rounder.fill(&exact[..out.len()], &randoms[..out.len()], out, narrow, activity);
    })
}

/// Fills buffers with binary32 bits; the operand's format is within binary32.
struct Fp32Bits {
    /// None for fp32 itself.
    decoder: Option<Decoder>,
}

impl Fp32Bits {
    fn new(operand: &Operand) -> Self {
        Self { decoder: if operand.format == Format::FP32 { None } else { Decoder::new(operand.format) } }
    }

    fn fill(&self, codes: &Codes, start: usize, out: &mut [u32]) {
        match (&self.decoder, codes) {
            (Some(decoder), _) => {
                for (n, chunk) in out.chunks_mut(BLOCK).enumerate() {
                    let mut values = [0.0; BLOCK];
                    let values = &mut values[..chunk.len()];
                    decoder.fill(codes, start + n * BLOCK, values);
                    for (bits, &value) in chunk.iter_mut().zip(&*values) {
                        *bits = (value as f32).to_bits();
                    }
                }
            }
            (None, Codes::U32(v)) => out.copy_from_slice(&v[start..start + out.len()]),
            (None, _) => {
                for (i, bits) in out.iter_mut().enumerate() {
                    *bits = codes.get(start + i) as u32;
                }
            }
        }
    }
}

/// The host's binary32.
fn by_native(op: Elementwise, target: &Target, operands: &[Operand], out: &mut [u32]) -> Result<Activity, VectorError> {
    let scalar = Scalar::new(op, &[Format::FP32; 3][..op.arity()], target.format, target.policy)?;
    let readers: Vec<Fp32Bits> = operands.iter().map(Fp32Bits::new).collect();
    let decode = |i: usize| {
        let reader = &readers[i];
        move |codes: &Codes, start: usize, out: &mut [u32]| reader.fill(codes, start, out)
    };
    let sources: Vec<_> = operands.iter().enumerate().map(|(i, o)| Source::new(target, o, &decode(i))).collect();
    let activity = blocks(out, |start, out, activity| {
        let mut buffers = [[0; BLOCK]; 3];
        // Whole fp32 operands and repeated ones are read in place.
        let whole: [Option<&[u32]>; 3] = std::array::from_fn(|i| match (sources.get(i)?, readers.get(i)?) {
            (Source::Whole(Codes::U32(v)), Fp32Bits { decoder: None }) => Some(&v[start..start + out.len()]),
            (source, _) => source.side_by_side(start, out.len()),
        });
        for (i, (buffer, source)) in buffers.iter_mut().zip(&sources).enumerate() {
            if whole[i].is_none() {
                source.fill(target.cols, start, &decode(i), &mut buffer[..out.len()]);
            }
        }
        let operands = three(sources.len(), |i| whole[i].unwrap_or(&buffers[i][..out.len()]));
        native::compute(op, &scalar, operands, out, activity);
    });
    Ok(activity)
}

/// Binary32 values to narrow floats.
fn by_narrowing(narrower: &Narrower, op: Elementwise, target: &Target, operands: &[Operand], codes: &mut Codes) -> Activity {
    let readers: Vec<Fp32Bits> = operands.iter().map(Fp32Bits::new).collect();
    let decode = |i: usize| {
        let reader = &readers[i];
        move |codes: &Codes, start: usize, out: &mut [u32]| reader.fill(codes, start, out)
    };
    let sources: Vec<_> = operands.iter().enumerate().map(|(i, o)| Source::new(target, o, &decode(i))).collect();
    fill_codes!(codes, |start, out, narrow, activity| {
        let mut buffers = [[0; BLOCK]; 2];
        for (i, (buffer, source)) in buffers.iter_mut().zip(&sources).enumerate() {
            source.fill(target.cols, start, &decode(i), &mut buffer[..out.len()]);
        }
        let [a, b] = &mut buffers;
        narrower.compute(op, &mut a[..out.len()], &b[..out.len()], out, narrow, activity);
    })
}
