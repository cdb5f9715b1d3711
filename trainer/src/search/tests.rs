//! Searches on functions whose values are known exactly.

use super::*;
use crate::optimizer::{PredictedBy, TrustRegion};
use std::convert::Infallible;

const REGION: TrustRegion = TrustRegion {
    radius: 0.125,
    smallest: 1e-8,
    largest: 10.0,
    accept: 0.125,
    expand: 0.75,
    tests: 0,
    memory: 1,
    predicted_by: PredictedBy::Gradient,
};

/// x^2 / 2, its losses off by `errors` of a rung, with the same sign everywhere or by turns.
struct Quadratic {
    x: f64,
    before: f64,
    momentum: f64,
    keep: f64,
    direction: f64,
    errors: Vec<f64>,
    common: bool,
    calls: u32,
    /// Rungs of all slopes and losses.
    asked: Vec<usize>,
}

impl Quadratic {
    fn new(x: f64, errors: &[f64]) -> Self {
        let errors = errors.to_vec();
        Self { x, before: x, momentum: 0.0, keep: 0.0, direction: 0.0, errors, common: false, calls: 0, asked: Vec::new() }
    }

    fn value(&mut self, rung: usize) -> f64 {
        self.calls += 1;
        self.asked.push(rung);
        let sign = if self.common || self.calls.is_multiple_of(2) { 1.0 } else { -1.0 };
        self.x * self.x / 2.0 + sign * self.errors[rung]
    }
}

impl Objective for Quadratic {
    type Error = Infallible;

    fn slope(&mut self, rung: usize) -> Result<Slope, Infallible> {
        let loss = self.value(rung);
        self.direction = self.keep * self.momentum + self.x;
        Ok(Slope { loss, norm: self.direction.abs(), product: self.x * self.direction })
    }

    fn loss(&mut self, rung: usize) -> Result<f64, Infallible> {
        Ok(self.value(rung))
    }

    fn advance(&mut self, factor: f64) -> Result<(), Infallible> {
        self.before = self.x;
        self.x += factor * self.direction;
        Ok(())
    }

    fn back(&mut self) -> Result<(), Infallible> {
        self.x = self.before;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), Infallible> {
        self.momentum = self.direction;
        Ok(())
    }

    fn forget(&mut self) -> Result<(), Infallible> {
        self.momentum = 0.0;
        Ok(())
    }
}

fn moment(step: u64) -> Moment {
    Moment { step, in_epoch: step % 10, per_epoch: 10, rate: 0.125 }
}

fn run(rules: &Rules<'_>, objective: &mut Quadratic, steps: u64) -> (Search, Vec<f64>) {
    let mut search = Search::new(rules);
    let mut points = Vec::new();
    for step in 0..steps {
        points.push(objective.x);
        search.step(rules, objective, moment(step)).unwrap();
    }
    points.push(objective.x);
    (search, points)
}

const ONE: Rules<'static> = Rules { region: Some(REGION), ladder: None, roundoffs: &[0.0] };

/// All numbers are dyadic, so binary64 is exact. From x with radius r the ratio is 1 - r / (2 x).
#[test]
fn a_trust_region_by_hand() {
    let (search, points) = run(&ONE, &mut Quadratic::new(1.0, &[0.0]), 8);
    // 15/16 doubles; 1 - 1/7 doubles; 1 - 2/5 keeps: taken; from 1/8 by 1/2 it ends beyond,
    // where the ratio is 1 - 2 < accept: halved twice more, then 1/8 leads to 0, whose ratio is 1/2.
    assert_eq!(points, [1.0, 0.875, 0.625, 0.125, 0.125, 0.125, 0.0, 0.0, 0.0]);
    let radii: Vec<f64> = search.decisions.iter().map(|d| d.radius).collect();
    assert_eq!(radii, [0.25, 0.5, 0.5, 0.25, 0.125, 0.125, 0.125, 0.125]);
    let ratios: Vec<Option<f64>> = search.decisions.iter().map(|d| d.ratio).collect();
    assert_eq!(ratios[0], Some(0.9375));
    assert_eq!(ratios[3], Some(-1.0));
    assert_eq!(ratios[4], Some(0.0));
    assert_eq!(ratios[5], Some(0.5));
    // At the minimum there is nothing to do.
    assert_eq!((ratios[6], search.decisions[6].accepted), (None, false));
}

