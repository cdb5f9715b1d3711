//! One design in full: energy, stalls, layers, the roof they work under, the PEs they keep busy.

use super::chart::{self, Bar, EXTENT, Mark, colour, css, marks};
use crate::sweep::{Hardware, Layer, Report, Row};
use crate::text::{energy, engineering, percent, significant, words};
use maud::{Markup, html};
use plotters::prelude::*;
use std::collections::BTreeMap;

/// Most designs a chart of several shows.
pub const MOST: usize = 12;

/// Energy by part of a step, a bar for each design.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn energy_bars(rows: &[&Row]) -> Result<String, String> {
    let mut names: Vec<String> = Vec::new();
    let mut bars = Vec::new();
    for row in rows {
        let Some((report, _)) = row.first() else { continue };
        let steps = report.steps.max(1) as f64;
        let mut parts = Vec::new();
        for (name, value) in report.energy_pj.iter().filter(|(name, _)| *name != "total") {
            let name = words(name);
            let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            parts.push((at, value.as_f64().unwrap_or(0.0) / steps));
        }
        bars.push(Bar { name: row.name.clone(), parts, total: energy(report.energy_pj_per_step()) });
    }
    chart::bars("energy of a step by part", &names, &bars, None)
}

/// Cycles of a step by what the array did.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn stall_bars(rows: &[&Row]) -> Result<String, String> {
    let mut names = vec!["compute".to_owned()];
    let mut bars = Vec::new();
    for row in rows {
        let Some((report, _)) = row.first() else { continue };
        let steps = report.steps.max(1) as f64;
        let mut parts = vec![(0, report.cycles.compute as f64 / steps)];
        for (reason, cycles) in &report.cycles.stall {
            let name = format!("stalled: {}", words(reason));
            let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                names.len() - 1
            });
            parts.push((at, *cycles as f64 / steps));
        }
        bars.push(Bar { name: row.name.clone(), parts, total: engineering(report.cycles_per_step(), "") });
    }
    chart::bars("cycles of a step: work and stalls", &names, &bars, None)
}

/// A curve by epoch, from 1.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

fn mean_by_epoch(row: &Row, of: impl Fn(&Report) -> Vec<Option<f64>>) -> Vec<(f64, f64)> {
    let all: Vec<Vec<Option<f64>>> = row.records.iter().filter_map(|record| record.report()).map(of).collect();
    let epochs = all.iter().map(Vec::len).max().unwrap_or(0);
    let mean = |epoch: usize| {
        let values: Option<Vec<f64>> = all.iter().map(|run| run.get(epoch).copied().flatten()).collect();
        values.filter(|v| !v.is_empty()).map(|v| v.iter().sum::<f64>() / v.len() as f64)
    };
    (0..epochs).filter_map(|epoch| Some((epoch as f64 + 1.0, mean(epoch)?))).collect()
}

