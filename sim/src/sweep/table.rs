//! The result table: a row for each point, the same however and wherever its runs were made.

use super::pareto::{Cost, Standing, cheapest, front, recommended};
use super::plan::Plan;
use super::record::{Hardware, Report, RunRecord};
use super::spec::text;
use crate::run::train::paired_difference;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A point's figures, means over its runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Energy of a step, pJ.
    pub energy_pj_per_step: f64,
    /// The same without DRAM's.
    pub on_chip_pj_per_step: f64,
    /// Cycles of a step.
    pub cycles_per_step: f64,
    /// Cell area, um2.
    pub area_um2: f64,
    /// Achieved TFLOPS.
    pub tflops: f64,
    /// TFLOPS at full use.
    pub peak_tflops: f64,
    /// TFLOPS per watt.
    pub tflops_per_watt: f64,
    /// Peak TFLOPS per mm2.
    pub tflops_per_mm2: f64,
    /// MACs spent over MAC slots.
    pub utilisation: f64,
    /// Share of the additions looked at that changed nothing, in the last step; absent where nothing is trained.
    pub swamped: Option<f64>,
}

/// A point.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What its axes set.
    pub settings: Map<String, Value>,
    /// Runs there are and runs there will be.
    pub runs: (usize, usize),
    /// What is weighed against cost: mean test accuracy, or achieved TFLOPS where nothing is trained;
    /// absent while a run is missing or failed.
    pub merit: Option<f64>,
    /// The same by seed.
    pub merits: Vec<(u64, f64)>,
    /// Standard error of the mean; absent for one seed.
    pub merit_error: Option<f64>,
    /// Mean paired difference from the reference on the host, with its standard error.
    pub from_reference: Option<(f64, Option<f64>)>,
    /// Costs; absent while no run has ended well.
    pub figures: Option<Figures>,
    /// Why the point or one of its runs failed.
    pub error: Option<String>,
    /// Its records, in the order of its runs.
    pub records: Vec<RunRecord>,
    /// Its standing against each cost, in the order of [`Cost::ALL`].
    pub standings: [Standing; Cost::ALL.len()],
}

impl Row {
    /// Its standing against a cost.
    pub fn standing(&self, cost: Cost) -> Standing {
        self.standings[Cost::ALL.iter().position(|c| *c == cost).unwrap_or(0)]
    }

    /// The report of its first run that ended well, with the hardware it ran on.
    pub fn first(&self) -> Option<(&Report, &Hardware)> {
        self.records.iter().find_map(|record| Some((record.report()?, &record.hardware)))
    }
}

/// The rows of a plan.
#[derive(Clone, Debug)]
pub struct Table {
    /// In the plan's order.
    pub rows: Vec<Row>,
    /// Paths that axes set, in order of appearance.
    pub paths: Vec<String>,
    /// True if runs train.
    pub trains: bool,
}

fn figures(records: &[RunRecord]) -> Option<Figures> {
    let reports: Vec<(&Report, &Hardware)> = records.iter().filter_map(|r| Some((r.report()?, &r.hardware))).collect();
    let count = reports.len() as f64;
    let mean = |of: &dyn Fn(&(&Report, &Hardware)) -> f64| reports.iter().map(of).sum::<f64>() / count;
    (!reports.is_empty()).then(|| Figures {
        energy_pj_per_step: mean(&|(r, _)| r.energy_pj_per_step()),
        on_chip_pj_per_step: mean(&|(r, _)| r.on_chip_pj_per_step()),
        cycles_per_step: mean(&|(r, _)| r.cycles_per_step()),
        area_um2: mean(&|(r, _)| r.area_um2()),
        tflops: mean(&|(r, _)| r.tflops.achieved),
        peak_tflops: mean(&|(r, _)| r.tflops.peak),
        tflops_per_watt: mean(&|(r, _)| r.tflops.per_watt),
        tflops_per_mm2: mean(&|(r, _)| r.tflops.per_mm2),
        utilisation: mean(&|(r, h)| r.utilisation(h)),
        swamped: reports.iter().map(|(r, _)| r.swamped()).sum::<Option<f64>>().map(|sum| sum / count),
    })
}

