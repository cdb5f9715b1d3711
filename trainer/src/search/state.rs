//! The state machine.

use super::{Estimate, Objective, Of, Policy, Rules, Slope};
use crate::optimizer::{PredictedBy, TrustRegion};
use serde::{Deserialize, Serialize};

/// What a search has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The rung of the next step.
    pub rung: usize,
    /// Radius of the trust region; 0 where there is none.
    pub radius: f64,
    /// Every test so far.
    pub decisions: Vec<Decision>,
    /// Tests so far.
    tests: u64,
    /// Accepted tests in a row on the present rung.
    accepted: u32,
    /// The last losses that were accepted, the oldest first.
    references: Vec<f64>,
    /// By rung, how far losses were from the next finer one's.
    probes: Vec<Probes>,
}

/// Distances of losses on one rung from those on the next finer one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Probes {
    /// The oldest first.
    distances: Vec<f64>,
    /// The test of the last.
    last: u64,
}

/// When a step is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The step, from 0.
    pub step: u64,
    /// The step within its epoch, from 0.
    pub in_epoch: u64,
    /// Steps of an epoch.
    pub per_epoch: u64,
    /// The learning rate, where there is no trust region.
    pub rate: f64,
}

/// One test: what was asked before a step and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The step, from 0.
    pub step: u64,
    /// The rung on which it was computed in the end.
    pub rung: usize,
    /// The loss there, before the step.
    pub loss: Option<f64>,
    /// |G|.
    pub norm: Option<f64>,
    /// The decrease that the model promises.
    pub predicted: Option<f64>,
    /// What the error must stay within.
    pub allowed: Option<f64>,
    /// The error.
    pub error: Option<f64>,
    /// On the finest rung with an error that is not allowed.
    pub floor: bool,
    /// The decrease over the promised one.
    pub ratio: Option<f64>,
    /// Whether the step was taken.
    pub accepted: bool,
    /// The radius afterwards.
    pub radius: f64,
}

/// A step before it is made.
struct Planned {
    slope: Slope,
    predicted: f64,
}

const fn finite(x: f64) -> Option<f64> {
    if x.is_finite() { Some(x) } else { None }
}

impl Search {
    /// Before the first step.
    pub fn new(rules: &Rules<'_>) -> Self {
        Self {
            radius: rules.region.map_or(0.0, |region| region.radius),
            probes: vec![Probes::default(); rules.roundoffs.len()],
            ..Self::default()
        }
    }

    /// Whether it is a search among so many rungs.
    pub(crate) fn fits(&self, rungs: usize) -> bool {
        let all = self.decisions.iter().map(|d| d.rung).chain([self.rung]);
        self.probes.len() == rungs && all.into_iter().all(|rung| rung < rungs)
    }

    /// Whether that step, the last one made, was taken.
    pub fn moved(&self, step: u64) -> bool {
        self.decisions.last().is_none_or(|last| last.step != step || last.accepted)
    }

    /// One step, tried as the rules ask.
    ///
    /// # Errors
    /// The objective's.
    pub fn step<O: Objective>(&mut self, rules: &Rules<'_>, objective: &mut O, moment: Moment) -> Result<(), O::Error> {
        match rules.region {
            Some(region) => self.within_region(rules, region, objective, moment),
            None => self.along_gradient(rules, objective, moment),
        }
    }

