//! The learning rate over a run, as a factor of the first.

use serde::{Deserialize, Serialize};
use systole_isa::design::Problem;

/// The learning rate over a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// The same in every step.
    #[default]
    Constant,
    /// Falling by equal amounts, to end at 0 after the last step.
    Linear,
    /// Half a cosine from 1 to 0 (Loshchilov and Hutter 2017, without restarts).
    Cosine,
    /// Multiplied by `factor` at each of these fractions of the run.
    Steps {
        /// Fractions of the run, ascending.
        at: Vec<f64>,
        /// What the rate is multiplied by at each.
        factor: f64,
    },
    /// Straight lines between points (fraction of the run, factor); level before the first
    /// and after the last.
    Points(Vec<(f64, f64)>),
    /// As `points`, but held at its value of an epoch's first step throughout the epoch.
    EpochPoints(Vec<(f64, f64)>),
}

impl Schedule {
    /// The factor in `step` (from 0) of a run of `steps` in `epochs`.
    pub fn factor(&self, step: u64, steps: u64, epochs: u32) -> f64 {
        let part = |step: u64| step as f64 / steps.max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => steps.saturating_sub(step) as f64 / steps.max(1) as f64,
            Self::Cosine => half_cosine(part(step)),
            Self::Steps { at, factor } => at.iter().filter(|&&at| part(step) >= at).fold(1.0, |product, _| product * factor),
            Self::Points(points) => along(points, part(step)),
            Self::EpochPoints(points) => {
                let of_epoch = (steps / u64::from(epochs.max(1))).max(1);
                along(points, part(step / of_epoch * of_epoch))
            }
        }
    }

    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut refuse = |field: &str, message: String| found.push(Problem { path: format!("optimizer.schedule.{field}"), message });
        let factor = |x: f64| x.is_finite() && x >= 0.0;
        match self {
            Self::Constant | Self::Linear | Self::Cosine => {}
            Self::Steps { at, factor: f } => {
                if !at.is_sorted() || !at.iter().all(|x| (0.0..=1.0).contains(x)) {
                    refuse("steps.at", format!("must be ascending fractions of the run, from 0 to 1, is {at:?}"));
                }
                if !factor(*f) {
                    refuse("steps.factor", format!("must be at least 0 and finite, is {f}"));
                }
            }
            Self::Points(points) | Self::EpochPoints(points) => {
                let sound = points.is_sorted_by(|a, b| a.0 <= b.0) && points.iter().all(|p| (0.0..=1.0).contains(&p.0) && factor(p.1));
                if points.is_empty() || !sound {
                    refuse("points", format!("must be (fraction of the run, factor) with ascending fractions from 0 to 1, is {points:?}"));
                }
            }
        }
        found
    }
}

/// Where two points share a fraction, the later one counts from there on.
fn along(points: &[(f64, f64)], at: f64) -> f64 {
    let after = points.partition_point(|p| p.0 <= at);
    match (after.checked_sub(1).and_then(|i| points.get(i)), points.get(after)) {
        (Some(&(x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * ((at - x0) / (x1 - x0)),
        (Some(&(_, y)), None) | (None, Some(&(_, y))) => y,
        (None, None) => 1.0,
    }
}

/// (1 + cos(pi x)) / 2 for x in 0..=1, by operations that are the same everywhere.
fn half_cosine(x: f64) -> f64 {
    // cos^2(pi x / 2); the series converges to the last bits within 20 terms up to pi / 2.
    let angle = x * std::f64::consts::FRAC_PI_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..20 {
        let n = f64::from(2 * n);
        term *= -angle * angle / (n * (n - 1.0));
        sum += term;
    }
    sum * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factors(schedule: &Schedule, steps: u64, epochs: u32) -> Vec<f64> {
        (0..steps).map(|step| schedule.factor(step, steps, epochs)).collect()
    }

    #[test]
    fn rates_by_hand() {
        assert_eq!(factors(&Schedule::Constant, 2, 1), [1.0, 1.0]);
        assert_eq!(factors(&Schedule::Linear, 4, 1), [1.0, 0.75, 0.5, 0.25]);
        assert_eq!(factors(&Schedule::Steps { at: vec![0.5, 0.75], factor: 0.5 }, 4, 1), [1.0, 1.0, 0.5, 0.25]);
        let points = vec![(0.5, 1.0), (1.0, 0.0)];
        assert_eq!(factors(&Schedule::Points(points.clone()), 8, 2), [1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]);
        assert_eq!(factors(&Schedule::EpochPoints(points), 8, 4), [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]);
        // A jump: from 0.5 on the second value holds.
        let jump = Schedule::Points(vec![(0.0, 1.0), (0.5, 1.0), (0.5, 0.1)]);
        assert_eq!(factors(&jump, 4, 1), [1.0, 1.0, 0.1, 0.1]);
    }

    #[test]
    fn cosines_are_the_hosts() {
        for i in 0..=1000 {
            let x = f64::from(i) / 1000.0;
            let expected = f64::midpoint(1.0, (std::f64::consts::PI * x).cos());
            assert!((half_cosine(x) - expected).abs() < 1e-15, "{x}: {} {expected}", half_cosine(x));
        }
        assert_eq!(half_cosine(0.0), 1.0);
    }

    #[test]
    fn unsound_schedules_are_refused() {
        for schedule in [
            Schedule::Steps { at: vec![0.7, 0.3], factor: 0.1 },
            Schedule::Steps { at: vec![0.7], factor: -0.1 },
            Schedule::Points(vec![]),
            Schedule::EpochPoints(vec![(0.0, f64::NAN)]),
            Schedule::Points(vec![(1.5, 1.0)]),
        ] {
            assert_eq!(schedule.problems().len(), 1, "{schedule:?}");
        }
    }
}
