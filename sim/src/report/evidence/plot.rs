//! Histories of a run's evidence as one SVG.

use super::initial;
use crate::run::evidence::Line;
use crate::text::words;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::collections::BTreeMap;
use systole_trainer::training::TensorEvidence;

/// Roles with a column of their own.
const ROLES: [&str; 4] = ["weights", "activations", "errors", "weight_gradients"];

/// Extent of a panel, of the title, and of the line of names below, pixels.
const PANEL: (u32, u32) = (330, 220);
const TITLE: u32 = 40;
const NAMES: u32 = 22;
/// Width of a name below the panels, and names in one line.
const NAME: i32 = 110;
const NAMES_IN_LINE: usize = 12;

/// Largest numbers that many times amax are not drawn: tensors in wide formats would hide the others.
const FAR: f64 = 65_536.0;

/// Points up to which each is marked.
const MARKED: usize = 8;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawing = Result<(), Box<dyn std::error::Error>>;

/// A curve of a panel.
#[derive(Clone)]
struct Curve {
    colour: usize,
    is_pale: bool,
    points: Vec<(f64, f64)>,
}

/// Draws amax against the format's reach, saturation, errors by role; gradients, flips, MACs and loss.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn plot(lines: &[Line]) -> Result<String, String> {
    let mut svg = String::new();
    draw(&mut svg, lines).map_err(|e| e.to_string())?;
    Ok(svg)
}

/// Layers in the order of their first appearance.
fn layers(lines: &[Line]) -> Vec<&str> {
    let mut layers: Vec<&str> = Vec::new();
    for tensor in lines.iter().flat_map(|line| &line.evidence.tensors).filter(|t| ROLES.contains(&t.role.as_str())) {
        if !layers.contains(&tensor.layer.as_str()) {
            layers.push(&tensor.layer);
        }
    }
    layers
}

fn colour(index: usize) -> RGBColor {
    let (r, g, b) = Palette99::pick(index).rgb();
    RGBColor(r, g, b)
}

fn draw(svg: &mut String, lines: &[Line]) -> Drawing {
    let layers = layers(lines);
    let name_lines = layers.len().div_ceil(NAMES_IN_LINE).max(1) as u32;
    let (width, panels) = (PANEL.0 * ROLES.len() as u32, PANEL.1 * 4);
    let root = SVGBackend::with_string(svg, (width, TITLE + panels + NAMES * name_lines)).into_drawing_area();
    root.fill(&WHITE)?;
    let (title, rest) = root.split_vertically(TITLE);
    if let Some(line) = lines.first() {
        title.draw(&Text::new(line.run.to_string(), (10, 12), ("sans-serif", 18)))?;
    }
    let (body, names) = rest.split_vertically(panels);
    let body = body.split_evenly((4, ROLES.len()));
    let at = |layer: &str| layers.iter().position(|known| *known == layer).unwrap_or(0);
    for (column, role) in ROLES.into_iter().enumerate() {
        let logarithm = |x: Option<f64>| x.filter(|x| *x > 0.0).map(f64::log2);
        let of = |is_pale: bool, value: &dyn Fn(&TensorEvidence) -> Option<f64>| curves(lines, role, &at, is_pale, value);
        let share = |t: &TensorEvidence, count: Option<u64>| count.map(|count| 100.0 * count as f64 / t.elements.max(1) as f64);
        let name = format!("{} ({})", words(role), initial(role));
        let range =
            [of(false, &|t| logarithm(t.amax)), of(true, &|t| logarithm(t.limit.filter(|limit| *limit < FAR * t.amax.unwrap_or(0.0))))]
                .concat();
        panel(&body[column], &format!("{name}: log2 amax; pale: largest number"), &range, None)?;
        let lost = [of(false, &|t| share(t, t.saturated)), of(true, &|t| share(t, Some(t.underflows)))].concat();
        panel(&body[ROLES.len() + column], "% saturated; pale: % to zero", &lost, Some(0.0))?;
        panel(&body[2 * ROLES.len() + column], "log2 relative error", &of(false, &|t| logarithm(t.error)), None)?;
    }
    let last = &body[3 * ROLES.len()..];
    panel(&last[0], "log10 (1 - cosine) of weight gradients", &gradient_curves(lines, &at), None)?;
    let flips = |t: &TensorEvidence| t.flips.map(|flips| 100.0 * flips as f64 / t.elements.max(1) as f64);
    let back = |t: &TensorEvidence| t.reversals.map(|back| 100.0 * back as f64 / t.elements.max(1) as f64);
    let flips = [curves(lines, "weights", &at, false, &flips), curves(lines, "weights", &at, true, &back)].concat();
    panel(&last[1], "% weights flipped; pale: back", &flips, Some(0.0))?;
    modes(&last[2], lines)?;
    let step = |line: &Line| line.evidence.step as f64;
    let loss = lines.iter().filter_map(|line| Some((step(line), line.evidence.loss?))).collect();
    panel(&last[3], "loss of the batch", &[Curve { colour: 0, is_pale: false, points: loss }], Some(0.0))?;
    for (i, layer) in layers.iter().enumerate() {
        let (x, y) = (10 + NAME * (i % NAMES_IN_LINE) as i32, 4 + NAMES as i32 * (i / NAMES_IN_LINE) as i32);
        names.draw(&Rectangle::new([(x, y + 2), (x + 10, y + 12)], colour(i).filled()))?;
        names.draw(&Text::new((*layer).to_owned(), (x + 14, y), ("sans-serif", 13)))?;
    }
    root.present()?;
    Ok(())
}

