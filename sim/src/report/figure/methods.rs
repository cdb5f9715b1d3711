//! Methods side by side.

use crate::report::arithmetic;
use crate::report::compare::{heading, points};
use crate::run::compare::Comparison;
use crate::run::figure::methods::{Group, Method};
use crate::text::{bullets, indented, numeric_table};
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};
use systole_isa::design::{MacMode, Product, Scaling, Unit};
use systole_isa::round::Rounding;
use systole_trainer::recipe::{Blocks, RoleFormat, Scale};

/// More layers than this, if most, are not named.
const NAMED: usize = 3;

/// A format, and how values are rounded to it if not to nearest even.
fn format(role: &RoleFormat) -> String {
    let rounding = match (role.hysteresis, role.rounding) {
        (true, _) => " hysteresis".to_owned(),
        (false, Rounding::Rne) => String::new(),
        (false, rounding) => format!(" {rounding}"),
    };
    format!("{}{rounding}", role.format)
}

/// What codes are multiplied by.
fn scaling(role: &RoleFormat) -> String {
    let extent = |n: u32| if n == 0 { "all".to_owned() } else { n.to_string() };
    let scale = match role.scale {
        Scale::None if role.bias == 0 => "none".to_owned(),
        Scale::None => format!("2^{}", -role.bias),
        Scale::Present { .. } => "2^n".to_owned(),
        Scale::Tracked { .. } => "2^n tracked".to_owned(),
        Scale::Current { powers } => if powers { "2^n" } else { "fp32" }.to_owned(),
        Scale::Delayed { .. } => "fp32 delayed".to_owned(),
        Scale::Blocks(Blocks { along, across, format, two_level, .. }) => {
            let factor = if two_level { ", fp32" } else { "" };
            format!("{format} {} x {}{factor}", extent(along), extent(across))
        }
        Scale::Squeeze => "squeeze".to_owned(),
        Scale::Map { .. } => "codebook".to_owned(),
        Scale::Expansion { .. } => "expansion".to_owned(),
    };
    let expand = role.expand.map(|format| format!(" as {format}")).unwrap_or_default();
    format!("{scale}{expand}")
}

/// What a mode sums in.
fn accumulator(mode: &MacMode) -> String {
    let rounding = |r: Rounding| if r == Rounding::Rne { String::new() } else { format!(" {r}") };
    let product = match mode.product {
        Product::Exact => String::new(),
        Product::Rounded(format) => format!("products {format}, "),
    };
    let unit = match mode.unit {
        Unit::Chain => String::new(),
        _ => format!(" ({})", arithmetic::unit(mode)),
    };
    let what = if mode.scale == Scaling::None { "chunks" } else { "blocks" };
    let outer = match (mode.chunk, mode.outermost()) {
        (None, _) => String::new(),
        (Some(n), outer) if outer == mode.accumulator => format!(" in {what} of {n}"),
        (Some(n), outer) => format!(" in {what} of {n}, then {outer}"),
    };
    format!("{product}{}{}{outer}{unit}", mode.accumulator, rounding(mode.rounding))
}

/// What the three products of a layer sum in: each text once, with the products it is of.
fn accumulators(group: &Group) -> String {
    let texts: Vec<String> = group.modes.iter().map(accumulator).collect();
    if texts.iter().all(|text| *text == texts[0]) {
        return texts[0].clone();
    }
    let mut distinct: Vec<(&String, Vec<&str>)> = Vec::new();
    for (text, product) in texts.iter().zip(["AW", "EW", "EA"]) {
        match distinct.iter_mut().find(|(known, _)| *known == text) {
            Some((_, products)) => products.push(product),
            None => distinct.push((text, vec![product])),
        }
    }
    distinct.iter().map(|(text, products)| format!("{}: {text}", products.join(" "))).collect::<Vec<_>>().join("; ")
}

/// Names of the layers, or how many where they are all, or most of many.
fn layers(method: &Method, group: &Group) -> String {
    let count = group.layers.len();
    if count == method.layers {
        format!("all {count}")
    } else if count > NAMED && 2 * count > method.layers {
        format!("{count} others")
    } else {
        group.layers.join(" ")
    }
}

/// A table whose cells are words.
fn words_table(header: &[&str]) -> Table {
    let mut table = numeric_table(header);
    table.column_iter_mut().for_each(|column| {
        column.set_cell_alignment(CellAlignment::Left);
    });
    table
}

