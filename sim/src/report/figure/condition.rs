//! Table and plot of evaluations by condition number.

use crate::run::figure::condition::{Chosen, Point, Sweep};
use crate::run::train::paired_difference;
use crate::text::{engineering, grouped, indented, numeric_table};
use plotters::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write;
use systole_trainer::recipe::Threshold;

/// A mean over the seeds and its standard error; the error is absent for one seed.
type Mean = (f64, Option<f64>);

/// What one way of choosing came to under one threshold.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Fraction of the dot products that stayed in low precision.
    pub low_share: Mean,
    /// Fraction of the test images that are classified right.
    pub accuracy: Mean,
    /// Mean magnitude of the logits' error; absent if one is not finite.
    pub logit_error: Option<Mean>,
    /// Energy of a batch, pJ.
    pub energy_pj_per_batch: f64,
    /// Cycles of a batch.
    pub cycles_per_batch: f64,
    /// MACs asked for in a batch.
    pub macs_per_batch: f64,
    /// MACs spent in a batch.
    pub macs_spent_per_batch: f64,
}

/// A threshold's row.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The threshold.
    pub threshold: Threshold,
    /// By condition number.
    pub condition: Side,
    /// By lot, at the same share in every layer.
    pub random: Side,
    /// Logit error of lots less that of condition numbers, paired by seed.
    pub advantage: Option<Mean>,
}

fn mean(points: &[&Point], of: impl Fn(&Point) -> f64) -> Mean {
    paired_difference(&points.iter().map(|point| (of(point), 0.0)).collect::<Vec<_>>())
}

fn side(points: &[&Point]) -> Side {
    let finite = points.iter().all(|point| point.logit_error.is_some());
    Side {
        low_share: mean(points, |p| p.low_share),
        accuracy: mean(points, |p| p.accuracy),
        logit_error: finite.then(|| mean(points, |p| p.logit_error.unwrap_or_default())),
        energy_pj_per_batch: mean(points, |p| p.energy_pj_per_batch).0,
        cycles_per_batch: mean(points, |p| p.cycles_per_batch).0,
        macs_per_batch: mean(points, |p| p.macs_per_batch).0,
        macs_spent_per_batch: mean(points, |p| p.macs_spent_per_batch).0,
    }
}

/// Points as rows, a threshold each, and what the finer precision alone comes to.
pub fn rows(sweep: &Sweep<'_>, points: &[Point]) -> (Side, Vec<Row>) {
    let chosen = |chosen: Chosen, threshold: f64| -> Vec<&Point> {
        points.iter().filter(|p| p.chosen == chosen && p.threshold == Threshold(threshold)).collect()
    };
    let row = |&threshold: &f64| {
        let (condition, random) = (chosen(Chosen::Condition, threshold), chosen(Chosen::Random, threshold));
        let errors = condition.iter().zip(&random).map(|(c, r)| Some((r.logit_error?, c.logit_error?)));
        let advantage = errors.collect::<Option<Vec<_>>>().map(|pairs| paired_difference(&pairs));
        Row { threshold: Threshold(threshold), condition: side(&condition), random: side(&random), advantage }
    };
    let fine: Vec<&Point> = points.iter().filter(|p| p.chosen == Chosen::AllFine).collect();
    (side(&fine), sweep.thresholds.iter().map(row).collect())
}

/// The object `systole figure condition --json` prints.
pub fn json(sweep: &Sweep<'_>, points: &[Point]) -> Value {
    let (fine, rows) = rows(sweep, points);
    json!({
        "recipe": sweep.recipe.name,
        "design": sweep.design.name,
        "model": sweep.model.name,
        "data": sweep.data.name,
        "first_seed": sweep.first_seed,
        "seeds": sweep.seeds,
        "all_fine": fine,
        "thresholds": rows,
        "points": points,
    })
}

