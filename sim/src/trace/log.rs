//! Commit logs: a line for each instruction that retires, to be compared with another machine's.
//!
//! The text is a contract: [`VERSION`] changes with it. Engines with values write the same lines.

use crate::machine::{Charge, Retired, Watcher};
use crate::run::gemm::codes_digest;
use std::fmt::Write as _;
use std::io::{self, Write};
use systole_isa::codes::Codes;
use systole_isa::device::{Activity, Record};
use systole_isa::view::{Layout, Space, TensorView};

/// Version of the format, in the first line.
pub const VERSION: u32 = 1;

/// Results of up to this many codes are written out.
const SHORT: u64 = 8;

/// Writes a commit log as a run goes on.
pub struct CommitLog<W> {
    out: W,
    failure: Option<io::Error>,
}

impl<W: Write> CommitLog<W> {
    /// A log that begins with what runs on what.
    pub fn new(out: W, design: &str) -> Self {
        let mut log = Self { out, failure: None };
        log.line(&format!("systole commit log {VERSION}"));
        log.line(&format!("# design {design}"));
        log.line("# ordinal index start..end unit | instruction | written | exceptions");
        log
    }

    fn line(&mut self, text: &str) {
        if self.failure.is_none() {
            self.failure = writeln!(self.out, "{text}").err();
        }
    }

    /// Ends the log.
    ///
    /// # Errors
    /// The first failure to write it.
    pub fn finish(mut self) -> io::Result<()> {
        match self.failure {
            Some(failure) => Err(failure),
            None => self.out.flush(),
        }
    }
}

impl<W: Write> Watcher for CommitLog<W> {
    fn reads_results(&self) -> bool {
        self.failure.is_none()
    }

    fn retired(&mut self, retired: Retired<'_>) {
        let Retired { ordinal, index, instruction, passage, written, elements, codes, activity, .. } = retired;
        let written = written.map_or_else(|| "-".to_owned(), |view| result(&view, elements, codes.as_ref()));
        let exceptions = activity.map_or_else(|| "-".to_owned(), exceptions);
        let (start, end, unit) = (passage.start, passage.end, passage.station.name());
        self.line(&format!("{ordinal} {index} {start}..{end} {unit} | {instruction} | {written} | {exceptions}"));
    }

    fn ended(&mut self, record: &Record, _: Vec<Charge>) {
        self.line(&format!("end {} instructions, {} cycles", record.events.instructions, record.cycles.total));
    }
}

/// What was written: memory, first and last byte, format, extents, and the codes or their digest.
fn result(view: &TensorView, elements: u64, codes: Option<&Codes>) -> String {
    let memory = if view.space == Space::Dram { "dram" } else { "spm" };
    let mut text = format!("{memory} ");
    match view.byte_range() {
        Some((first, last)) => _ = write!(text, "{first:#x}..{last:#x}"),
        None => text.push_str("nothing"),
    }
    _ = write!(text, " {} {}x{}", view.format, view.rows, view.cols);
    if matches!(view.layout, Layout::Strided { .. }) && !view.is_contiguous() {
        text.push_str(" strided");
    }
    let Some(codes) = codes else { return text };
    if elements != view.elements() {
        _ = write!(text, " {elements} selected");
    }
    if view.elements() <= SHORT {
        codes.iter().for_each(|code| _ = write!(text, " {code:#x}"));
    } else {
        _ = write!(text, " sha256:{}", &codes_digest(codes, view.format.storage_bytes() as usize)[..16]);
    }
    text
}

/// Overflows, underflows and NaNs that there were.
fn exceptions(activity: Activity) -> String {
    let counts = activity.iter().filter(|(name, count)| *count > 0 && *name != "zero_operand_macs");
    let counts: Vec<String> = counts.map(|(name, count)| format!("{name}={count}")).collect();
    if counts.is_empty() { "-".to_owned() } else { counts.join(" ") }
}
