//! What a measurement says, as text and as JSON.

use super::turns::Clock;
use super::{Agreement, Host, Measured, Report, Speed};
use crate::text::{grouped, indented, numeric_table};
use comfy_table::CellAlignment;
use serde_json::{Value, json};
use std::fmt::Write;

/// Three significant digits.
fn figure(x: f64) -> String {
    let digits = if x >= 99.95 {
        0
    } else if x >= 9.995 {
        1
    } else if x >= 0.9995 {
        2
    } else if x >= 0.09995 {
        3
    } else {
        4
    };
    format!("{x:.digits$}")
}

/// Seconds, in a unit that suits them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s >= 1.0 => format!("{} s", figure(s)),
        s if s >= 1e-3 => format!("{} ms", figure(s * 1e3)),
        s => format!("{} us", figure(s * 1e6)),
    }
}

fn speed_json(speed: &Speed) -> Value {
    json!({"median": speed.median, "lowest": speed.lowest, "highest": speed.highest, "rounds": speed.rounds})
}

impl Host {
    fn json(&self) -> Value {
        let kernels: Vec<String> = self.kernels.iter().map(ToString::to_string).collect();
        json!({"cpu": self.cpu, "kernels": kernels, "cores": self.cores, "load": self.load, "date": self.date})
    }

    fn text(&self) -> String {
        let kernels: Vec<String> = self.kernels.iter().map(ToString::to_string).collect();
        let load = self.load.map(|load| format!(", load {load:.1}")).unwrap_or_default();
        let plural = if self.cores == 1 { "" } else { "s" };
        format!("{}, {} core{plural}{load}; kernels {}; {}", self.cpu, self.cores, kernels.join(", "), self.date)
    }
}

impl Measured {
    fn work(&self) -> String {
        match self.agreement {
            Agreement::Codes { .. } => format!("{0} x {0} x {0}, e4m3fn into e6m9", self.side),
            Agreement::Cycles { .. } => format!("cycles of {0} x {0} x {0}, 32 x 32 ws", self.side),
        }
    }

    fn verdict(&self) -> String {
        match self.agreement {
            Agreement::Codes { differing: 0, of } => format!("{} codes equal", grouped(of as u64)),
            Agreement::Codes { differing, of } => format!("{} of {} codes differ", grouped(differing as u64), grouped(of as u64)),
            Agreement::Cycles { theirs, ours } if theirs == ours => format!("{} cycles both", grouped(ours)),
            Agreement::Cycles { theirs, ours } => format!("{} cycles, ours {}", grouped(theirs), grouped(ours)),
        }
    }

    fn json(&self) -> Value {
        let mut object = json!({
            "version": self.version,
            "work": self.work(),
            "seconds": self.seconds,
            "systole_seconds": self.ours,
        });
        match self.agreement {
            Agreement::Codes { differing, of } => object["codes"] = json!({"differing": differing, "of": of}),
            Agreement::Cycles { theirs, ours } => object["cycles"] = json!({"theirs": theirs, "systole": ours}),
        }
        object
    }
}

