//! Elementwise instructions: broadcasting, and the choice among definition, tables and fast paths.
//!
//! An element's bits depend on its operands and site alone.

use super::blocks::{BLOCK, Decode, Kernel, Source, run};
use super::decoder::{Decoder, within_fp32};
use super::exact::Scalar;
use super::fixed::NarrowToFixed;
use super::operation::{Blocks, Elementwise, Operand, Target, VectorError, check_buffers, check_count};
use super::power::PowerRounder;
use super::rounder::{Narrow, NarrowToNearest, Rounder, plain};
use super::selection::{self, selects};
use super::{Word, count_result, fit, native, random, wide, with_words};
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::format::Format;
use systole_isa::round::{Flags, Policy, Rounding};

/// Widest operand whose unary results are tabulated.
const TABLE_BITS: u32 = 8;

/// Refuses operands that do not repeat to the result's shape.
pub(super) fn check_shapes(
    mnemonic: &'static str,
    arity: usize,
    blocks: Blocks,
    target: (usize, usize),
    operands: &[(usize, usize)],
) -> Result<(), VectorError> {
    check_count(mnemonic, arity, operands.len())?;
    for (i, &(rows, cols)) in operands.iter().enumerate() {
        if blocks.steps(target, (rows, cols)).is_none() {
            let (target_rows, target_cols) = target;
            return Err(VectorError::Broadcast { mnemonic, operand: i + 1, rows, cols, target_rows, target_cols, blocks });
        }
    }
    Ok(())
}

/// An elementwise instruction: result codes (row-major, `target.rows * target.cols`) and the
/// overflows, underflows and NaNs among them. Operands with extent 1 along an axis repeat along it;
/// those with one element for each of the target's blocks repeat within the block.
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
    check_shapes(op.mnemonic(), op.arity(), target.blocks, target.shape(), &shapes)?;
    check_buffers(op.mnemonic(), operands)?;
    let formats: Vec<_> = operands.iter().map(|o| o.format).collect();
    let scalar = Scalar::new(op, &formats, target.format, target.policy)?;
    fit(codes, target.format, target.rows * target.cols);
    let fp32 = formats.iter().all(|&f| within_fp32(f));
    if op.arity() == 1 && formats[0].bits() <= TABLE_BITS && target.policy.rounding.random_bits() == 0 {
        return Ok(by_table(&scalar, target, &operands[0], codes));
    }
    if fp32
        && native::computes(op, target.format, target.policy)
        && let Codes::U32(out) = &mut *codes
    {
        return Ok(run(&ByHost { op, scalar: host_definition(op, target)?, sources: Binary32s::sources(op, target, operands) }, out));
    }
    if fp32
        && op == Elementwise::Hysteresis
        && let Some(between) = Between::new(target)
    {
        let kernel = ByHysteresis { between, sources: Binary32s::sources(op, target, operands) };
        return Ok(with_words!(codes, |words| run(&kernel, words)));
    }
    if fp32
        && selects(op)
        && let Some(narrower) = Narrower::new(op, target.format, target.policy)
    {
        let kernel = ByNarrowing { op, target, narrower, sources: Binary32s::sources(op, target, operands) };
        return Ok(with_words!(codes, |words| run(&kernel, words)));
    }
    if let Some(kernel) = ByBinary64::new(op, target, operands) {
        return Ok(with_words!(codes, |words| run(&kernel, words)));
    }
    let sources = operands.iter().map(|o| Source::new(target, o, Verbatim)).collect();
    let kernel = ByDefinition { scalar, target, sources };
    Ok(with_words!(codes, |words| run(&kernel, words)))
}

/// Operands beyond the operation's arity are stood in for by the first.
#[inline(always)]
fn three<T>(count: usize, get: impl Fn(usize) -> T) -> [T; 3] {
    std::array::from_fn(|i| get(if i < count { i } else { 0 }))
}

/// Codes as they are; as 32 bits, the largest of those for what is beyond.
pub(super) struct Verbatim;

impl Decode<u64> for Verbatim {
    #[inline(always)]
    fn decode(&self, codes: &Codes, start: usize, out: &mut [u64]) {
        for (i, code) in out.iter_mut().enumerate() {
            *code = codes.get(start + i);
        }
    }
}

impl Decode<u32> for Verbatim {
    #[inline(always)]
    fn decode(&self, codes: &Codes, start: usize, out: &mut [u32]) {
        match codes {
            Codes::U8(v) => out.iter_mut().zip(&v[start..]).for_each(|(code, &word)| *code = word.into()),
            Codes::U16(v) => out.iter_mut().zip(&v[start..]).for_each(|(code, &word)| *code = word.into()),
            Codes::U32(v) => out.copy_from_slice(&v[start..start + out.len()]),
            Codes::U64(v) => out.iter_mut().zip(&v[start..]).for_each(|(code, &word)| *code = word.min(u32::MAX.into()) as u32),
        }
    }
}

