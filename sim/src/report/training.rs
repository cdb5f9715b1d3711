//! Reports of training runs.

use super::layers::Layers;
use super::{arithmetic, array_text, counters_json, cycles_json, evidence, notes_text, stalls_text};
use crate::lint::Note;
use crate::run::dot_products::{self, Count};
use crate::run::train::{Outcome, Specification, paired_difference};
use crate::text::{engineering, grouped, indented, numeric_table, percent, significant};
use serde_json::{Value, json};
use std::fmt::Write;
use systole_trainer::host::Epoch;
use systole_trainer::search::Search;

/// A finished run with its reference.
#[derive(Debug)]
pub struct Summary<'a> {
    /// What was run.
    pub spec: Specification<'a>,
    /// What came of it.
    pub outcome: Outcome,
    /// Epochs of the binary32 reference.
    pub reference: Vec<Epoch>,
    /// What is legal but surely not meant.
    pub notes: Vec<Note>,
}

impl Summary<'_> {
    fn reference_accuracy(&self) -> f64 {
        self.reference.last().map_or(0.0, |e| e.test_accuracy)
    }

    const fn layers(&self) -> Layers<'_> {
        let Outcome { progress, account, .. } = &self.outcome;
        Layers { design: self.spec.design, record: &progress.training, account, steps: progress.steps }
    }

    /// The MAC modes that training used: operands and MACs spent.
    fn modes(&self) -> Vec<(String, u64)> {
        let modes = self.spec.design.mac_modes();
        let name = |index: usize| modes.get(index).map_or_else(|| index.to_string(), ToString::to_string);
        self.outcome.progress.training.macs_by_mode.iter().map(|(&mode, &macs)| (name(mode), macs)).collect()
    }

    /// Forward dot products by layer, where the recipe may compute them again.
    fn dot_products(&self) -> Vec<(String, Count)> {
        dot_products::by_layer(self.spec.recipe, self.spec.design, self.spec.model, &self.outcome.progress.training)
    }

    /// The object `systole train --json` prints.
    pub fn json(&self) -> Value {
        let Self { spec, outcome, .. } = self;
        let training = &outcome.progress.training;
        let mut object = json!({
            "recipe": spec.recipe.name,
            "design": spec.design.name,
            "model": spec.model.name,
            "data": spec.data.name,
            "seed": spec.seed,
            "engine": spec.engine.name(),
            "epochs": outcome.progress.epochs,
            "steps": outcome.progress.steps,
            "test_accuracy": outcome.test_accuracy(),
            "reference_test_accuracy": self.reference_accuracy(),
            "cycles": cycles_json(&training.cycles),
            "events": counters_json(training.events.iter()),
        });
        object["macs_by_mode"] = self.modes().into_iter().map(|(mode, macs)| json!({"operands": mode, "macs": macs})).collect();
        if let Some(search) = &outcome.progress.search {
            object["search"] = json!(search);
        }
        if let Some(activity) = &training.activity {
            object["activity"] = counters_json(activity.iter());
        }
        object["energy_pj"] = outcome.account.energy_json();
        object["energy_table"] = outcome.account.table_json();
        outcome.account.add_toggles(&mut object);
        object["area_um2"] = outcome.account.area_json();
        object["tflops"] = outcome.account.tflops.json();
        object["layers"] = Value::Array(self.layers().json());
        let dots = self.dot_products();
        if !dots.is_empty() {
            let count = |count: Count| json!({"computed": count.computed, "again": count.again, "low_share": count.low_share()});
            object["dot_products"] = count(dot_products::total(&dots));
            object["dot_products"]["layers"] = dots
                .iter()
                .map(|(name, of_layer)| {
                    let mut layer = count(*of_layer);
                    layer["name"] = json!(name);
                    layer
                })
                .collect();
        }
        object["evaluation"] = json!({
            "cycles": cycles_json(&outcome.progress.evaluation.cycles),
            "events": counters_json(outcome.progress.evaluation.events.iter()),
        });
        if let Some(summary) = &outcome.evidence {
            object["evidence"] = json!(summary);
        }
        object["kernels"] = json!(outcome.kernels);
        object["assumptions"] = json!(outcome.account.assumptions);
        object["notes"] = json!(self.notes);
        object["digest"] = json!(outcome.digest());
        object["seconds"] = json!(outcome.seconds);
        object
    }

    /// The report `systole train` prints.
    pub fn text(&self) -> String {
        let Self { spec, outcome, .. } = self;
        let training = &outcome.progress.training;
        let mut text = String::new();
        let roles = spec.recipe.roles.resolve(spec.design);
        let _ = writeln!(
            text,
            "{} on {}, recipe {}, design {}, seed {}",
            spec.model.name, spec.data.name, spec.recipe.name, spec.design.name, spec.seed
        );
        let _ = writeln!(text, "  array        {}", array_text(spec.design));
        text += &arithmetic::text(spec.design);
        let _ = writeln!(
            text,
            "  formats      weights {}, activations {}, errors {}, master weights {}, vector {}",
            roles.weights.format, roles.activations.format, roles.errors.format, roles.master_weights.format, roles.vector.format
        );
        let _ = writeln!(text, "  kernels      {}", outcome.kernels.join("; "));
        text.push('\n');

        let mut epochs = numeric_table(&["epoch", "loss", "train", "test", "reference loss", "reference test"]);
        let percent_of = |x: f64| format!("{:.2} %", 100.0 * x);
        for (i, (e, r)) in outcome.progress.epochs.iter().zip(&self.reference).enumerate() {
            epochs.add_row([
                (i + 1).to_string(),
                format!("{:.4}", e.loss),
                percent_of(e.train_accuracy),
                percent_of(e.test_accuracy),
                format!("{:.4}", r.loss),
                percent_of(r.test_accuracy),
            ]);
        }
        text.push_str(&indented(&epochs, 2));
        text.push('\n');
        text.push_str(&indented(&self.layers().table("per step"), 2));
        text.push('\n');

        let cycles = &training.cycles;
        let clock_hz = spec.design.array.clock_mhz * 1e6;
        let _ = writeln!(
            text,
            "cycles: {} in {} steps ({} of simulated time); {} compute; stalls: {}",
            grouped(cycles.total),
            grouped(outcome.progress.steps),
            engineering(cycles.total as f64 / clock_hz, "s"),
            grouped(cycles.compute),
            stalls_text(cycles)
        );
        let modes = self.modes();
        if modes.len() > 1 {
            let spent = training.events.macs_spent as f64;
            let shares: Vec<String> = modes.iter().map(|(mode, macs)| format!("{} {mode}", percent(*macs as f64, spent))).collect();
            let _ = writeln!(text, "MACs by operands: {}", shares.join(", "));
        }
        if let Some(search) = &outcome.progress.search {
            text.push_str(&search_text(search, &spec.recipe.rungs()));
        }
        let dots = self.dot_products();
        if !dots.is_empty() {
            let layers: Vec<String> = dots.iter().map(|(name, count)| format!("{name} {:.1} %", 100.0 * count.low_share())).collect();
            let low = 100.0 * dot_products::total(&dots).low_share();
            let _ = writeln!(text, "forward dot products: {low:.1} % stayed in low precision ({})", layers.join(", "));
        }
        let (asked, spent) = (training.events.macs, training.events.macs_spent);
        if asked != spent {
            let _ = writeln!(text, "MACs: {} asked for, {} spent", grouped(asked), grouped(spent));
        }
        if let Some(activity) = &training.activity {
            let counts: Vec<String> =
                activity.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{} {}", grouped(n), name.replace('_', " "))).collect();
            let _ = writeln!(text, "values: {}", counts.join(", "));
        }
        text.push('\n');
        text.push_str(&outcome.account.text());
        if let Some(summary) = &outcome.evidence {
            let _ = writeln!(text);
            text.push_str(&evidence::text(summary));
        }
        text += &notes_text(&self.notes);
        let _ = writeln!(text, "\nassumptions");
        text.push_str(&outcome.account.assumptions_text());
        let _ = writeln!(
            text,
            "\ntest accuracy {} on simulated hardware, {} in binary32 on the host ({:+.2} points)",
            percent_of(outcome.test_accuracy()),
            percent_of(self.reference_accuracy()),
            100.0 * (outcome.test_accuracy() - self.reference_accuracy())
        );
        let _ = writeln!(text, "weights sha256 {}", outcome.digest());
        text
    }
}

