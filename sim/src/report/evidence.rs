//! Tables of what training steps did to their numbers.

mod plot;

pub use plot::plot;

use crate::run::evidence::{Counts, Line, Share, SumSummary, Summary};
use crate::text::{engineering, grouped, indented, numeric_table, percent, words};
use comfy_table::Table;
use std::fmt::Write;
use systole_isa::device::SumCounts;

/// A share in percent, three digits.
fn share(x: f64) -> String {
    let x = 100.0 * x;
    match x {
        0.0 => "0".to_owned(),
        _ if x < 0.0005 => "<0.001".to_owned(),
        _ if x < 9.995 => format!("{x:.3}"),
        _ if x < 99.95 => format!("{x:.2}"),
        _ => format!("{x:.1}"),
    }
}

fn maybe<T>(x: Option<T>, text: impl FnOnce(T) -> String) -> String {
    x.map_or_else(|| "-".to_owned(), text)
}

/// Mean and worst of a share.
fn shares(x: Option<Share>) -> [String; 2] {
    [maybe(x, |x| share(x.mean)), maybe(x, |x| share(x.worst))]
}

/// A power of two nearby, for magnitudes.
fn magnitude(x: f64) -> String {
    if x == 0.0 { "0".to_owned() } else { format!("{:.1}", x.log2()) }
}

const COLUMNS: [&str; 7] = ["saturated", "worst", "to zero", "worst", "subnormal", "error", "worst"];

fn cells(counts: &Counts) -> Vec<String> {
    let mut cells = Vec::from(shares(counts.saturated));
    cells.extend(shares(Some(counts.underflows)));
    cells.push(maybe(counts.subnormals, |x| share(x.mean)));
    cells.extend([maybe(counts.error, |x| share(x.mean)), maybe(counts.error, |x| share(x.largest))]);
    cells
}

fn heading(summary: &Summary) -> String {
    let steps = match summary.steps {
        0 => return "evidence: the run has fewer steps than EVERY, none was observed\n".to_owned(),
        1 => format!("step {}", summary.first_step),
        n => format!("{} steps, {} to {}", grouped(n), grouped(summary.first_step), grouped(summary.last_step)),
    };
    let skipped = if summary.skipped > 0 { format!(", of which {} skipped", grouped(summary.skipped)) } else { String::new() };
    format!("evidence: {steps}{skipped}; percent; worst: of one tensor in one step\n")
}

/// What a run's report ends with: by role, gradients, flips.
pub fn text(summary: &Summary) -> String {
    let mut text = heading(summary);
    if summary.steps == 0 {
        return text;
    }
    let mut table = numeric_table(&[&["role", "format"][..], &COLUMNS].concat());
    for counts in &summary.roles {
        table.add_row([vec![words(&counts.role), counts.formats.join(", ")], cells(counts)].concat());
    }
    text.push_str(&indented(&table, 2));
    let not_finite: u64 = summary.roles.iter().map(|counts| counts.not_finite).sum();
    if not_finite > 0 {
        let _ = writeln!(text, "  {} values are NaN or infinite once rounded", grouped(not_finite));
    }
    if !summary.sums.is_empty() {
        let _ = writeln!(text, "\n{}", indented(&sums_table(&summary.sums), 2));
    }
    if let (Some((least, layer)), Some(mean)) = (summary.least_cosine(), summary.mean_cosine()) {
        let _ = writeln!(text, "  weight gradients: cosine with those of unrounded operands {mean:.6}, least {least:.6} ({layer})");
    }
    if let Some(weights) = summary.roles.iter().find(|counts| counts.role == "weights")
        && let Some(flips) = weights.flips
    {
        let back = maybe(weights.reversals, |back| format!(", {} % back to where they were", share(back.mean)));
        let back = if back == "-" { String::new() } else { back };
        let _ = writeln!(text, "  weights: {} % change from one step to the next{back}", share(flips.mean));
    }
    text
}

/// Additions of partial sums, how many changed nothing, and between which exponents sums lie.
fn sums_table(all: &[SumSummary]) -> Table {
    let mut table = numeric_table(&["sums", "place", "format", "additions", "swamped", "worst", "overflows", "sums 2^", "reach 2^"]);
    for sums in all {
        let [swamped, worst] = shares(Some(sums.swamped));
        let [low, high] = SumCounts::new(sums.place, sums.format).reach();
        table.add_row([
            [sums.layer.as_str(), &sums.pass].join(" ").trim_start().to_owned(),
            sums.place.name().to_owned(),
            sums.format.to_string(),
            grouped(sums.additions),
            swamped,
            worst,
            grouped(sums.overflows),
            maybe(sums.exponents, |[low, high]| format!("{low} to {high}")),
            format!("{low} to {high}"),
        ]);
    }
    table
}

/// What `systole evidence` prints: by role, by tensor, by layer, by MAC mode.
pub fn tables(lines: &[Line], summary: &Summary) -> String {
    let mut out = String::new();
    if let Some(line) = lines.first() {
        let _ = writeln!(out, "{}", line.run);
    }
    out.push_str(&text(summary));

    let mut table = numeric_table(&[&["tensor"][..], &COLUMNS, &["amax 2^", "scale 2^"]].concat());
    for counts in &summary.tensors {
        let index = if counts.index == 0 { String::new() } else { format!(" {}", counts.index) };
        let name = format!("{} {}{index} {}", counts.layer, initial(&counts.role), counts.pass);
        let range = |range: [f64; 2]| {
            let [low, high] = range.map(magnitude);
            if low == high { low } else { format!("{low} to {high}") }
        };
        table.add_row([vec![name], cells(counts), vec![maybe(counts.amax, range), maybe(counts.scale, range)]].concat());
    }
    let _ = writeln!(out);
    out.push_str(&indented(&table, 2));

    let mut table = numeric_table(&["weights", "gradient's cosine", "least", "error", "of the array", "flips", "worst", "back"]);
    for gradient in &summary.gradients {
        let weights = summary.tensors.iter().find(|counts| counts.role == "weights" && counts.layer == gradient.layer);
        let [flips, worst] = shares(weights.and_then(|counts| counts.flips));
        table.add_row([
            gradient.layer.clone(),
            maybe(gradient.cosine, |x| format!("{:.6}", x.mean)),
            maybe(gradient.cosine, |x| format!("{:.6}", x.least)),
            maybe(gradient.error, |x| share(x.mean)),
            maybe(gradient.array_error, |x| share(x.mean)),
            flips,
            worst,
            maybe(weights.and_then(|counts| counts.reversals), |x| share(x.mean)),
        ]);
    }
    let _ = writeln!(out);
    out.push_str(&indented(&table, 2));

    if !summary.layer_sums.is_empty() {
        let _ = writeln!(out);
        out.push_str(&indented(&sums_table(&summary.layer_sums), 2));
    }

    let _ = writeln!(out);
    for mode in &summary.modes {
        let _ = writeln!(out, "  mode {} ({}): {} of the MACs", mode.mode, mode.operands, percent(mode.share, 1.0));
    }
    let spent = percent(summary.macs_spent as f64, summary.macs as f64);
    let energy = engineering(summary.energy_pj_per_step * 1e-12, "J");
    let _ = writeln!(out, "  MACs spent: {spent} of those asked for; energy of a step: {energy}");
    out
}

/// As recipes' tables abbreviate roles.
fn initial(role: &str) -> &str {
    match role {
        "weights" => "W",
        "activations" => "A",
        "errors" => "E",
        "weight_gradients" => "G",
        other => other,
    }
}
