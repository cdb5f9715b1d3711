//! Outputs of forward products computed again from more precise operands: by condition number, or by lot.
//!
//! A first product gives v, the bias added. An output's condition number is n / |v|, that of a dot
//! product, times |v f'(v) / f(v)|, that of the activation function f behind it; n is the sum of the
//! magnitudes of the terms (El Arar et al. 2025). Where it exceeds the threshold a masked product
//! writes over the first.

use super::affine::{ACTIVATIONS, WEIGHTS, input_rows};
use super::memory::Tensor;
use super::operand::{self, Arrangement, Side};
use super::walk::{Operands, readers};
use super::{Context, LowerError, Parameter, Purpose};
use crate::layer::LayerSpec;
use crate::model::Layer;
use crate::recipe::{Backward, Numerator, Recipe, RoleFormat, Roles, Scale, Selection, Threshold};
use systole_isa::design::Design;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding};

/// What a layer computes again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Again {
    weights: RoleFormat,
    activations: RoleFormat,
    backward: Backward,
    rule: Rule,
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Nothing.
    Never,
    Condition {
        threshold: f64,
        numerator: Numerator,
        behind: Behind,
    },
    Random {
        /// Probability that an output is computed again.
        high: f64,
    },
}

/// What reads a layer's outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Tanh,
    Relu,
    /// All else, whose condition number is taken as 1.
    Other,
}

impl Behind {
    fn of(layers: &[Layer], index: usize) -> Self {
        let kinds = readers(layers, index + 1).into_iter().map(|reader| match layers[reader].spec {
            LayerSpec::Tanh(_) => Self::Tanh,
            LayerSpec::Relu(_) => Self::Relu,
            _ => Self::Other,
        });
        kinds.reduce(|one, other| if one == other { one } else { Self::Other }).unwrap_or(Self::Other)
    }
}

/// What each layer computes again.
pub(super) fn plan(recipe: &Recipe, layers: &[Layer], design: &Design) -> Result<Vec<Option<Again>>, LowerError> {
    let Some(recompute) = &recipe.recompute else { return Ok(vec![None; layers.len()]) };
    // Then the first product is the only one, forward and backward.
    let superfluous = recompute.is_idle() && recompute.backward == Backward::Coarse;
    let taking: Vec<usize> =
        recipe.recomputing(design, layers).into_iter().enumerate().filter_map(|(i, takes)| takes.then_some(i)).collect();
    if superfluous {
        return Ok(vec![None; layers.len()]);
    }
    if let Selection::Random { low } = &recompute.rule
        && low.len() != 1
        && low.len() != taking.len()
    {
        let layers = taking.iter().map(|&index| layers[index].name.clone()).collect();
        return Err(LowerError::Lots { given: low.len(), layers });
    }
    let again = |index: usize| {
        let place = taking.iter().position(|&taking| taking == index)?;
        let rule = match &recompute.rule {
            Selection::Condition { threshold: Threshold(f64::INFINITY), .. } => Rule::Never,
            Selection::Condition { threshold: Threshold(threshold), numerator } => {
                Rule::Condition { threshold: *threshold, numerator: *numerator, behind: Behind::of(layers, index) }
            }
            Selection::Random { low } => Rule::Random { high: 1.0 - low.get(place).or(low.first()).copied().unwrap_or(0.0) },
        };
        Some(Again { weights: recompute.weights, activations: recompute.activations, backward: recompute.backward, rule })
    };
    Ok((0..layers.len()).map(again).collect())
}

impl Again {
    /// Weights and activations as the backward products take them, if not those of the first product.
    pub(super) fn backward(&self) -> Option<(&RoleFormat, &RoleFormat)> {
        (self.backward == Backward::Fine).then_some((&self.weights, &self.activations))
    }

