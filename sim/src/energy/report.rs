//! Energy and cost as JSON and as text.

use super::account::{CostReport, EnergyAccount, Throughput};
use super::basis::Basis;
use super::model::Model;
use super::table::{Table, digest};
use crate::text::{bullets, energy, grouped, indented, numeric_table, percent, significant, words};
use comfy_table::CellAlignment;
use serde_json::{Map, Value, json};
use systole_isa::design::Calibration;
use systole_isa::design::technology::{Check, FloatOperation};

fn itemised(parts: impl Iterator<Item = (&'static str, f64)>, total: f64) -> Value {
    let mut map: Map<String, Value> = parts.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    map.insert("total".to_owned(), json!(total));
    Value::Object(map)
}

impl Throughput {
    /// `{"peak","achieved","per_watt","per_mm2"}`.
    pub fn json(&self) -> Value {
        json!({ "peak": self.peak, "achieved": self.achieved, "per_watt": self.per_watt, "per_mm2": self.per_mm2 })
    }
}

impl EnergyAccount {
    /// `{PART: pJ, "total": pJ}`.
    pub fn energy_json(&self) -> Value {
        itemised(self.energy_pj.iter(), self.energy_pj.total())
    }

    /// `{"name", "sha256"}` of the technology table, and `scaling` where it was scaled.
    pub fn table_json(&self) -> Value {
        let mut table = json!({ "name": self.table, "sha256": self.table_sha256 });
        if let Some(scaling) = &self.scaling {
            table["scaling"] = scaling.json();
        }
        table
    }

    /// Adds `energy_by_toggles_pj` (parts and total) and `toggles` to a report, where the design asks
    /// for them.
    pub fn add_toggles(&self, object: &mut Value) {
        if let Some(parts) = &self.energy_by_toggles_pj {
            object["energy_by_toggles_pj"] = itemised(parts.iter(), parts.total());
        }
        if let Some(toggles) = &self.toggles {
            object["toggles"] = toggles.iter().map(|(name, n)| (name.to_owned(), json!(n))).collect::<Map<String, Value>>().into();
        }
    }

    /// `[{"name", "energy_pj": {PART, "total"}}]` in the record's order.
    pub fn regions_json(&self) -> Value {
        self.regions.iter().map(|r| json!({ "name": r.name, "energy_pj": itemised(r.energy_pj.iter(), r.energy_pj.total()) })).collect()
    }

    /// `{PART: um2, "total": um2}`.
    pub fn area_json(&self) -> Value {
        itemised(self.area_um2.iter(), self.area_um2.total())
    }

    /// Energy by part, largest first, and the rates; without [`Self::assumptions_text`].
    pub fn text(&self) -> String {
        let total = self.energy_pj.total();
        let mut parts: Vec<_> = self.energy_pj.iter().filter(|(_, pj)| *pj > 0.0).collect();
        parts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        parts.push(("total", total));
        let by_toggles = self.energy_by_toggles_pj.map(|parts| (parts, parts.total()));
        let mut table = match by_toggles {
            None => numeric_table(&["energy", "", "share"]),
            Some(_) => numeric_table(&["energy", "by table", "share", "by toggles", "share"]),
        };
        for (name, pj) in parts {
            let mut row = vec![words(name), energy(pj), percent(pj, total)];
            if let Some((parts, total)) = by_toggles {
                let pj = parts.iter().find(|(other, _)| *other == name).map_or(total, |(_, pj)| pj);
                row.extend([energy(pj), percent(pj, total)]);
            }
            table.add_row(row);
        }
        let t = &self.tflops;
        format!(
            "{}\n{}\n  {} TFLOPS of {} peak, {} TFLOPS/W, {} TFLOPS/mm2\n",
            bullets(&self.header),
            indented(&table, 1),
            significant(t.achieved),
            significant(t.peak),
            significant(t.per_watt),
            significant(t.per_mm2)
        )
    }

    /// The assumptions as a list.
    pub fn assumptions_text(&self) -> String {
        bullets(&self.assumptions)
    }
}

impl CostReport {
    /// The object `systole cost --json` prints.
    pub fn json(&self) -> Value {
        let t = &self.tflops;
        let mut object = json!({
            "design": self.design,
            "table": self.table,
            "table_sha256": self.table_sha256,
            "energy_pj": itemised(self.energy_pj.iter(), self.energy_pj.total()),
            "area_um2": itemised(self.area_um2.iter(), self.area_um2.total()),
            "labels": self.labels_json(),
            "tflops": { "peak": t.peak, "per_watt": t.per_watt, "per_mm2": t.per_mm2 },
            "header": self.header,
            "assumptions": self.assumptions,
        });
        if let Some(scaling) = &self.scaling {
            object["scaling"] = scaling.json();
        }
        if let Some(gated) = &self.gated_mac_energy_pj {
            object["gated_mac_energy_pj"] = itemised(gated.iter(), gated.total());
        }
        object
    }

    /// The report `systole cost` prints.
    pub fn text(&self) -> String {
        let mut table = numeric_table(&["", "pJ per MAC", "share", "um2", "share", "basis"]);
        let (all_energy, all_area) = (self.energy_pj.total(), self.area_um2.total());
        let energies: Vec<_> = self.energy_pj.iter().collect();
        let areas: Vec<_> = self.area_um2.iter().collect();
        let of = |list: &[(&str, f64)], name: &str| list.iter().find(|(other, _)| *other == name).map_or(0.0, |part| part.1);
        let only_area = areas.iter().filter(|(name, _)| energies.iter().all(|(other, _)| other != name));
        let mut all = Basis::default();
        for (name, _) in energies.iter().chain(only_area) {
            let (pj, um2) = (of(&energies, name), of(&areas, name));
            if pj > 0.0 || um2 > 0.0 {
                let basis = self.basis(name).unwrap_or_default();
                all = all.with(basis);
                table.add_row(cost_row(&words(name), (pj, all_energy), (um2, all_area), basis));
            }
        }
        table.add_row(cost_row("total", (all_energy, all_energy), (all_area, all_area), all));
        if let Some(column) = table.column_mut(5) {
            column.set_cell_alignment(CellAlignment::Left);
        }
        let t = &self.tflops;
        let gated = self.gated_mac_energy_pj.map_or_else(String::new, |gated| {
            format!("  {:.4} pJ where no operand is zero; {:.4} pJ where one is: the MAC is gated\n", all_energy, gated.total())
        });
        format!(
            "{}: cost of mode 0 at full use, priced by {}\n{}\n{}\n{LEGEND}\n{gated}  {} TFLOPS peak, {} TFLOPS/W, {} TFLOPS/mm2\n\nassumptions\n{}",
            self.design,
            self.table,
            bullets(&self.header),
            indented(&table, 1),
            significant(t.peak),
            significant(t.per_watt),
            significant(t.per_mm2),
            bullets(&self.assumptions)
        )
    }
}

/// What the column of bases says.
const LEGEND: &str = "  basis: the table's own points, between them, or beyond them; components: multiplexers, flip-flops,
  wires and leakage, scaled from another library or assumed. A sum has that of its farthest part.
";

fn cost_row(name: &str, (pj, all_energy): (f64, f64), (um2, all_area): (f64, f64), basis: Basis) -> [String; 6] {
    let cells = |value: f64, total: f64, text: String| {
        if value > 0.0 { [text, percent(value, total)] } else { ["-".to_owned(), "-".to_owned()] }
    };
    let [pj, pj_share] = cells(pj, all_energy, format!("{pj:.4}"));
    let [um2, um2_share] = cells(um2, all_area, grouped(um2.round() as u64));
    [name.to_owned(), pj, pj_share, um2, um2_share, basis.to_string()]
}

/// Points of the source that no law is solved from: what the model gives there, beside the figure.
fn checks(table: &Table) -> Vec<(String, f64, f64)> {
    let model = Model::new(table, Calibration::Table);
    let priced = |check: &Check| match check.operation {
        FloatOperation::Add => model.float_adder(check.exponent, check.precision).pj,
        FloatOperation::Multiply => model.multiply_rounded(check.exponent, check.precision).pj,
    };
    table.checks.iter().map(|check| (check.name(), check.energy.value, priced(check))).collect()
}

/// Every figure of a technology table:
/// `{"name","summary","sha256","figures":[{"name","value","unit","status","source"}],"checks":[{"name","value","model"}]}`.
pub fn table_json(table: &Table) -> Value {
    let figures: Value = table
        .figures()
        .iter()
        .map(|f| json!({ "name": f.name, "value": f.value, "unit": f.unit, "status": f.status.text(), "source": f.source }))
        .collect();
    let mut object = json!({ "name": table.name, "summary": table.summary, "sha256": digest(table), "figures": figures });
    if !table.checks.is_empty() {
        object["checks"] =
            checks(table).iter().map(|(name, value, model)| json!({ "name": name, "value": value, "model": model })).collect();
    }
    object
}

/// Every figure of a technology table as text, sources numbered below.
pub fn table_text(table: &Table) -> String {
    let figures = table.figures();
    let mut sources: Vec<&str> = Vec::new();
    let mut text = numeric_table(&["figure", "value", "unit", "status", "source"]);
    for f in &figures {
        let number = sources.iter().position(|s| *s == f.source).unwrap_or_else(|| {
            sources.push(f.source);
            sources.len() - 1
        });
        let source = format!("[{}]", number + 1);
        text.add_row([f.name.clone(), f.value.to_string(), f.unit.to_owned(), f.status.text().to_owned(), source]);
    }
    for column in text.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Left);
    }
    let sources: String = sources.iter().enumerate().map(|(i, source)| format!("  [{}] {source}\n", i + 1)).collect();
    let compared: String = checks(table)
        .iter()
        .map(|(name, value, model)| format!("  {name}: {value} pJ, the model {model:.4} ({:+.0} %)\n", 100.0 * (model / value - 1.0)))
        .collect();
    let compared =
        if compared.is_empty() { compared } else { format!("\nheld against the model, which is not solved from them\n{compared}") };
    let summary = bullets(&[format!("{}: {}", table.name, table.summary)]);
    format!("{}\n{}{compared}\nsources\n{sources}", summary.replacen("  - ", "", 1), indented(&text, 1))
}