/// Test accuracy, or loss, by epoch: means over seeds, with the reference.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn curves(rows: &[&Row], loss: bool) -> Result<String, String> {
    let of = |epochs: &[crate::sweep::Epoch]| -> Vec<Option<f64>> {
        epochs.iter().map(|e| if loss { e.loss } else { Some(100.0 * e.test_accuracy) }).collect()
    };
    let mut all: Vec<Curve> =
        rows.iter().map(|row| Curve { name: row.name.clone(), points: mean_by_epoch(row, |r| of(&r.epochs)) }).collect();
    if let Some(first) = rows.first() {
        all.push(Curve { name: "fp32 on the host".to_owned(), points: mean_by_epoch(first, |r| of(&r.reference)) });
    }
    let (all, unseen): (Vec<Curve>, Vec<Curve>) = all.into_iter().partition(|curve| !curve.points.is_empty());
    let unseen = unseen.into_iter().map(|curve| format!("{}: not finite", curve.name)).collect::<Vec<_>>();
    let legend = 18 * (all.len() + unseen.len()) as u32;
    chart::svg((EXTENT.0, 300 + legend), |area| {
        let xs = all.iter().flat_map(|c| c.points.iter().map(|p| p.0)).fold(1.0, f64::max);
        let ys = || all.iter().flat_map(|c| c.points.iter().map(|p| p.1));
        let (low, high) = (ys().fold(f64::INFINITY, f64::min), ys().fold(f64::NEG_INFINITY, f64::max));
        if !low.is_finite() {
            return Ok(Markup::default());
        }
        let pad = 0.05 * (high - low).max(0.1 * high.abs()).max(1e-6);
        let (top, names) = area.split_vertically(300);
        let mut chart = ChartBuilder::on(&top)
            .caption(if loss { "training loss by epoch" } else { "test accuracy by epoch" }, ("sans-serif", 16))
            .margin(10)
            .set_label_area_size(LabelAreaPosition::Left, 52)
            .set_label_area_size(LabelAreaPosition::Bottom, 40)
            .build_cartesian_2d(1.0..xs.max(1.5), low - pad..high + pad)?;
        chart
            .configure_mesh()
            .x_desc("epoch")
            .y_desc(if loss { "loss" } else { "test accuracy, %" })
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 14))
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| significant(*y))
            .x_labels(xs.min(10.0) as usize)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (i, curve) in all.iter().enumerate() {
            let colour = if i + 1 == all.len() { BLACK } else { colour(i) };
            chart.draw_series([PathElement::new(curve.points.clone(), colour.stroke_width(2))])?;
            chart.draw_series(curve.points.iter().map(|p| Circle::new(*p, 2, colour.filled())))?;
            let y = 18 * i as i32;
            names.draw(&Rectangle::new([(62, y + 3), (73, y + 14)], colour.filled()))?;
            names.draw(&Text::new(curve.name.clone(), (78, y + 3), ("sans-serif", 13)))?;
        }
        for (i, text) in unseen.into_iter().enumerate() {
            names.draw(&Text::new(text, (78, 18 * (all.len() + i) as i32 + 3), ("sans-serif", 13)))?;
        }
        Ok(Markup::default())
    })
}

/// Layers and passes against what peak and DRAM allow.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn roofline(row: &Row) -> Result<String, String> {
    let Some((report, hardware)) = row.first() else { return Ok(String::new()) };
    let points: Vec<(&Layer, f64, f64)> = report
        .layers
        .iter()
        .filter(|layer| layer.macs_spent > 0 && layer.cycles.total > 0)
        .map(|layer| {
            let operations = 2.0 * layer.macs_spent as f64;
            let bytes = (layer.events.dram_read_bytes + layer.events.dram_write_bytes).max(1) as f64;
            (layer, operations / bytes, operations / layer.cycles.total as f64)
        })
        .collect();
    let clock = hardware.array.clock_mhz * 1e6 / 1e12;
    let peak = 2.0 * hardware.peak_macs_per_cycle();
    let ridge = peak / hardware.dram_bytes_per_cycle.max(1e-9);
    let intensities = || points.iter().map(|p| p.1).chain([ridge]);
    let (low, high) = (intensities().fold(f64::INFINITY, f64::min) / 3.0, intensities().fold(0.0, f64::max) * 3.0);
    let floor = points.iter().map(|p| p.2).fold(peak, f64::min).min(low * hardware.dram_bytes_per_cycle) / 2.0;
    chart::svg(EXTENT, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(format!("roofline: {}", row.name), ("sans-serif", 16))
            .margin(10)
            .set_label_area_size(LabelAreaPosition::Left, 58)
            .set_label_area_size(LabelAreaPosition::Bottom, 44)
            .build_cartesian_2d((low..high).log_scale(), (floor * clock..peak * clock * 2.5).log_scale())?;
        chart
            .configure_mesh()
            .x_desc("operations per byte of DRAM")
            .y_desc("TFLOPS")
            .label_style(("sans-serif", 13))
            .axis_desc_style(("sans-serif", 14))
            .light_line_style(TRANSPARENT)
            .x_labels(4)
            .y_labels(5)
            .x_label_formatter(&|x| significant(*x))
            .y_label_formatter(&|y| significant(*y))
            .draw()?;
        let roof = [(low, low * hardware.dram_bytes_per_cycle * clock), (ridge, peak * clock), (high, peak * clock)];
        chart.draw_series([PathElement::new(roof.to_vec(), BLACK.stroke_width(2))])?;
        let mut passes: Vec<&str> = Vec::new();
        points.iter().for_each(|(layer, ..)| {
            if !passes.contains(&layer.pass.as_str()) {
                passes.push(&layer.pass);
            }
        });
        let most = points.iter().map(|(layer, ..)| layer.cycles.total).max().unwrap_or(0);
        let all: Vec<Mark> = points
            .iter()
            .map(|(layer, x, y)| Mark {
                at: chart.backend_coord(&(*x, y * clock)),
                radius: 4,
                colour: colour(passes.iter().position(|p| *p == layer.pass).unwrap_or(0)),
                ring: None,
                below: false,
                // Those that take long are named.
                label: (layer.cycles.total * 5 > most).then(|| format!("{} {}", layer.name, layer.pass)),
                title: format!(
                    "{} {}\n{} operations per byte, {} TFLOPS, {} of cycles",
                    layer.name,
                    layer.pass,
                    significant(*x),
                    significant(y * clock),
                    percent(layer.cycles.total as f64, report.cycles.total as f64)
                ),
                target: String::new(),
            })
            .collect();
        let over = marks(&all, chart.plotting_area().get_pixel_range());
        Ok(html! {
            (over)
            @for (i, pass) in passes.iter().enumerate() {
                @let y = 52 + 16 * i as i32;
                rect x="76" y=(y - 9) width="10" height="10" fill=(css(colour(i))) {}
                text x="90" y=(y) font-family="sans-serif" font-size="12" fill="#202124" { (pass) }
            }
        })
    })
}

