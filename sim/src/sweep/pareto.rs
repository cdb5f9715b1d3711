//! Which designs are worth their cost, as far as the seeds can tell.

use super::table::Row;
use crate::run::train::paired_difference;
use serde::Serialize;
use std::cmp::Ordering;

/// What a design is weighed against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Energy of a step, pJ.
    Energy,
    /// The same without DRAM's, pJ.
    OnChip,
    /// Cell area, um2.
    Area,
    /// Achieved TFLOPS, of which more is better.
    Tflops,
}

impl Cost {
    /// Every cost.
    pub const ALL: [Self; 4] = [Self::Energy, Self::OnChip, Self::Area, Self::Tflops];

    /// Its name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::OnChip => "on_chip_energy",
            Self::Area => "area",
            Self::Tflops => "tflops",
        }
    }

    /// The figure as it is.
    pub const fn of(self, row: &Row) -> Option<f64> {
        match &row.figures {
            None => None,
            Some(figures) => Some(match self {
                Self::Energy => figures.energy_pj_per_step,
                Self::OnChip => figures.on_chip_pj_per_step,
                Self::Area => figures.area_um2,
                Self::Tflops => figures.tflops,
            }),
        }
    }

    /// The figure so that less is better.
    fn weight(self, row: &Row) -> Option<f64> {
        let sign = if self == Self::Tflops { -1.0 } else { 1.0 };
        self.of(row).map(|figure| sign * figure)
    }
}

/// Where a design stands among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Better than every cheaper design, by more than the standard error of their paired difference and
    /// than [`typical_error`].
    Front,
    /// No cheaper design is better by more than that, but neither is this one.
    WithinError,
    /// A cheaper design is better by more than that.
    Dominated,
    /// Not finished.
    Failed,
}

impl Standing {
    /// Its name in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Front => "front",
            Self::WithinError => "within error",
            Self::Dominated => "dominated",
            Self::Failed => "failed",
        }
    }
}

/// How much better `a` is than `b`: mean over their common seeds, and its standard error (0 for one).
fn gain(a: &Row, b: &Row) -> (f64, f64) {
    let pairs: Vec<(f64, f64)> =
        a.merits.iter().filter_map(|(seed, x)| b.merits.iter().find(|(other, _)| other == seed).map(|(_, y)| (*x, *y))).collect();
    if pairs.is_empty() {
        return (a.merit.unwrap_or(0.0) - b.merit.unwrap_or(0.0), 0.0);
    }
    let (mean, error) = paired_difference(&pairs);
    (mean, error.unwrap_or(0.0))
}

/// The row with the most merit, the first of equals.
fn best(rows: &[Row]) -> Option<usize> {
    let candidates = (0..rows.len()).filter(|&i| rows[i].merit.is_some());
    candidates.max_by(|&a, &b| rows[a].merit.partial_cmp(&rows[b].merit).unwrap_or(Ordering::Equal).then(b.cmp(&a)))
}

/// What a paired difference of these rows is uncertain by: the median, over all designs, of the standard
/// error of the difference from the best. Two or three seeds tell one design's error badly, those of
/// all designs together tell it well; the median leaves out those that failed.
pub fn typical_error(rows: &[Row]) -> f64 {
    let Some(best) = best(rows) else { return 0.0 };
    let others = (0..rows.len()).filter(|&i| i != best && rows[i].merit.is_some());
    let mut errors: Vec<f64> = others.map(|i| gain(&rows[best], &rows[i]).1).collect();
    errors.sort_by(f64::total_cmp);
    errors.get(errors.len() / 2).copied().unwrap_or(0.0)
}

/// The standing of every row against one cost.
pub fn front(rows: &[Row], cost: Cost) -> Vec<Standing> {
    let weights: Vec<Option<f64>> = rows.iter().map(|row| row.merit.and(cost.weight(row))).collect();
    // Of two that cost the same the better one counts as the cheaper, of two alike the first.
    let cheaper = |a: usize, b: usize| match (weights[a], weights[b]) {
        (Some(x), Some(y)) if x == y => (rows[b].merit, a) < (rows[a].merit, b),
        (Some(x), Some(y)) => x < y,
        _ => false,
    };
    let typical = typical_error(rows);
    let standing = |i: usize| {
        if weights[i].is_none() {
            return Standing::Failed;
        }
        let others = || {
            (0..rows.len())
                .filter(|&j| j != i && cheaper(j, i))
                .map(|j| gain(&rows[i], &rows[j]))
                .map(|(mean, error)| (mean, error.max(typical)))
        };
        if others().all(|(mean, error)| mean > error) {
            Standing::Front
        } else if others().any(|(mean, error)| mean < -error) {
            Standing::Dominated
        } else {
            Standing::WithinError
        }
    };
    (0..rows.len()).map(standing).collect()
}

/// The cheapest design than which the best is not better by more than the typical error.
pub fn recommended(rows: &[Row], cost: Cost) -> Option<usize> {
    let (best, typical) = (best(rows)?, typical_error(rows));
    cheapest(rows, cost, |i| i == best || gain(&rows[best], &rows[i]).0 <= typical)
}

/// The cheapest of the finished designs that are admitted; of equals that of most merit, then the first.
pub fn cheapest(rows: &[Row], cost: Cost, admits: impl Fn(usize) -> bool) -> Option<usize> {
    let candidates = (0..rows.len()).filter(|&i| rows[i].merit.is_some() && cost.weight(&rows[i]).is_some());
    candidates.filter(|&i| admits(i)).min_by(|&a, &b| {
        let weight = |i: usize| cost.weight(&rows[i]).unwrap_or(f64::INFINITY);
        let more_merit = || rows[b].merit.partial_cmp(&rows[a].merit).unwrap_or(Ordering::Equal);
        weight(a).total_cmp(&weight(b)).then_with(more_merit).then(a.cmp(&b))
    })
}