fn ladder(error: Estimate, of: Of, relax: Option<u32>) -> Ladder {
    Ladder { policy: Policy::Decrease { relax }, error, of }
}

#[test]
fn without_errors_a_ladder_changes_nothing() {
    let ladder = ladder(Estimate::Fixed(vec![0.0, 0.0]), Of::Absolute, None);
    let rules = Rules { ladder: Some(&ladder), roundoffs: &[0.0625, 0.0], ..ONE };
    let (search, points) = run(&rules, &mut Quadratic::new(1.0, &[0.0, 0.0]), 8);
    let (plain, same) = run(&ONE, &mut Quadratic::new(1.0, &[0.0]), 8);
    assert_eq!(points, same);
    let ratios = |s: &Search| s.decisions.iter().map(|d| d.ratio).collect::<Vec<_>>();
    assert_eq!(ratios(&search), ratios(&plain));
    assert!(search.decisions.iter().all(|d| d.rung == 0 && !d.floor));
}

#[test]
fn the_rung_is_left_when_the_inequality_fails() {
    // accept / 2 predicted = 1/16 times 1/8 = 0.0078125 in the first step.
    let given = ladder(Estimate::Fixed(vec![0.01, 0.004, 0.0]), Of::Absolute, None);
    let rules = Rules { ladder: Some(&given), roundoffs: &[0.0625, 0.001, 0.0], ..ONE };
    let (search, _) = run(&rules, &mut Quadratic::new(1.0, &[0.01, 0.004, 0.0]), 8);
    assert_eq!(search.decisions[0].rung, 1);
    assert_eq!(search.decisions[0].allowed, Some(0.0078125));
    let rungs: Vec<usize> = search.decisions.iter().map(|d| d.rung).collect();
    assert!(rungs.is_sorted() && rungs.last() == Some(&2), "{rungs:?}");
    for d in search.decisions.iter().filter(|d| d.ratio.is_some()) {
        assert!(d.floor || d.error < d.allowed, "{d:?}");
    }
}