    /// Its roles with their names.
    pub(super) fn roles(&self) -> [(&'static str, RoleFormat); 2] {
        [("recompute.weights", self.weights), ("recompute.activations", self.activations)]
    }

    /// Refuses what cannot be computed again on the design.
    pub(super) fn check(&self, design: &Design, layer: &Layer, roles: &Roles<RoleFormat>) -> Result<(), LowerError> {
        operand::check(design, "the product computed again (activations x weights)", &self.activations, &self.weights)?;
        let converted = design.output.format.is_some_and(|format| format != roles.vector.format);
        let factors = |role: &RoleFormat| match role.scale {
            Scale::Current { powers } => !powers,
            Scale::Delayed { .. } => true,
            Scale::Blocks(blocks) => blocks.two_level,
            _ => false,
        };
        for (role, format) in [("weights", &roles.weights), ("activations", &roles.activations)] {
            if converted && format.expand.is_none() && factors(format) {
                return Err(LowerError::Recompute { layer: layer.name.clone(), role });
            }
        }
        Ok(())
    }
}

/// Masks: an element is not zero where an output is selected.
const MASK: Format = Format::E5M2;

impl Context<'_> {
    /// Computes selected outputs of a layer's product again. `coarse` are the operands of the first
    /// product, which left its results in `y` by way of `drained`; returns those of the backward ones.
    pub(super) fn compute_again(
        &mut self,
        again: &Again,
        purpose: Purpose,
        layer: &Layer,
        coarse: Operands,
        (x, parameters): (Tensor, &[Parameter]),
        (y, drained): (Tensor, Option<Tensor>),
    ) -> Operands {
        let mask = match again.rule {
            Rule::Never => None,
            Rule::Random { high } => {
                self.emitter.region(&format!("{} condition", layer.name));
                Some(self.lots(high, y))
            }
            Rule::Condition { threshold, numerator, behind } => {
                self.emitter.region(&format!("{} condition", layer.name));
                let magnitudes = match numerator {
                    Numerator::Exact => self.sums_of_magnitudes(layer, &coarse, y),
                    Numerator::RowBound => self.bounds_of_sums(layer, x, &parameters[0], y),
                };
                let condition = self.condition(magnitudes, y, parameters.get(1), behind);
                Some(self.beyond(condition, threshold))
            }
        };
        let backward = purpose == Purpose::Train && again.backward == Backward::Fine;
        if mask.is_none() && !backward {
            return coarse;
        }
        self.emitter.region(&format!("{} recompute", layer.name));
        let master = self.values(&parameters[0].master);
        let fine = Operands { x: self.operand(x, again.activations, ACTIVATIONS), weight: self.operand(master, again.weights, WEIGHTS) };
        if let Some(mask) = mask {
            let roles = self.roles();
            let (a, b) = (self.take(&fine.x, input_rows(layer), Side::A), self.take(&fine.weight, Arrangement::Stored, Side::B));
            let (a, b) = ((a, &again.activations), (b, &again.weights));
            let result = self.result();
            match (result.filter(|(format, _)| *format != y.format), drained) {
                (Some((_, drain)), Some(drained)) => {
                    self.masked_product(drained.view(), drain, a, b, mask);
                    self.round_as_vector();
                    self.emitter.convert(y, drained);
                }
                _ => self.masked_product(y.view(), result.map_or(roles.vector.policy(), |(_, drain)| drain), a, b, mask),
            }
        }
        self.emitter.region(&format!("{} forward", layer.name));
        if again.backward == Backward::Fine { fine } else { coarse }
    }

    /// |x| |W| on the array, in the mode of the first product.
    fn sums_of_magnitudes(&mut self, layer: &Layer, coarse: &Operands, y: Tensor) -> Tensor {
        let operands = Operands { x: self.magnitudes(&coarse.x), weight: self.magnitudes(&coarse.weight) };
        let sums = self.vector(y.rows, y.cols);
        self.forward_product(layer, &operands, sums, Policy::RNE);
        sums
    }

