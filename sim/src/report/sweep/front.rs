//! Accuracy against a cost: every design, its standing, the front, what to take.

use super::chart::{self, BLUE_MARK, DIM_MARK, Drawing, EXTENT, Mark, ORANGE_MARK, PALE_MARK, marks};
use super::text::{accuracy, area, figures};
use crate::sweep::{Cost, Row, Standing, Table};
use crate::text::{energy, significant};
use maud::Markup;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

/// Points of accuracy below the best that are drawn to scale; designs further below stand at the edge.
const DEPTH: f64 = 0.12;

/// What a cost's axis says.
const fn axis(cost: Cost) -> &'static str {
    match cost {
        Cost::Energy => "energy of a step",
        Cost::OnChip => "energy of a step without DRAM",
        Cost::Area => "cell area, mm2",
        Cost::Tflops => "achieved TFLOPS (more to the right)",
    }
}

/// A cost as its axis shows it.
fn figure(cost: Cost, value: f64) -> String {
    match cost {
        Cost::Energy | Cost::OnChip => energy(value),
        Cost::Area => significant(value / 1e6),
        Cost::Tflops => significant(value),
    }
}

/// The target of a row's mark.
pub(super) fn target(index: usize) -> String {
    format!("point-{}", index + 1)
}

/// Accuracy (or, without training, achieved TFLOPS) against a cost, as SVG.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn plot(table: &Table, cost: Cost) -> Result<String, String> {
    let drawn: Vec<(usize, f64, f64)> = table
        .rows
        .iter()
        .enumerate()
        .filter_map(|(i, row)| Some((i, cost.of(row)?, row.merit?)))
        .filter(|(_, x, _)| x.is_finite() && *x > 0.0)
        .collect();
    let scale = if table.trains { 100.0 } else { 1.0 };
    let best = drawn.iter().map(|(_, _, y)| *y).fold(f64::NEG_INFINITY, f64::max);
    let least = drawn.iter().map(|(_, _, y)| *y).fold(f64::INFINITY, f64::min);
    let floor = if table.trains { least.max(best - DEPTH) } else { 0.0 };
    let widest = drawn.iter().map(|(i, ..)| table.rows[*i].merit_error.unwrap_or(0.0)).fold(0.0, f64::max).min(0.02);
    let pad = 0.08 * (best - floor).max(0.01 * best.abs().max(1e-9));
    // Error bars of what is drawn to scale end within the chart.
    let y = scale * (floor - pad.max(widest))..scale * (best + pad.max(widest));
    let low = drawn.iter().map(|(_, x, _)| *x).fold(f64::INFINITY, f64::min);
    let high = drawn.iter().map(|(_, x, _)| *x).fold(0.0, f64::max);
    chart::svg(EXTENT, |area| {
        if drawn.is_empty() {
            area.draw(&Text::new("no design has finished yet", (20, 20), ("sans-serif", 15)))?;
            return Ok(Markup::default());
        }
        let floor = scale * floor;
        if high > 10.0 * low {
            draw(area, table, cost, &drawn, ((low / 1.15..high * 1.4).log_scale(), y), floor)
        } else {
            let margin = 0.06 * (high - low).max(0.02 * high);
            draw(area, table, cost, &drawn, (low - margin..high + 3.0 * margin, y), floor)
        }
    })
}

fn draw<X>(
    area: &chart::Area<'_>,
    table: &Table,
    cost: Cost,
    drawn: &[(usize, f64, f64)],
    (x, y): (X, std::ops::Range<f64>),
    floor: f64,
) -> Drawing<Markup>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let scale = if table.trains { 100.0 } else { 1.0 };
    let title = if table.trains { "test accuracy, %" } else { "achieved TFLOPS" };
    let what = if table.trains { "accuracy" } else { "throughput" };
    let bottom = y.start;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{what} against {}", cost_words(cost)), ("sans-serif", 16))
        .margin(10)
        .margin_right(26)
        .set_label_area_size(LabelAreaPosition::Left, 52)
        .set_label_area_size(LabelAreaPosition::Bottom, 44)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_desc(axis(cost))
        .y_desc(title)
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .x_labels(6)
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|x| figure(cost, *x))
        .draw()?;
    let shown = |merit: f64| (scale * merit).max(floor);
    for (i, x, merit) in drawn {
        let row = &table.rows[*i];
        let Some(error) = row.merit_error.filter(|_| scale * merit >= floor) else { continue };
        let style = ShapeStyle { color: colour_of(row.standing(cost)).mix(0.8), filled: false, stroke_width: 1 };
        chart.draw_series([PathElement::new(vec![(*x, (scale * (merit - error)).max(bottom)), (*x, scale * (merit + error))], style)])?;
    }
    let sign = if cost == Cost::Tflops { -1.0 } else { 1.0 };
    let mut front: Vec<(f64, f64)> =
        drawn.iter().filter(|(i, ..)| table.rows[*i].standing(cost) == Standing::Front).map(|(_, x, m)| (*x, shown(*m))).collect();
    front.sort_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)));
    let steps: Vec<(f64, f64)> = front.windows(2).flat_map(|pair| [pair[0], (pair[1].0, pair[0].1)]).chain(front.last().copied()).collect();
    chart.draw_series([PathElement::new(steps, ShapeStyle { color: BLUE_MARK.mix(0.6), filled: false, stroke_width: 2 })])?;
    let pick = table.pick(cost);
    let mut all: Vec<(Standing, Mark)> = drawn
        .iter()
        .map(|(i, x, merit)| {
            let row = &table.rows[*i];
            let standing = row.standing(cost);
            let mark = Mark {
                at: chart.backend_coord(&(*x, shown(*merit))),
                radius: if standing == Standing::Front { 5 } else { 4 },
                colour: colour_of(standing),
                ring: (pick == Some(*i)).then_some(ORANGE_MARK),
                below: scale * merit < floor,
                label: (standing == Standing::Front || pick == Some(*i)).then(|| row.name.clone()),
                title: format!("{}\n{}\n{}", row.name, figures(table, row), standing.name()),
                target: target(*i),
            };
            (standing, mark)
        })
        .collect();
    // The front is drawn last, on top; the pick is labelled first.
    all.sort_by_key(|(standing, mark)| (std::cmp::Reverse(*standing), mark.ring.is_none()));
    let marked: Vec<Mark> = all.into_iter().map(|(_, mark)| mark).collect();
    let frame = chart.plotting_area().get_pixel_range();
    Ok(marks(&marked, frame))
}

const fn cost_words(cost: Cost) -> &'static str {
    match cost {
        Cost::Energy => "energy",
        Cost::OnChip => "energy on the chip",
        Cost::Area => "area",
        Cost::Tflops => "TFLOPS",
    }
}

/// Colour of a standing.
pub(super) const fn colour_of(standing: Standing) -> RGBColor {
    match standing {
        Standing::Front => BLUE_MARK,
        Standing::WithinError => PALE_MARK,
        Standing::Dominated | Standing::Failed => DIM_MARK,
    }
}

/// What a row says of itself where it is a link's title.
pub(super) fn words(row: &Row) -> String {
    row.figures.as_ref().map_or_else(
        || row.error.clone().unwrap_or_default(),
        |f| format!("{}, {}, {}", accuracy(row), energy(f.energy_pj_per_step), area(f.area_um2)),
    )
}