/// How much of a step every PE is busy, as a map of the array: dark is busy.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn heat_map(row: &Row) -> Result<String, String> {
    let Some((report, hardware)) = row.first() else { return Ok(String::new()) };
    if report.folds.is_empty() {
        return Ok(String::new());
    }
    let cells = busy(report, hardware);
    const SIDE: i32 = 320;
    const LEFT: i32 = 70;
    const TOP: i32 = 44;
    let (rows, cols) = (hardware.array.rows, hardware.array.cols);
    let scale = f64::from(SIDE) / f64::from(rows.max(cols));
    let shade = |share: f64| {
        let mix = |from: f64, to: f64| (from + (to - from) * share.clamp(0.0, 1.0)).round() as u8;
        css(RGBColor(mix(245.0, 8.0), mix(248.0, 64.0), mix(252.0, 129.0)))
    };
    let (width, height) = (f64::from(cols) * scale, f64::from(rows) * scale);
    chart::svg((EXTENT.0, (TOP + SIDE + 34) as u32), |_| {
        Ok(html! {
            text x="12" y="20" font-family="sans-serif" font-size="15" font-weight="bold" fill="#202124" {
                "array use: " (row.name)
            }
            @for cell in &cells {
                @let (x, y) = (f64::from(LEFT) + f64::from(cell.cols.0) * scale, f64::from(TOP) + f64::from(cell.rows.0) * scale);
                @let (w, h) = (f64::from(cell.cols.1 - cell.cols.0) * scale, f64::from(cell.rows.1 - cell.rows.0) * scale);
                rect x=(format!("{x:.1}")) y=(format!("{y:.1}")) width=(format!("{w:.1}")) height=(format!("{h:.1}")) fill=(shade(cell.share)) {
                    title {
                        (format!("rows {} to {}, columns {} to {}: busy {:.1} % of cycles", cell.rows.0, cell.rows.1 - 1, cell.cols.0, cell.cols.1 - 1, 100.0 * cell.share))
                    }
                }
                @if w > 42.0 && h > 14.0 {
                    text x=(format!("{:.0}", x + w / 2.0)) y=(format!("{:.0}", y + h / 2.0 + 4.0)) text-anchor="middle" font-family="sans-serif" font-size="12"
                        fill=(if cell.share > 0.5 { "white" } else { "#202124" }) { (format!("{:.1} %", 100.0 * cell.share)) }
                }
            }
            rect x=(LEFT) y=(TOP) width=(format!("{width:.1}")) height=(format!("{height:.1}")) fill="none" stroke="#5f6368" {}
            text x=(LEFT) y=(TOP - 6) font-family="sans-serif" font-size="12" fill="#202124" { "column 0 to " (cols - 1) }
            text x=(LEFT - 8) y=(TOP + 12) text-anchor="end" font-family="sans-serif" font-size="12" fill="#202124" { "row 0" }
            text x=(LEFT - 8) y=(format!("{:.0}", f64::from(TOP) + height)) text-anchor="end" font-family="sans-serif" font-size="12" fill="#202124" { (rows - 1) }
            text x=(LEFT) y=(format!("{:.0}", f64::from(TOP) + height + 22.0)) font-family="sans-serif" font-size="12" fill="#202124" {
                "cycles of a step in which a PE multiplies; mean over " (hardware.array.count) " array" @if hardware.array.count > 1 { "s" }
            }
        })
    })
}