fn formats(methods: &[Method]) -> Table {
    let mut table = words_table(&["method", "layers", "W", "A", "E", "G", "master", "accumulator"]);
    for method in methods {
        for (i, group) in method.groups.iter().enumerate() {
            let roles = &group.roles;
            table.add_row([
                if i == 0 { method.recipe.clone() } else { String::new() },
                layers(method, group),
                format(&roles.weights),
                format(&roles.activations),
                format(&roles.errors),
                format(&roles.weight_gradients),
                format(&roles.master_weights),
                accumulators(group),
            ]);
        }
    }
    table
}

fn scales(methods: &[Method]) -> Table {
    let mut table = words_table(&["scales", "layers", "W", "A", "E", "G"]);
    for method in methods {
        for (i, group) in method.groups.iter().enumerate() {
            let roles = &group.roles;
            table.add_row([
                if i == 0 { method.recipe.clone() } else { String::new() },
                layers(method, group),
                scaling(&roles.weights),
                scaling(&roles.activations),
                scaling(&roles.errors),
                scaling(&roles.weight_gradients),
            ]);
        }
    }
    table
}

fn percent((mean, error): (f64, Option<f64>)) -> String {
    let error = error.map(|e| format!(" ± {:.2}", 100.0 * e)).unwrap_or_default();
    format!("{:.2}{error}", 100.0 * mean)
}

fn accuracies(methods: &[Method]) -> Table {
    let mut table = numeric_table(&["accuracy %", "fp32", "method", "difference", "published: fp32", "method", "difference"]);
    for method in methods {
        let [host, own, difference] = match (&method.trained, method.host()) {
            (Some(row), Some(host)) => [percent(host), percent((row.accuracy, row.accuracy_error)), points(row.from_host)],
            _ => [(); 3].map(|()| "-".to_owned()),
        };
        let published = match method.published {
            Some(p) => [format!("{:.1}", p.fp32), format!("{:.1}", p.low), format!("{:+.1}", p.low - p.fp32)],
            None => [(); 3].map(|()| "-".to_owned()),
        };
        table.add_row([vec![method.recipe.clone(), host, own, difference], published.to_vec()].concat());
    }
    table
}

const NOTES: [&str; 5] = [
    "W, A, E: weights, activations and errors as operands; G: weight gradients; rounded to nearest even where nothing is said",
    "accumulators of the products A W (forward), E W (errors) and E A (gradients), from the mode of the design that takes their operands; layers: those with weights",
    "scales: 2^n and fp32 are one per tensor, K x N one per so many elements along the sum and across it; `as` names what products take",
    "accuracy: mean of the test images over the seeds ± standard error; fp32: the recipe's own optimizer, batches and epochs on the host; differences are paired by seed",
    "published: top-1 of ResNet-18 on ImageNet as others published it, NOT measured here; columns of different papers were trained differently",
];

/// The report `systole figure methods` prints.
pub fn text(comparison: &Comparison<'_>, methods: &[Method]) -> String {
    let heading = match comparison.seeds {
        0 => format!("{} on {}, not trained", comparison.model.name, comparison.data.name),
        _ => heading(comparison),
    };
    let tables = [formats(methods), scales(methods), accuracies(methods)].map(|table| indented(&table, 1)).join("\n");
    format!("{heading}\n\n{tables}\n{}", bullets(&NOTES.map(str::to_owned)))
}

/// The object `systole figure methods --json` prints.
pub fn json(comparison: &Comparison<'_>, methods: &[Method]) -> Value {
    let group = |group: &Group| {
        let [forward, errors, gradients] = &group.modes;
        json!({ "layers": group.layers, "roles": group.roles, "forward": forward, "errors": errors, "gradients": gradients })
    };
    let method = |method: &Method| {
        json!({
            "recipe": method.recipe,
            "design": method.design,
            "groups": method.groups.iter().map(group).collect::<Vec<_>>(),
            "published_not_ours": method.published.map(|p| json!({
                "model": "ResNet-18", "data": "ImageNet", "fp32": p.fp32 / 100.0, "method": p.low / 100.0
            })),
            "trained": method.trained,
            "host": method.host(),
        })
    };
    json!({
        "model": comparison.model.name,
        "data": comparison.data.name,
        "first_seed": comparison.first_seed,
        "seeds": comparison.seeds,
        "methods": methods.iter().map(method).collect::<Vec<_>>(),
    })
}