#[test]
fn every_accepted_test_descends_in_spite_of_errors() {
    let mut seen = 0;
    for (first, common) in [(3.0, false), (0.7, false), (-1.3, true), (0.01, true), (250.0, false)] {
        let errors = [0.02, 0.0005, 0.0];
        let ladder = ladder(Estimate::Fixed(errors.to_vec()), Of::Absolute, None);
        let rules = Rules { ladder: Some(&ladder), roundoffs: &[0.0625, 0.001, 0.0], ..ONE };
        let mut objective = Quadratic { common, ..Quadratic::new(first, &errors) };
        let (search, points) = run(&rules, &mut objective, 60);
        for (d, pair) in search.decisions.iter().zip(points.windows(2)) {
            assert_eq!(d.accepted, pair[0] != pair[1], "{d:?}");
            assert!(!d.accepted || pair[1].abs() < pair[0].abs(), "{d:?} {pair:?}");
            seen += u32::from(d.accepted);
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn probes_find_the_error_and_are_taken_when_due() {
    let probe = ladder(Estimate::Probe { every: 3, window: 8, factor: 1.5 }, Of::Absolute, None);
    let rules = Rules { ladder: Some(&probe), roundoffs: &[0.0625, 0.0], ..ONE };
    // Off by 2^-9 beside an exact rung: 1.5 * 2^-9 = 0.0029 is allowed while x is near 1.
    let mut objective = Quadratic { common: true, ..Quadratic::new(1.0, &[0.001953125, 0.0]) };
    let (search, _) = run(&rules, &mut objective, 4);
    assert_eq!(search.decisions.iter().map(|d| d.error).collect::<Vec<_>>(), [Some(0.0029296875); 4]);
    // A slope and a trial each, and a pair in the first and the fourth.
    assert_eq!(objective.asked, [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
}

#[test]
fn common_errors_do_not_harm_differences() {
    let errors = [0.25, 0.0];
    let rungs = |of| {
        let ladder = ladder(Estimate::Probe { every: 1, window: 1, factor: 1.5 }, of, None);
        let rules = Rules { ladder: Some(&ladder), roundoffs: &[0.0625, 0.0], ..ONE };
        let mut objective = Quadratic { common: true, ..Quadratic::new(1.0, &errors) };
        run(&rules, &mut objective, 3).0.decisions.iter().map(|d| d.rung).collect::<Vec<_>>()
    };
    assert_eq!(rungs(Of::Absolute), [1, 1, 1]);
    assert_eq!(rungs(Of::Difference), [0, 0, 0]);
}

#[test]
fn a_step_refused_for_its_difference_is_taken_back() {
    let given = ladder(Estimate::Fixed(vec![1.0, 0.0]), Of::Difference, None);
    let rules = Rules { ladder: Some(&given), roundoffs: &[0.0625, 0.0], ..ONE };
    let (search, points) = run(&rules, &mut Quadratic::new(1.0, &[0.0, 0.0]), 1);
    assert_eq!((search.decisions.len(), search.decisions[0].rung), (1, 1));
    assert_eq!(points, [1.0, 0.875]);
}

#[test]
fn a_relaxed_ladder_is_climbed_down() {
    let given = ladder(Estimate::Fixed(vec![0.0, 0.0]), Of::Absolute, Some(2));
    let rules = Rules { ladder: Some(&given), roundoffs: &[0.0625, 0.0], ..ONE };
    let mut search = Search::new(&rules);
    search.rung = 1;
    let mut objective = Quadratic::new(8.0, &[0.0, 0.0]);
    for step in 0..3 {
        search.step(&rules, &mut objective, moment(step)).unwrap();
    }
    assert_eq!(search.decisions.iter().map(|d| d.rung).collect::<Vec<_>>(), [1, 1, 0]);
}

#[test]
fn steps_between_tests_are_taken_untested() {
    let region = TrustRegion { tests: 2, ..REGION };
    let rules = Rules { region: Some(region), ..ONE };
    let mut objective = Quadratic::new(8.0, &[0.0]);
    let (search, points) = run(&rules, &mut objective, 10);
    assert_eq!(search.decisions.iter().map(|d| d.step).collect::<Vec<_>>(), [0, 5]);
    // Ten slopes, two trials.
    assert_eq!(objective.calls, 12);
    assert_eq!(points[10], 8.0 - 0.125 - 4.0 * 0.25 - 0.25 - 4.0 * 0.5);
}

#[test]
fn memory_lets_the_loss_rise() {
    // From 0.125 by 0.5 to -0.375: refused beside f(0.125), taken beside the loss before it.
    let tests = |memory| {
        let region = TrustRegion { radius: 0.5, expand: 0.875, memory, ..REGION };
        let rules = Rules { region: Some(region), ..ONE };
        run(&rules, &mut Quadratic::new(1.125, &[0.0]), 3).0.decisions.iter().map(|d| d.accepted).collect::<Vec<_>>()
    };
    assert_eq!(tests(1), [true, true, false]);
    assert_eq!(tests(3), [true, true, true]);
}

#[test]
fn momentum_that_leads_uphill_is_forgotten() {
    let mut objective = Quadratic { keep: 0.5, momentum: -4.0, ..Quadratic::new(1.0, &[0.0]) };
    let (search, points) = run(&ONE, &mut objective, 1);
    assert_eq!(points, [1.0, 0.875]);
    assert_eq!(search.decisions[0].predicted, Some(0.125));
    // By the direction alone the model promises a decrease along -1, and finds none.
    let region = TrustRegion { predicted_by: PredictedBy::Direction, ..REGION };
    let mut objective = Quadratic { keep: 0.5, momentum: -4.0, ..Quadratic::new(1.0, &[0.0]) };
    let (search, points) = run(&Rules { region: Some(region), ..ONE }, &mut objective, 1);
    assert_eq!(points, [1.0, 1.0]);
    assert!(!search.decisions[0].accepted);
    assert_eq!(objective.momentum, -4.0);
}

#[test]
fn storm_goes_up_and_down() {
    let storm = Ladder { policy: Policy::Storm { share: 0.5 }, error: Estimate::Fixed(vec![0.125, 0.0]), of: Of::Absolute };
    let rules = Rules { ladder: Some(&storm), roundoffs: &[0.0625, 0.0], ..ONE };
    // allowed = x radius / 2: 1/16 at first, 7/64, 5/32; then from 1/8 with 1/2, 1/32.
    let (search, _) = run(&rules, &mut Quadratic::new(1.0, &[0.0, 0.0]), 5);
    let seen: Vec<_> = search.decisions.iter().map(|d| (d.rung, d.allowed)).collect();
    assert_eq!(seen, [(0, Some(0.0625)), (1, Some(0.109375)), (1, Some(0.15625)), (0, Some(0.03125)), (1, Some(0.015625))]);
}

#[test]
fn precision_rises_as_the_gradient_falls() {
    let policy = Policy::GradientNorm { share: 0.5, tests: 0 };
    let sgd = Ladder { policy, error: Estimate::Fixed(vec![0.015625, 0.0078125, 0.0]), of: Of::Absolute };
    let rules = Rules { region: None, ladder: Some(&sgd), roundoffs: &[0.0625, 0.001, 0.0] };
    // allowed = x^2 / 32, and x falls by an eighth in a step.
    let (search, points) = run(&rules, &mut Quadratic::new(1.0, &[0.0; 3]), 30);
    let mut x = 1.0;
    for (d, point) in search.decisions.iter().zip(&points) {
        assert_eq!(*point, x);
        assert_eq!(d.allowed, Some(x * x / 32.0));
        let expected = if x * x >= 0.5 {
            0
        } else if x * x >= 0.25 {
            1
        } else {
            2
        };
        assert_eq!(d.rung, expected, "{d:?}");
        assert!(d.accepted && !d.floor && d.error <= d.allowed);
        x -= 0.125 * x;
    }
}

#[test]
fn what_overflows_is_computed_on_a_finer_rung() {
    struct Overflowing(Quadratic);
    impl Objective for Overflowing {
        type Error = Infallible;
        fn slope(&mut self, rung: usize) -> Result<Slope, Infallible> {
            let slope = self.0.slope(rung)?;
            Ok(if rung == 0 { Slope { norm: f64::INFINITY, ..slope } } else { slope })
        }
        fn loss(&mut self, rung: usize) -> Result<f64, Infallible> {
            self.0.loss(rung)
        }
        fn advance(&mut self, factor: f64) -> Result<(), Infallible> {
            self.0.advance(factor)
        }
        fn back(&mut self) -> Result<(), Infallible> {
            self.0.back()
        }
        fn settle(&mut self) -> Result<(), Infallible> {
            self.0.settle()
        }
        fn forget(&mut self) -> Result<(), Infallible> {
            self.0.forget()
        }
    }
    let given = ladder(Estimate::Fixed(vec![0.0, 0.0]), Of::Absolute, None);
    let rules = Rules { ladder: Some(&given), roundoffs: &[0.0625, 0.0], ..ONE };
    let mut search = Search::new(&rules);
    let mut objective = Overflowing(Quadratic::new(1.0, &[0.0, 0.0]));
    search.step(&rules, &mut objective, moment(0)).unwrap();
    assert_eq!((search.rung, objective.0.x), (1, 0.875));
    // With nothing finer it stays where it is.
    let mut stuck = Overflowing(Quadratic::new(1.0, &[0.0]));
    let mut search = Search::new(&ONE);
    search.step(&ONE, &mut stuck, moment(0)).unwrap();
    assert_eq!((search.decisions.len(), search.decisions[0].norm, stuck.0.x), (1, None, 1.0));
}
