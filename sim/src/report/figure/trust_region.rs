//! Table and plot of training runs, epoch by epoch.

use crate::run::figure::trust_region::{Curve, Curves};
use crate::run::train::paired_difference;
use crate::text::{engineering, indented, numeric_table, percent};
use plotters::prelude::*;
use serde_json::{Value, json};
use std::fmt::Write;

/// A recipe's runs, a seed each.
struct Recipe<'a> {
    name: &'a str,
    runs: Vec<&'a Curve>,
}

impl Recipe<'_> {
    /// Mean of a number over the seeds, and its standard error.
    fn mean(&self, of: impl Fn(&Curve) -> f64) -> (f64, Option<f64>) {
        paired_difference(&self.runs.iter().map(|run| (of(run), 0.0)).collect::<Vec<_>>())
    }

    /// Mean over the seeds, epoch by epoch from 1.
    fn by_epoch(&self, of: impl Fn(&Curve, usize) -> f64) -> Vec<(f64, f64)> {
        let epochs = self.runs.iter().map(|run| run.epochs.len()).min().unwrap_or(0);
        (0..epochs).map(|epoch| ((epoch + 1) as f64, self.mean(|run| of(run, epoch)).0)).collect()
    }

    /// Shares of the MACs by operands, over all seeds.
    fn macs(&self) -> String {
        let total: u64 = self.runs.iter().flat_map(|run| &run.macs).map(|(_, macs)| macs).sum();
        let mut operands: Vec<&str> = Vec::new();
        for (name, _) in self.runs.iter().flat_map(|run| &run.macs) {
            if !operands.contains(&name.as_str()) {
                operands.push(name);
            }
        }
        let of = |name: &str| self.runs.iter().flat_map(|run| &run.macs).filter(|(n, _)| n == name).map(|(_, macs)| macs).sum::<u64>();
        let shares = operands.iter().map(|name| format!("{} {name}", percent(of(name) as f64, total as f64)));
        shares.collect::<Vec<_>>().join(", ")
    }
}

fn error(run: &Curve, epoch: usize) -> f64 {
    100.0 * (1.0 - run.epochs[epoch].test_accuracy)
}

fn last(run: &Curve) -> usize {
    run.epochs.len().saturating_sub(1)
}

fn recipes<'a>(curves: &'a Curves<'_>, runs: &'a [Curve]) -> Vec<Recipe<'a>> {
    let of = |name: &'a str| Recipe { name, runs: runs.iter().filter(|run| run.recipe == name).collect() };
    curves.contenders.iter().map(|(recipe, _)| of(&recipe.name)).collect()
}

/// The object `systole figure trust-region --json` prints.
pub fn json(curves: &Curves<'_>, runs: &[Curve]) -> Value {
    json!({
        "model": curves.model.name,
        "data": curves.data.name,
        "first_seed": curves.first_seed,
        "seeds": curves.seeds,
        "runs": runs,
    })
}

fn heading(curves: &Curves<'_>) -> String {
    let (first, count) = (curves.first_seed, u64::from(curves.seeds));
    let seeds = if count == 1 { format!("seed {first}") } else { format!("seeds {first} to {}", first + count - 1) };
    format!("{} on {}, {seeds}", curves.model.name, curves.data.name)
}

fn with_error((mean, error): (f64, Option<f64>), decimals: usize) -> String {
    let error = error.map(|e| format!(" ± {e:.decimals$}")).unwrap_or_default();
    format!("{mean:.decimals$}{error}")
}

const COLUMNS: [&str; 6] = ["recipe", "test error %", "loss", "tests passed", "energy/step", "MACs"];

fn cells(recipe: &Recipe<'_>) -> [String; 6] {
    let tests = recipe.mean(|run| run.tests.0 as f64).0;
    [
        recipe.name.to_owned(),
        with_error(recipe.mean(|run| error(run, last(run))), 2),
        with_error(recipe.mean(|run| run.epochs[last(run)].loss), 3),
        if tests > 0.0 { format!("{:.0} of {tests:.0}", recipe.mean(|run| run.tests.1 as f64).0) } else { "-".to_owned() },
        engineering(recipe.mean(|run| run.energy_pj / run.steps.max(1) as f64).0 * 1e-12, "J"),
        recipe.macs(),
    ]
}