impl Table {
    /// The table of a plan's records, by key.
    pub fn new(plan: &Plan, records: &BTreeMap<String, RunRecord>) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        let mut paths: Vec<String> = Vec::new();
        for (index, point) in plan.points.iter().enumerate() {
            paths.extend(point.settings.keys().filter(|path| !paths.contains(path)).cloned().collect::<Vec<_>>());
            let planned: Vec<_> = plan.runs.iter().filter(|run| run.point == index).collect();
            let found: Vec<RunRecord> = planned.iter().filter_map(|run| records.get(&run.key)).cloned().collect();
            let merits: Vec<(u64, f64)> = found
                .iter()
                .filter_map(|r| {
                    let report = r.report()?;
                    Some((r.seed.unwrap_or(0), if plan.trains { report.test_accuracy? } else { report.tflops.achieved }))
                })
                .collect();
            let pairs: Vec<(f64, f64)> =
                found.iter().filter_map(|r| r.report()).filter_map(|r| Some((r.test_accuracy?, r.reference_test_accuracy?))).collect();
            let complete = !planned.is_empty() && merits.len() == planned.len();
            let alone: Vec<(f64, f64)> = merits.iter().map(|(_, merit)| (*merit, 0.0)).collect();
            let (mean, error) = paired_difference(&alone);
            rows.push(Row {
                name: point.name.clone(),
                settings: point.settings.clone(),
                runs: (found.len(), planned.len()),
                merit: complete.then_some(mean),
                merit_error: error.filter(|_| complete),
                merits,
                from_reference: (complete && plan.trains).then(|| paired_difference(&pairs)),
                figures: figures(&found),
                error: point.problem.clone().or_else(|| found.iter().find_map(|r| r.error().map(str::to_owned))),
                records: found,
                standings: [Standing::Failed; Cost::ALL.len()],
            });
        }
        for (i, cost) in Cost::ALL.into_iter().enumerate() {
            for (row, standing) in front(&rows, cost).into_iter().enumerate() {
                rows[row].standings[i] = standing;
            }
        }
        Self { rows, paths, trains: plan.trains }
    }

    /// The design to take by a cost: the cheapest of those as accurate as the best, as far as seeds can
    /// tell; where nothing is trained, of all.
    pub fn pick(&self, cost: Cost) -> Option<usize> {
        if self.trains { recommended(&self.rows, cost) } else { cheapest(&self.rows, cost, |_| true) }
    }

    fn header(&self) -> Vec<String> {
        let merit: &[&str] =
            if self.trains { &["test_accuracy", "test_accuracy_error", "from_reference", "from_reference_error"] } else { &[] };
        let swamped: &[&str] = if self.trains { &["swamped"] } else { &[] };
        let figures = [
            "energy_pj_per_step",
            "on_chip_pj_per_step",
            "cycles_per_step",
            "area_um2",
            "tflops",
            "peak_tflops",
            "tflops_per_watt",
            "tflops_per_mm2",
            "utilisation",
        ];
        let standings = Cost::ALL.iter().map(|cost| format!("{}_standing", cost.name())).chain(["error".to_owned()]);
        let own = |name: &&str| (*name).to_owned();
        let first = std::iter::once("point".to_owned()).chain(self.paths.iter().cloned());
        first
            .chain(std::iter::once("runs".to_owned()))
            .chain(merit.iter().map(own))
            .chain(figures.iter().map(own))
            .chain(swamped.iter().map(own))
            .chain(standings)
            .collect()
    }

    /// Comma-separated values: a line for each point; what there is not is empty.
    pub fn csv(&self) -> String {
        let number = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
        let mut writer = csv::Writer::from_writer(Vec::new());
        let mut lines = vec![self.header()];
        for row in &self.rows {
            let mut line = vec![row.name.clone()];
            line.extend(self.paths.iter().map(|path| row.settings.get(path).map(text).unwrap_or_default()));
            line.push(row.runs.0.to_string());
            if self.trains {
                let (difference, error) = row.from_reference.map_or((None, None), |(d, e)| (Some(d), e));
                line.extend([row.merit, row.merit_error, difference, error].map(number));
            }
            let of = |get: fn(&Figures) -> f64| number(row.figures.as_ref().map(get));
            line.extend([
                of(|f| f.energy_pj_per_step),
                of(|f| f.on_chip_pj_per_step),
                of(|f| f.cycles_per_step),
                of(|f| f.area_um2),
                of(|f| f.tflops),
                of(|f| f.peak_tflops),
                of(|f| f.tflops_per_watt),
                of(|f| f.tflops_per_mm2),
                of(|f| f.utilisation),
            ]);
            if self.trains {
                line.push(number(row.figures.as_ref().and_then(|f| f.swamped)));
            }
            line.extend(row.standings.iter().map(|standing| standing.name().to_owned()));
            line.push(row.error.clone().unwrap_or_default());
            lines.push(line);
        }
        for line in lines {
            // Into memory, with as many fields in every line: there is nothing to fail.
            let _ = writer.write_record(line);
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }

    /// The same as JSON.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            let mut object = json!({"point": row.name, "settings": row.settings, "runs": row.runs.0, "of": row.runs.1});
            if let (true, Some(accuracy)) = (self.trains, row.merit) {
                object["test_accuracy"] = json!(accuracy);
                object["test_accuracy_error"] = json!(row.merit_error);
                object["by_seed"] = json!(row.merits);
                if let Some((mean, error)) = row.from_reference {
                    object["from_reference"] = json!({"mean": mean, "standard_error": error});
                }
            }
            if let Some(f) = &row.figures {
                object["energy_pj_per_step"] = json!(f.energy_pj_per_step);
                object["on_chip_pj_per_step"] = json!(f.on_chip_pj_per_step);
                object["cycles_per_step"] = json!(f.cycles_per_step);
                object["area_um2"] = json!(f.area_um2);
                object["tflops"] = json!({
                    "achieved": f.tflops, "peak": f.peak_tflops, "per_watt": f.tflops_per_watt, "per_mm2": f.tflops_per_mm2
                });
                object["utilisation"] = json!(f.utilisation);
                if let Some(swamped) = f.swamped {
                    object["swamped"] = json!(swamped);
                }
            }
            object["standing"] = Cost::ALL.iter().map(|&cost| (cost.name().to_owned(), json!(row.standing(cost).name()))).collect();
            if let Some(error) = &row.error {
                object["error"] = json!(error);
            }
            object
        };
        self.rows.iter().map(row).collect()
    }
}
