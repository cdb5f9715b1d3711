//! Where a training step rounds tensors to roles, for those who look at its memory afterwards.
//!
//! Whatever [`Context::encode`] and what stands beside it write into a program is noted here, so
//! every role and scale that goes through them is seen. Notes cost a program nothing: every tensor
//! has an address of its own, so what was rounded and what came of it still lie in memory when the
//! step has run.

use super::Context;
use super::coded::{Coded, Place};
use super::memory::Tensor;
use crate::recipe::RoleFormat;
use systole_isa::view::TensorView;

/// What a step's programs leave to be looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// Tensors rounded to roles, in the order of the programs.
    pub roundings: Vec<Rounding>,
    /// Weight gradients made by the array.
    pub gradients: Vec<GradientProduct>,
}

/// A tensor rounded to a role.
#[derive(Clone, Debug)]
pub(crate) struct Rounding {
    /// Index of the layer.
    pub layer: usize,
    /// The role's name.
    pub role: &'static str,
    /// Which of the layer's tensors in that role.
    pub index: usize,
    /// The part of the step that rounds it: `forward`, `error`, `gradient` or `update`.
    pub pass: String,
    /// The role.
    pub format: RoleFormat,
    /// The tensor before.
    pub source: Source,
    /// Its codes.
    pub coded: Coded,
    /// What products take of them: the codes, or what they are expanded to.
    pub taken: Coded,
}

/// Values before they were rounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    /// Where they lie.
    pub view: TensorView,
    /// Whether those below 0 count as 0: a rectifier rounded its result at once.
    pub rectified: bool,
}

/// The product that makes a layer's weight gradient, `[n][in]` transposed times `[n][out]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GradientProduct {
    /// Index of the layer.
    pub layer: usize,
    /// Errors, `[out][n]`, and activations, `[n][in]`, before they were rounded.
    pub sources: [Source; 2],
    /// The same as the product took them: what the codes lie in, and how they were read.
    pub taken: [(Coded, TensorView); 2],
    /// The gradient as it left the array, `[in][out]`.
    pub made: Tensor,
}

impl Context<'_> {
    /// The values a view reads as they were before a rectifier rounded them, if one did.
    pub(super) fn source(&self, view: TensorView) -> Source {
        match self.rectified.get(&view.address) {
            Some(unrounded) => {
                Source { view: TensorView { address: unrounded.address, format: unrounded.format, ..view }, rectified: true }
            }
            None => Source { view, rectified: false },
        }
    }

    /// Notes a rounding of what `x` reads. Of several into the same codes only the last can be
    /// seen afterwards.
    pub(super) fn note(&mut self, coded: &Coded, x: TensorView, role: &RoleFormat, place: Place) {
        let note = Rounding {
            layer: self.layer,
            role: place.role,
            index: place.index,
            pass: self.emitter.pass(),
            format: *role,
            source: self.source(x),
            coded: *coded,
            taken: *coded,
        };
        let same = |other: &Rounding| {
            other.coded.elements == coded.elements && (other.layer, other.role, other.index) == (note.layer, note.role, note.index)
        };
        self.watched.roundings.retain(|other| !same(other));
        self.watched.roundings.push(note);
    }

    /// Notes that products take codes as another tensor.
    pub(super) fn note_expansion(&mut self, coded: &Coded, taken: Coded) {
        for note in self.watched.roundings.iter_mut().filter(|note| note.coded.elements == coded.elements) {
            note.taken = taken;
        }
    }
}
