//! What is looked at: the arrays of a product, or of every product of a program.

use super::TraceError;
use super::record::{Recording, Scope};
use super::wave::{self, Header, Timescale, text_words};
use crate::machine::{Machine, Retired, Station, Watcher};
use std::ops::Range;
use std::path::Path;
use systole_arrays::ticked::Observer;
use systole_isa::design::{Convention, Design, MacMode};
use systole_isa::device::Record;
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::program::Program;

/// PEs times cycles that a waveform may step.
pub const MAX_PE_CYCLES: u64 = 1 << 34;

/// From where a waveform counts cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// From the first operand of the program's one product.
    Array,
    /// From the program's beginning, an instruction's arrays as if nothing stalled them once begun.
    Program,
}

/// A matrix instruction that the arrays compute.
#[derive(Clone, Debug)]
struct Product {
    ordinal: u64,
    text: String,
    start: u64,
    compute: u64,
    /// MAC mode.
    mode: usize,
    /// Format of D.
    d: Format,
}

/// The products of a program and when they run.
#[derive(Debug, Default)]
struct Products {
    mode: usize,
    list: Vec<Product>,
    total: u64,
}

impl Watcher for Products {
    fn retired(&mut self, retired: Retired<'_>) {
        let Retired { ordinal, instruction, passage, written, .. } = retired;
        if let Instruction::Mode { mode } = instruction {
            self.mode = mode.0.into();
        }
        if let (Station::Array, Some(d), true) = (passage.station, written, passage.compute > 0) {
            let (text, mode, d) = (instruction.to_string(), self.mode, d.format);
            self.list.push(Product { ordinal, text, start: passage.start, compute: passage.compute, mode, d });
        }
    }

    fn ended(&mut self, record: &Record, _: Vec<crate::machine::Charge>) {
        self.total = record.cycles.total;
    }
}