impl Decode<u8> for Verbatim {
    #[inline(always)]
    fn decode(&self, codes: &Codes, start: usize, out: &mut [u8]) {
        match codes {
            Codes::U8(v) => out.copy_from_slice(&v[start..start + out.len()]),
            _ => out.iter_mut().enumerate().for_each(|(i, code)| *code = codes.get(start + i) as u8),
        }
    }
}

/// Any instruction, element by element.
struct ByDefinition<'a> {
    scalar: Scalar,
    target: &'a Target,
    sources: Vec<Source<'a, u64, Verbatim>>,
}

impl<T: Word> Kernel<T> for ByDefinition<'_> {
    type Buffers = ([[u64; BLOCK]; 3], [u32; BLOCK]);

    fn buffers(&self) -> Self::Buffers {
        ([[0; BLOCK]; 3], [0; BLOCK])
    }

    #[inline(always)]
    fn block(&self, (buffers, randoms): &mut Self::Buffers, start: usize, out: &mut [T], activity: &mut Activity) {
        for (buffer, source) in buffers.iter_mut().zip(&self.sources) {
            source.fill(start, &mut buffer[..out.len()]);
        }
        random::fill(self.target, start, &mut randoms[..out.len()]);
        for (i, result) in out.iter_mut().enumerate() {
            let (code, flags) = self.scalar.apply([buffers[0][i], buffers[1][i], buffers[2][i]], randoms[i].into());
            count_result(self.target.format, code, flags, activity);
            *result = T::of(code);
        }
    }
}

/// Unary operations on at most 8 bits: every result is computed once, by definition.
fn by_table(scalar: &Scalar, target: &Target, operand: &Operand, codes: &mut Codes) -> Activity {
    let results: Vec<(u64, Flags)> = (0..1 << operand.format.bits()).map(|code| scalar.apply([code, 0, 0], 0)).collect();
    let mut counts = [Activity::default(); 1 << TABLE_BITS];
    // Codes of fewer bits stand for all that share them.
    let table: [u64; 1 << TABLE_BITS] = std::array::from_fn(|i| {
        let (code, flags) = results[i & operand.format.mask() as usize];
        count_result(target.format, code, flags, &mut counts[i]);
        code
    });
    let counted = counts.map(|counts| counts != Activity::default());
    let source = &Source::new(target, operand, Verbatim);
    with_words!(codes, |words| run(&ByTable { table: table.map(Word::of), counts, counted, source }, words))
}

struct ByTable<'a, T> {
    table: [T; 1 << TABLE_BITS],
    counts: [Activity; 1 << TABLE_BITS],
    /// Where counts are not all 0.
    counted: [bool; 1 << TABLE_BITS],
    source: &'a Source<'a, u8, Verbatim>,
}

impl<T: Word> Kernel<T> for ByTable<'_, T> {
    type Buffers = [u8; BLOCK];

    fn buffers(&self) -> Self::Buffers {
        [0; BLOCK]
    }

    #[inline(always)]
    fn block(&self, buffer: &mut Self::Buffers, start: usize, out: &mut [T], activity: &mut Activity) {
        let read = &mut buffer[..out.len()];
        self.source.fill(start, read);
        let mut any = false;
        for (result, &code) in out.iter_mut().zip(&*read) {
            *result = self.table[usize::from(code)];
            any |= self.counted[usize::from(code)];
        }
        if any {
            let counted = read.iter().filter(|&&code| self.counted[usize::from(code)]);
            counted.for_each(|&code| *activity += self.counts[usize::from(code)]);
        }
    }
}

/// How binary64s are rounded.
enum Rounded {
    Float(Rounder),
    Power(PowerRounder),
}

/// Arithmetic in binary64 and one rounding.
struct ByBinary64<'a> {
    op: Elementwise,
    target: &'a Target,
    rounder: Rounded,
    sources: Vec<Source<'a, f64, Decoder>>,
}

impl<'a> ByBinary64<'a> {
    /// The kernel, where operands, result and operation are in that domain.
    fn new(op: Elementwise, target: &'a Target, operands: &[Operand<'a>]) -> Option<Self> {
        if !plain(target.policy) || !wide::computes(op, target.format, target.policy) {
            return None;
        }
        let decoders: Vec<_> = operands.iter().map(|o| Decoder::new(o.format)).collect::<Option<_>>()?;
        let rounder = Rounder::new(target.format, target.policy).map(Rounded::Float);
        let rounder = rounder.or_else(|| PowerRounder::new(target.format, target.policy).map(Rounded::Power))?;
        let sources = operands.iter().zip(decoders).map(|(o, decoder)| Source::new(target, o, decoder)).collect();
        Some(Self { op, target, rounder, sources })
    }
}

