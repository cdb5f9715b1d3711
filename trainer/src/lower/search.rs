//! Programs of steps that are tried before they are taken, each on every rung of a ladder.

use super::coded::Coded;
use super::{Context, LowerError, Purpose, Scalar, State, Tensor, Watched, check};
use crate::recipe::Roles;
use systole_isa::program::Program;
use systole_isa::round::Policy;

/// What a step that is tried is made of.
#[derive(Clone, Debug)]
pub struct Trials {
    /// What depends on the precision, the cheapest rung first.
    pub rungs: Vec<Rung>,
    /// Keeps the weights and moves them by the rate times the direction.
    pub advance: Program,
    /// The kept weights take their places again.
    pub back: Program,
    /// The direction becomes the momentum.
    pub settle: Program,
    /// |G|^2, one element.
    pub squares: Tensor,
    /// g G, one element; |G|^2 itself without momentum.
    pub product: Tensor,
    /// The sum of all weights' squares, one element, where they decay.
    pub weights: Option<Tensor>,
}

/// Programs in one precision.
#[derive(Clone, Debug)]
pub struct Rung {
    /// Loss, gradients and direction.
    pub slope: Program,
    /// The loss alone.
    pub loss: Program,
    /// One evaluation batch: forward only.
    pub evaluate: Program,
    /// What the slope rounds.
    pub(crate) watched: Watched,
}

/// What all rungs share.
struct Shared {
    /// By layer and parameter.
    directions: Vec<Vec<Tensor>>,
    squares: Tensor,
    product: Tensor,
    weights: Option<Tensor>,
}

