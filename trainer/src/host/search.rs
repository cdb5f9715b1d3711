//! Steps within a trust region, on the host.

use super::{Loss, Matrix, Network, State, cross_entropy};
use crate::layer::Pass;
use crate::optimizer::Optimizer;
use crate::search::{Objective, Slope};
use std::convert::Infallible;

/// A network's loss on one batch.
pub(super) struct Trial<'a> {
    network: &'a mut Network<f32>,
    optimizer: &'a Optimizer,
    /// By layer.
    momentum: &'a mut Vec<Vec<Matrix<f32>>>,
    values: Vec<f32>,
    labels: Vec<usize>,
    /// At the first slope.
    loss: Option<Loss<f32>>,
    direction: Vec<Vec<Matrix<f32>>>,
    before: Vec<Vec<Matrix<f32>>>,
}

fn dot<'a>(a: impl IntoIterator<Item = &'a Matrix<f32>>, b: impl IntoIterator<Item = &'a Matrix<f32>>) -> f64 {
    let values = |m: &'a Matrix<f32>| m.values.iter().map(|v| f64::from(*v));
    let pairs = a.into_iter().flat_map(values).zip(b.into_iter().flat_map(values));
    pairs.map(|(a, b)| a * b).sum()
}

impl<'a> Trial<'a> {
    pub fn new(
        network: &'a mut Network<f32>,
        optimizer: &'a Optimizer,
        state: &'a mut State<f32>,
        values: Vec<f32>,
        labels: Vec<usize>,
    ) -> Self {
        let (direction, before) = (Vec::new(), Vec::new());
        Self { network, optimizer, momentum: &mut state.first, values, labels, loss: None, direction, before }
    }

    /// The loss at the first point.
    pub fn loss(mut self) -> Loss<f32> {
        match self.loss.take() {
            Some(loss) => loss,
            None => cross_entropy(self.network.forward(self.values, Pass::Training).logits(), &self.labels),
        }
    }

    /// The loss with what the weights' decay minimises beside.
    fn penalised(&self, loss: f64) -> f64 {
        let weights = self.network.parameters.iter().flatten();
        loss + self.optimizer.weight_decay / 2.0 * dot(weights.clone(), weights)
    }
}

impl Objective for Trial<'_> {
    type Error = Infallible;

    fn slope(&mut self, _: usize) -> Result<Slope, Infallible> {
        let trace = self.network.forward(self.values.clone(), Pass::Training);
        let loss = cross_entropy(trace.logits(), &self.labels);
        let mut gradients = self.network.backward(&trace, loss.gradient.clone());
        let decay = self.optimizer.weight_decay as f32;
        for (g, w) in gradients.iter_mut().flatten().zip(self.network.parameters.iter().flatten()) {
            g.values.iter_mut().zip(&w.values).for_each(|(g, w)| *g += decay * w);
        }
        let keep = self.optimizer.momentum as f32;
        let mut direction = self.momentum.clone();
        for (v, g) in direction.iter_mut().flatten().zip(gradients.iter().flatten()) {
            v.values.iter_mut().zip(&g.values).for_each(|(v, g)| *v = keep * *v + g);
        }
        let value = self.penalised(loss.mean);
        if self.loss.is_none() {
            self.network.track(&trace);
            self.loss = Some(loss);
        }
        let [product, squares] = [gradients.iter().flatten(), direction.iter().flatten()].map(|of| dot(of, direction.iter().flatten()));
        self.direction = direction;
        Ok(Slope { loss: value, norm: squares.sqrt(), product })
    }

    fn loss(&mut self, _: usize) -> Result<f64, Infallible> {
        let trace = self.network.forward(self.values.clone(), Pass::Training);
        Ok(self.penalised(cross_entropy(trace.logits(), &self.labels).mean))
    }

    fn advance(&mut self, factor: f64) -> Result<(), Infallible> {
        self.before = self.network.parameters.clone();
        for (w, v) in self.network.parameters.iter_mut().flatten().zip(self.direction.iter().flatten()) {
            w.values.iter_mut().zip(&v.values).for_each(|(w, v)| *w += factor as f32 * v);
        }
        Ok(())
    }

    fn back(&mut self) -> Result<(), Infallible> {
        self.network.parameters.clone_from(&self.before);
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Infallible> {
        self.momentum.clone_from(&self.direction);
        Ok(())
    }

    fn forget(&mut self) -> Result<(), Infallible> {
        self.momentum.iter_mut().flatten().for_each(|m| m.values.fill(0.0));
        Ok(())
    }
}