impl Decode<f64> for Decoder {
    #[inline(always)]
    fn decode(&self, codes: &Codes, start: usize, out: &mut [f64]) {
        self.fill(codes, start, out);
    }
}

impl<T: Word> Kernel<T> for ByBinary64<'_> {
    type Buffers = ([[f64; BLOCK]; 3], [f64; BLOCK], [u32; BLOCK]);

    fn buffers(&self) -> Self::Buffers {
        ([[0.0; BLOCK]; 3], [0.0; BLOCK], [0; BLOCK])
    }

    #[inline(always)]
    fn block(&self, (buffers, exact, randoms): &mut Self::Buffers, start: usize, out: &mut [T], activity: &mut Activity) {
        let (len, rounding) = (out.len(), self.target.policy.rounding);
        for (buffer, source) in buffers.iter_mut().zip(&self.sources) {
            source.fill(start, &mut buffer[..len]);
        }
        random::fill(self.target, start, &mut randoms[..len]);
        let operands = three(self.sources.len(), |i| &buffers[i][..len]);
        wide::compute(self.op, rounding.cancels_to_negative_zero(), operands, &mut exact[..len]);
        match &self.rounder {
            Rounded::Float(rounder) => rounder.fill(exact[..len].iter().copied(), &randoms[..len], out, activity),
            Rounded::Power(rounder) => rounder.fill(&exact[..len], &randoms[..len], out, activity),
        }
    }
}

/// Codes of a format within binary32 as its bits.
pub(super) enum Binary32s {
    /// fp32 itself.
    Verbatim,
    Decoded(Decoder),
    /// Zeros with the sign of the code, which is this bit.
    Sign(u64),
}

impl Binary32s {
    /// Of a format within binary32.
    pub fn new(format: Format) -> Self {
        match Decoder::new(format) {
            Some(decoder) if format != Format::FP32 => Self::Decoded(decoder),
            _ => Self::Verbatim,
        }
    }

    fn sources<'a>(op: Elementwise, target: &Target, operands: &[Operand<'a>]) -> Vec<Source<'a, u32, Self>> {
        let sources = operands.iter().enumerate().map(|(i, o)| {
            let sign = op == Elementwise::CopySign && i == 1 && o.format != Format::FP32;
            let bit = o.format.as_float().map_or(1 << (o.format.bits() - 1), |f| f.sign_code());
            Source::new(target, o, if sign { Self::Sign(bit) } else { Self::new(o.format) })
        });
        sources.collect()
    }
}

impl Source<'_, u32, Binary32s> {
    /// Elements that need no buffer.
    #[inline(always)]
    pub fn in_place(&self, start: usize, len: usize) -> Option<&[u32]> {
        match self.whole() {
            Some(Codes::U32(v)) if matches!(self.decoder(), Binary32s::Verbatim) => Some(&v[start..start + len]),
            _ => self.side_by_side(start, len),
        }
    }
}

impl Decode<u32> for Binary32s {
    #[inline(always)]
    fn decode(&self, codes: &Codes, start: usize, out: &mut [u32]) {
        match (self, codes) {
            (Self::Decoded(decoder), _) => {
                for (n, chunk) in out.chunks_mut(BLOCK).enumerate() {
                    let mut values = [0.0; BLOCK];
                    let values = &mut values[..chunk.len()];
                    decoder.fill(codes, start + n * BLOCK, values);
                    for (bits, &value) in chunk.iter_mut().zip(&*values) {
                        *bits = (value as f32).to_bits();
                    }
                }
            }
            (Self::Sign(bit), _) => {
                for (i, bits) in out.iter_mut().enumerate() {
                    *bits = u32::from(codes.get(start + i) & bit != 0) << 31;
                }
            }
            (Self::Verbatim, Codes::U32(v)) => out.copy_from_slice(&v[start..start + out.len()]),
            (Self::Verbatim, _) => {
                for (i, bits) in out.iter_mut().enumerate() {
                    *bits = codes.get(start + i) as u32;
                }
            }
        }
    }
}

/// The definition on operands that are binary32s by now.
fn host_definition(op: Elementwise, target: &Target) -> Result<Scalar, VectorError> {
    Scalar::new(op, &[Format::FP32; 3][..op.arity()], target.format, target.policy)
}

/// The host's binary32.
struct ByHost<'a> {
    op: Elementwise,
    scalar: Scalar,
    sources: Vec<Source<'a, u32, Binary32s>>,
}

