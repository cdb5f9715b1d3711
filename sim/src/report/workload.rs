//! Report of a workload.

use super::layers::Layers;
use super::{arithmetic, array_text, counters_json, cycles_json, notes_text, stalls_text};
use crate::lint::{self, Note, Product};
use crate::run::workload::{Coverage, Outcome, Pass};
use crate::text::{bullets, engineering, grouped, indented};
use serde_json::{Value, json};
use std::fmt::Write;
use systole_isa::design::Design;

/// A workload that has been run.
pub struct Summary<'a> {
    /// Name of the network.
    pub name: &'a str,
    /// The design.
    pub design: &'a Design,
    /// Name of the recipe, where the network has one.
    pub recipe: Option<&'a str>,
    /// Images, texts or products; graphs have theirs among their dimensions.
    pub batch: Option<u32>,
    /// What is taken of a graph.
    pub coverage: Option<&'a Coverage>,
    /// The passes.
    pub pass: Pass,
    /// What the shapes leave open.
    pub assumptions: &'a [String],
    /// What it cost.
    pub outcome: &'a Outcome,
}

impl Summary<'_> {
    const fn layers(&self) -> Layers<'_> {
        Layers { design: self.design, record: &self.outcome.record, account: &self.outcome.account, steps: 1 }
    }

    fn assumptions(&self) -> Vec<String> {
        let of_graph = self.coverage.map(Coverage::assumptions).unwrap_or_default();
        self.assumptions.iter().chain(&of_graph).chain(&self.outcome.account.assumptions).cloned().collect()
    }

    fn notes(&self) -> Vec<Note> {
        let products: Vec<Product> = self.outcome.products.iter().flat_map(|region| region.shapes.clone()).collect();
        [lint::of_work(self.design, &products), lint::of_run(self.design, &self.outcome.record.cycles)].concat()
    }

    /// The object `systole workload --json` prints.
    pub fn json(&self) -> Value {
        let Outcome { record, products, account, seconds } = self.outcome;
        let mut layers = self.layers().json();
        for (layer, products) in layers.iter_mut().zip(products) {
            // M, N, K of a region's one product; several different ones are listed with their numbers.
            if let [(shape, _)] = &products.shapes[..] {
                layer["shape"] = json!(shape);
            }
            layer["products"] = products.shapes.iter().map(|(shape, count)| json!({"shape": shape, "count": count})).collect();
        }
        let mut object = json!({
            "workload": self.name,
            "design": self.design.name,
            "batch": self.batch,
            "pass": self.pass.name(),
            "layers": layers,
            "cycles": cycles_json(&record.cycles),
            "events": counters_json(record.events.iter()),
            "energy_pj": account.energy_json(),
            "energy_table": account.table_json(),
            "area_um2": account.area_json(),
            "tflops": account.tflops.json(),
            "assumptions": self.assumptions(),
            "notes": self.notes(),
            "seconds": seconds,
        });
        if let Some(recipe) = self.recipe {
            object["recipe"] = json!(recipe);
        }
        if let (None, Some(fields)) = (self.batch, object.as_object_mut()) {
            fields.shift_remove("batch");
        }
        if let Some(Coverage { dims, not_costed, .. }) = self.coverage {
            object["dims"] = dims.iter().map(|extent| (extent.name.clone(), json!(extent.extent))).collect();
            object["not_costed"] = json!(not_costed);
        }
        object
    }

    /// The report `systole workload` prints.
    pub fn text(&self) -> String {
        let Outcome { record, account, .. } = self.outcome;
        let recipe = self.recipe.map(|recipe| format!(", recipe {recipe}")).unwrap_or_default();
        let batch = self.batch.map(|batch| format!(" of {batch}")).unwrap_or_default();
        let dims = self.coverage.map_or(&[][..], |coverage| &coverage.dims);
        let dims: String = dims.iter().map(|extent| format!(", {} {}", extent.name, extent.extent)).collect();
        let mut text = format!("{}, {}{batch}{dims}{recipe}, design {}\n", self.name, self.pass.name(), self.design.name);
        let _ = writeln!(text, "  array        {}", array_text(self.design));
        text += &arithmetic::text(self.design);
        text.push('\n');
        text += &indented(&self.layers().table("by layer"), 2);
        let time = record.cycles.total as f64 / (self.design.array.clock_mhz * 1e6);
        let _ = writeln!(
            text,
            "\ncycles: {} ({}); {} compute; stalls: {}\n",
            grouped(record.cycles.total),
            engineering(time, "s"),
            grouped(record.cycles.compute),
            stalls_text(&record.cycles)
        );
        text += &account.text();
        text += &notes_text(&self.notes());
        let _ = writeln!(text, "\nassumptions");
        text + &bullets(&self.assumptions())
    }
}
