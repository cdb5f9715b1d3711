//! What a run prints: JSON objects other programs rely on, and text for people.

pub mod arithmetic;
pub mod compare;
pub mod evidence;
pub mod figure;
mod layers;
pub mod sums;
pub mod sweep;
pub mod training;
pub mod workload;

use crate::energy::EnergyAccount;
use crate::lint::Note;
use crate::machine::Engine;
use crate::run::gemm::{Outcome, Task};
use crate::text::{bullets, engineering, grouped, indented, numeric_table, percent};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use systole_isa::design::Design;
use systole_isa::device::Cycles;

/// `{"total", "compute", "stall": {REASON: n}}`.
pub fn cycles_json(cycles: &Cycles) -> Value {
    let stall: Map<String, Value> = cycles.stall.iter().map(|(reason, n)| (reason.name().to_owned(), json!(n))).collect();
    json!({"total": cycles.total, "compute": cycles.compute, "stall": stall})
}

/// `{NAME: n}` of every counter.
pub fn counters_json(counters: impl Iterator<Item = (&'static str, u64)>) -> Value {
    Value::Object(counters.map(|(name, n)| (name.to_owned(), json!(n))).collect())
}

/// Stall cycles by reason, largest first, in words.
pub fn stalls_text(cycles: &Cycles) -> String {
    let mut reasons: Vec<_> = cycles.stall.iter().collect();
    reasons.sort_by_key(|(reason, n)| (std::cmp::Reverse(**n), **reason));
    let parts: Vec<String> = reasons.iter().map(|(reason, n)| format!("{} {}", grouped(**n), reason.name())).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// Notes as a list under their heading; nothing where there are none.
pub fn notes_text(notes: &[Note]) -> String {
    let all: Vec<String> = notes.iter().map(ToString::to_string).collect();
    if all.is_empty() { String::new() } else { format!("\nnotes\n{}", bullets(&all)) }
}

/// The arrays of a design in one line.
pub fn array_text(design: &Design) -> String {
    let array = &design.array;
    let count = if array.count > 1 { format!("{} x ", array.count) } else { String::new() };
    let flow = format!("{:?}", array.dataflow).to_lowercase();
    let stages = match (array.mac_stages, array.issue_interval()) {
        (1, _) => String::new(),
        (stages, 1) => format!(", MACs of {stages} stages"),
        (stages, interval) => format!(", MACs of {stages} stages, a product every {interval} cycles"),
    };
    format!("{count}{} x {} {flow} at {} MHz{stages}", array.rows, array.cols, array.clock_mhz)
}

/// Report of one matrix product.
pub fn gemm_text(design: &Design, task: &Task, engine: Engine, outcome: &Outcome, account: &EnergyAccount) -> String {
    let mut text = String::new();
    let cycles = &outcome.record.cycles;
    let events = &outcome.record.events;
    let array_slots = cycles.total as f64 * design.mac_slots_per_cycle() as f64;
    let _ = writeln!(text, "{} x {} x {} on {} ({})", task.m, task.n, task.k, design.name, engine.name());
    let _ = writeln!(text, "  array        {}", array_text(design));
    text += &arithmetic::text(design);
    if let Some(digest) = outcome.digest() {
        let _ = writeln!(text, "  result       sha256 {digest}");
        if !outcome.kernels.is_empty() {
            let _ = writeln!(text, "  kernel       {}", outcome.kernels.join("; "));
        }
    }
    let _ = writeln!(
        text,
        "  cycles       {} total, {} compute; stalls: {}",
        grouped(cycles.total),
        grouped(cycles.compute),
        stalls_text(cycles)
    );
    let _ =
        writeln!(text, "  use          {} of {} MAC slots", percent(events.macs_spent as f64, array_slots), engineering(array_slots, ""));
    text.push_str(&account.text());
    let counters: Vec<(&str, u64)> =
        events.iter().chain(outcome.record.activity.iter().flat_map(|a| a.iter())).filter(|(_, n)| *n > 0).collect();
    let mut table = numeric_table(&["event", "count"]);
    for (name, n) in counters {
        table.add_row([name.to_owned(), grouped(n)]);
    }
    text.push('\n');
    text.push_str(&indented(&table, 2));
    text.push_str(&sums::text(outcome.sums()));
    text
}