impl Report {
    /// One JSON object; speeds are per second.
    pub fn json(&self) -> Value {
        let yardstick = |speed: &Option<Speed>| speed.as_ref().map(speed_json);
        let arithmetic = self.arithmetic.iter().map(|row| {
            let mut object = json!({"case": row.name, "kernel": row.kernel, "reason": row.reason, "size": row.side});
            match &row.outcome {
                Ok(o) => {
                    object["macs_per_second"] = speed_json(&o.speed);
                    object["of_native"] = json!(o.of_native);
                    object["of_softfloat"] = json!(o.of_softfloat);
                }
                Err(wrong) => object["wrong"] = json!(wrong),
            }
            object
        });
        let conversions = self.conversions.iter().map(|row| match &row.outcome {
            Ok(o) => json!({"conversion": row.name, "elements_per_second": speed_json(&o.speed), "of_copy": o.of_copy}),
            Err(wrong) => json!({"conversion": row.name, "wrong": wrong}),
        });
        let ticked = self.ticked.iter().map(|row| match &row.outcome {
            Ok(speed) => json!({"engine": row.name, "pe_cycles_per_second": speed_json(speed)}),
            Err(wrong) => json!({"engine": row.name, "wrong": wrong}),
        });
        let timing = self
            .timing
            .map(|row| json!({"programs": row.programs, "simulated_cycles": row.cycles, "runs_per_second": speed_json(&row.speed)}));
        let peers = match &self.peers {
            Ok(peers) => peers
                .iter()
                .map(|peer| match &peer.outcome {
                    Ok(measured) => (peer.name.to_owned(), measured.json()),
                    Err(why) => (peer.name.to_owned(), json!({"not_measured": why})),
                })
                .collect(),
            Err(why) => json!({"not_measured": why}),
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "host": self.host.json(),
            "threads": self.options.threads,
            "kernel": self.options.kernel.to_string(),
            "clock": if Clock::of(self.options.threads) == Clock::Thread { "thread" } else { "wall" },
            "size": self.options.size,
            "quick": self.options.quick,
            "native": yardstick(&self.native),
            "softfloat": yardstick(&self.softfloat),
            "arithmetic": arithmetic.collect::<Vec<_>>(),
            "conversions": conversions.collect::<Vec<_>>(),
            "ticked": ticked.collect::<Vec<_>>(),
            "timing": timing,
            "peers": peers,
        })
    }

    /// Tables.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let options = &self.options;
        let plural = if options.threads == 1 { "" } else { "s" };
        let _ = writeln!(text, "systole {} on {}", env!("CARGO_PKG_VERSION"), self.host.text());
        let unoptimised = if cfg!(debug_assertions) { "; built without optimisation" } else { "" };
        let clock = match Clock::of(options.threads) {
            Clock::Thread => "processor time of the thread",
            Clock::Wall => "wall time",
        };
        let _ = writeln!(text, "{} thread{plural}, kernels {}{unoptimised}; medians of {clock}", options.threads, options.kernel);
        if let Some(native) = &self.native {
            let _ = writeln!(
                text,
                "native     {} GMAC/s: f32, matrixmultiply sgemm {1} x {1} x {1}, one thread",
                figure(native.median / 1e9),
                options.size
            );
        }
        if let Some(softfloat) = &self.softfloat {
            let rate = figure(softfloat.median / 1e6);
            let _ = writeln!(text, "softfloat  {rate} MMAC/s: rustc_apfloat IEEE half mul_add, one MAC at a time, one thread");
        }
        self.arithmetic_text(&mut text);
        self.conversions_text(&mut text);
        self.engines_text(&mut text);
        self.peers_text(&mut text);
        text
    }

    fn arithmetic_text(&self, text: &mut String) {
        if self.arithmetic.is_empty() {
            return;
        }
        let mut table = numeric_table(&["product", "kernel", "size", "GMAC/s", "of native", "of softfloat"]);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Left);
        }
        for row in &self.arithmetic {
            let figures = match &row.outcome {
                Ok(o) => [
                    figure(o.speed.median / 1e9),
                    figure(o.of_native),
                    o.of_softfloat.map_or_else(|| "-".to_owned(), |times| format!("{} x", figure(times))),
                ],
                Err(wrong) => ["WRONG".to_owned(), wrong.clone(), String::new()],
            };
            let [rate, native, softfloat] = figures;
            table.add_row([row.name, row.kernel, &row.side.to_string(), &rate, &native, &softfloat]);
        }
        let _ = write!(text, "\n{}", indented(&table, 2));
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for row in self.arithmetic.iter().filter(|row| !row.reason.is_empty()) {
            match reasons.iter_mut().find(|(reason, _)| *reason == row.reason) {
                Some((_, names)) => names.push(row.name),
                None => reasons.push((&row.reason, vec![row.name])),
            }
        }
        if !reasons.is_empty() {
            let _ = writeln!(text, "\n  why no faster kernel");
        }
        for (reason, names) in reasons {
            let _ = writeln!(text, "  {}\n    {reason}", names.join(", "));
        }
    }

    fn conversions_text(&self, text: &mut String) {
        if self.conversions.is_empty() {
            return;
        }
        let mut table = numeric_table(&["conversion", "Gelem/s", "of copy"]);
        for row in &self.conversions {
            let [rate, copy] = match &row.outcome {
                Ok(o) => [figure(o.speed.median / 1e9), figure(o.of_copy)],
                Err(wrong) => ["WRONG".to_owned(), wrong.clone()],
            };
            table.add_row([row.name.as_str(), &rate, &copy]);
        }
        let _ = write!(text, "\n{}", indented(&table, 2));
    }

    fn engines_text(&self, text: &mut String) {
        if self.ticked.is_empty() && self.timing.is_none() {
            return;
        }
        let mut table = numeric_table(&["engine", "speed"]);
        for row in &self.ticked {
            let rate = match &row.outcome {
                Ok(speed) => format!("{} million PE-cycles/s", figure(speed.median / 1e6)),
                Err(wrong) => format!("WRONG: {wrong}"),
            };
            table.add_row([format!("{}, 16 x 16, e6m9", row.name), rate]);
        }
        if let Some(row) = &self.timing {
            let name = format!("timing, a training step of ResNet-18 in {} products, 128 x 128", row.programs);
            table.add_row([name, format!("{} for {} cycles", duration(1.0 / row.speed.median), grouped(row.cycles))]);
        }
        let _ = write!(text, "\n{}", indented(&table, 2));
    }

    fn peers_text(&self, text: &mut String) {
        let peers = match &self.peers {
            Ok(peers) => peers,
            Err(why) => {
                let _ = writeln!(text, "\n  other programs: not measured: {why}");
                return;
            }
        };
        let measured: Vec<_> = peers.iter().filter_map(|peer| Some((peer.name, peer.outcome.as_ref().ok()?))).collect();
        if !measured.is_empty() {
            let mut table = numeric_table(&["other program", "work", "takes", "systole", "answers"]);
            for index in [1, 4] {
                if let Some(column) = table.column_mut(index) {
                    column.set_cell_alignment(CellAlignment::Left);
                }
            }
            for (name, m) in measured {
                table.add_row([format!("{name} {}", m.version), m.work(), duration(m.seconds), duration(m.ours), m.verdict()]);
            }
            let _ = write!(text, "\n{}", indented(&table, 2));
        }
        let missing: Vec<_> = peers.iter().filter_map(|peer| Some((peer.name, peer.outcome.as_ref().err()?))).collect();
        if !missing.is_empty() {
            text.push('\n');
        }
        for (name, why) in missing {
            let _ = writeln!(text, "  {name}: not measured: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ArithmeticRow, ConversionRow, Options, Peer, TickedRow};
    use super::*;
    use systole_arrays::fast::KernelChoice;

    #[test]
    fn figures_have_three_digits() {
        for (x, expected) in [(1234.4, "1234"), (99.96, "100"), (99.94, "99.9"), (9.996, "10.0"), (9.994, "9.99"), (0.0123, "0.0123")] {
            assert_eq!(figure(x), expected);
        }
        assert_eq!([duration(2.5), duration(0.0025), duration(2.5e-6)], ["2.50 s", "2.50 ms", "2.50 us"]);
    }

    #[test]
    fn wrong_bits_have_no_speed() {
        const WRONG: &str = "differs from scalar at row 3, column 7";
        let host = Host { cpu: "a CPU".to_owned(), kernels: vec![], cores: 1, load: None, date: "2026-11-22".to_owned() };
        let options = Options { size: 64, quick: true, kernel: KernelChoice::Auto, threads: 1, peers: false, only: None };
        let report = Report {
            options,
            host,
            native: None,
            softfloat: None,
            arithmetic: vec![ArithmeticRow {
                name: "e6m9",
                kernel: "carrier32/avx2",
                reason: String::new(),
                side: 64,
                outcome: Err(WRONG.to_owned()),
            }],
            conversions: vec![ConversionRow { name: "fp32 to e5m2 rne".to_owned(), outcome: Err(WRONG.to_owned()) }],
            ticked: vec![TickedRow { name: "ticked os", outcome: Err(WRONG.to_owned()) }],
            timing: None,
            peers: Ok(vec![Peer { name: "mptorch", outcome: Err("no torch".to_owned()) }]),
        };
        assert_eq!(report.wrong(), ["e6m9", "fp32 to e5m2 rne", "ticked os"]);
        let (text, json) = (report.text(), report.json());
        assert_eq!(text.matches("WRONG").count(), 3, "{text}");
        assert_eq!(text.matches(WRONG).count(), 3, "{text}");
        assert!(text.contains("mptorch: not measured: no torch"), "{text}");
        for row in [&json["arithmetic"][0], &json["conversions"][0], &json["ticked"][0]] {
            assert_eq!(row["wrong"], WRONG);
        }
    }
}