/// PEs that are busy equally long.
struct Cell {
    rows: (u32, u32),
    cols: (u32, u32),
    share: f64,
}

/// The array cut where folds end: within a piece every PE is busy in the same folds.
fn busy(report: &Report, hardware: &Hardware) -> Vec<Cell> {
    let cuts = |of: fn(&crate::sweep::FoldShape) -> u32, end: u32| {
        let mut all: Vec<u32> = report.folds.iter().map(of).chain([0, end]).filter(|cut| *cut <= end).collect();
        all.sort_unstable();
        all.dedup();
        all.windows(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>()
    };
    let (rows, cols) = (cuts(|f| f.rows, hardware.array.rows), cuts(|f| f.cols, hardware.array.cols));
    let cycles = report.cycles_per_step() * f64::from(hardware.array.count);
    let share = |row: u32, col: u32| {
        let busy: u64 = report.folds.iter().filter(|f| row < f.rows && col < f.cols).map(|f| f.cycles).sum();
        if cycles > 0.0 { busy as f64 / cycles } else { 0.0 }
    };
    rows.iter().flat_map(|&r| cols.iter().map(move |&c| (r, c))).map(|(r, c)| Cell { rows: r, cols: c, share: share(r.0, c.0) }).collect()
}

/// Layers of a design in every pass, a row for each layer.
pub fn layers(row: &Row) -> Markup {
    let Some((report, _)) = row.first() else { return Markup::default() };
    let steps = report.steps.max(1) as f64;
    let mut passes: Vec<&str> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    let mut cells: BTreeMap<(&str, &str), &Layer> = BTreeMap::new();
    for layer in report.layers.iter().filter(|layer| layer.cycles.total > 0) {
        if !passes.contains(&layer.pass.as_str()) {
            passes.push(&layer.pass);
        }
        if !names.contains(&layer.name.as_str()) {
            names.push(&layer.name);
        }
        cells.insert((&layer.name, &layer.pass), layer);
    }
    html! {
        div.wide {
            table {
                thead {
                    tr { th rowspan="2" { "layer" } @for pass in &passes { th.group colspan="3" { (if pass.is_empty() { "all" } else { pass }) } } }
                    tr { @for _ in &passes { th.number { "cycles" } th.number { "use" } th.number { "energy" } } }
                }
                tbody {
                    @for name in &names {
                        tr {
                            td { (name) }
                            @for pass in &passes {
                                @if let Some(layer) = cells.get(&(*name, *pass)) {
                                    td.number { (engineering(layer.cycles.total as f64 / steps, "")) }
                                    td.number { @if layer.macs > 0 { (percent(layer.utilisation, 1.0)) } }
                                    td.number { (energy(layer.energy_pj / steps)) }
                                } @else { td {} td {} td {} }
                            }
                        }
                    }
                }
            }
        }
    }
}
