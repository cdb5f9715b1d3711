//! What is legal but surely not meant: notes on a design, and on a design at its work.

use serde::{Deserialize, Serialize};
use std::fmt;
use systole_isa::design::{Dataflow, Design, MacMode, PartialSums, Scaling, Unit};
use systole_isa::device::{Cycles, Stall};
use systole_isa::format::Format;

/// A note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The field it is about.
    pub path: String,
    /// What was seen, and the mend.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A matrix product of a run: M, N and K, and how often it is asked for.
pub type Product = ([u32; 3], u64);

/// Most notes of a kind that are told; more are counted.
const MOST: usize = 3;

struct Notes(Vec<Note>);

impl Notes {
    fn add(&mut self, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if holds {
            self.0.push(Note { path: path.to_owned(), message: message() });
        }
    }
}

/// Notes on a design, whatever it runs.
pub fn of_design(design: &Design) -> Vec<Note> {
    let mut notes = Notes(Vec::new());
    let array = &design.array;
    let os = array.dataflow == Dataflow::Os;
    notes.add(os && array.partial_sums == PartialSums::Outside, "array.partial_sums", || {
        "has no effect under `os`, where one fold holds all of k".to_owned()
    });
    let interval = array.issue_interval();
    notes.add(interval > 1, "array.mac_stages", || {
        format!(
            "a product every {interval} cycles: under `os` each waits for its sum to pass the loop; shorten array.loop_stages (1 is an accumulator that takes a product every cycle), or stream partial sums (ws, is)"
        )
    });
    notes.add(!os && array.loop_stages.is_some(), "array.loop_stages", || {
        "has no effect where partial sums travel: no product waits for the one before".to_owned()
    });
    for (i, mode) in design.mac_modes().iter().enumerate() {
        let path = |field: &str| if i == 0 { format!("mac.{field}") } else { format!("modes[{}].{field}", i - 1) };
        of_mode(&mut notes, design, mode, &path);
    }
    let mode = &design.mac;
    let (down, across) = edge_bytes(design);
    let delivered = design.memory.scratchpad_bytes_per_cycle() as f64;
    let needed = (down + across) * f64::from(array.count);
    notes.add(needed > delivered, "memory.scratchpad_banks", || {
        format!("the banks deliver {delivered} bytes a cycle, the arrays' edges take {needed}: they wait; add banks, or widen them")
    });
    if let Some(format) = design.output.format {
        let wider = |a: Format, b: Format| a.as_float().zip(b.as_float()).is_some_and(|(a, b)| a.precision() > b.precision());
        notes.add(wider(format, mode.outermost()), "output.format", || {
            format!("{format} is wider than the accumulator {}, whose results it holds: its last bits are zeros", mode.outermost())
        });
    }
    notes.0
}

/// Bytes that enter at an array's two edges in a cycle.
fn edge_bytes(design: &Design) -> (f64, f64) {
    let (array, mode) = (&design.array, &design.mac);
    let lanes = f64::from(mode.lanes);
    let bytes = |format: Format| f64::from(format.storage_bytes());
    match array.dataflow {
        Dataflow::Os => (f64::from(array.rows) * lanes * bytes(mode.a), f64::from(array.cols) * lanes * bytes(mode.b)),
        Dataflow::Ws => (f64::from(array.rows) * lanes * bytes(mode.a), 0.0),
        Dataflow::Is => (f64::from(array.rows) * lanes * bytes(mode.b), 0.0),
    }
}

fn of_mode(notes: &mut Notes, design: &Design, mode: &MacMode, path: &dyn Fn(&str) -> String) {
    let largest = |format: Format| if format.is_wide() { f64::INFINITY } else { format.to_f64(format.max_finite(false)) };
    let product = largest(mode.a) * largest(mode.b);
    notes.add(product > largest(mode.accumulator), &path("accumulator"), || {
        format!(
            "one product of the largest operands ({} x {} = {product:e}) is beyond {}'s largest number, {:e}: scale the operands, or widen it",
            mode.a,
            mode.b,
            mode.accumulator,
            largest(mode.accumulator)
        )
    });
    notes.add(mode.outer.is_some() && mode.chunk.is_none(), &path("outer"), || {
        "has no effect without chunks: set mac.chunk, or leave it out".to_owned()
    });
    let depth = design.array.rows.saturating_mul(mode.lanes);
    let cut = mode.scale != Scaling::None
        && design.array.dataflow != Dataflow::Os
        && mode.chunk.is_some_and(|block| !depth.is_multiple_of(block));
    notes.add(cut, &path("chunk"), || {
        format!(
            "a fold holds {depth} products, no whole number of blocks of {}: blocks are closed at the folds' ends",
            mode.chunk.unwrap_or(0)
        )
    });
}

