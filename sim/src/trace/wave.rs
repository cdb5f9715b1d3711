//! A recording as a waveform: hierarchy, clock, time.
//!
//! The registers that cycle n writes show what they took from n periods on: the clock rises there
//! and falls half a period later. Both file formats are written from the same walk.

use super::TraceError;
use super::record::{Recording, Scope, Signal};
use std::path::Path;

/// Cycles of a waveform at most: its clock changes twice in each.
pub const MAX_CYCLES: u64 = 1 << 24;

/// A waveform file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Fast signal trace, compressed.
    Fst,
    /// Value change dump of IEEE 1364, text.
    Vcd,
}

/// Unit of time, and how many a clock period has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timescale {
    /// The unit is ten to this power of a second: -9, -12 or -15.
    pub exponent: i8,
    /// Units of a period, an even number.
    pub period: u64,
}

impl Timescale {
    /// The coarsest one in which half a period is a whole number; where none is, femtoseconds, the
    /// period rounded to an even number of them.
    pub fn new(clock_mhz: f64) -> Self {
        let units = |exponent: i32| 10f64.powi(-6 - exponent) / clock_mhz;
        for exponent in [-9, -12] {
            let period = units(exponent);
            if (1.0..1e15).contains(&period) && (period / 2.0).fract() == 0.0 {
                return Self { exponent: exponent as i8, period: period as u64 };
            }
        }
        Self { exponent: -15, period: ((units(-15) / 2.0).round().clamp(1.0, 1e17) as u64) * 2 }
    }
}

/// What a waveform says of itself.
#[derive(Clone, Debug)]
pub struct Header {
    /// Lines for the reader.
    pub comments: Vec<String>,
    /// Unit of time and period.
    pub timescale: Timescale,
    /// The clock that it follows from.
    pub clock_mhz: f64,
}

/// What a signal is to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Registers.
    Register,
    /// The clock.
    Wire,
    /// Constants.
    Parameter,
}

/// A waveform file under way: its hierarchy, then its changes. Values are bits, highest first.
pub trait Writer {
    /// A failure to write, in words.
    type Error: std::fmt::Display;
    /// Opens a scope.
    ///
    /// # Errors
    /// The file cannot be written.
    fn scope(&mut self, name: &str) -> Result<(), Self::Error>;
    /// Closes the innermost scope.
    ///
    /// # Errors
    /// The file cannot be written.
    fn up(&mut self) -> Result<(), Self::Error>;
    /// A variable of the innermost scope; they are numbered from 0.
    ///
    /// # Errors
    /// The file cannot be written.
    fn variable(&mut self, name: &str, bits: u32, kind: Kind) -> Result<(), Self::Error>;
    /// Ends the hierarchy; the first changes are those of this time.
    ///
    /// # Errors
    /// The file cannot be written.
    fn start(&mut self, time: u64) -> Result<(), Self::Error>;
    /// Changes that follow are those of this later time.
    ///
    /// # Errors
    /// The file cannot be written.
    fn time(&mut self, time: u64) -> Result<(), Self::Error>;
    /// A variable takes a value.
    ///
    /// # Errors
    /// The file cannot be written.
    fn change(&mut self, variable: usize, bits: &[u8]) -> Result<(), Self::Error>;
    /// Completes the file.
    ///
    /// # Errors
    /// The file cannot be written.
    fn finish(self) -> Result<(), Self::Error>;
}

/// Writes a recording to a file.
///
/// # Errors
/// A file that cannot be written, and times too late for it.
pub fn write(path: &Path, format: Format, header: &Header, recording: &Recording) -> Result<(), TraceError> {
    let window = recording.window();
    if window.end.checked_mul(header.timescale.period).is_none() {
        return Err(TraceError::Late { cycle: window.end, clock_mhz: header.clock_mhz });
    }
    // Writers tell less of what keeps a file from being made.
    std::fs::File::create(path).map_err(|e| TraceError::io(path, e))?;
    match format {
        Format::Fst => {
            let writer = super::fst::open(path, header).map_err(|e| TraceError::io(path, e))?;
            emit(writer, header.timescale, recording).map_err(|e| TraceError::io(path, e))
        }
        Format::Vcd => {
            let writer = super::vcd::open(path, header).map_err(|e| TraceError::io(path, e))?;
            emit(writer, header.timescale, recording).map_err(|e| TraceError::io(path, e))
        }
    }
}