fn heading(sweep: &Sweep<'_>) -> String {
    let (first, count) = (sweep.first_seed, u64::from(sweep.seeds));
    let seeds = if count == 1 { format!("seed {first}") } else { format!("seeds {first} to {}", first + count - 1) };
    format!("{} on {}, recipe {}, design {}, {seeds}", sweep.model.name, sweep.data.name, sweep.recipe.name, sweep.design.name)
}

fn with_error((mean, error): Mean, factor: f64, decimals: usize) -> String {
    let error = error.map(|e| format!(" ± {:.decimals$}", factor * e)).unwrap_or_default();
    format!("{:.decimals$}{error}", factor * mean)
}

fn maybe(mean: Option<Mean>) -> String {
    mean.map_or_else(|| "not finite".to_owned(), |mean| with_error(mean, 1.0, 4))
}

const COLUMNS: [&str; 10] =
    ["threshold", "low %", "logit error", "random's", "less", "accuracy %", "random's", "energy/batch", "of fine's", "MACs spent"];

fn cells(fine: &Side, row: &Row) -> [String; 10] {
    let Row { threshold, condition, random, advantage } = row;
    [
        threshold.0.to_string(),
        format!("{:.1}", 100.0 * condition.low_share.0),
        maybe(condition.logit_error),
        maybe(random.logit_error),
        maybe(*advantage),
        with_error(condition.accuracy, 100.0, 2),
        with_error(random.accuracy, 100.0, 2),
        engineering(condition.energy_pj_per_batch * 1e-12, "J"),
        format!("{:.2}", condition.energy_pj_per_batch / fine.energy_pj_per_batch),
        format!("{} of {}", grouped(condition.macs_spent_per_batch as u64), grouped(condition.macs_per_batch as u64)),
    ]
}

fn legend(fine: &Side) -> String {
    format!(
        "all in the finer precision: accuracy {} %, {} and {} MACs a batch; logit error: mean |difference| from these logits; \
         random: outputs left in low precision by lot, layer by layer as many; less: by how much the condition number errs less; \
         MACs spent of those asked for, masked products asking for all",
        with_error(fine.accuracy, 100.0, 2),
        engineering(fine.energy_pj_per_batch * 1e-12, "J"),
        grouped(fine.macs_spent_per_batch as u64)
    )
}

/// The report `systole figure condition` prints.
pub fn text(sweep: &Sweep<'_>, points: &[Point]) -> String {
    let (fine, rows) = rows(sweep, points);
    let mut table = numeric_table(&COLUMNS);
    rows.iter().for_each(|row| {
        table.add_row(cells(&fine, row));
    });
    let mut text = format!("{}\n", heading(sweep));
    text.push_str(&indented(&table, 2));
    let _ = writeln!(text, "{}", legend(&fine));
    text
}

/// The same as a table of Markdown.
pub fn markdown(sweep: &Sweep<'_>, points: &[Point]) -> String {
    let (fine, rows) = rows(sweep, points);
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("{}\n\n", heading(sweep));
    text += &line(&COLUMNS.map(str::to_owned));
    text += &format!("|{}\n", "---:|".repeat(COLUMNS.len()));
    rows.iter().for_each(|row| text += &line(&cells(&fine, row)));
    let _ = write!(text, "\n{}.\n", legend(&fine));
    text
}

/// Error, accuracy and energy over the share of dot products in low precision, as one SVG.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn plot(sweep: &Sweep<'_>, points: &[Point]) -> Result<String, String> {
    let mut svg = String::new();
    draw(&mut svg, sweep, points).map_err(|e| e.to_string())?;
    Ok(svg)
}

/// Width and height, pixels.
const SIZE: (u32, u32) = (1200, 420);

type Drawing = Result<(), Box<dyn std::error::Error>>;

/// A curve: its name and colour, and values with their errors over a share of dot products.
struct Curve {
    name: &'static str,
    colour: RGBColor,
    values: Vec<(f64, Mean)>,
}

