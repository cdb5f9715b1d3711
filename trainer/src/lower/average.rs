//! Averages of the weights, and the model that has them.

use super::coded::Coded;
use super::{Average, Context, LowerError, Parameter, Purpose, Scalar, State, operand};
use crate::layer::LayerSpec;
use crate::recipe::{Averaging, RoleFormat, Roles};
use systole_isa::round::Policy;

impl Context<'_> {
    /// Writes the programs. Averages are held, and their model computed, without quantisation:
    /// in the vector role's format, products in the operands that `averaging` names.
    pub(super) fn average(
        &mut self,
        state: &State<'_>,
        averaging: Averaging,
        buffers: Vec<Vec<super::Tensor>>,
    ) -> Result<Average, LowerError> {
        let vector = self.base.vector;
        let operands = RoleFormat::new(averaging.operands.unwrap_or(vector.format));
        operand::check(self.design, "products of the averaged model", &operands, &operands)?;
        // The average takes the weights as products take them.
        let share = self.scalar(Scalar::Share);
        let mut averages = Vec::new();
        for (i, parameters) in state.parameters.iter().enumerate() {
            self.layer = i;
            self.emitter.region("average");
            let mut of_layer = Vec::new();
            for (index, parameter) in parameters.iter().enumerate() {
                let multiplied = index == 0 && operand::multiplies(&state.layers[i].spec);
                let weight = if multiplied { self.as_operand(parameter) } else { self.values(&parameter.master) };
                let mean = self.memory.tensor(vector.format, parameter.rows, parameter.cols);
                let distance = self.memory.tensor(vector.format, parameter.rows, parameter.cols);
                self.emitter.round_by(Policy::RNE);
                self.emitter.subtract(distance, weight, mean);
                self.emitter.multiply_add(mean, distance, share, mean);
                of_layer.push(Parameter {
                    master: Coded::plain(mean),
                    role: vector,
                    staging: None,
                    momentum: None,
                    variance: None,
                    compensation: None,
                    previous: None,
                    ..*parameter
                });
            }
            averages.push(of_layer);
        }
        let take = self.finish();
        let plain = Roles { weights: operands, activations: operands, errors: operands, ..self.base };
        let roles = std::mem::replace(&mut self.by_layer, vec![plain; state.layers.len()]);
        let again = std::mem::replace(&mut self.again, vec![None; state.layers.len()]);
        let averaged = State { parameters: &averages, buffers: &buffers, ..*state };
        let normalises = state.layers.iter().any(|l| matches!(l.spec, LayerSpec::BatchNorm(_)));
        if normalises {
            self.forward(&averaged, Purpose::Reestimate);
        }
        let statistics = self.finish();
        self.forward(&averaged, Purpose::Evaluate);
        let evaluate = self.finish();
        (self.by_layer, self.again) = (roles, again);
        let tensors = averages.iter().flatten().map(|p| p.master.elements).collect();
        Ok(Average { take, statistics, evaluate, tensors, buffers })
    }
}