    /// The 1-norm of each output's weights times the largest magnitude they meet.
    fn bounds_of_sums(&mut self, layer: &Layer, x: Tensor, weight: &Parameter, y: Tensor) -> Tensor {
        let master = self.values(&weight.master);
        let magnitudes = self.vector(master.rows, master.cols);
        let (norms, peaks, bounds) = (self.vector(1, y.cols), self.vector(y.rows, 1), self.vector(y.rows, y.cols));
        let input = match input_rows(layer) {
            Arrangement::Windows(window) => x.windows(window, self.batch),
            _ => x.view(),
        };
        self.emitter.round_by(Policy::RNE);
        self.emitter.blocks(0, 0);
        self.emitter.absolute(magnitudes, master);
        self.emitter.sum(norms, magnitudes);
        self.emitter.largest(peaks, input);
        self.emitter.multiply(bounds, peaks, norms);
        bounds
    }

    /// Condition numbers of outputs, each operation rounded to nearest: `n` over the magnitude of v =
    /// `product` + bias, times that of the activation function behind.
    ///
    /// | behind | n / \|v\| times its condition number |
    /// |---|---|
    /// | tanh | n (1 - t^2) / \|t\|, t = tanh v, as 2 \|v\| / sinh 2\|v\| = \|v\| (1 - t^2) / \|t\| |
    /// | ReLU | n / \|v\|, 0 where v < 0 |
    /// | else | n / \|v\| |
    fn condition(&mut self, mut n: Tensor, product: Tensor, bias: Option<&Parameter>, behind: Behind) -> Tensor {
        let (rows, cols) = (product.rows, product.cols);
        let [mut v, magnitude, condition] = [(); 3].map(|()| self.vector(rows, cols));
        match bias {
            Some(bias) => {
                let bias = self.values(&bias.master);
                let size = self.vector(1, cols);
                self.round_as_vector();
                self.emitter.add(v, product, bias);
                self.emitter.round_by(Policy::RNE);
                self.emitter.absolute(size, bias);
                self.emitter.add(n, n, size);
            }
            None => v = product,
        }
        self.emitter.round_by(Policy::RNE);
        match behind {
            Behind::Tanh => {
                let one = self.constant(1.0);
                let [value, square, slope, scaled] = [(); 4].map(|()| self.vector(rows, cols));
                self.emitter.tanh(value, v);
                self.emitter.multiply(square, value, value);
                self.emitter.subtract(slope, one, square);
                self.emitter.multiply(scaled, n, slope);
                (v, n) = (value, scaled);
            }
            Behind::Relu => {
                let [negated, below, above] = [(); 3].map(|()| self.vector(rows, cols));
                self.emitter.negate(negated, v);
                self.emitter.gate(below, n, negated);
                self.emitter.subtract(above, n, below);
                n = above;
            }
            Behind::Other => {}
        }
        self.emitter.absolute(magnitude, v);
        self.emitter.divide(condition, n, magnitude);
        condition
    }

    /// A mask of what is not at most a threshold, NaN among it: rounded upward from the exact difference,
    /// no excess is too small.
    fn beyond(&mut self, condition: Tensor, threshold: f64) -> Tensor {
        let threshold = self.constant(threshold);
        let [excess, mask] = [(); 2].map(|()| self.memory.tensor(MASK, condition.rows, condition.cols));
        self.emitter.round_by(Policy::new(Rounding::Rup));
        self.emitter.subtract(excess, condition, threshold);
        self.emitter.relu(mask, excess);
        mask
    }

    /// A mask that selects every element of `y` with probability `high`, in steps of 2^-24.
    fn lots(&mut self, high: f64, y: Tensor) -> Tensor {
        let high = self.constant(high);
        // 1 in an integer format is what stochastic rounding makes of a fraction now and then.
        let mask = self.memory.tensor(Format::INT8, y.rows, y.cols);
        self.emitter.round_by(Policy::new(Rounding::Sr(24)));
        self.emitter.convert(mask, high);
        mask
    }
}
