//! Values of each role by exponent, against what the role's format reaches.

use super::chart::{self, EXTENT, css};
use crate::sweep::{Histogram, Row};
use crate::text::words;
use maud::{Markup, html};
use plotters::prelude::RGBColor;

/// Height of a panel, pixels, and of the title.
const PANEL: i32 = 104;
const TITLE: i32 = 30;
const LEFT: i32 = 12;

const INSIDE: RGBColor = RGBColor(0, 114, 178);
const OUTSIDE: RGBColor = RGBColor(213, 94, 0);

/// Exponents that the format reaches at any of its scales.
fn reach(histogram: &Histogram) -> [i32; 2] {
    let [low, high] = histogram.reach;
    let [least, largest] = histogram.scales.unwrap_or([0, 0]);
    [low + least, high + largest]
}

/// A panel for each role: bars by exponent, pale where the format reaches.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn plot(row: &Row) -> Result<String, String> {
    let Some((report, _)) = row.first() else { return Ok(String::new()) };
    let shown: Vec<&Histogram> = report.histograms.iter().filter(|histogram| !histogram.exponents.is_empty()).collect();
    if shown.is_empty() {
        return Ok(String::new());
    }
    let exponents = || shown.iter().flat_map(|h| h.exponents.iter().map(|(e, _)| *e));
    let (low, high) = (exponents().min().unwrap_or(0) - 1, exponents().max().unwrap_or(0) + 2);
    // Far tails are few values: the last bar on the left holds them all.
    let low = low.max(high - 60);
    let width = f64::from(EXTENT.0 as i32 - 2 * LEFT) / f64::from(high - low);
    let at = move |exponent: i32| f64::from(LEFT) + f64::from(exponent.clamp(low, high) - low) * width;
    let height = TITLE + PANEL * shown.len() as i32 + 8;
    let step = ((high - low) / 8).max(1);
    chart::svg((EXTENT.0, height as u32), |_| {
        Ok(html! {
            text x=(LEFT) y="20" font-family="sans-serif" font-size="15" font-weight="bold" fill="#202124" { "values by exponent: " (row.name) }
            @for (i, histogram) in shown.iter().enumerate() {
                (panel(histogram, TITLE + PANEL * i as i32, (low, high), step, &at))
            }
        })
    })
}

fn panel(histogram: &Histogram, top: i32, (low, high): (i32, i32), step: i32, at: &dyn Fn(i32) -> f64) -> Markup {
    let all: u64 = histogram.exponents.iter().map(|(_, n)| n).sum();
    let mut counts = std::collections::BTreeMap::new();
    histogram.exponents.iter().for_each(|(e, n)| *counts.entry((*e).max(low)).or_insert(0) += n);
    let most = counts.values().copied().max().unwrap_or(1) as f64;
    let [from, to] = reach(histogram);
    let share = |inside: bool| {
        let n: u64 = histogram.exponents.iter().filter(|(e, _)| (from <= *e && *e <= to) == inside).map(|(_, n)| n).sum();
        100.0 * n as f64 / all.max(1) as f64
    };
    let (floor, tall) = (top + PANEL - 22, f64::from(PANEL - 46));
    let scales = match histogram.scales {
        Some([least, largest]) if least == largest && least != 0 => format!(", scale 2^{least}"),
        Some([least, largest]) if least != largest => format!(", scales 2^{least} to 2^{largest}"),
        _ => String::new(),
    };
    html! {
        rect x=(format!("{:.1}", at(from))) y=(top + 20) width=(format!("{:.1}", at(to + 1) - at(from))) height=(floor - top - 20) fill="#e8f0fe" {
            title { (format!("{} reaches 2^{from} to 2^{to}", histogram.format)) }
        }
        text x=(LEFT) y=(top + 13) font-family="sans-serif" font-size="12" fill="#202124" {
            (words(&histogram.role)) ", " (histogram.format) (scales) ": " (format!("{:.2} % out of reach", share(false)))
        }
        @for (exponent, n) in &counts {
            @let h = tall * *n as f64 / most;
            rect x=(format!("{:.1}", at(*exponent) + 0.5)) y=(format!("{:.1}", f64::from(floor) - h)) width=(format!("{:.1}", (at(*exponent + 1) - at(*exponent) - 1.0).max(0.5)))
                height=(format!("{h:.1}")) fill=(css(if from <= *exponent && *exponent <= to { INSIDE } else { OUTSIDE })) {
                title { (format!("2^{exponent}: {n} values, {:.2} %", 100.0 * *n as f64 / all as f64)) }
            }
        }
        line x1=(LEFT) x2=(format!("{:.1}", at(high))) y1=(floor) y2=(floor) stroke="#5f6368" {}
        @for exponent in (low..high).filter(|e| e.rem_euclid(step) == 0) {
            text x=(format!("{:.1}", at(exponent))) y=(floor + 14) font-family="sans-serif" font-size="11" fill="#5f6368" { "2^" (exponent) }
        }
    }
}
