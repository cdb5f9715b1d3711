//! Operands of products: rounded once for all products that read them, or, in blocks along the
//! axis that is reduced, once for each.

use super::coded::{BlockScales, Coded, Place, Scaling};
use super::emitter::Factor;
use super::memory::Tensor;
use super::{Context, GradientProduct, LowerError};
use crate::layer::LayerSpec;
use crate::recipe::{Blocks, RoleFormat, Scale};
use systole_isa::design::{Design, ScaledBlocks};
use systole_isa::format::Format;
use systole_isa::round::{Overflow, Policy};
use systole_isa::view::{TensorView, Window};

/// A tensor that products read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operand {
    /// Its values.
    source: Tensor,
    role: RoleFormat,
    place: Place,
    /// As every product takes it; absent where each product cuts blocks of its own.
    shared: Option<Coded>,
}

impl Operand {
    /// Its values.
    pub(super) const fn source(&self) -> Tensor {
        self.source
    }

    /// The role products take it in.
    pub(super) const fn role(&self) -> RoleFormat {
        self.role
    }
}

/// How a product reads a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Arrangement {
    /// As it is.
    Stored,
    /// Rows and columns exchanged.
    Transposed,
    /// As windows of images, a row each.
    Windows(Window),
    /// A convolution's weights, turned for the error product.
    Turned {
        /// Height and width of the kernel.
        kernel: usize,
        /// Input channels.
        channels: usize,
    },
    /// As matrices of one size under one another, of which each product takes one; no block
    /// reaches from one into the next.
    Stacked {
        /// Number of matrices.
        parts: usize,
        /// Whether rows and columns of each are exchanged.
        transposed: bool,
    },
}

impl Arrangement {
    const fn is_transposed(self) -> bool {
        matches!(self, Self::Transposed | Self::Stacked { transposed: true, .. })
    }

    /// With rows and columns as they are.
    const fn stored(self) -> Self {
        match self {
            Self::Stacked { parts, .. } => Self::Stacked { parts, transposed: false },
            _ => Self::Stored,
        }
    }

    const fn parts(self) -> usize {
        match self {
            Self::Stacked { parts, .. } => parts,
            _ => 1,
        }
    }
}

/// Which operand of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    A,
    B,
}

/// Blocks that have been cut in the present program.
#[derive(Debug)]
pub(super) struct Cut {
    source: Tensor,
    arrangement: Arrangement,
    role: RoleFormat,
    /// Rows and columns of a block.
    block: (u32, u32),
    coded: Coded,
}

/// One operand of one product.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    factor: Factor,
    /// What the factor's codes belong to.
    coded: Coded,
    /// What sums are multiplied by beside.
    multiplier: Option<Tensor>,
}

/// Whether a layer has products with weights.
pub(crate) const fn multiplies(layer: &LayerSpec) -> bool {
    layer.takes_weights()
}

/// Blocks that a role's operands are scaled in, unless they are expanded.
const fn native_blocks(role: &RoleFormat) -> Option<Blocks> {
    match (role.scale, role.expand) {
        (Scale::Blocks(blocks), None) => Some(blocks),
        _ => None,
    }
}

/// Index of the mode in which a design multiplies operands of two roles; `None` where it has none.
pub fn mode(design: &Design, a: &RoleFormat, b: &RoleFormat) -> Option<usize> {
    let (formats, blocks) = ((a.operand(), b.operand()), [native_blocks(a), native_blocks(b)]);
    match blocks {
        [None, None] => design.mode_for(formats.0, formats.1),
        [Some(x), Some(y)] if x.along != y.along || x.format != y.format => None,
        [x, y] => {
            let any = x.or(y)?;
            let across = |blocks: Option<Blocks>| blocks.map(|b| b.across);
            design.mode_for_blocks(
                formats.0,
                formats.1,
                &ScaledBlocks { length: any.along, rows: across(x), cols: across(y), format: any.format },
            )
        }
    }
}

/// Refuses roles whose product no mode of the design offers.
pub(super) fn check(design: &Design, product: &'static str, a: &RoleFormat, b: &RoleFormat) -> Result<(), LowerError> {
    if mode(design, a, b).is_some() {
        return Ok(());
    }
    let modes = design.mac_modes().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let text = |role: &RoleFormat| match native_blocks(role) {
        Some(Blocks { along, across, format, .. }) => {
            format!("{} in blocks of {along} along the sum by {across}, scales {format}", role.operand())
        }
        None => role.operand().to_string(),
    };
    Err(LowerError::NoMode { design: design.name.clone(), product, a: text(a), b: text(b), modes })
}

pub(super) fn arranged(tensor: Tensor, arrangement: Arrangement, images: usize) -> TensorView {
    match arrangement {
        Arrangement::Stored => tensor.view(),
        Arrangement::Transposed => tensor.transposed(),
        Arrangement::Windows(window) => tensor.windows(window, images),
        Arrangement::Turned { kernel, channels } => tensor.turned(kernel, channels),
        Arrangement::Stacked { transposed: false, .. } => tensor.view(),
        Arrangement::Stacked { parts, transposed: true } => tensor.parts_transposed(parts),
    }
}

