//! The definition itself, output by output: every design, no assumptions.

use super::masked::Places;
use crate::datapath::{Element, Entropy, Mac, scaled_dot, scaled_dots};
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
    /// Rows and columns in the whole product, by which random bits are drawn.
    pub places: &'a Places,
}

/// One output.
pub(super) fn element(problem: &Problem<'_>, row: usize, column: usize, activity: &mut Activity) -> u64 {
    let (n, k) = (problem.shape.n as usize, problem.shape.k as usize);
    let Operands { a, b, c, .. } = problem.operands;
    problem.draws.with(problem.places.row(row as u32), problem.places.column(column as u32), |entropy| {
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

/// Outputs of one row computed together: they wait for their own sums only.
const TOGETHER: usize = 4;

/// As many outputs of a row, from `column` on.
fn elements(problem: &Problem<'_>, row: usize, column: usize, activity: &mut Activity) -> [u64; TOGETHER] {
    let (n, k) = (problem.shape.n as usize, problem.shape.k as usize);
    let Operands { a, b, c, .. } = problem.operands;
    let (r, first) = (row as u32, column as u32);
    let Draws::Counter(site) = &problem.draws else {
        return std::array::from_fn(|lane| element(problem, row, column + lane, activity));
    };
    let place = |lane: usize| Element { site: *site, row: problem.places.row(r), column: problem.places.column(first + lane as u32) };
    let entropy: [Element; TOGETHER] = std::array::from_fn(place);
    scaled_dots(
        &problem.mac,
        problem.shape.k,
        #[inline(always)]
        |lane, i| (a.get(row * k + i as usize), b.get(i as usize * n + column + lane)),
        |lane, i| problem.operands.factor(&problem.mac, problem.shape, r, first + lane as u32, i),
        c.map(|c| std::array::from_fn(|lane| c.get(row * n + column + lane))),
        problem.fold,
        &problem.setup.output,
        entropy.each_ref().map(|element| element as &dyn Entropy),
        activity,
    )
}

/// Every output that is wanted, rows in parallel; code 0 for others.
pub(super) fn run(problem: &Problem<'_>) -> (Codes, Activity) {
    let n = problem.shape.n as usize;
    let whole = n - n % TOGETHER;
    let rows: Vec<(Vec<u64>, Activity)> = (0..problem.shape.m as usize)
        .into_par_iter()
        .map(|row| {
            let mut activity = Activity::default();
            let mut codes = Vec::with_capacity(n);
            let wanted = |column: usize| problem.operands.selects(row as u32, column as u32);
            let one = |column: usize, activity: &mut Activity| {
                if wanted(column) { element(problem, row, column, activity) } else { 0 }
            };
            for column in (0..whole).step_by(TOGETHER) {
                if (column..column + TOGETHER).all(wanted) {
                    codes.extend(elements(problem, row, column, &mut activity));
                } else {
                    (column..column + TOGETHER).for_each(|column| codes.push(one(column, &mut activity)));
                }
            }
            (whole..n).for_each(|column| codes.push(one(column, &mut activity)));
            (codes, activity)
        })
        .collect();
    let mut activity = Activity::default();
    rows.iter().for_each(|(_, part)| activity += *part);
    let codes = Codes::from_fn(problem.setup.output.format, rows.len() * n, |i| rows[i / n].0[i % n]);
    (codes, activity)
}
