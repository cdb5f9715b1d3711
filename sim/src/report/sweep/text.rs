//! A sweep in the terminal: what to take, the front, what failed.

use crate::sweep::{Cost, Plan, Row, Standing, Table, typical_error};
use crate::text::{energy, engineering, grouped, indented, numeric_table, significant};
use std::fmt::Write;

/// Rows of the front that the terminal shows.
const MOST_ROWS: usize = 20;

/// An accuracy in percent with its standard error.
pub(super) fn accuracy(row: &Row) -> String {
    let error = row.merit_error.map(|error| format!(" ± {:.2}", 100.0 * error)).unwrap_or_default();
    row.merit.map_or_else(|| "-".to_owned(), |merit| format!("{:.2}{error} %", 100.0 * merit))
}

/// An area, um2, in mm2.
pub(super) fn area(um2: f64) -> String {
    format!("{} mm2", significant(um2 / 1e6))
}

/// A point's figures in words: accuracy, energy, throughput, area.
pub(super) fn figures(table: &Table, row: &Row) -> String {
    let Some(f) = &row.figures else { return String::new() };
    let first = if table.trains { format!("{}, ", accuracy(row)) } else { String::new() };
    format!(
        "{first}{} a step, {} of it on the chip, {} of {} TFLOPS, {}",
        energy(f.energy_pj_per_step),
        energy(f.on_chip_pj_per_step),
        significant(f.tflops),
        significant(f.peak_tflops),
        area(f.area_um2)
    )
}

/// What a cost is called where the reader picks by it.
const fn by(cost: Cost) -> &'static str {
    match cost {
        Cost::Energy => "least energy",
        Cost::OnChip => "least energy on the chip",
        Cost::Area => "least area",
        Cost::Tflops => "most TFLOPS",
    }
}

/// Costs by which a table's points are weighed: of workloads TFLOPS are the merit.
pub(super) fn costs(table: &Table) -> Vec<Cost> {
    Cost::ALL.into_iter().filter(|cost| table.trains || *cost != Cost::Tflops).collect()
}

/// Designs to take, each with what it is best by.
pub(super) fn picks(table: &Table) -> Vec<(String, usize)> {
    let mut all: Vec<(Vec<&str>, usize)> = Vec::new();
    for cost in Cost::ALL {
        let Some(row) = table.pick(cost) else { continue };
        match all.iter_mut().find(|(_, known)| *known == row) {
            Some((reasons, _)) => reasons.push(by(cost)),
            None => all.push((vec![by(cost)], row)),
        }
    }
    all.into_iter().map(|(reasons, row)| (reasons.join(", "), row)).collect()
}

/// How a pick was made, in words.
pub(super) fn rule(table: &Table) -> String {
    let typical = typical_error(&table.rows);
    if !table.trains {
        "of all designs, one cost at a time".to_owned()
    } else if typical > 0.0 {
        format!(
            "of the designs than which the best is not more accurate by more than {:.2} points, the typical standard error of a paired difference",
            100.0 * typical
        )
    } else {
        "of the most accurate designs".to_owned()
    }
}

fn front_table(table: &Table) -> comfy_table::Table {
    let merit = if table.trains { "accuracy" } else { "TFLOPS" };
    let mut shown = numeric_table(&["front by energy", merit, "energy/step", "cycles/step", "area", "use", "TFLOPS/W"]);
    let mut front: Vec<&Row> = table.rows.iter().filter(|row| row.standing(Cost::Energy) == Standing::Front).collect();
    front.sort_by(|a, b| b.merit.partial_cmp(&a.merit).unwrap_or(std::cmp::Ordering::Equal));
    for row in front.iter().take(MOST_ROWS) {
        let Some(f) = &row.figures else { continue };
        shown.add_row([
            row.name.clone(),
            if table.trains { accuracy(row) } else { significant(f.tflops) },
            energy(f.energy_pj_per_step),
            grouped(f.cycles_per_step as u64),
            area(f.area_um2),
            format!("{:.1} %", 100.0 * f.utilisation),
            significant(f.tflops_per_watt),
        ]);
    }
    shown
}

/// The report `systole sweep` and `systole report` print.
pub fn text(plan: &Plan, table: &Table) -> String {
    let (done, all): (usize, usize) = table.rows.iter().fold((0, 0), |(done, all), row| (done + row.runs.0, all + row.runs.1));
    let failed: Vec<&Row> = table.rows.iter().filter(|row| row.error.is_some()).collect();
    let mut text = format!("{}: {}\n", plan.name, plan.task);
    let _ = writeln!(
        text,
        "  {} points, {} of {} runs, {} points failed\n",
        grouped(table.rows.len() as u64),
        grouped(done as u64),
        grouped(all as u64),
        failed.len()
    );
    text += &indented(&front_table(table), 2);
    let picks = picks(table);
    if !picks.is_empty() {
        text.push('\n');
        for (reasons, row) in picks {
            let row = &table.rows[row];
            let _ = writeln!(text, "{reasons}: {}\n  {}", row.name, figures(table, row));
        }
        let _ = writeln!(text, "  chosen {}", rule(table));
    }
    if !failed.is_empty() {
        let _ = writeln!(text, "\nfailed");
        for row in failed.iter().take(MOST_ROWS) {
            let reason = row.error.as_deref().unwrap_or_default().replace('\n', " ");
            let _ = writeln!(text, "  {}: {reason}", row.name);
        }
        if failed.len() > MOST_ROWS {
            let _ = writeln!(text, "  and {} more", failed.len() - MOST_ROWS);
        }
    }
    text
}

/// Seconds as a person says them.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => engineering(s, "s"),
        s if s < 100.0 => format!("{s:.0} s"),
        s if s < 6000.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
