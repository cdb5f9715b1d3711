//! RON text of a sweep: axes, constraints, settings.

use crate::Case;
use crate::source::Source;
use std::fmt;
use systole::run::workload::Layers;
use systole::sweep::{Spec, SpecError, Task, plan};

/// A text that may be a sweep.
#[derive(Debug)]
pub struct Text(String);

/// Points of a sweep that is planned; others are read only.
const MOST_POINTS: usize = 64;

impl Case for Text {
    fn read(source: &mut Source<'_>) -> Self {
        Self(String::from_utf8_lossy(source.rest()).into_owned())
    }

    fn check(&self) {
        match Spec::from_ron("fuzz", &self.0) {
            Ok(spec) => self.check_usable(&spec),
            Err(error) => self.check_named(&error),
        }
    }
}

impl Text {
    /// A usable sweep is planned, or refused; equal points are equal runs, names are of one point each.
    fn check_usable(&self, spec: &Spec) {
        // Files are none of a text's business, and data sets cost their reading.
        let embedded = match &spec.task {
            Task::Train(training) => training.data == "digits" && !spec.varies("data"),
            Task::Workload(workload) => !Layers::are_named(&workload.name) && !spec.varies("workload"),
        };
        if spec.points() > MOST_POINTS || !embedded {
            return;
        }
        match plan("fuzz", spec, &Vec::new(), "") {
            Ok(resolution) => {
                let plan = &resolution.plan;
                assert_eq!(plan.points.len(), resolution.points.len(), "{self}");
                for (point, resolved) in plan.points.iter().zip(&resolution.points) {
                    assert_eq!(point.problem.is_none(), resolved.is_some(), "{}: {self}", point.name);
                }
                let names: std::collections::BTreeSet<&str> = plan.points.iter().map(|point| point.name.as_str()).collect();
                assert_eq!(names.len(), plan.points.len(), "{self}");
                assert!(plan.runs.iter().all(|run| resolution.points[run.point].is_some()), "{self}");
            }
            Err(error) => assert!(!error.to_string().is_empty(), "{self}"),
        }
    }

    fn check_named(&self, error: &SpecError) {
        let lines = self.0.lines().count().max(1) + 1;
        match error {
            SpecError::Syntax { line, column, message, .. } => {
                assert!((1..=lines).contains(line) && *column > 0 && !message.is_empty(), "{error}: {self}");
            }
            SpecError::Invalid { problems, .. } => assert!(problems.iter().all(|p| !p.is_empty()) && !problems.is_empty(), "{self}"),
            other => panic!("{other:?}: {self}"),
        }
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
