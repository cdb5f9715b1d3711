//! Sweeps: many designs, each trained on the same seeds, or costed by shapes alone.
//!
//! A [`Spec`] is a file that spans points over any fields of design, recipe, model and data. A
//! [`Plan`] is its points with a key for each run, made of everything that determines the result.
//! Runs are made side by side ([`execute`]), in one process or in shards on many machines; each
//! ends as one line of a [`Store`], on disk before the next begins. A line that is there is never
//! made again, so that a sweep that was killed goes on where it was, and ends with the same
//! [`Table`].

mod constraint;
mod execute;
mod pareto;
mod plan;
mod record;
mod resolve;
mod spec;
mod store;
mod table;

pub use constraint::ConstraintError;
pub use execute::{Event, Execution, Left, execute};
pub use pareto::{Cost, Standing, front, typical_error};
pub use plan::{Plan, PlannedPoint, PlannedRun};
pub use record::{Cycles, Epoch, FoldShape, Hardware, Histogram, Layer, LayerEvents, Outcome, PassSums, Rates, Report, RunRecord};
pub use resolve::{Resolution, Resolved, Work, plan};
pub use spec::{Axis, BuiltIn, SWEEPS, Seeds, Spec, SpecError, Task, Training, Workload};
pub use store::{Shard, Store, StoreError, read, write_merged};
pub use table::{Figures, Row, Table};