/// Steps and what was seen in them.
type Points = Vec<(f64, f64)>;

/// A curve for each tensor of a role.
fn curves(
    lines: &[Line],
    role: &str,
    at: &dyn Fn(&str) -> usize,
    is_pale: bool,
    value: &dyn Fn(&TensorEvidence) -> Option<f64>,
) -> Vec<Curve> {
    let mut points: BTreeMap<(usize, usize, &str), Points> = BTreeMap::new();
    for line in lines {
        for tensor in line.evidence.tensors.iter().filter(|tensor| tensor.role == role) {
            if let Some(y) = value(tensor) {
                points.entry((at(&tensor.layer), tensor.index, &tensor.pass)).or_default().push((line.evidence.step as f64, y));
            }
        }
    }
    points.into_iter().map(|((colour, ..), points)| Curve { colour, is_pale, points }).collect()
}

fn gradient_curves(lines: &[Line], at: &dyn Fn(&str) -> usize) -> Vec<Curve> {
    let mut points: BTreeMap<usize, Points> = BTreeMap::new();
    for line in lines {
        for gradient in &line.evidence.gradients {
            if let Some(cosine) = gradient.cosine {
                // Cosines that are 1 to the last place have a floor.
                let y = (1.0 - cosine).max(1e-16).log10();
                points.entry(at(&gradient.layer)).or_default().push((line.evidence.step as f64, y));
            }
        }
    }
    points.into_iter().map(|(colour, points)| Curve { colour, is_pale: false, points }).collect()
}

fn bounds(values: impl Iterator<Item = f64> + Clone, zero: Option<f64>) -> (f64, f64) {
    let low = values.clone().fold(zero.unwrap_or(f64::INFINITY), f64::min);
    let high = values.fold(zero.unwrap_or(f64::NEG_INFINITY), f64::max);
    if low > high {
        return (0.0, 1.0);
    }
    let margin = if high > low { 0.05 * (high - low) } else { 0.5 };
    (if zero == Some(low) { low } else { low - margin }, high + margin)
}

fn panel(area: &Area<'_>, title: &str, curves: &[Curve], zero: Option<f64>) -> Drawing {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (left, right) = bounds(points().map(|p| p.0), None);
    let (low, high) = bounds(points().map(|p| p.1), zero);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 13))
        .margin(8)
        .set_label_area_size(LabelAreaPosition::Left, 44)
        .set_label_area_size(LabelAreaPosition::Bottom, 22)
        .build_cartesian_2d(left..right, low..high)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).x_labels(5).y_labels(6).x_label_formatter(&|step| format!("{step:.0}")).draw()?;
    if points().next().is_none() {
        let middle = (((left + right) / 2.0), ((low + high) / 2.0));
        chart.draw_series([Text::new("not counted", middle, ("sans-serif", 13))])?;
    }
    for curve in curves {
        let colour = colour(curve.colour).mix(if curve.is_pale { 0.4 } else { 1.0 });
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), colour.stroke_width(1)))?;
        if curve.points.len() <= MARKED {
            chart.draw_series(curve.points.iter().map(|&point| Circle::new(point, 2, colour.filled())))?;
        }
    }
    Ok(())
}

/// Shares of MAC modes, one upon another.
fn modes(area: &Area<'_>, lines: &[Line]) -> Drawing {
    let mut modes: BTreeMap<usize, &str> = BTreeMap::new();
    lines.iter().flat_map(|line| &line.cost.modes).for_each(|mode| {
        modes.insert(mode.mode, &mode.operands);
    });
    let (left, right) = bounds(lines.iter().map(|line| line.evidence.step as f64), None);
    let mut chart = ChartBuilder::on(area)
        .caption("% of the MACs by mode", ("sans-serif", 13))
        .margin(8)
        .set_label_area_size(LabelAreaPosition::Left, 44)
        .set_label_area_size(LabelAreaPosition::Bottom, 22)
        .build_cartesian_2d(left..right, 0.0..100.0)?;
    chart.configure_mesh().light_line_style(TRANSPARENT).x_labels(5).y_labels(6).x_label_formatter(&|step| format!("{step:.0}")).draw()?;
    let below = |line: &Line, mode: usize| {
        let macs: u64 = line.cost.modes.iter().filter(|m| m.mode < mode).map(|m| m.macs).sum();
        100.0 * macs as f64 / line.cost.macs_spent.max(1) as f64
    };
    for (i, (&mode, operands)) in modes.iter().enumerate() {
        let step = |line: &Line| line.evidence.step as f64;
        let edge = |of: usize| lines.iter().map(move |line| (step(line), below(line, of)));
        // A single step is as wide as the panel.
        let outline: Vec<(f64, f64)> = if lines.len() == 1 {
            let (low, high) = (below(&lines[0], mode), below(&lines[0], mode + 1));
            vec![(left, low), (right, low), (right, high), (left, high)]
        } else {
            edge(mode).chain(edge(mode + 1).collect::<Vec<_>>().into_iter().rev()).collect()
        };
        chart.draw_series([Polygon::new(outline, colour(i).mix(0.35))])?;
        let height = 94.0 - 9.0 * i as f64;
        chart.draw_series([Text::new(format!("mode {mode}: {operands}"), (left + 0.05 * (right - left), height), ("sans-serif", 12))])?;
    }
    Ok(())
}