/// Notes on a design at its work: those of [`of_design`], and what the products' shapes do to it.
pub fn of_work(design: &Design, products: &[Product]) -> Vec<Note> {
    let mut notes = Notes(of_design(design));
    let array = &design.array;
    let mode = &design.mac;
    let depth = array.rows.saturating_mul(mode.lanes);
    let os = array.dataflow == Dataflow::Os;
    let (mut ragged, mut narrow, mut longest) = (Vec::new(), Vec::new(), 0);
    for ([m, n, k], _) in products {
        let (down, across) = match array.dataflow {
            Dataflow::Os => (("M", *m), ("N", *n)),
            Dataflow::Ws => (("K", *k), ("N", *n)),
            Dataflow::Is => (("K", *k), ("M", *m)),
        };
        let rows = if os { array.rows } else { depth };
        for ((name, extent), tile, what) in [(down, rows, "row"), (across, array.cols, "column")] {
            let used = |extent: u32| if what == "row" && !os { extent.div_ceil(mode.lanes) } else { extent };
            let rest = extent % tile;
            let sides = used(tile);
            if extent > tile && rest > 0 && rest * 4 <= tile {
                let plural = if used(rest) == 1 { "" } else { "s" };
                ragged.push(format!("{name}={extent} on {sides} {what}s: the last fold uses {} {what}{plural} of {sides}", used(rest)));
            } else if extent * 2 <= tile {
                narrow.push(format!("{name}={extent} on {sides} {what}s: {} of {sides} {what}s never work", sides - used(extent)));
            }
        }
        longest = longest.max(*k);
    }
    for (found, path) in [(&mut ragged, "array"), (&mut narrow, "array")] {
        found.sort_unstable();
        found.dedup();
        let more = found.len().saturating_sub(MOST);
        found.iter().take(MOST).for_each(|message| notes.add(true, path, || message.clone()));
        notes.add(more > 0, path, || format!("and {more} more such shapes"));
    }
    stagnation(&mut notes, mode, longest);
    notes.0
}

/// Sums of like products in an accumulator of p bits stop growing at 2^p of them; wraps and overflows
/// come sooner or later.
fn stagnation(notes: &mut Notes, mode: &MacMode, longest: u32) {
    if mode.accumulator.is_wide() {
        return;
    }
    let chain = mode.chunk.map_or(longest, |chunk| chunk.min(longest));
    let mut reached = u64::from(chain);
    if let (Some(float), Unit::Chain, 0) = (mode.accumulator.as_float(), mode.unit, mode.rounding.random_bits()) {
        let most = 1_u64.checked_shl(float.precision()).unwrap_or(u64::MAX);
        notes.add(reached > most, "mac.accumulator", || {
            format!(
                "{} has {} bits: a sum of like products stops growing at K > {most}, and chains are {chain} long; set mac.chunk, or widen it",
                mode.accumulator,
                float.precision()
            )
        });
        reached = reached.min(most);
    }
    let most = (magnitude(mode.accumulator, false) / (largest(mode.a) * largest(mode.b))).floor();
    // One product that overflows is the design's own note.
    let every_sum = mode.accumulator.as_float().is_some() && most < 1.0;
    notes.add(reached as f64 > most && !every_sum, "mac.accumulator", || {
        format!(
            "{} overflows at K > {most} for the largest operands of {} x {}, and chains are {chain} long",
            mode.accumulator, mode.a, mode.b
        )
    });
}

/// Largest number of a format that has codes, or its lowest's magnitude.
fn magnitude(format: Format, negative: bool) -> f64 {
    format.to_f64(format.max_finite(negative)).abs()
}

fn largest(format: Format) -> f64 {
    magnitude(format, true).max(magnitude(format, false))
}

