//! Tables and plot of recipes side by side.

use crate::run::compare::{Comparison, Row};
use crate::text::{engineering, grouped, indented, numeric_table, significant};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::{Value, json};
use std::fmt::Write;

/// The object `systole compare --json` prints.
pub fn json(comparison: &Comparison<'_>, rows: &[Row]) -> Value {
    json!({
        "model": comparison.model.name,
        "data": comparison.data.name,
        "first_seed": comparison.first_seed,
        "seeds": comparison.seeds,
        "recipes": rows,
    })
}

const COLUMNS: [&str; 8] =
    ["recipe", "accuracy %", "from host, points", "from fp32 array, points", "energy/step", "of fp32's", "cycles/step", "TFLOPS/W"];

pub(super) fn points((mean, error): (f64, Option<f64>)) -> String {
    let error = error.map(|e| format!(" ± {:.2}", 100.0 * e)).unwrap_or_default();
    format!("{:+.2}{error}", 100.0 * mean)
}

fn cells(row: &Row) -> [String; 8] {
    let error = row.accuracy_error.map(|e| format!(" ± {:.2}", 100.0 * e)).unwrap_or_default();
    [
        row.recipe.clone(),
        format!("{:.2}{error}", 100.0 * row.accuracy),
        points(row.from_host),
        points(row.from_array),
        engineering(row.energy_pj_per_step * 1e-12, "J"),
        format!("{:.2}", row.energy_pj_per_step / row.array_energy_pj_per_step),
        grouped(row.cycles_per_step as u64),
        significant(row.tflops_per_watt),
    ]
}

/// What a recipe that computes outputs again came to.
fn low_precision(row: &Row) -> Option<String> {
    Some(format!(
        "{}: {:.1} % of forward dot products stayed in low precision; {} MACs a step asked for, {} spent",
        row.recipe,
        100.0 * row.low_share?,
        grouped(row.macs_per_step as u64),
        grouped(row.macs_spent_per_step as u64)
    ))
}

pub(super) fn heading(comparison: &Comparison<'_>) -> String {
    let (first, count) = (comparison.first_seed, u64::from(comparison.seeds));
    let seeds = if count == 1 { format!("seed {first}") } else { format!("paired seeds {first} to {}", first + count - 1) };
    let epochs = comparison.contenders.iter().map(|(r, _)| r.epochs);
    let (least, most) = (epochs.clone().min().unwrap_or(0), epochs.max().unwrap_or(0));
    let epochs = if least == most { most.to_string() } else { format!("{least} to {most}") };
    format!("{} on {}, {epochs} epochs, {seeds}", comparison.model.name, comparison.data.name)
}

/// The report `systole compare` prints.
pub fn text(comparison: &Comparison<'_>, rows: &[Row]) -> String {
    let mut table = numeric_table(&COLUMNS);
    rows.iter().for_each(|row| {
        table.add_row(cells(row));
    });
    let mut text = format!("{}\n", heading(comparison));
    text.push_str(&indented(&table, 2));
    let _ = writeln!(
        text,
        "accuracy: mean over seeds ± standard error; differences: paired by seed, with the recipe's own optimizer in fp32 on the host and on an array"
    );
    rows.iter().filter_map(low_precision).for_each(|line| {
        let _ = writeln!(text, "{line}");
    });
    text
}

/// The same as a table of Markdown.
pub fn markdown(comparison: &Comparison<'_>, rows: &[Row]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("{}\n\n", heading(comparison));
    text += &line(&COLUMNS.map(str::to_owned));
    text += &format!("|---|{}\n", "---:|".repeat(COLUMNS.len() - 1));
    rows.iter().for_each(|row| text += &line(&cells(row)));
    rows.iter().filter_map(low_precision).for_each(|line| {
        let _ = write!(text, "\n{line}.\n");
    });
    text
}

/// Accuracy and energy, a line for each recipe, as one SVG.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn plot(comparison: &Comparison<'_>, rows: &[Row]) -> Result<String, String> {
    let mut svg = String::new();
    draw(&mut svg, comparison, rows).map_err(|e| e.to_string())?;
    Ok(svg)
}

/// Height of a recipe's line, and of what stands above and below the lines, pixels.
const LINE: u32 = 20;
const FRAME: u32 = 110;
/// Width of the names, and of the whole.
const NAMES: i32 = 130;
const WIDTH: u32 = 960;

type Drawing = Result<(), Box<dyn std::error::Error>>;

fn draw(svg: &mut String, comparison: &Comparison<'_>, rows: &[Row]) -> Drawing {
    let height = FRAME + LINE * rows.len() as u32;
    let area = SVGBackend::with_string(svg, (WIDTH, height)).into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.titled(&heading(comparison), ("sans-serif", 18))?;
    let (left, right) = area.split_horizontally(WIDTH as i32 * 3 / 5);
    let names: Vec<&str> = rows.iter().map(|row| row.recipe.as_str()).collect();
    let accuracies: Vec<(f64, f64)> = rows.iter().map(|r| (100.0 * r.from_host.0, 100.0 * r.from_host.1.unwrap_or(0.0))).collect();
    let energies: Vec<(f64, f64)> = rows.iter().map(|r| (r.energy_pj_per_step / r.array_energy_pj_per_step, 0.0)).collect();
    panel(&left, &names, &accuracies, 0.0, "test accuracy less fp32 on the host, points ± standard error")?;
    panel(&right, &[], &energies, 1.0, "energy of a step over that of fp32 on the array")
}

/// A panel of values with their errors, a line at `zero`.
fn panel<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    names: &[&str],
    values: &[(f64, f64)],
    zero: f64,
    title: &str,
) -> Drawing
where
    B::ErrorType: 'static,
{
    let count = values.len() as f64;
    let low = values.iter().map(|(x, e)| x - e).fold(zero - 0.2, f64::min);
    let high = values.iter().map(|(x, e)| x + e).fold(zero + 0.2, f64::max);
    let margin = 0.06 * (high - low);
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .set_label_area_size(LabelAreaPosition::Left, if names.is_empty() { 10 } else { NAMES })
        .set_label_area_size(LabelAreaPosition::Bottom, 46)
        .build_cartesian_2d(low - margin..high + margin, 0.0..count)?;
    chart.configure_mesh().disable_y_mesh().y_labels(0).x_labels(8).x_desc(title).light_line_style(TRANSPARENT).draw()?;
    chart.draw_series([PathElement::new(vec![(zero, 0.0), (zero, count)], BLACK.mix(0.5))])?;
    for (i, &(x, error)) in values.iter().enumerate() {
        // The first recipe stands at the top.
        let y = count - 0.5 - i as f64;
        chart.draw_series([PathElement::new(vec![(x - error, y), (x + error, y)], BLUE.stroke_width(2))])?;
        chart.draw_series([Circle::new((x, y), 3, BLUE.filled())])?;
        if let Some(name) = names.get(i) {
            let (_, level) = chart.plotting_area().map_coordinate(&(low, y));
            let (left, top) = area.get_base_pixel();
            let right_aligned = ("sans-serif", 13).into_font().into_text_style(area).pos(Pos::new(HPos::Right, VPos::Center));
            area.draw_text(name, &right_aligned, (NAMES - left.min(0), level - top))?;
        }
    }
    Ok(())
}
