//! The definition itself, output by output: every design, no assumptions.

use crate::datapath::{Mac, scaled_dot};
use crate::ordinal::Draws;
use crate::problem::{Operands, Setup, Shape};
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::device::Activity;

/// A product to compute.
pub(super) struct Problem<'a> {
    pub mac: Mac,
    pub setup: &'a Setup,
    pub shape: Shape,
    pub operands: &'a Operands<'a>,
    /// Products per fold that the accumulator memory adds.
    pub fold: Option<u32>,
    pub draws: Draws,
}

/// One output.
pub(super) fn element(problem: &Problem<'_>, row: usize, column: usize, activity: &mut Activity) -> u64 {
    let (n, k) = (problem.shape.n as usize, problem.shape.k as usize);
    let Operands { a, b, c, .. } = problem.operands;
    problem.draws.with(row as u32, column as u32, |entropy| {
        scaled_dot(
            &problem.mac,
            problem.shape.k,
            |i| (a.get(row * k + i as usize), b.get(i as usize * n + column)),
            |i| problem.operands.factor(&problem.mac, problem.shape, row as u32, column as u32, i),
            c.map(|c| c.get(row * n + column)),
            problem.fold,
            &problem.setup.output,
            entropy,
            activity,
        )
    })
}

/// Every output, rows in parallel.
pub(super) fn run(problem: &Problem<'_>) -> (Codes, Activity) {
    let n = problem.shape.n as usize;
    let rows: Vec<(Vec<u64>, Activity)> = (0..problem.shape.m as usize)
        .into_par_iter()
        .map(|row| {
            let mut activity = Activity::default();
            ((0..n).map(|column| element(problem, row, column, &mut activity)).collect(), activity)
        })
        .collect();
    let mut activity = Activity::default();
    rows.iter().for_each(|(_, part)| activity += *part);
    let codes = Codes::from_fn(problem.setup.output.format, rows.len() * n, |i| rows[i / n].0[i % n]);
    (codes, activity)
}