impl Context<'_> {
    pub(super) fn trials(&mut self, state: &State<'_>) -> Result<Trials, LowerError> {
        let shared = self.shared(state);
        let rungs = match &self.recipe.precision {
            Some(precision) => precision.rungs.clone(),
            None => vec![Roles::default()],
        };
        let of_recipe = self.by_layer.clone();
        let mut programs = Vec::with_capacity(rungs.len());
        for rung in &rungs {
            self.by_layer = self.recipe.resolve_with(rung, self.design, state.layers);
            check(state.layers, &self.by_layer, &self.again, self.recipe, self.design)?;
            programs.push(self.rung(state, &shared));
        }
        self.by_layer = of_recipe;
        // Whatever some rung rounds.
        self.watched = Watched {
            roundings: programs.iter().flat_map(|rung| rung.watched.roundings.clone()).collect(),
            gradients: programs.iter().flat_map(|rung| rung.watched.gradients.clone()).collect(),
        };
        let kept: Vec<Vec<Tensor>> = self.each(state, |cx, layer, index| {
            let master = state.parameters[layer][index].master.elements;
            cx.memory.tensor(master.format, master.rows, master.cols)
        });
        self.each(state, |cx, layer, index| {
            let parameter = &state.parameters[layer][index];
            cx.emitter.region("advance");
            cx.emitter.round_by(Policy::RNE);
            cx.emitter.convert(kept[layer][index], parameter.master.elements);
            let rate = cx.scalar(Scalar::NegatedRate);
            cx.step((shared.directions[layer][index], rate), parameter);
        });
        let advance = self.finish();
        self.each(state, |cx, layer, index| {
            cx.emitter.region("back");
            cx.emitter.round_by(Policy::RNE);
            cx.emitter.convert(state.parameters[layer][index].master.elements, kept[layer][index]);
        });
        let back = self.finish();
        self.each(state, |cx, layer, index| {
            if let Some(momentum) = state.parameters[layer][index].momentum {
                cx.emitter.region("settle");
                cx.emitter.round_by(Policy::RNE);
                cx.emitter.convert(momentum.elements, shared.directions[layer][index]);
            }
        });
        let settle = self.finish();
        let Shared { squares, product, weights, .. } = shared;
        Ok(Trials { rungs: programs, advance, back, settle, squares, product, weights })
    }

    /// What `of` makes of every parameter, given its layer and index there.
    fn each<T>(&mut self, state: &State<'_>, mut of: impl FnMut(&mut Self, usize, usize) -> T) -> Vec<Vec<T>> {
        let mut all = Vec::with_capacity(state.parameters.len());
        for (layer, parameters) in state.parameters.iter().enumerate() {
            self.layer = layer;
            all.push((0..parameters.len()).map(|index| of(self, layer, index)).collect());
        }
        self.layer = super::OUTSIDE;
        all
    }

    fn shared(&mut self, state: &State<'_>) -> Shared {
        let directions = self.each(state, |cx, layer, index| {
            let parameter = &state.parameters[layer][index];
            let format = parameter.momentum.map_or(cx.roles().update.format, |momentum| momentum.elements.format);
            cx.memory.tensor(format, parameter.rows, parameter.cols)
        });
        let squares = self.update_tensor(1, 1);
        let product = if self.recipe.optimizer.has_momentum() { self.update_tensor(1, 1) } else { squares };
        let weights = (self.recipe.optimizer.weight_decay != 0.0).then(|| self.update_tensor(1, 1));
        Shared { directions, squares, product, weights }
    }

    fn rung(&mut self, state: &State<'_>, shared: &Shared) -> Rung {
        let gradients = self.gradients(state);
        self.direction(state, &gradients, shared);
        self.weights_squared(state, shared);
        let slope = self.finish();
        let watched = std::mem::take(&mut self.watched);
        self.forward(state, Purpose::Try);
        self.layer = super::OUTSIDE;
        self.emitter.region("loss");
        self.loss_alone(state);
        self.weights_squared(state, shared);
        let loss = self.finish();
        self.forward(state, Purpose::Evaluate);
        let evaluate = self.finish();
        Rung { slope, loss, evaluate, watched }
    }

    /// G of every parameter, and what its norm is made of.
    fn direction(&mut self, state: &State<'_>, gradients: &[Vec<Coded>], shared: &Shared) {
        let keep = self.recipe.optimizer.momentum;
        let pairs = self.each(state, |cx, layer, index| {
            cx.emitter.region("direction");
            let parameter = &state.parameters[layer][index];
            let direction = shared.directions[layer][index];
            let gradient = cx.gradient(gradients[layer][index]);
            let gradient = cx.decayed(gradient, parameter);
            match parameter.momentum {
                Some(momentum) => {
                    let role = cx.roles().momentum;
                    let keep = cx.update_constant(keep);
                    cx.emitter.round_by(role.policy());
                    cx.emitter.multiply_add(direction, momentum.elements, keep, gradient);
                }
                None => {
                    cx.round_as_update();
                    cx.emitter.convert(direction, gradient);
                }
            }
            (gradient, direction)
        });
        let pairs: Vec<(Tensor, Tensor)> = pairs.into_iter().flatten().collect();
        let squared: Vec<(Tensor, Tensor)> = pairs.iter().map(|&(_, direction)| (direction, direction)).collect();
        self.dot(shared.squares, &squared);
        if shared.product != shared.squares {
            self.dot(shared.product, &pairs);
        }
    }

    fn weights_squared(&mut self, state: &State<'_>, shared: &Shared) {
        if let Some(sum) = shared.weights {
            self.emitter.region("decay");
            let weights: Vec<(Tensor, Tensor)> =
                state.parameters.iter().flatten().map(|p| (p.master.elements, p.master.elements)).collect();
            self.dot(sum, &weights);
        }
    }

    /// The sum over all pairs of the sums of their elements' products: by column, by tensor,
    /// over tensors.
    fn dot(&mut self, to: Tensor, pairs: &[(Tensor, Tensor)]) {
        let each = self.update_tensor(1, pairs.len().max(1));
        self.emitter.blocks(0, 0);
        self.round_as_update();
        for (i, &(a, b)) in pairs.iter().enumerate() {
            let products = self.update_tensor(a.rows, a.cols);
            let columns = self.update_tensor(1, a.cols);
            self.emitter.multiply(products, a, b);
            self.emitter.sum(columns, products);
            self.emitter.sum(each.element(i), columns);
        }
        self.emitter.sum(to, each);
    }
}
