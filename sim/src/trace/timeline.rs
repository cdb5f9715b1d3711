//! The machine's timeline as Chrome trace events, for Perfetto.
//!
//! One microsecond of the trace is one cycle. The tracks `regions` and `cycles` are the record
//! itself: every cycle of the program lies in one slice of each, `compute` or the stall it is
//! charged to. The other tracks show when each instruction was on its unit, and each transfer from
//! its request to its last byte; where slices of a track overlap, it has as many lanes.

use super::TraceError;
use crate::machine::{Charge, Passage, Retired, Station, Transfer, Watcher};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use systole_isa::design::Design;
use systole_isa::device::{Cycles, Record};

/// Slices of a timeline at most.
pub const MAX_SLICES: usize = 1 << 22;

/// What a slice is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Track {
    Regions,
    Cycles,
    Array,
    Vector,
    Load,
    Store,
}

impl Track {
    const ALL: [Self; 6] = [Self::Regions, Self::Cycles, Self::Array, Self::Vector, Self::Load, Self::Store];

    const fn name(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::Cycles => "cycles",
            Self::Array => "array",
            Self::Vector => "vector",
            Self::Load => "load",
            Self::Store => "store",
        }
    }

    /// Thread of one of its lanes.
    const fn thread(self, lane: usize) -> usize {
        (self as usize + 1) * 1000 + lane
    }
}

#[derive(Clone, Debug)]
struct Slice {
    track: Track,
    name: String,
    from: u64,
    to: u64,
    args: Map<String, Value>,
}

/// Draws the programs it watches, one behind the other.
#[derive(Debug, Default)]
pub struct Timeline {
    slices: Vec<Slice>,
    /// Charges of the program under way.
    charges: Vec<Charge>,
    /// Where it begins.
    origin: u64,
    total: Cycles,
    overfull: bool,
}

fn arguments<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

impl Timeline {
    /// Cycles of all that was watched.
    pub const fn cycles(&self) -> &Cycles {
        &self.total
    }

    fn push(&mut self, track: Track, name: &str, (from, to): (u64, u64), args: Map<String, Value>) {
        self.overfull |= self.slices.len() >= MAX_SLICES;
        if to > from && !self.overfull {
            let (from, to) = (self.origin + from, self.origin + to);
            self.slices.push(Slice { track, name: name.to_owned(), from, to, args });
        }
    }

    fn transfers(&mut self, track: Track, name: &str, transfers: &[Transfer], waves: bool) {
        for (i, &Transfer { from, to, bytes }) in transfers.iter().enumerate() {
            let mut args = arguments([("bytes", json!(bytes))]);
            if waves {
                args.insert("transfer".to_owned(), json!(i));
            }
            self.push(track, name, (from, to), args);
        }
    }

    /// Slices of the account; of regions, neighbours together.
    fn accounts(&mut self, record: &Record) {
        let charges = std::mem::take(&mut self.charges);
        let region = |charge: &Charge| record.regions.get(charge.region).map_or("", |region| region.name.as_str());
        let shown = |name: &str| if name.is_empty() { "(no region)".to_owned() } else { name.to_owned() };
        for run in charges.chunk_by(|a, b| a.region == b.region) {
            if let [first, .., last] | [first @ last] = run {
                self.push(Track::Regions, &shown(region(first)), (first.from, last.to), Map::new());
            }
        }
        for charge in &charges {
            let name = charge.stall.map_or("compute", |stall| stall.name());
            self.push(Track::Cycles, name, (charge.from, charge.to), arguments([("region", json!(region(charge)))]));
        }
    }

    /// Writes the trace.
    ///
    /// # Errors
    /// Too many slices, and a file that cannot be written.
    pub fn write(mut self, path: &Path, design: &Design, title: &str) -> Result<(), TraceError> {
        if self.overfull {
            return Err(TraceError::TooManySlices);
        }
        self.slices.sort_by_key(|slice| (slice.track, slice.from, slice.to));
        let file = File::create(path).map_err(|e| TraceError::io(path, e))?;
        let mut out = BufWriter::new(file);
        self.events(&mut out, design, title).and_then(|()| out.flush()).map_err(|e| TraceError::io(path, e))
    }

    fn events(&self, out: &mut impl Write, design: &Design, title: &str) -> std::io::Result<()> {
        let stall: Map<String, Value> = self.total.stall.iter().map(|(reason, cycles)| (reason.name().to_owned(), json!(cycles))).collect();
        let about = json!({
            "generator": concat!("systole ", env!("CARGO_PKG_VERSION")),
            "title": title,
            "design": design.name,
            "clock_mhz": design.array.clock_mhz,
            "time": "1 microsecond of the trace is 1 cycle",
            "cycles": { "total": self.total.total, "compute": self.total.compute, "stall": stall },
        });
        writeln!(out, "{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":[")?;
        write!(out, "{}", json!({ "ph": "M", "pid": 1, "name": "process_name", "args": { "name": title } }))?;
        let mut event = |event: Value| write!(out, ",\n{event}");
        for track in Track::ALL {
            // When each lane is free again.
            let mut lanes: Vec<u64> = Vec::new();
            for slice in self.slices.iter().filter(|slice| slice.track == track) {
                let lane = lanes.iter().position(|free| *free <= slice.from).unwrap_or_else(|| {
                    lanes.push(0);
                    lanes.len() - 1
                });
                lanes[lane] = slice.to;
                let Slice { name, from, to, args, .. } = slice;
                let mut whole = json!({ "ph": "X", "pid": 1, "tid": track.thread(lane), "name": name, "ts": from, "dur": to - from });
                if !args.is_empty() {
                    whole["args"] = Value::Object(args.clone());
                }
                event(whole)?;
            }
            for lane in 0..lanes.len() {
                let thread = track.thread(lane);
                event(json!({ "ph": "M", "pid": 1, "tid": thread, "name": "thread_name", "args": { "name": track.name() } }))?;
                event(json!({ "ph": "M", "pid": 1, "tid": thread, "name": "thread_sort_index", "args": { "sort_index": thread } }))?;
            }
        }
        writeln!(out, "\n]}}")
    }
}

impl Watcher for Timeline {
    fn retired(&mut self, retired: Retired<'_>) {
        let Retired { ordinal, index, instruction, region, passage, .. } = retired;
        let Passage { station, start, released, compute, detailed, loads, stores, charges, .. } = passage;
        self.charges.extend(charges);
        if station == Station::Sequencer {
            return;
        }
        let text = instruction.to_string();
        self.transfers(Track::Load, &text, &loads, detailed && station != Station::Load);
        self.transfers(Track::Store, &text, &stores, detailed && station != Station::Store);
        let mut args = arguments([("ordinal", json!(ordinal)), ("index", json!(index)), ("region", json!(region))]);
        match station {
            Station::Array => {
                args.insert("compute".to_owned(), json!(compute));
                args.insert("waited".to_owned(), json!(released - start - compute));
                self.push(Track::Array, &text, (start, released), args);
            }
            Station::Vector => self.push(Track::Vector, &text, (start, released), args),
            Station::Sequencer | Station::Load | Station::Store => {}
        }
    }

    fn ended(&mut self, record: &Record, charges: Vec<Charge>) {
        self.charges.extend(charges);
        self.accounts(record);
        self.origin += record.cycles.total;
        self.total += &record.cycles;
    }
}
