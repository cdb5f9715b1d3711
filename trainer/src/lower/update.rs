//! The optimizer's step: gradients, states and master weights, each line one rounding.

use super::coded::{Coded, Place};
use super::memory::Tensor;
use super::{Context, Parameter, Scalar};
use crate::optimizer::{Compensation, Decayed, Rule};
use crate::recipe::{LossScale, RoleFormat};
use systole_isa::round::Policy;

/// What is added to a weight: the product of two tensors, the second of one element.
type Step = (Tensor, Tensor);

impl Parameter {
    /// The parameter, or a state of it, in a role.
    const fn place(&self, role: &'static str) -> Place {
        Place { role, index: self.index }
    }
}

impl Context<'_> {
    /// Moves a parameter by its gradient.
    pub(super) fn update(&mut self, gradient: Coded, parameter: &Parameter) {
        let gradient = self.gradient(gradient);
        match self.recipe.optimizer.rule {
            Rule::Sgd | Rule::TrustRegion(_) => {
                let gradient = self.decayed(gradient, parameter);
                let momentum = self.momentum(gradient, parameter);
                let rate = self.scalar(Scalar::NegatedRate);
                self.step((momentum, rate), parameter);
            }
            Rule::Adam { decoupled, .. } => {
                let gradient = if decoupled { gradient } else { self.decayed(gradient, parameter) };
                let step = self.adam(gradient, parameter);
                self.step(step, parameter);
                if decoupled && self.recipe.optimizer.weight_decay != 0.0 {
                    self.shrink(parameter);
                }
            }
        }
    }

    /// The gradient's values without the loss scale.
    pub(super) fn gradient(&mut self, gradient: Coded) -> Tensor {
        let values = self.updating_values(&gradient);
        let Some(inverse) = self.unscale() else { return values };
        let unscaled = self.update_tensor(values.rows, values.cols);
        self.round_as_update();
        self.emitter.multiply(unscaled, values, inverse);
        unscaled
    }

    /// What the gradient is multiplied by, if the loss is scaled.
    fn unscale(&mut self) -> Option<Tensor> {
        match self.recipe.loss_scale {
            LossScale::Static(1.0) => None,
            LossScale::Static(scale) => Some(self.update_constant(1.0 / scale)),
            LossScale::Dynamic(_) => Some(self.scalar(Scalar::Unscale)),
        }
    }

    /// g + decay w.
    pub(super) fn decayed(&mut self, gradient: Tensor, parameter: &Parameter) -> Tensor {
        let optimizer = &self.recipe.optimizer;
        let (decay, decayed) = (optimizer.weight_decay, optimizer.decayed);
        if decay == 0.0 {
            return gradient;
        }
        // Biases and normalisation have no operand.
        let taken = self.taken.get(&parameter.layer).copied().filter(|_| parameter.index == 0 && decayed == Decayed::Operand);
        let weight = match (taken, parameter.previous) {
            (Some(_), Some(previous)) => previous,
            (Some(coded), None) => self.updating_values(&coded),
            (None, _) => self.weight_values(parameter),
        };
        let sum = self.update_tensor(gradient.rows, gradient.cols);
        let decay = self.update_constant(decay);
        self.round_as_update();
        self.emitter.multiply_add(sum, weight, decay, gradient);
        sum
    }

    /// v <- keep v + g; the gradient itself where no momentum is kept.
    fn momentum(&mut self, gradient: Tensor, parameter: &Parameter) -> Tensor {
        let Some(momentum) = parameter.momentum else { return gradient };
        let role = self.roles().momentum;
        let keep = self.update_constant(self.recipe.optimizer.momentum);
        self.updated(&momentum, &role, parameter.place("momentum"), |cx, to, from| cx.emitter.multiply_add(to, from, keep, gradient))
    }

    /// Applies `compute` to a state: in place where its codes are its values, else on the
    /// values, which are stored afterwards. Returns the new values.
    fn updated(&mut self, state: &Coded, role: &RoleFormat, place: Place, compute: impl FnOnce(&mut Self, Tensor, Tensor)) -> Tensor {
        if role.is_plain() && role.bias == 0 {
            self.emitter.round_by(role.policy());
            compute(self, state.elements, state.elements);
            return state.elements;
        }
        let old = self.updating_values(state);
        let new = self.update_tensor(old.rows, old.cols);
        self.round_as_update();
        compute(self, new, old);
        self.encode_into(state, new.view(), role, place);
        new
    }

    /// Moments and the step they make.
    fn adam(&mut self, gradient: Tensor, parameter: &Parameter) -> Step {
        let (Rule::Adam { beta1, beta2, .. }, Some(first), Some(second)) =
            (self.recipe.optimizer.rule, parameter.momentum, parameter.variance)
        else {
            unreachable!("states of Adam")
        };
        let (rows, cols) = (gradient.rows, gradient.cols);
        let roles = self.roles();
        let [keep1, take1, keep2, take2] = [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(|x| self.update_constant(x));
        let [share, square, squares, root, raised, ratio] = [(); 6].map(|()| self.update_tensor(rows, cols));
        self.round_as_update();
        self.emitter.multiply(share, gradient, take1);
        let m = self
            .updated(&first, &roles.momentum, parameter.place("momentum"), |cx, to, from| cx.emitter.multiply_add(to, from, keep1, share));
        self.round_as_update();
        self.emitter.multiply(square, gradient, gradient);
        self.emitter.multiply(squares, square, take2);
        let v = self.updated(&second, &roles.variance, parameter.place("variance"), |cx, to, from| {
            cx.emitter.multiply_add(to, from, keep2, squares)
        });
        let [epsilon, step] = [Scalar::Epsilon, Scalar::NegatedRate].map(|s| self.scalar(s));
        self.round_as_update();
        self.emitter.root(root, v);
        self.emitter.add(raised, root, epsilon);
        self.emitter.divide(ratio, m, raised);
        (ratio, step)
    }

    /// w <- w (1 - rate decay).
    fn shrink(&mut self, parameter: &Parameter) {
        let shrink = self.scalar(Scalar::Shrink);
        self.updated(&parameter.master, &parameter.role, parameter.place("master_weights"), |cx, to, from| {
            cx.emitter.multiply(to, from, shrink)
        });
    }

    /// w <- w + a b.
    pub(super) fn step(&mut self, (a, b): Step, parameter: &Parameter) {
        let Parameter { rows, cols, master, role, .. } = *parameter;
        let Some(kept) = parameter.compensation else {
            self.updated(&master, &role, parameter.place("master_weights"), |cx, to, from| cx.emitter.multiply_add(to, a, b, from));
            return;
        };
        let roles = self.roles();
        let lost = self.updating_values(&kept);
        let [sum, rest] = [(); 2].map(|()| self.update_tensor(rows, cols));
        match self.recipe.optimizer.compensation {
            Compensation::None => {}
            Compensation::Kahan => {
                // What the weight did not take of step + lost is lost once more.
                let old = self.updating_values(&master);
                let new = self.memory.tensor(role.format, rows, cols);
                let taken = self.update_tensor(rows, cols);
                self.round_as_update();
                self.emitter.multiply_add(sum, a, b, lost);
                self.emitter.round_by(role.policy());
                self.emitter.add(new, old, sum);
                self.round_as_update();
                self.emitter.subtract(taken, new, old);
                self.emitter.subtract(rest, sum, taken);
                self.emitter.round_by(Policy::RNE);
                self.emitter.convert(master.elements, new);
            }
            Compensation::Residual => {
                // The weight is its operand and the rest together.
                let old = self.weight_values(parameter);
                let new = self.memory.tensor(roles.master_weights.format, rows, cols);
                self.emitter.round_by(roles.master_weights.policy());
                self.emitter.multiply_add(new, a, b, old);
                self.emitter.round_by(role.policy());
                self.emitter.convert(master.elements, new);
                self.note(&master, new.view(), &role, parameter.place("weights"));
                self.round_as_update();
                self.emitter.subtract(rest, new, master.elements);
            }
            Compensation::ErrorFeedback => {
                self.round_as_update();
                self.emitter.multiply_add(sum, a, b, lost);
                let coded = self.encode(sum, &roles.steps, parameter.place("steps"));
                let quantised = self.updating_values(&coded);
                self.round_as_update();
                self.emitter.subtract(rest, sum, quantised);
                self.updated(&master, &role, parameter.place("master_weights"), |cx, to, from| cx.emitter.add(to, from, quantised));
            }
        }
        self.encode_into(&kept, rest.view(), &roles.compensation, parameter.place("compensation"));
    }

    /// The host's initial weights into their format, and what that loses into a residual.
    pub(super) fn first_weights(&mut self, parameter: &Parameter, staging: Tensor) {
        let kept = parameter.compensation.filter(|_| self.recipe.optimizer.compensation == Compensation::Residual);
        let Some(kept) = kept else {
            return self.encode_into(&parameter.master, staging.view(), &parameter.role, parameter.place("master_weights"));
        };
        let roles = self.roles();
        let whole = self.memory.tensor(roles.master_weights.format, parameter.rows, parameter.cols);
        let rest = self.update_tensor(parameter.rows, parameter.cols);
        self.emitter.round_by(roles.master_weights.policy());
        self.emitter.convert(whole, staging);
        self.encode_into(&parameter.master, whole.view(), &parameter.role, parameter.place("weights"));
        self.round_as_update();
        self.emitter.subtract(rest, whole, parameter.master.elements);
        self.encode_into(&kept, rest.view(), &roles.compensation, parameter.place("compensation"));
    }

    /// The weight as it is updated: with what a residual holds.
    fn weight_values(&mut self, parameter: &Parameter) -> Tensor {
        let weight = self.updating_values(&parameter.master);
        match (self.recipe.optimizer.compensation, parameter.compensation) {
            (Compensation::Residual, Some(kept)) => {
                let rest = self.updating_values(&kept);
                let whole = self.update_tensor(weight.rows, weight.cols);
                self.round_as_update();
                self.emitter.add(whole, weight, rest);
                whole
            }
            _ => weight,
        }
    }

    /// The values of weights as products would take them now.
    pub(super) fn as_operand(&mut self, parameter: &Parameter) -> Tensor {
        if let Some(previous) = parameter.previous {
            return previous;
        }
        let role = self.roles().weights;
        let values = self.values(&parameter.master);
        let recording = std::mem::replace(&mut self.recording, false);
        let coded = self.encode(values, &role, Place { role: "weights", index: 0 });
        self.recording = recording;
        self.updating_values(&coded)
    }

    /// Codes as values in the update role's format, unless they are values already.
    fn updating_values(&mut self, coded: &Coded) -> Tensor {
        if coded.is_plain() {
            return coded.elements;
        }
        let update = self.roles().update;
        self.decode(coded, update.format, update.policy())
    }
}