/// Puts names into bits as Verilog does: eight a character, the last lowest.
pub fn text_words(text: &str) -> Vec<u64> {
    let bytes: Vec<u8> = text.bytes().rev().collect();
    bytes.chunks(8).map(|chunk| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))).collect()
}

fn emit<W: Writer>(mut writer: W, timescale: Timescale, recording: &Recording) -> Result<(), W::Error> {
    let signals = recording.signals();
    let mut sorted: Vec<usize> = (0..signals.len()).collect();
    // Signals of a scope stay in the order in which they appeared.
    sorted.sort_by_key(|&number| signals[number].scope);
    // Numbers in the file; the clock and the cycle come first.
    let mut numbers = vec![0; signals.len()];
    let (clock, counter) = (0, 1);
    let mut open = Scope::Top.path();
    writer.scope(&open[0])?;
    writer.variable("clk", 1, Kind::Wire)?;
    writer.variable("cycle", 64, Kind::Register)?;
    for (number, &signal) in (2..).zip(&sorted) {
        let Signal { scope, name, bits, constant } = &signals[signal];
        let path = scope.path();
        let common = open.iter().zip(&path).take_while(|(a, b)| a == b).count();
        for _ in common..open.len() {
            writer.up()?;
        }
        for name in &path[common..] {
            writer.scope(name)?;
        }
        open = path;
        writer.variable(name, *bits, if *constant { Kind::Parameter } else { Kind::Register })?;
        numbers[signal] = number;
    }
    for _ in &open {
        writer.up()?;
    }

    let (window, period) = (recording.window(), timescale.period);
    let mut bits = Vec::new();
    recording.walk(|cycle, changes| {
        let first = cycle == window.start;
        if first {
            writer.start(cycle * period)?;
        } else {
            writer.time(cycle * period)?;
        }
        writer.change(clock, b"1")?;
        digits(&mut bits, 64, Some(&cycle.to_le_bytes()));
        writer.change(counter, &bits)?;
        let mut unknown = vec![first; if first { signals.len() } else { 0 }];
        for change in changes {
            digits(&mut bits, signals[change.signal].bits, change.value);
            writer.change(numbers[change.signal], &bits)?;
            if first {
                unknown[change.signal] = false;
            }
        }
        for (signal, _) in unknown.iter().enumerate().filter(|(_, unknown)| **unknown) {
            digits(&mut bits, signals[signal].bits, None);
            writer.change(numbers[signal], &bits)?;
        }
        writer.time(cycle * period + period / 2)?;
        writer.change(clock, b"0")
    })?;
    writer.time(window.end * period)?;
    writer.finish()
}

/// The binary digits of a value in so many bits, highest first; `x` where nothing is held.
fn digits(digits: &mut Vec<u8>, bits: u32, value: Option<&[u8]>) {
    digits.clear();
    let digit = |bit: usize| match value {
        None => b'x',
        Some(bytes) => b'0' + (bytes.get(bit / 8).copied().unwrap_or(0) >> (bit % 8) & 1),
    };
    digits.extend((0..bits as usize).rev().map(digit));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_whole_where_they_can_be() {
        for (clock_mhz, exponent, period) in [
            (1000.0, -12, 1000),
            (500.0, -9, 2),
            (1.0, -9, 1000),
            (0.001, -9, 1_000_000),
            (800.0, -12, 1250),
            // 1063.829... ps
            (940.0, -15, 1_063_830),
            (1e12, -15, 2),
        ] {
            assert_eq!(Timescale::new(clock_mhz), Timescale { exponent, period }, "{clock_mhz} MHz");
        }
    }

    #[test]
    fn text_reads_from_the_highest_byte_down() {
        let words = text_words("e4m3fn or longer");
        let bytes: Vec<u8> = words.iter().rev().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(bytes, b"e4m3fn or longer");
        assert_eq!(text_words("ab"), [0x6162]);
    }

    #[test]
    fn digits_are_highest_first() {
        let mut text = Vec::new();
        for (bits, value, expected) in
            [(8, Some(&[0x1e][..]), "00011110"), (3, Some(&[0b101]), "101"), (10, Some(&[1]), "0000000001"), (2, None, "xx")]
        {
            digits(&mut text, bits, value);
            assert_eq!(text, expected.as_bytes());
        }
    }
}