    fn within_region<O: Objective>(
        &mut self,
        rules: &Rules<'_>,
        region: TrustRegion,
        objective: &mut O,
        moment: Moment,
    ) -> Result<(), O::Error> {
        let tested = is_tested(region.tests, moment);
        self.tests += u64::from(tested);
        loop {
            let Planned { slope, predicted } = self.planned(region, objective)?;
            let mut decision = self.decision(moment, slope, predicted);
            let finest = self.rung + 1 >= rules.roundoffs.len();
            if !slope.norm.is_finite() && !finest {
                self.promote();
                continue;
            }
            // At a stationary point, or where nothing is known, nothing moves.
            if !slope.norm.is_finite() || slope.norm == 0.0 || predicted <= 0.0 {
                self.decisions.push(decision);
                return Ok(());
            }
            let factor = -self.radius / slope.norm;
            if !tested {
                objective.advance(factor)?;
                return objective.settle();
            }
            let guard = rules.ladder.filter(|ladder| matches!(ladder.policy, Policy::Decrease { .. }));
            if let Some(ladder) = guard {
                decision.allowed = Some(region.accept / 2.0 * predicted);
                if ladder.of == Of::Absolute {
                    let error = self.error(rules, objective, self.rung, slope.loss)?;
                    if !decision.allows(error, finest) {
                        self.promote();
                        continue;
                    }
                }
            }
            if let Some(Policy::Storm { share }) = rules.ladder.map(|ladder| ladder.policy) {
                decision.allowed = Some(share * predicted);
            }
            objective.advance(factor)?;
            let trial = objective.loss(self.rung)?;
            if guard.is_some_and(|ladder| ladder.of == Of::Difference) {
                let error = self.error_of_difference(rules, objective, factor, slope.loss - trial)?;
                if !decision.allows(error, finest) {
                    objective.back()?;
                    self.promote();
                    continue;
                }
            }
            let reference = self.references.iter().copied().fold(slope.loss, f64::max);
            let ratio = (reference - trial) / predicted;
            decision.ratio = finite(ratio);
            decision.accepted = ratio >= region.accept;
            if decision.accepted {
                objective.settle()?;
                self.references.push(trial);
                let surplus = (self.references.len() + 1).saturating_sub(region.memory as usize);
                self.references.drain(..surplus.min(self.references.len()));
            } else {
                objective.back()?;
            }
            self.radius = if ratio >= region.expand {
                (2.0 * self.radius).min(region.largest)
            } else if decision.accepted {
                self.radius
            } else {
                (self.radius / 2.0).max(region.smallest)
            };
            decision.radius = self.radius;
            let allowed = decision.allowed;
            match rules.ladder.map(|ladder| ladder.policy) {
                Some(Policy::Storm { .. }) => {
                    decision.error = finite(self.error(rules, objective, self.rung, slope.loss)?);
                    decision.floor = finest && decision.error > allowed;
                    self.decisions.push(decision);
                    self.cheapest(rules, objective, allowed.unwrap_or(0.0), slope.loss)?;
                }
                policy => {
                    self.accepted = if decision.accepted { self.accepted + 1 } else { 0 };
                    self.decisions.push(decision);
                    if let Some(Policy::Decrease { relax: Some(relax) }) = policy
                        && self.accepted >= relax
                    {
                        self.rung = self.rung.saturating_sub(1);
                        self.accepted = 0;
                    }
                }
            }
            return Ok(());
        }
    }

    /// A step of stochastic gradient descent, in the cheapest precision that does.
    fn along_gradient<O: Objective>(&mut self, rules: &Rules<'_>, objective: &mut O, moment: Moment) -> Result<(), O::Error> {
        let share = match rules.ladder.map(|ladder| ladder.policy) {
            Some(Policy::GradientNorm { share, tests }) if is_tested(tests, moment) => Some(share),
            _ => None,
        };
        self.tests += u64::from(share.is_some());
        loop {
            let slope = objective.slope(self.rung)?;
            let finest = self.rung + 1 >= rules.roundoffs.len();
            if !slope.norm.is_finite() && !finest {
                self.promote();
                continue;
            }
            let mut decision = self.decision(moment, slope, moment.rate * slope.norm * slope.norm);
            if let Some(share) = share {
                let allowed = moment.rate * share / 2.0 * slope.norm * slope.norm;
                decision.allowed = finite(allowed);
                let error = self.error(rules, objective, self.rung, slope.loss)?;
                // Equality is enough here.
                if error > allowed && !finest {
                    self.promote();
                    continue;
                }
                decision.error = finite(error);
                decision.floor = error > allowed;
            }
            if slope.norm.is_finite() {
                objective.advance(-moment.rate)?;
                objective.settle()?;
                decision.accepted = true;
            }
            let allowed = decision.allowed;
            if allowed.is_some() || !decision.accepted {
                self.decisions.push(decision);
            }
            if let Some(allowed) = allowed {
                self.cheapest(rules, objective, allowed, slope.loss)?;
            }
            return Ok(());
        }
    }

    /// Slope and predicted decrease; momentum that leads uphill is forgotten.
    fn planned<O: Objective>(&self, region: TrustRegion, objective: &mut O) -> Result<Planned, O::Error> {
        let planned = |slope: Slope| {
            let decrease = match region.predicted_by {
                PredictedBy::Direction => slope.norm,
                PredictedBy::Gradient => slope.product / slope.norm,
            };
            Planned { slope, predicted: self.radius * decrease }
        };
        let first = planned(objective.slope(self.rung)?);
        if first.predicted <= 0.0 && first.slope.norm > 0.0 {
            objective.forget()?;
            return Ok(planned(objective.slope(self.rung)?));
        }
        Ok(first)
    }