impl Kernel<u32> for ByHost<'_> {
    type Buffers = [[u32; BLOCK]; 3];

    fn buffers(&self) -> Self::Buffers {
        [[0; BLOCK]; 3]
    }

    #[inline(always)]
    fn block(&self, buffers: &mut Self::Buffers, start: usize, out: &mut [u32], activity: &mut Activity) {
        let len = out.len();
        let in_place: [Option<&[u32]>; 3] = std::array::from_fn(|i| self.sources.get(i)?.in_place(start, len));
        for ((buffer, source), in_place) in buffers.iter_mut().zip(&self.sources).zip(&in_place) {
            if in_place.is_none() {
                source.fill(start, &mut buffer[..len]);
            }
        }
        let operands = three(self.sources.len(), |i| in_place[i].unwrap_or(&buffers[i][..len]));
        native::compute(self.op, &self.scalar, operands, out, activity);
    }
}

/// How binary32s are rounded.
enum Narrower {
    ToNearest(NarrowToNearest),
    General(Narrow),
    Fixed(NarrowToFixed),
    Wide(Rounder),
}

impl Narrower {
    fn new(op: Elementwise, format: Format, policy: Policy) -> Option<Self> {
        if matches!(format, Format::Fixed(_)) {
            return NarrowToFixed::new(format, policy).map(Self::Fixed);
        }
        let narrow = NarrowToNearest::new(format, policy).map(Self::ToNearest).or_else(|| Narrow::new(format, policy).map(Self::General));
        // Others have their way through binary64.
        narrow.or_else(|| if op == Elementwise::CopySign { Rounder::new(format, policy).map(Self::Wide) } else { None })
    }
}

/// Selections of binary32 values, and one rounding.
struct ByNarrowing<'a> {
    op: Elementwise,
    target: &'a Target,
    narrower: Narrower,
    sources: Vec<Source<'a, u32, Binary32s>>,
}

impl<T: Word> Kernel<T> for ByNarrowing<'_> {
    type Buffers = ([[u32; BLOCK]; 2], [u32; BLOCK]);

    fn buffers(&self) -> Self::Buffers {
        ([[0; BLOCK]; 2], [0; BLOCK])
    }

    #[inline(always)]
    fn block(&self, ([a, b], randoms): &mut Self::Buffers, start: usize, out: &mut [T], activity: &mut Activity) {
        let len = out.len();
        let in_place = if self.op == Elementwise::Convert { self.sources[0].in_place(start, len) } else { None };
        if in_place.is_none() {
            self.sources[0].fill(start, &mut a[..len]);
            if let Some(second) = self.sources.get(1) {
                second.fill(start, &mut b[..len]);
            }
            selection::apply(self.op, &mut a[..len], &b[..len]);
        }
        let values = in_place.unwrap_or(&a[..len]);
        let randoms = &mut randoms[..len];
        random::fill(self.target, start, randoms);
        match &self.narrower {
            Narrower::ToNearest(rounder) => rounder.fill(values, out, activity),
            Narrower::General(rounder) => rounder.fill(values.iter().map(|&bits| f32::from_bits(bits)), randoms, out, activity),
            Narrower::Fixed(rounder) => rounder.fill(values, randoms, out, activity),
            Narrower::Wide(rounder) => rounder.fill(values.iter().map(|&bits| f32::from_bits(bits).into()), randoms, out, activity),
        }
    }
}

/// Roundings of binary32s downward and upward.
enum Between {
    Narrow([Narrow; 2]),
    Wide([Rounder; 2]),
}

impl Between {
    fn new(target: &Target) -> Option<Self> {
        let [down, up] = [Rounding::Rdn, Rounding::Rup].map(|rounding| Policy { rounding, ..target.policy });
        if let (Some(down), Some(up)) = (Narrow::new(target.format, down), Narrow::new(target.format, up)) {
            return Some(Self::Narrow([down, up]));
        }
        Some(Self::Wide([Rounder::new(target.format, down)?, Rounder::new(target.format, up)?]))
    }
}

/// Binary32 values rounded to the side of their thresholds.
struct ByHysteresis<'a> {
    between: Between,
    sources: Vec<Source<'a, u32, Binary32s>>,
}

impl<T: Word> Kernel<T> for ByHysteresis<'_> {
    type Buffers = [[u32; BLOCK]; 2];

    fn buffers(&self) -> Self::Buffers {
        [[0; BLOCK]; 2]
    }

    #[inline(always)]
    fn block(&self, [a, p]: &mut Self::Buffers, start: usize, out: &mut [T], activity: &mut Activity) {
        let (a, p) = (&mut a[..out.len()], &mut p[..out.len()]);
        self.sources[0].fill(start, a);
        self.sources[1].fill(start, p);
        let values = a.iter().zip(&*p).map(|(&a, &p)| (f32::from_bits(a), f32::from_bits(p)));
        match &self.between {
            Between::Narrow(rounders) => Narrow::fill_between(rounders, values.map(|(x, p)| (x, p > x)), out, activity),
            Between::Wide(rounders) => Rounder::fill_between(rounders, values.map(|(x, p)| (x.into(), p > x)), out, activity),
        }
    }
}
