//! Tables and plot of recipes side by side.

use crate::run::compare::{Comparison, Row};
use crate::text::{engineering, grouped, indented, numeric_table, significant};
use plotters::prelude::*;
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

fn points((mean, error): (f64, Option<f64>)) -> String {
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

fn heading(comparison: &Comparison<'_>, rows: &[Row]) -> String {
    let (first, count) = (comparison.first_seed, u64::from(comparison.seeds));
    let seeds = if count == 1 { format!("seed {first}") } else { format!("paired seeds {first} to {}", first + count - 1) };
    let epochs = comparison.contenders.iter().map(|(r, _)| r.epochs);
    let (least, most) = (epochs.clone().min().unwrap_or(0), epochs.max().unwrap_or(0));
    let epochs = if least == most { most.to_string() } else { format!("{least} to {most}") };
    let _ = rows;
    format!("{} on {}, {epochs} epochs, {seeds}", comparison.model.name, comparison.data.name)
}

/// The report `systole compare` prints.
pub fn text(comparison: &Comparison<'_>, rows: &[Row]) -> String {
    let mut table = numeric_table(&COLUMNS);
    rows.iter().for_each(|row| {
        table.add_row(cells(row));
    });
    let mut text = format!("{}\n", heading(comparison, rows));
    text.push_str(&indented(&table, 2));
    let _ = writeln!(
        text,
        "accuracy: mean over seeds ± standard error; differences: paired by seed, with the recipe's own optimizer in fp32 on the host and on an array"
    );
    text
}

/// The same as a table of Markdown.
pub fn markdown(comparison: &Comparison<'_>, rows: &[Row]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("{}\n\n", heading(comparison, rows));
    text += &line(&COLUMNS.map(str::to_owned));
    text += &format!("|---|{}\n", "---:|".repeat(COLUMNS.len() - 1));
    rows.iter().for_each(|row| text += &line(&cells(row)));
    text
}

/// Accuracy against energy as one SVG.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn plot(comparison: &Comparison<'_>, rows: &[Row]) -> Result<String, String> {
    let mut svg = String::new();
    draw(&mut svg, comparison, rows).map_err(|e| e.to_string())?;
    Ok(svg)
}

fn draw(svg: &mut String, comparison: &Comparison<'_>, rows: &[Row]) -> Result<(), Box<dyn std::error::Error>> {
    const SIZE: (u32, u32) = (900, 560);
    let energy = |row: &Row| row.energy_pj_per_step * 1e-6;
    let error = |row: &Row| 100.0 * row.from_host.1.unwrap_or(0.0);
    let difference = |row: &Row| 100.0 * row.from_host.0;
    let low = rows.iter().map(energy).fold(f64::INFINITY, f64::min).max(1e-9);
    let high = rows.iter().map(energy).fold(low, f64::max);
    let bottom = rows.iter().map(|r| difference(r) - error(r)).fold(-0.5, f64::min);
    let top = rows.iter().map(|r| difference(r) + error(r)).fold(0.5, f64::max);
    let margin = 0.1 * (top - bottom);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(heading(comparison, rows), ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d((low / 1.3..high * 1.6).log_scale(), bottom - margin..top + margin)?;
    chart
        .configure_mesh()
        .x_desc("energy of a training step, µJ")
        .y_desc("test accuracy less fp32 on the host, points")
        .light_line_style(TRANSPARENT)
        .x_label_formatter(&|x| significant(*x))
        .draw()?;
    chart.draw_series(LineSeries::new([(low / 1.3, 0.0), (high * 1.6, 0.0)], BLACK.mix(0.4)))?;
    for (i, row) in rows.iter().enumerate() {
        let colour = Palette99::pick(i).to_rgba();
        let (x, y, e) = (energy(row), difference(row), error(row));
        chart.draw_series([PathElement::new(vec![(x, y - e), (x, y + e)], colour.stroke_width(2))])?;
        chart.draw_series([Circle::new((x, y), 4, colour.filled())])?;
        // Labels of neighbours stand above and below in turn.
        let lift = if i % 2 == 0 { -14 } else { 6 };
        chart.draw_series([EmptyElement::at((x, y)) + Text::new(row.recipe.clone(), (6, lift), ("sans-serif", 13).into_font())])?;
    }
    area.present()?;
    Ok(())
}