/// Share of a run's cycles from which on a reason to stand still is told.
const MOST_OF_A_RUN: f64 = 0.5;

/// Notes on where a run's cycles went.
pub fn of_run(design: &Design, cycles: &Cycles) -> Vec<Note> {
    let mut notes = Notes(Vec::new());
    let memory = &design.memory;
    for (&stall, &stalled) in &cycles.stall {
        let share = stalled as f64 / cycles.total.max(1) as f64;
        let (path, why) = match stall {
            Stall::Vector => {
                ("vector.lanes", format!("for {} vector lanes: add lanes, or take operations from the vector unit", design.vector.lanes))
            }
            Stall::OperandLoad => (
                "memory.dram_bytes_per_cycle",
                format!(
                    "for operands from DRAM at {} bytes a cycle: widen it, or enlarge the scratchpad or the batch",
                    memory.dram_bytes_per_cycle
                ),
            ),
            Stall::ResultStore => (
                "memory.dram_bytes_per_cycle",
                format!(
                    "for results on their way to DRAM at {} bytes a cycle: widen it, or enlarge the scratchpad",
                    memory.dram_bytes_per_cycle
                ),
            ),
            Stall::ScratchpadBandwidth => (
                "memory.scratchpad_banks",
                format!("for banks that deliver {} bytes a cycle: add banks, or widen them", memory.scratchpad_bytes_per_cycle()),
            ),
            // Programs' own.
            Stall::Dependency | Stall::Issue => continue,
        };
        notes.add(share > MOST_OF_A_RUN, path, || format!("the arrays wait {:.0} % of all cycles {why}", 100.0 * share));
    }
    notes.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::design::find;

    fn with(settings: &[(&str, &str)]) -> Design {
        let settings: Vec<(String, String)> = settings.iter().map(|(p, v)| ((*p).to_owned(), (*v).to_owned())).collect();
        find("fp8-16x16").unwrap().with_overrides(&settings).unwrap()
    }

    fn said(notes: &[Note], what: &str) -> bool {
        notes.iter().any(|note| note.to_string().contains(what))
    }

    #[test]
    fn shapes_that_leave_folds_almost_empty() {
        let ws = with(&[("array.dataflow", "ws")]);
        assert!(said(&of_work(&ws, &[([64, 32, 785], 1)]), "K=785 on 16 rows: the last fold uses 1 row of 16"));
        assert!(!said(&of_work(&ws, &[([64, 32, 784], 1)]), "last fold"));
        assert!(said(&of_work(&ws, &[([64, 3, 784], 1)]), "N=3 on 16 columns: 13 of 16 columns never work"));
        let os = with(&[]);
        assert!(said(&of_work(&os, &[([66, 32, 785], 1)]), "M=66 on 16 rows: the last fold uses 2 rows of 16"));
        assert!(!said(&of_work(&os, &[([64, 32, 785], 1)]), "last fold"));
        let many: Vec<Product> = (1..=9).map(|i| ([16 * i + 1, 16, 64], 1)).collect();
        assert!(said(&of_work(&os, &many), "and 6 more such shapes"));
    }

    #[test]
    fn sums_that_wait_for_themselves() {
        let staged = |settings: &[(&str, &str)]| of_design(&with(&[&[("array.mac_stages", "4")], settings].concat()));
        assert!(said(&staged(&[]), "a product every 4 cycles"));
        assert!(said(&staged(&[("array.loop_stages", "2")]), "a product every 2 cycles"));
        assert!(!said(&staged(&[("array.loop_stages", "1")]), "cycles"));
        assert!(!said(&staged(&[("array.dataflow", "ws")]), "array"));
        assert!(said(&staged(&[("array.dataflow", "ws"), ("array.loop_stages", "2")]), "array.loop_stages: has no effect"));
    }

    #[test]
    fn accumulators_that_end_too_soon() {
        let narrow = with(&[("mac.accumulator", "e5m4"), ("mac.chunk", "none"), ("mac.outer", "none")]);
        assert!(said(&of_work(&narrow, &[([16, 16, 64], 1)]), "stops growing at K > 32"));
        assert!(!said(&of_work(&narrow, &[([16, 16, 32], 1)]), "stops growing"));
        let chunked = with(&[("mac.accumulator", "e5m4"), ("mac.chunk", "16"), ("mac.outer", "fp32")]);
        assert!(!said(&of_work(&chunked, &[([16, 16, 64], 1)]), "stops growing"));
        let stochastic = with(&[("mac.accumulator", "e5m4"), ("mac.chunk", "none"), ("mac.outer", "none"), ("mac.rounding", "sr8")]);
        assert!(!said(&of_work(&stochastic, &[([16, 16, 64], 1)]), "stops growing"));
        // 127 x 127 x 2 fits 2^15 - 1, three times it does not: with -128 x -128 two do not fit either.
        let integers = with(&[
            ("modes", "[]"),
            ("mac.a", "int8"),
            ("mac.b", "int8"),
            ("mac.accumulator", "fx16.0"),
            ("mac.chunk", "none"),
            ("mac.outer", "none"),
        ]);
        assert!(said(&of_work(&integers, &[([16, 16, 2], 1)]), "overflows at K > 1"));
        assert!(!said(&of_work(&integers, &[([16, 16, 1], 1)]), "overflows"));
        assert!(said(
            &of_design(&with(&[("mac.accumulator", "fp16"), ("mac.chunk", "none"), ("mac.outer", "none")])),
            "beyond fp16's largest"
        ));
    }

    /// 15.5 x 15.5 x 272 = 65348, and fp16 ends at 65504.
    #[test]
    fn floats_overflow_before_they_stop_growing() {
        let fp16 = |more: &[(&str, &str)]| {
            let settings = [("modes", "[]"), ("mac.a", "e3m4"), ("mac.b", "e3m4"), ("mac.accumulator", "fp16"), ("mac.outer", "none")];
            with(&[&settings[..], more].concat())
        };
        let long: [Product; 1] = [([16, 16, 300], 1)];
        let notes = of_work(&fp16(&[("mac.chunk", "none")]), &long);
        assert!(said(&notes, "fp16 overflows at K > 272 for the largest operands of e3m4 x e3m4, and chains are 300 long"), "{notes:?}");
        assert!(!said(&of_work(&fp16(&[("mac.chunk", "256")]), &long), "overflows"));
        // Sums of e4m3fn would overflow with their first product: told of the design.
        let first = with(&[("mac.accumulator", "fp16"), ("mac.chunk", "none"), ("mac.outer", "none")]);
        assert!(!said(&of_work(&first, &long), "overflows at"));
    }

    #[test]
    fn runs_that_wait_for_one_thing() {
        let design = with(&[]);
        let cycles = |stall, stalled| Cycles { total: 1000, compute: 1000 - stalled, stall: [(stall, stalled)].into() };
        let told = |stall, stalled| of_run(&design, &cycles(stall, stalled));
        assert!(said(&told(Stall::Vector, 770), "vector.lanes: the arrays wait 77 % of all cycles for 16 vector lanes"));
        assert!(said(&told(Stall::OperandLoad, 501), "memory.dram_bytes_per_cycle: the arrays wait 50 % of all cycles for operands"));
        assert!(said(&told(Stall::ResultStore, 900), "for results on their way"));
        assert!(said(&told(Stall::ScratchpadBandwidth, 900), "memory.scratchpad_banks"));
        assert!(told(Stall::Vector, 500).is_empty() && told(Stall::Issue, 900).is_empty());
        assert!(of_run(&design, &Cycles::default()).is_empty());
    }

    #[test]
    fn fields_without_effect() {
        assert!(said(&of_design(&with(&[("array.partial_sums", "outside")])), "array.partial_sums: has no effect"));
        assert!(said(&of_design(&with(&[("mac.chunk", "none"), ("mac.outer", "fp32")])), "mac.outer: has no effect"));
        assert!(said(&of_design(&with(&[("array.rows", "256"), ("array.cols", "256")])), "the arrays' edges take 512"));
        assert!(said(
            &of_design(&with(&[("mac.accumulator", "e6m9"), ("mac.chunk", "none"), ("mac.outer", "none"), ("output.format", "fp32")])),
            "last bits are zeros"
        ));
        assert_eq!(of_design(&with(&[])), []);
    }
}