fn curves(rows: &[Row], value: impl Fn(&Side) -> Option<Mean>) -> Vec<Curve> {
    let curve = |name, colour, side: &dyn Fn(&Row) -> Side| {
        let values = rows.iter().map(side).filter_map(|side| Some((100.0 * side.low_share.0, value(&side)?))).collect();
        Curve { name, colour, values }
    };
    vec![
        curve("by condition number", BLUE, &|row| row.condition.clone()),
        curve("by lot, layer by layer as many", RED, &|row| row.random.clone()),
    ]
}

fn draw(svg: &mut String, sweep: &Sweep<'_>, points: &[Point]) -> Drawing {
    let (fine, rows) = rows(sweep, points);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.titled(&heading(sweep), ("sans-serif", 18))?;
    let panels = area.split_evenly((1, 3));
    let percent = |(mean, error): Mean| (100.0 * mean, error.map(|e| 100.0 * e));
    let error =
        curves(&rows, |side| side.logit_error.filter(|(mean, _)| *mean > 0.0).map(|(m, e)| (m.log10(), e.map(|e| e / m / 10f64.ln()))));
    let labels: Vec<(f64, f64, String)> = rows
        .iter()
        .filter_map(|row| {
            let (error, _) = row.condition.logit_error.filter(|(mean, _)| *mean > 0.0)?;
            Some((100.0 * row.condition.low_share.0, error.log10(), row.threshold.0.to_string()))
        })
        .collect();
    panel(&panels[0], &error, &labels, "mean |logit error|, log10 (threshold at the points)", None)?;
    let accuracy = curves(&rows, |side| Some(percent(side.accuracy)));
    panel(&panels[1], &accuracy, &[], "test accuracy, % (line: all fine)", Some(100.0 * fine.accuracy.0))?;
    let energy = curves(&rows, |side| Some((side.energy_pj_per_batch / fine.energy_pj_per_batch, None)));
    panel(&panels[2], &energy, &[], "energy of a batch over that of all fine", Some(1.0))
}

/// A panel of curves, and a line across at `level`.
fn panel<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    curves: &[Curve],
    labels: &[(f64, f64, String)],
    title: &str,
    level: Option<f64>,
) -> Drawing
where
    B::ErrorType: 'static,
{
    let spread = |(mean, error): Mean| [mean - error.unwrap_or(0.0), mean + error.unwrap_or(0.0)];
    let all: Vec<f64> = curves.iter().flat_map(|c| &c.values).flat_map(|(_, value)| spread(*value)).chain(level).collect();
    let low = all.iter().copied().fold(f64::INFINITY, f64::min);
    let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let margin = 0.08 * (high - low).max(1e-3);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(10)
        .set_label_area_size(LabelAreaPosition::Left, 50)
        .set_label_area_size(LabelAreaPosition::Bottom, 42)
        .build_cartesian_2d(-3.0..103.0, low - margin..high + margin)?;
    let x_title = "dot products in low precision, %";
    chart.configure_mesh().x_labels(6).y_labels(6).x_desc(x_title).light_line_style(TRANSPARENT).draw()?;
    if let Some(level) = level {
        chart.draw_series([PathElement::new(vec![(0.0, level), (100.0, level)], BLACK.mix(0.5))])?;
    }
    for Curve { name, colour, values } in curves {
        let mut line: Vec<(f64, f64)> = values.iter().map(|(share, (mean, _))| (*share, *mean)).collect();
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        let drawn = chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?;
        drawn.label(*name).legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
        for &(share, value) in values {
            let [from, to] = spread(value);
            chart.draw_series([PathElement::new(vec![(share, from), (share, to)], colour.mix(0.6))])?;
            chart.draw_series([Circle::new((share, value.0), 3, colour.filled())])?;
        }
    }
    for (x, y, label) in labels {
        chart.draw_series([Text::new(label.clone(), (x + 1.5, y - 0.2 * margin), ("sans-serif", 12))])?;
    }
    if !labels.is_empty() {
        chart.configure_series_labels().position(SeriesLabelPosition::LowerRight).background_style(WHITE.mix(0.8)).draw()?;
    }
    Ok(())
}
