//! A sweep as one HTML file: no network, no file beside it.

use super::text::{accuracy, area, costs, figures, picks, rule};
use super::{detail, front, histogram};
use crate::sweep::{Cost, Plan, Row, Standing, Table};
use crate::text::{energy, grouped, significant};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// What is said of a sweep besides its results.
pub struct Provenance {
    /// The spec's text.
    pub spec: String,
    /// Pictures that stand in files of their own, by name.
    pub pictures: Vec<(String, String)>,
}

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// Designs that charts of several show: what to take, then the front by energy.
pub fn shown(table: &Table) -> Vec<usize> {
    let mut all: Vec<usize> = picks(table).into_iter().map(|(_, row)| row).collect();
    let of_front = |row: &usize| table.rows[*row].standing(Cost::Energy) == Standing::Front;
    let mut front: Vec<usize> = (0..table.rows.len()).filter(of_front).collect();
    front.sort_by(|&a, &b| table.rows[b].merit.partial_cmp(&table.rows[a].merit).unwrap_or(std::cmp::Ordering::Equal));
    all.extend(front);
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|row| seen.insert(*row));
    all.truncate(detail::MOST);
    all
}

/// Every picture of a sweep, by name.
///
/// # Errors
/// What a drawing refuses, as text.
pub fn pictures(table: &Table) -> Result<Vec<(String, String)>, String> {
    let rows: Vec<&Row> = shown(table).into_iter().map(|row| &table.rows[row]).collect();
    let mut all = Vec::new();
    for cost in costs(table) {
        all.push((format!("front-{}", cost.name()), front::plot(table, cost)?));
    }
    if !rows.is_empty() {
        all.push(("energy".to_owned(), detail::energy_bars(&rows)?));
        all.push(("stalls".to_owned(), detail::stall_bars(&rows)?));
        if table.trains {
            all.push(("accuracy".to_owned(), detail::curves(&rows, false)?));
            all.push(("loss".to_owned(), detail::curves(&rows, true)?));
        }
        all.push(("roofline".to_owned(), detail::roofline(rows[0])?));
        all.push(("utilisation".to_owned(), detail::heat_map(rows[0])?));
        all.push(("values".to_owned(), histogram::plot(rows[0])?));
    }
    all.retain(|(_, svg)| !svg.is_empty());
    Ok(all)
}

fn picture(all: &[(String, String)], name: &str) -> Markup {
    html! {
        @if let Some((_, svg)) = all.iter().find(|(known, _)| known == name) {
            figure id=(format!("figure-{name}")) { (PreEscaped(svg)) }
        }
    }
}

/// The first lines: what to take and why.
fn answer(table: &Table) -> Markup {
    let picks = picks(table);
    html! {
        section.answer {
            @if picks.is_empty() { p { "No design has finished all its runs yet." } }
            @for (reasons, row) in &picks {
                div.pick {
                    span.by { (reasons) }
                    a.name href=(format!("#{}", front::target(*row))) { (table.rows[*row].name) }
                    span.figures { (figures(table, &table.rows[*row])) }
                }
            }
            @if !picks.is_empty() { p.rule { "Chosen " (rule(table)) "." } }
        }
    }
}

fn number(class: &str, sort: f64, text: &str) -> Markup {
    html! { td.number.(class) data-sort=(sort) { (text) } }
}

