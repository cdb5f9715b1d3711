//! Values by exponent against what their formats reach: those of each role, and partial sums.

use super::chart::{self, EXTENT, css};
use crate::report::sums::losses;
use crate::sweep::{Histogram, PassSums, Row};
use crate::text::words;
use maud::{Markup, html};
use plotters::prelude::RGBColor;
use std::collections::BTreeMap;
use systole_isa::device::SumPlace;

/// Height of a panel, pixels, and of the title.
const PANEL: i32 = 104;
const TITLE: i32 = 30;
const LEFT: i32 = 12;

/// Binades drawn at most: what lies below is few values, and goes into the last bar on the left.
const BINADES: i32 = 60;

const INSIDE: RGBColor = RGBColor(0, 114, 178);
const OUTSIDE: RGBColor = RGBColor(213, 94, 0);

/// Bars of one kind of value.
struct Panel<'a> {
    label: String,
    format: String,
    /// Exponents that the format reaches at any of its scales.
    reach: [i32; 2],
    exponents: &'a [(i32, u64)],
}

impl<'a> Panel<'a> {
    fn of_role(histogram: &'a Histogram) -> Self {
        let [low, high] = histogram.reach;
        let [least, largest] = histogram.scales.unwrap_or([0, 0]);
        let reach @ [from, to] = [low + least, high + largest];
        let scales = match histogram.scales {
            Some([least, largest]) if least == largest && least != 0 => format!(", scale 2^{least}"),
            Some([least, largest]) if least != largest => format!(", scales 2^{least} to 2^{largest}"),
            _ => String::new(),
        };
        let count = |of: &dyn Fn(i32) -> bool| histogram.exponents.iter().filter(|(e, _)| of(*e)).map(|(_, n)| n).sum::<u64>() as f64;
        let outside = 100.0 * count(&|e| e < from || to < e) / count(&|_| true).max(1.0);
        let label = format!("{}, {}{scales}: {outside:.2} % out of reach", words(&histogram.role), histogram.format);
        Self { label, format: histogram.format.clone(), reach, exponents: &histogram.exponents }
    }

    fn of_sums(PassSums { pass, sums }: &'a PassSums) -> Self {
        let place = match sums.place {
            SumPlace::Accumulator => "",
            SumPlace::Outer => "outer ",
            SumPlace::Memory => "fold ",
        };
        let label = format!("{place}sums, {pass}, {}: {}", sums.format, losses(sums));
        Self { label, format: sums.format.to_string(), reach: sums.reach(), exponents: &sums.exponents }
    }
}

/// Where exponents stand in the drawing.
struct Axis {
    low: i32,
    high: i32,
    step: i32,
}

impl Axis {
    fn of(panels: &[Panel<'_>]) -> Self {
        let exponents = || panels.iter().flat_map(|panel| panel.exponents.iter().map(|(e, _)| *e));
        let (low, high) = (exponents().min().unwrap_or(0) - 1, exponents().max().unwrap_or(0) + 2);
        let low = low.max(high - BINADES);
        Self { low, high, step: ((high - low) / 8).max(1) }
    }

    fn at(&self, exponent: i32) -> f64 {
        let width = f64::from(EXTENT.0 as i32 - 2 * LEFT) / f64::from(self.high - self.low);
        f64::from(LEFT) + f64::from(exponent.clamp(self.low, self.high) - self.low) * width
    }
}

/// A panel for each role and each kind of sums: bars by exponent, pale where the format reaches.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn plot(row: &Row) -> Result<String, String> {
    let Some((report, _)) = row.first() else { return Ok(String::new()) };
    let roles = report.histograms.iter().map(Panel::of_role);
    let shown: Vec<Panel<'_>> = roles.chain(report.sums.iter().map(Panel::of_sums)).filter(|panel| !panel.exponents.is_empty()).collect();
    if shown.is_empty() {
        return Ok(String::new());
    }
    let axis = Axis::of(&shown);
    let height = TITLE + PANEL * shown.len() as i32 + 8;
    chart::svg((EXTENT.0, height as u32), |_| {
        Ok(html! {
            text x=(LEFT) y="20" font-family="sans-serif" font-size="15" font-weight="bold" fill="#202124" { "values by exponent: " (row.name) }
            @for (i, panel) in shown.iter().enumerate() {
                (panel.drawn(TITLE + PANEL * i as i32, &axis))
            }
        })
    })
}

impl Panel<'_> {
    fn drawn(&self, top: i32, axis: &Axis) -> Markup {
        let all: u64 = self.exponents.iter().map(|(_, n)| n).sum();
        let mut counts = BTreeMap::new();
        self.exponents.iter().for_each(|(e, n)| *counts.entry((*e).max(axis.low)).or_insert(0) += n);
        let most = counts.values().copied().max().unwrap_or(1) as f64;
        let [from, to] = self.reach;
        let (floor, tall) = (top + PANEL - 22, f64::from(PANEL - 46));
        html! {
            rect x=(format!("{:.1}", axis.at(from))) y=(top + 20) width=(format!("{:.1}", axis.at(to.saturating_add(1)) - axis.at(from))) height=(floor - top - 20) fill="#e8f0fe" {
                title { (format!("{} reaches 2^{from} to 2^{to}", self.format)) }
            }
            text x=(LEFT) y=(top + 13) font-family="sans-serif" font-size="12" fill="#202124" { (self.label) }
            @for (exponent, n) in &counts {
                @let h = tall * *n as f64 / most;
                rect x=(format!("{:.1}", axis.at(*exponent) + 0.5)) y=(format!("{:.1}", f64::from(floor) - h)) width=(format!("{:.1}", (axis.at(*exponent + 1) - axis.at(*exponent) - 1.0).max(0.5)))
                    height=(format!("{h:.1}")) fill=(css(if from <= *exponent && *exponent <= to { INSIDE } else { OUTSIDE })) {
                    title { (format!("2^{exponent}: {n} values, {:.2} %", 100.0 * *n as f64 / all as f64)) }
                }
            }
            line x1=(LEFT) x2=(format!("{:.1}", axis.at(axis.high))) y1=(floor) y2=(floor) stroke="#5f6368" {}
            @for exponent in (axis.low..axis.high).filter(|e| e.rem_euclid(axis.step) == 0) {
                text x=(format!("{:.1}", axis.at(exponent))) y=(floor + 14) font-family="sans-serif" font-size="11" fill="#5f6368" { "2^" (exponent) }
            }
        }
    }
}