/// What tests of steps came to.
fn search_text(search: &Search, rungs: &[String]) -> String {
    let tests = &search.decisions;
    let accepted = tests.iter().filter(|d| d.accepted).count();
    let mut text = format!("tests: {} of steps, {} accepted", grouped(tests.len() as u64), grouped(accepted as u64));
    if search.radius > 0.0 {
        let _ = write!(text, "; radius {} in the end", significant(search.radius));
    }
    if rungs.len() > 1 {
        let on = |rung: usize| tests.iter().filter(|d| d.rung == rung).count();
        let counts: Vec<String> = rungs.iter().enumerate().map(|(i, name)| format!("{name} {}", grouped(on(i) as u64))).collect();
        let floor = tests.iter().filter(|d| d.floor).count();
        let _ = write!(text, "; by weights: {}; {} on the finest with an error not allowed", counts.join(", "), grouped(floor as u64));
    }
    text + "\n"
}

fn pairs(summaries: &[Summary<'_>]) -> Vec<(f64, f64)> {
    summaries.iter().map(|s| (s.outcome.test_accuracy(), s.reference_accuracy())).collect()
}

/// Accuracies of several seeds, their paired difference and its standard error.
pub fn seeds_json(summaries: &[Summary<'_>]) -> Value {
    let (mean, error) = paired_difference(&pairs(summaries));
    json!({
        "seeds": summaries.iter().map(Summary::json).collect::<Vec<_>>(),
        "difference": {"mean": mean, "standard_error": error},
    })
}

/// The same as text.
pub fn seeds_text(summaries: &[Summary<'_>]) -> String {
    let mut text = String::new();
    if let Some(first) = summaries.first() {
        let spec = &first.spec;
        let _ = writeln!(text, "{} on {}, recipe {}, design {}", spec.model.name, spec.data.name, spec.recipe.name, spec.design.name);
    }
    let mut table = numeric_table(&["seed", "simulated", "reference", "difference"]);
    for (summary, (ours, reference)) in summaries.iter().zip(pairs(summaries)) {
        table.add_row([
            summary.spec.seed.to_string(),
            format!("{:.2} %", 100.0 * ours),
            format!("{:.2} %", 100.0 * reference),
            format!("{:+.2}", 100.0 * (ours - reference)),
        ]);
    }
    text.push_str(&indented(&table, 2));
    let (mean, error) = paired_difference(&pairs(summaries));
    let error = error.map(|e| format!(", standard error {:.2}", 100.0 * e)).unwrap_or_default();
    let _ = writeln!(text, "mean difference {:+.2} points{error} ({} paired seeds)", 100.0 * mean, summaries.len());
    text
}