/// The table of all points.
fn points(table: &Table) -> Markup {
    let heads: &[&str] = if table.trains {
        &["accuracy", "from fp32", "energy/step", "on chip", "cycles/step", "area", "TFLOPS", "TFLOPS/W", "TFLOPS/mm²", "use", "swamped"]
    } else {
        &["energy/step", "on chip", "cycles/step", "area", "TFLOPS", "TFLOPS/W", "TFLOPS/mm²", "use"]
    };
    html! {
        p {
            "Select a heading to sort, a name for the design in full."
            @if table.trains { " Swamped: additions to sums in the last step that changed nothing." }
        }
        label { input type="checkbox" id="worthwhile"; " only the front and what is within error of it" }
        div.wide {
            table.points id="points" {
                thead { tr {
                    th { "#" } th { "design" } th { "by energy" }
                    @for head in heads { th.number { (head) } }
                } }
                tbody {
                    @for (i, row) in table.rows.iter().enumerate() {
                        @let standing = row.standing(Cost::Energy);
                        tr.(standing.name().replace(' ', "-")) {
                            td data-sort=(i) { (i + 1) }
                            td { a href=(format!("#{}", front::target(i))) title=(front::words(row)) { (row.name) } }
                            td data-sort=(standing as u8) {
                                @if row.error.is_some() { "failed" } @else if row.merit.is_none() { "unfinished" } @else { (standing.name()) }
                            }
                            @if let Some(f) = &row.figures {
                                @if table.trains {
                                    (number("", row.merit.unwrap_or(-1.0), &accuracy(row)))
                                    @let (mean, error) = row.from_reference.unwrap_or((0.0, None));
                                    (number("", mean, &row.from_reference.map(|_| format!("{:+.2}{}", 100.0 * mean, error.map(|e| format!(" ± {:.2}", 100.0 * e)).unwrap_or_default())).unwrap_or_default()))
                                }
                                (number("", f.energy_pj_per_step, &energy(f.energy_pj_per_step)))
                                (number("", f.on_chip_pj_per_step, &energy(f.on_chip_pj_per_step)))
                                (number("", f.cycles_per_step, &grouped(f.cycles_per_step as u64)))
                                (number("", f.area_um2, &area(f.area_um2)))
                                (number("", f.tflops, &significant(f.tflops)))
                                (number("", f.tflops_per_watt, &significant(f.tflops_per_watt)))
                                (number("", f.tflops_per_mm2, &significant(f.tflops_per_mm2)))
                                (number("", f.utilisation, &format!("{:.1} %", 100.0 * f.utilisation)))
                                @if table.trains {
                                    (number("", f.swamped.unwrap_or(-1.0), &f.swamped.map(|x| format!("{:.1} %", 100.0 * x)).unwrap_or_default()))
                                }
                            } @else {
                                @for _ in heads { td data-sort="-1" {} }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Everything about one point, folded up.
fn in_full(table: &Table, index: usize, drawn: bool) -> Result<Markup, String> {
    let row = &table.rows[index];
    let drawings = if drawn { vec![detail::roofline(row)?, detail::heat_map(row)?, histogram::plot(row)?] } else { Vec::new() };
    let hash = row.records.first().map(|r| r.design_sha256.clone()).unwrap_or_default();
    let digests: Vec<String> =
        row.records.iter().filter_map(|r| Some((r.seed?, r.report()?.digest.clone()?))).map(|(s, d)| format!("seed {s}: {d}")).collect();
    Ok(html! {
        details.point id=(front::target(index)) {
            summary { span.index { (index + 1) } " " (row.name) " " span.figures { (figures(table, row)) } }
            @if let Some(error) = &row.error { p.error { (error) } }
            dl {
                @for (path, value) in &row.settings { dt { (path) } dd { (value.as_str().map_or_else(|| value.to_string(), str::to_owned)) } }
                @if table.trains && !row.merits.is_empty() {
                    dt { "accuracy by seed" }
                    dd { (row.merits.iter().map(|(seed, x)| format!("{seed}: {:.2} %", 100.0 * x)).collect::<Vec<_>>().join(", ")) }
                }
                @if !hash.is_empty() { dt { "design, SHA-256" } dd.hash { (hash) } }
                @if !digests.is_empty() { dt { "final weights, SHA-256" } dd.hash { @for digest in &digests { (digest) br; } } }
                @if let Some((report, _)) = row.first() {
                    @if !report.notes.is_empty() { dt { "notes" } dd { @for note in &report.notes { (note) br; } } }
                    @if let Some(activity) = &report.activity {
                        dt { "values" }
                        dd { (activity.iter().filter(|(_, n)| **n > 0).map(|(name, n)| format!("{} {}", grouped(*n), name.replace('_', " "))).collect::<Vec<_>>().join(", ")) }
                    }
                }
            }
            (detail::layers(row))
            div.figures { @for drawing in drawings.iter().filter(|svg| !svg.is_empty()) { figure { (PreEscaped(drawing)) } } }
        }
    })
}

fn about(plan: &Plan, table: &Table, provenance: &Provenance) -> Markup {
    let assumptions = table.rows.iter().find_map(Row::first).map(|(report, _)| report.assumptions.clone()).unwrap_or_default();
    html! {
        dl {
            dt { "command" } dd { code { (plan.command) } }
            dt { "systole" } dd { (plan.version) }
            dt { "task" } dd { (plan.task) }
            dt { "starts from" } dd {
                @if let Some(recipe) = &plan.recipe { "recipe " (recipe) ", " }
                "design " (plan.design.as_deref().unwrap_or("of the recipe"))
            }
            dt { "runs" } dd { (table.rows.iter().map(|r| r.runs.0).sum::<usize>()) " of " (table.rows.iter().map(|r| r.runs.1).sum::<usize>()) }
        }
        @if !assumptions.is_empty() {
            h3 { "Assumptions" }
            p { "Of the first design; those of others differ in what their settings change." }
            ul { @for assumption in &assumptions { li { (assumption) } } }
        }
        h3 { "Standings" }
        p { "A design is on the front if it is better than every cheaper one by more than the error of their paired difference over seeds; \
             within error if no cheaper one is better by more than that; else dominated. The error is the standard error of that difference, or the \
             median of such errors over all designs where that is more: a few seeds tell one design's error badly. Bars show the standard error \
             of each design's mean." }
        @if !provenance.spec.is_empty() { details { summary { "Specification" } pre { (provenance.spec) } } }
    }
}

/// The page.
///
/// # Errors
/// What a drawing refuses, as text.
pub fn page(plan: &Plan, table: &Table, provenance: &Provenance) -> Result<String, String> {
    let pictures = &provenance.pictures;
    let drawn = shown(table);
    let points_in_full: Vec<Markup> = (0..table.rows.len()).map(|i| in_full(table, i, drawn.contains(&i))).collect::<Result<_, _>>()?;
    let failed = table.rows.iter().filter(|row| row.error.is_some()).count();
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(format!("systole {}", plan.version));
                title { "systole: " (plan.name) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (plan.name) }
                    p { (plan.summary) }
                    p.counts {
                        (grouped(table.rows.len() as u64)) " designs, " (plan.task)
                        @if failed > 0 { "; " (failed) " failed" }
                    }
                    nav {
                        a href="#fronts" { "Fronts" } a href="#designs" { "Designs" } a href="#costs" { "Costs" }
                        @if table.trains { a href="#training" { "Training" } }
                        a href="#in-full" { "In full" } a href="#about" { "About" }
                    }
                }
                main {
                    (answer(table))
                    section id="fronts" {
                        h2 { @if table.trains { "Accuracy against cost" } @else { "Throughput against cost" } }
                        p.legend {
                            span.mark.front {} "front " span.mark.within-error {} "within error " span.mark.dominated {} "dominated "
                            span.mark.ring {} "to take" @if table.trains { ". Triangles: far below the axis." }
                        }
                        div.figures { @for cost in costs(table) { (picture(pictures, &format!("front-{}", cost.name()))) } }
                    }
                    section id="designs" { h2 { "Designs" } (points(table)) }
                    section id="costs" {
                        h2 { "Where energy and time go" }
                        div.figures { (picture(pictures, "energy")) (picture(pictures, "stalls")) (picture(pictures, "roofline")) (picture(pictures, "utilisation")) }
                    }
                    @if table.trains {
                        section id="training" { h2 { "Training" } div.figures { (picture(pictures, "accuracy")) (picture(pictures, "loss")) (picture(pictures, "values")) } }
                    }
                    section id="in-full" { h2 { "Designs in full" } @for point in &points_in_full { (point) } }
                    section id="about" { h2 { "About these numbers" } (about(plan, table, provenance)) }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(markup.into_string())
}
