//! RON text of a design, or overrides of built-in designs.

use crate::Case;
use crate::source::Source;
use std::fmt;
use systole::energy;
use systole::machine::{Engine, Machine};
use systole_arrays::fast::KernelChoice;
use systole_isa::design::{Design, DesignError, find};
use systole_isa::overrides::split;

/// Designs that overrides are applied to: a float MAC, chunks and a second mode, integers.
const BASES: [&str; 3] = ["fp8-16x16", "narrow-chunked-16x16", "int8-16x16"];

/// A text that may be a design, or lines of `PATH=VALUE`.
#[derive(Debug)]
pub struct Text(String);

impl Case for Text {
    fn read(source: &mut Source<'_>) -> Self {
        Self(String::from_utf8_lossy(source.rest()).into_owned())
    }

    fn check(&self) {
        match Design::from_ron("fuzz", &self.0) {
            Ok(design) if design.problems().is_empty() => self.check_usable(&design),
            Ok(design) => assert!(design.validated().is_err(), "a design with problems passes: {self}"),
            Err(error) => self.check_located(&error),
        }
        let settings: Option<Vec<_>> = self.0.lines().filter(|line| !line.is_empty()).map(split).collect();
        let Some(settings) = settings else { return };
        for base in BASES {
            let base = find(base).unwrap_or_else(|| panic!("no design {base}"));
            match base.with_overrides(&settings) {
                Ok(design) => self.check_usable(&design),
                Err(error) => assert!(!error.to_string().is_empty(), "{self}"),
            }
        }
    }
}

impl Text {
    /// A usable design is priced, runs programs, and survives being written and read.
    fn check_usable(&self, design: &Design) {
        assert_eq!(design.problems(), [], "{self}");
        match design.with_overrides(&[]) {
            Ok(again) => assert_eq!(&again, design, "written, read: {self}"),
            Err(e) => panic!("written, not read: {e}: {self}"),
        }
        if let Err(e) = Machine::new(design.clone(), Engine::Timing, KernelChoice::Auto) {
            panic!("usable, but no machine: {e}: {self}");
        }
        if let Ok(report) = energy::cost_report(design) {
            let total = report.json()["energy_pj"]["total"].as_f64();
            assert!(total.is_some_and(|pj| pj.is_finite() && pj >= 0.0), "{total:?} pJ: {self}");
        }
    }

    fn check_located(&self, error: &DesignError) {
        let DesignError::Syntax { line, column, message, .. } = error else { panic!("{error:?}: {self}") };
        let lines = self.0.lines().count().max(1) + 1;
        assert!((1..=lines).contains(line) && *column > 0 && !message.is_empty(), "{error}: {self}");
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