impl Operand {
    /// Its codes, where all products take the same.
    pub(super) const fn codes(&self) -> Option<Coded> {
        self.shared
    }
}

/// One of the matrices that lie under one another in a tensor.
fn part_of(tensor: Tensor, part: usize, parts: usize) -> Tensor {
    let rows = tensor.rows / parts;
    tensor.rows(part * rows..(part + 1) * rows)
}

/// One of the parts that lie under one another in a tensor of blocks, none of which reaches from
/// one into the next.
fn part_of_blocks(whole: &Coded, part: usize, parts: usize) -> Coded {
    let Scaling::Blocks(blocks) = whole.scaling else { unreachable!("cut into blocks") };
    let scales = part_of(blocks.scales, part, parts);
    // Parts have a factor each, or one together.
    let factor = blocks.factor.map(|factor| factor.element(part % factor.elements()));
    Coded { elements: part_of(whole.elements, part, parts), scaling: Scaling::Blocks(BlockScales { scales, factor, ..blocks }) }
}

impl Context<'_> {
    /// `x` in a role, rounded here if products share it.
    pub(super) fn operand(&mut self, x: Tensor, role: RoleFormat, place: Place) -> Operand {
        let shared = native_blocks(&role).is_none().then(|| {
            let coded = self.encode(x, &role, place);
            self.expand(coded, &role)
        });
        Operand { source: x, role, place, shared }
    }

    /// An operand of codes that exist already.
    pub(super) const fn ready(role: RoleFormat, place: Place, coded: Coded) -> Operand {
        Operand { source: coded.elements, role, place, shared: Some(coded) }
    }

    /// Notes the product that makes the present layer's weight gradient.
    pub(super) fn note_gradient(
        &mut self,
        (errors, a): (&Operand, &Taken),
        (x, b): (&Operand, &Taken),
        columns: Arrangement,
        made: Tensor,
    ) {
        let sources = [(errors, Arrangement::Transposed), (x, columns)]
            .map(|(operand, arrangement)| self.source(arranged(operand.source, arrangement, self.batch)));
        let taken = [a, b].map(|taken| (taken.coded, taken.factor.view));
        self.watched.gradients.push(GradientProduct { layer: self.layer, sources, taken, made });
    }

    /// An operand as a product takes it.
    pub(super) fn take(&mut self, operand: &Operand, arrangement: Arrangement, side: Side) -> Taken {
        match operand.shared {
            Some(coded) => Self::whole(&coded, arranged(coded.elements, arrangement, self.batch)),
            None => {
                let (coded, transposed) = self.cut(operand, arrangement, side);
                Self::in_blocks(&coded, transposed)
            }
        }
    }

    /// One of the matrices of an operand of `parts` under one another, as a product takes it.
    pub(super) fn take_part(&mut self, operand: &Operand, (part, parts): (usize, usize), transposed: bool, side: Side) -> Taken {
        match operand.shared {
            Some(coded) => {
                let matrix = part_of(coded.elements, part, parts);
                Self::whole(&coded, if transposed { matrix.transposed() } else { matrix.view() })
            }
            None => {
                let (coded, transposed) = self.cut(operand, Arrangement::Stacked { parts, transposed }, side);
                Self::in_blocks(&part_of_blocks(&coded, part, parts), transposed)
            }
        }
    }

    /// A view of codes that are scaled as a whole.
    pub(super) fn whole(coded: &Coded, view: TensorView) -> Taken {
        let (bias, power, multiplier) = match coded.scaling {
            Scaling::Power(power) => (0, Some(power.view()), None),
            Scaling::Factor(factor) => (0, None, Some(factor)),
            Scaling::Bias(bias) => (bias, None, None),
            // Blocks are cut by each product, and the other codes are expanded.
            Scaling::Blocks(_) | Scaling::Map { .. } | Scaling::Expansion(_) => (0, None, None),
        };
        Taken { factor: Factor { view, bias, power, scales: None }, coded: *coded, multiplier }
    }

    /// Codes in blocks, or their transpose.
    fn in_blocks(coded: &Coded, transposed: bool) -> Taken {
        let Scaling::Blocks(BlockScales { scales, factor, .. }) = coded.scaling else { unreachable!("cut into blocks") };
        let seen = |tensor: Tensor| if transposed { tensor.transposed() } else { tensor.view() };
        let view = Factor { view: seen(coded.elements), bias: 0, power: None, scales: Some(seen(scales)) };
        Taken { factor: view, coded: *coded, multiplier: factor }
    }

    /// Cuts an operand into blocks, and says whether its rows and columns are still to be
    /// exchanged: square blocks are the same for a tensor and its transpose.
    fn cut(&mut self, operand: &Operand, arrangement: Arrangement, side: Side) -> (Coded, bool) {
        let Some(blocks) = native_blocks(&operand.role) else { unreachable!("only operands in blocks are not shared") };
        let transposed_later = blocks.along == blocks.across && arrangement.is_transposed();
        let arrangement = if transposed_later { arrangement.stored() } else { arrangement };
        let block = match side {
            Side::A => (blocks.across, blocks.along),
            Side::B => (blocks.along, blocks.across),
        };
        let known = self
            .cuts
            .iter()
            .find(|cut| cut.source == operand.source && cut.arrangement == arrangement && cut.role == operand.role && cut.block == block);
        if let Some(cut) = known {
            return (cut.coded, transposed_later);
        }
        let view = arranged(operand.source, arrangement, self.batch);
        let (rows, cols) = (view.rows as usize, view.cols as usize);
        // Parts of whole blocks are cut together, others one by one.
        let part = rows / arrangement.parts();
        let together = block.0 != 0 && part.is_multiple_of(block.0 as usize);
        let (parts, part) = if together { (1, rows) } else { (arrangement.parts(), part) };
        let mut scaling = self.block_scales(&blocks, (part, cols), block);
        if parts > 1 {
            scaling.scales = self.memory.tensor(scaling.scales.format, parts * scaling.scales.rows, scaling.scales.cols);
            scaling.factor = scaling.factor.map(|factor| self.memory.tensor(factor.format, parts, 1));
        }
        let coded = Coded { elements: self.memory.tensor(operand.role.format, rows, cols), scaling: Scaling::Blocks(scaling) };
        for i in 0..parts {
            let rows = (i * part) as u32..((i + 1) * part) as u32;
            self.encode_into(&part_of_blocks(&coded, i, parts), view.of_rows(rows), &operand.role, operand.place);
        }
        self.cuts.push(Cut { source: operand.source, arrangement, role: operand.role, block, coded });
        (coded, transposed_later)
    }

    /// Computes a product of operands in two roles into `y`, rounded by `policy`: by way of
    /// `result`, the format of the design's converter, if there is one, and of the factors
    /// that whole operands have. Returns where the array left it, if elsewhere than in `y`.
    pub(super) fn product(
        &mut self,
        y: TensorView,
        result: Option<(Format, Policy)>,
        policy: Policy,
        (a, role_a): (Taken, &RoleFormat),
        (b, role_b): (Taken, &RoleFormat),
    ) -> Option<Tensor> {
        // `check` has found a mode for every pair of roles.
        let mode = mode(self.design, role_a, role_b).unwrap_or_default();
        let multipliers: Vec<Tensor> = [a.multiplier, b.multiplier].into_iter().flatten().collect();
        // Sums that wait for a factor are not yet rounded to a narrow result.
        let leaving = result.or_else(|| (!multipliers.is_empty()).then(|| (self.unscaled_format(mode), Policy::RNE)));
        let Some((format, drain)) = leaving.filter(|leaving| leaving.0 != y.format || !multipliers.is_empty()) else {
            let policy = result.map_or(policy, |(_, drain)| drain);
            self.emitter.gemm(mode, policy, y, a.factor, b.factor);
            return None;
        };
        let drained = self.memory.tensor(format, y.rows as usize, y.cols as usize);
        self.emitter.gemm(mode, drain, drained.view(), a.factor, b.factor);
        match multipliers[..] {
            [] => {
                self.emitter.round_by(policy);
                self.emitter.convert(y, drained);
            }
            [factor] => {
                self.emitter.round_by(policy);
                self.emitter.multiply(y, drained, factor);
            }
            [first, second, ..] => {
                let both = self.memory.tensor(first.format, 1, 1);
                self.emitter.round_by(Policy::RNE);
                self.emitter.multiply(both, first, second);
                self.emitter.round_by(policy);
                self.emitter.multiply(y, drained, both);
            }
        }
        Some(drained)
    }

    /// Computes the outputs of a product that a mask selects, and leaves the others in `d` as they are.
    pub(super) fn masked_product(
        &mut self,
        d: TensorView,
        policy: Policy,
        (a, role_a): (Taken, &RoleFormat),
        (b, role_b): (Taken, &RoleFormat),
        mask: Tensor,
    ) {
        let mode = mode(self.design, role_a, role_b).unwrap_or_default();
        self.emitter.masked_gemm(mode, policy, d, (a.factor, b.factor), mask);
    }

    /// The magnitudes of an operand, in codes of its own role.
    pub(super) fn magnitudes(&mut self, operand: &Operand) -> Operand {
        let source = operand.shared.map_or(operand.source, |coded| coded.elements);
        let magnitudes = self.memory.tensor(source.format, source.rows, source.cols);
        self.emitter.round_by(Policy::RNE.overflow(Overflow::Saturate));
        self.emitter.absolute(magnitudes, source);
        match operand.shared {
            Some(coded) => Self::ready(operand.role, operand.place, Coded { elements: magnitudes, ..coded }),
            None => Operand { source: magnitudes, ..*operand },
        }
    }

    /// Where sums wait for their factor: in the accumulator's format if memory and vector unit
    /// take it, else in the vector unit's.
    fn unscaled_format(&self, mode: usize) -> Format {
        let unit = self.design.vector.format;
        self.design
            .mac_modes()
            .get(mode)
            .map(|mode| mode.outermost())
            .filter(|format| !format.is_wide() && format.as_float().is_some() && format.precision() <= unit.precision())
            .unwrap_or(unit)
    }
}