/// Names of the formats that a product's signals are in.
fn formats(mode: &MacMode, d: Format) -> [(&'static str, String); 5] {
    let addend = if mode.outermost().is_wide() { d } else { mode.outermost() };
    let outer = if mode.chunk.is_some() { mode.outermost().to_string() } else { "none".to_owned() };
    [
        ("a_format", mode.a.to_string()),
        ("b_format", mode.b.to_string()),
        ("accumulator_format", mode.accumulator.to_string()),
        ("outer_format", outer),
        ("c_format", addend.to_string()),
    ]
}

/// Hands the recording to each product's arrays.
struct Stage {
    recording: Recording,
    products: Vec<Product>,
    next: usize,
    time: Time,
    modes: Vec<MacMode>,
    /// Signals of the instruction under way: its ordinal, its text.
    instruction: Option<(usize, usize)>,
    /// Signals that name formats, but for those that never change.
    formats: Vec<Option<usize>>,
}

impl Stage {
    fn announce(&mut self, product: &Product, origin: u64, rest: bool) {
        let end = origin + product.compute;
        let window = self.recording.window().clone();
        // What began before the window is told at its beginning.
        let shown = origin.max(window.start);
        if shown >= end {
            return;
        }
        if let Some((ordinal, text)) = self.instruction {
            self.recording.set(shown, ordinal, Some(&[product.ordinal]));
            self.recording.set(shown, text, Some(&text_words(&product.text)));
        }
        let names = formats(&self.modes[product.mode], product.d).into_iter().map(|(_, name)| name).chain([product.d.to_string()]);
        for (signal, name) in self.formats.iter().zip(names) {
            if let Some(signal) = *signal {
                self.recording.set(shown, signal, Some(&text_words(&name)));
            }
        }
        if let (Some((ordinal, text)), true) = (self.instruction, rest) {
            self.recording.set(end, ordinal, None);
            self.recording.set(end, text, None);
        }
    }
}

impl Watcher for Stage {
    fn arrays(&mut self, ordinal: u64) -> Option<&mut dyn Observer> {
        let product = self.products.get(self.next).filter(|product| product.ordinal == ordinal)?.clone();
        self.next += 1;
        let origin = if self.time == Time::Array { 0 } else { product.start };
        let rest = self.products.get(self.next).is_none_or(|next| next.start > origin + product.compute);
        self.recording.place(origin, product.compute, rest);
        self.announce(&product, origin, rest);
        Some(&mut self.recording)
    }

    fn retired(&mut self, _: Retired<'_>) {}
}

/// What a waveform holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Cycles looked at.
    pub window: Range<u64>,
    /// Cycles there are.
    pub cycles: u64,
    /// Signals, the clock and the cycle counter among them.
    pub signals: usize,
    /// Matrix instructions in all cycles.
    pub products: usize,
}

/// What a waveform will hold, known before any value is.
#[derive(Debug)]
pub struct Plan {
    products: Vec<Product>,
    window: Range<u64>,
    total: u64,
    time: Time,
}

impl Plan {
    /// Of a program's products; `timed` is a machine that is not ticked, with the program's data where
    /// masks are among them.
    ///
    /// # Errors
    /// A program without products, too much to look at, and what the machine refuses.
    pub fn new(
        design: &Design,
        timed: &mut Machine,
        program: &Program,
        time: Time,
        wanted: Option<&Range<u64>>,
    ) -> Result<Self, TraceError> {
        if design.array.convention != Convention::Rtl {
            return Err(TraceError::Convention);
        }
        let mut products = Products::default();
        timed.run_watched(program, 0, &mut products)?;
        let Products { list: products, total, .. } = products;
        if products.is_empty() {
            return Err(TraceError::NoProducts);
        }
        let total = if time == Time::Array { products.iter().map(|product| product.compute).max().unwrap_or(0) } else { total };
        let wanted = wanted.cloned().unwrap_or(0..total);
        let window = wanted.start..wanted.end.min(total);
        if window.is_empty() {
            return Err(TraceError::Outside { from: wanted.start, to: wanted.end, total });
        }
        check_size(design, &products, &window, time)?;
        Ok(Self { products, window, total, time })
    }
}

/// Writes the waveform of a program's products. `ticked` is a machine that ticks and has the program's
/// data.
///
/// # Errors
/// More values than a waveform holds, files, and what the machine refuses.
pub fn waveform(
    design: &Design,
    plan: Plan,
    ticked: &mut Machine,
    program: &Program,
    (path, format): (&Path, wave::Format),
) -> Result<Outcome, TraceError> {
    let Plan { products, window, total, time } = plan;
    let mut recording = Recording::new(window.clone());
    let instruction = (time == Time::Program).then(|| {
        let longest = products.iter().map(|product| product.text.len()).max().unwrap_or(0);
        let ordinal = recording.declare(Scope::Top, "ordinal", 64, false);
        (ordinal, recording.declare(Scope::Top, "instruction", 8 * longest as u32, false))
    });
    let modes = design.mac_modes();
    let named: Vec<Vec<(&str, String)>> = products
        .iter()
        .map(|product| formats(&modes[product.mode], product.d).into_iter().chain([("d_format", product.d.to_string())]).collect())
        .collect();
    let mut signals = Vec::new();
    for i in 0..named[0].len() {
        let names = named.iter().map(|names| names[i].1.as_str());
        let longest = names.clone().map(str::len).max().unwrap_or(0);
        let first = named[0][i].1.as_str();
        let constant = names.clone().all(|name| name == first);
        let signal = recording.declare(Scope::Formats, named[0][i].0, 8 * longest as u32, constant);
        if constant {
            recording.set(window.start, signal, Some(&text_words(first)));
        }
        signals.push((!constant).then_some(signal));
    }
    let count = products.len();
    let mut stage = Stage { recording, products, next: 0, time, modes, instruction, formats: signals };
    ticked.run_watched(program, 0, &mut stage)?;
    let Stage { recording, products, .. } = stage;
    if let Some((registers, cycles)) = recording.refused() {
        return Err(TraceError::TooManyValues { registers, cycles });
    }
    let mut comments = vec![format!("design {}", design.name)];
    let mut lines: Vec<String> = named.iter().flatten().map(|(name, format)| format!("{name} {format}")).collect();
    lines.sort();
    lines.dedup();
    comments.extend(lines);
    comments.extend(products.iter().take(1).filter(|_| time == Time::Array).map(|product| product.text.clone()));
    let clock_mhz = design.array.clock_mhz;
    let header = Header { comments, timescale: Timescale::new(clock_mhz), clock_mhz };
    wave::write(path, format, &header, &recording)?;
    Ok(Outcome { window, cycles: total, signals: recording.signals().len() + 2, products: count })
}

/// Refuses early what is certainly too much.
fn check_size(design: &Design, products: &[Product], window: &Range<u64>, time: Time) -> Result<(), TraceError> {
    /// Registers that every PE has at least.
    const LEAST: u64 = 6;
    let cycles = window.end - window.start;
    if cycles > wave::MAX_CYCLES {
        return Err(TraceError::TooLong { cycles });
    }
    let array = &design.array;
    let pes = u64::from(array.rows) * u64::from(array.cols);
    let stepped = products.iter().map(|product| product.compute).sum::<u64>();
    let all = pes * u64::from(array.count);
    if u128::from(all) * u128::from(stepped) > MAX_PE_CYCLES.into() {
        return Err(TraceError::TooManySteps { cycles: stepped, pes: all });
    }
    let looked_at = |product: &Product| {
        let start = if time == Time::Array { 0 } else { product.start };
        (start + product.compute).min(window.end).saturating_sub(start.max(window.start))
    };
    let looked_at = products.iter().map(looked_at).sum::<u64>();
    let registers = pes * LEAST;
    if registers.saturating_mul(looked_at) > super::record::MAX_SAMPLES {
        return Err(TraceError::TooManyValues { registers, cycles: looked_at });
    }
    Ok(())
}