/// The report `systole figure trust-region` prints.
pub fn text(curves: &Curves<'_>, runs: &[Curve]) -> String {
    let mut table = numeric_table(&COLUMNS);
    recipes(curves, runs).iter().for_each(|recipe| {
        table.add_row(cells(recipe));
    });
    let mut text = format!("{}\n", heading(curves));
    text.push_str(&indented(&table, 2));
    let _ = writeln!(text, "test error and loss of the last epoch; means over seeds ± standard error");
    text
}

/// The same as a table of Markdown.
pub fn markdown(curves: &Curves<'_>, runs: &[Curve]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut text = format!("{}\n\n", heading(curves));
    text += &line(&COLUMNS.map(str::to_owned));
    text += &format!("|---|{}\n", "---:|".repeat(COLUMNS.len() - 1));
    recipes(curves, runs).iter().for_each(|recipe| text += &line(&cells(recipe)));
    text
}

/// Error, loss and precision over the epochs, as one SVG.
///
/// # Errors
/// What the drawing refuses, as text.
pub fn plot(curves: &Curves<'_>, runs: &[Curve]) -> Result<String, String> {
    let mut svg = String::new();
    draw(&mut svg, curves, runs).map_err(|e| e.to_string())?;
    Ok(svg)
}

/// Width and height, pixels.
const SIZE: (u32, u32) = (1200, 420);

type Drawing = Result<(), Box<dyn std::error::Error>>;

/// A recipe's line in a panel.
type Line<'a> = (&'a str, Vec<(f64, f64)>);

fn draw(svg: &mut String, curves: &Curves<'_>, runs: &[Curve]) -> Drawing {
    let recipes = recipes(curves, runs);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.titled(&heading(curves), ("sans-serif", 18))?;
    let panels = area.split_evenly((1, 3));
    let lines = |of: &dyn Fn(&Curve, usize) -> f64| -> Vec<Line<'_>> { recipes.iter().map(|r| (r.name, r.by_epoch(of))).collect() };
    panel(&panels[0], &lines(&error), "test error, %", true)?;
    panel(&panels[1], &lines(&|run, epoch| run.epochs[epoch].loss), "training loss", false)?;
    panel(&panels[2], &lines(&|run, epoch| run.bits[epoch]), "bits of weights as operands", false)
}

fn panel<B: DrawingBackend>(area: &DrawingArea<B, plotters::coord::Shift>, lines: &[Line<'_>], title: &str, legend: bool) -> Drawing
where
    B::ErrorType: 'static,
{
    let points = || lines.iter().flat_map(|(_, points)| points);
    let epochs = points().map(|(x, _)| *x).fold(1.0, f64::max);
    let high = points().map(|(_, y)| *y).filter(|y| y.is_finite()).fold(0.0, f64::max).max(1e-3);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 14))
        .margin(10)
        .set_label_area_size(LabelAreaPosition::Left, 46)
        .set_label_area_size(LabelAreaPosition::Bottom, 42)
        .build_cartesian_2d(0.5..epochs + 0.5, 0.0..1.06 * high)?;
    chart
        .configure_mesh()
        .x_labels(6)
        .y_labels(6)
        .x_desc("epoch")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (i, (name, points)) in lines.iter().enumerate() {
        let style = Palette99::pick(i).stroke_width(2);
        let finite = points.iter().copied().filter(|(_, y)| y.is_finite());
        let drawn = chart.draw_series(LineSeries::new(finite, style))?;
        drawn.label(*name).legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style));
    }
    if legend {
        chart.configure_series_labels().position(SeriesLabelPosition::UpperRight).background_style(WHITE.mix(0.8)).draw()?;
    }
    Ok(())
}