    fn decision(&self, moment: Moment, slope: Slope, predicted: f64) -> Decision {
        Decision {
            step: moment.step,
            rung: self.rung,
            loss: finite(slope.loss),
            norm: finite(slope.norm),
            predicted: finite(predicted),
            allowed: None,
            error: None,
            floor: false,
            ratio: None,
            accepted: false,
            radius: self.radius,
        }
    }

    const fn promote(&mut self) {
        self.rung += 1;
        self.accepted = 0;
    }

    /// Sets the cheapest rung whose error is allowed, the finest if none's is.
    fn cheapest<O: Objective>(&mut self, rules: &Rules<'_>, objective: &mut O, allowed: f64, loss: f64) -> Result<(), O::Error> {
        let finest = rules.roundoffs.len() - 1;
        for rung in 0..finest {
            if self.error(rules, objective, rung, loss)? <= allowed {
                self.rung = rung;
                return Ok(());
            }
        }
        self.rung = finest;
        Ok(())
    }

    /// The error of a loss of about `loss` on a rung.
    fn error<O: Objective>(&mut self, rules: &Rules<'_>, objective: &mut O, rung: usize, loss: f64) -> Result<f64, O::Error> {
        let roundoff = rules.roundoffs[rung];
        match rules.ladder.map(|ladder| &ladder.error) {
            None => Ok(0.0),
            Some(Estimate::Fixed(errors)) => Ok(errors[rung]),
            Some(Estimate::Roundoff { factor }) => Ok(factor * roundoff * loss.abs()),
            Some(Estimate::Probe { .. }) if rung + 1 == rules.roundoffs.len() => Ok(roundoff * loss.abs()),
            Some(&Estimate::Probe { every, window, factor }) => {
                if self.probes[rung].is_due(self.tests, every) {
                    let distance = objective.loss(rung)? - objective.loss(rung + 1)?;
                    self.probes[rung].remember(self.tests, distance, window);
                }
                Ok(factor * self.probes[rung].largest())
            }
        }
    }

    /// Half the error of the decrease that an advance by `factor` has just made.
    fn error_of_difference<O: Objective>(
        &mut self,
        rules: &Rules<'_>,
        objective: &mut O,
        factor: f64,
        decrease: f64,
    ) -> Result<f64, O::Error> {
        let rung = self.rung;
        match rules.ladder.map(|ladder| &ladder.error) {
            Some(Estimate::Fixed(errors)) => Ok(errors[rung]),
            Some(&Estimate::Probe { every, window, factor: times }) if rung + 1 < rules.roundoffs.len() => {
                if self.probes[rung].is_due(self.tests, every) {
                    let after = objective.loss(rung + 1)?;
                    objective.back()?;
                    let before = objective.loss(rung + 1)?;
                    objective.advance(factor)?;
                    self.probes[rung].remember(self.tests, (decrease - (before - after)) / 2.0, window);
                }
                Ok(times * self.probes[rung].largest())
            }
            _ => Ok(rules.roundoffs[rung] * decrease.abs()),
        }
    }
}

impl Probes {
    const fn is_due(&self, test: u64, every: u32) -> bool {
        self.distances.is_empty() || test - self.last >= every as u64
    }

    fn remember(&mut self, test: u64, distance: f64, window: u32) {
        // What is not known to be small is large.
        self.distances.push(if distance.is_finite() { distance.abs() } else { f64::MAX });
        self.distances.drain(..self.distances.len().saturating_sub(window as usize));
        self.last = test;
    }

    fn largest(&self) -> f64 {
        self.distances.iter().copied().fold(0.0, f64::max)
    }
}

impl Decision {
    /// Whether the step may go on with that error: it is small enough, or there is no finer rung.
    fn allows(&mut self, error: f64, finest: bool) -> bool {
        let within = self.allowed.is_some_and(|allowed| error < allowed);
        self.error = finite(error);
        self.floor = finest && !within;
        within || finest
    }
}

fn is_tested(tests: u32, moment: Moment) -> bool {
    tests == 0 || moment.in_epoch.is_multiple_of(moment.per_epoch.div_ceil(u64::from(tests)).max(1))
}
