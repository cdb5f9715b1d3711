//! Steps that are tried on the device before they are taken.

use super::RunError;
use super::session::{Part, Session};
use crate::data::Split;
use crate::lower::{Rung, Tensor, Trials};
use crate::search::{Objective, Slope};
use systole_isa::device::Record;
use systole_isa::program::Program;

/// The loss of the device's network on the batch in its memory.
pub(super) struct Trial<'s, 'a> {
    session: &'s mut Session<'a>,
    trials: &'s Trials,
    record: &'s mut Record,
    step: u64,
    split: &'s Split,
    indices: &'s [usize],
    /// Tracked statistics before the step, once a slope has moved them.
    buffers: Option<Vec<Vec<u64>>>,
    /// Mean loss and number of labels predicted, at the first slope.
    pub first: (f64, usize),
    /// The rung of the last slope.
    pub rung: usize,
}

impl<'s, 'a> Trial<'s, 'a> {
    pub fn new(
        session: &'s mut Session<'a>,
        trials: &'s Trials,
        record: &'s mut Record,
        step: u64,
        split: &'s Split,
        indices: &'s [usize],
    ) -> Self {
        Self { session, trials, record, step, split, indices, buffers: None, first: (f64::NAN, 0), rung: 0 }
    }

    fn run(&mut self, program: &Program, part: Part) -> Result<(), RunError> {
        self.record.accumulate(&self.session.device.run(program, part.site(self.step))?);
        Ok(())
    }

    /// Mean loss with what the weights' decay minimises beside.
    fn value(&self) -> Result<f64, RunError> {
        let loss = self.session.loss()?;
        let penalty = match self.trials.weights {
            Some(squares) => self.session.weight_decay() / 2.0 * self.session.read_value(squares)?,
            None => 0.0,
        };
        Ok(loss + penalty)
    }
}

impl Objective for Trial<'_, '_> {
    type Error = RunError;

    fn slope(&mut self, rung: usize) -> Result<Slope, RunError> {
        let tracked: Vec<Tensor> = self.session.buffers();
        let first = self.buffers.is_none();
        match &self.buffers {
            Some(before) => self.session.write_all(&tracked, before)?,
            None => self.buffers = Some(self.session.read_all(&tracked)?),
        }
        self.rung = rung;
        let Rung { slope, .. } = &self.trials.rungs[rung];
        self.run(slope, Part::Slope(rung))?;
        if first {
            self.first = (self.session.loss()?, self.session.correct(self.split, self.indices)?);
        }
        let [squares, product] = [self.trials.squares, self.trials.product].map(|tensor| self.session.read_value(tensor));
        Ok(Slope { loss: self.value()?, norm: squares?.sqrt(), product: product? })
    }

    fn loss(&mut self, rung: usize) -> Result<f64, RunError> {
        let Rung { loss, .. } = &self.trials.rungs[rung];
        self.run(loss, Part::Loss(rung))?;
        self.value()
    }

    fn advance(&mut self, factor: f64) -> Result<(), RunError> {
        self.session.write_rate(factor)?;
        self.run(&self.trials.advance, Part::Update)
    }

    fn back(&mut self) -> Result<(), RunError> {
        self.run(&self.trials.back, Part::Update)
    }

    fn settle(&mut self) -> Result<(), RunError> {
        self.run(&self.trials.settle, Part::Update)
    }

    fn forget(&mut self) -> Result<(), RunError> {
        self.session.forget_momentum()
    }
}
