//! What registers held, cycle by cycle: only what changed.

use std::collections::HashMap;
use std::ops::Range;
use systole_arrays::ticked::{Edge, Held, Name, Observer, Place, Side};

/// Values of registers that a waveform may have: registers times cycles looked at.
pub const MAX_SAMPLES: u64 = 1 << 27;

/// Where a signal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// At the top.
    Top,
    /// Among the names of the number formats.
    Formats,
    /// In an array.
    Array(u32, Place),
}

impl Scope {
    /// Names of the scopes it stands in, outermost first.
    pub fn path(self) -> Vec<String> {
        let lane = |side, lane| format!("{}[{lane}]", if side == Side::Rows { "row" } else { "col" });
        let mut path = vec!["systole".to_owned()];
        match self {
            Self::Top => {}
            Self::Formats => path.push("formats".to_owned()),
            Self::Array(array, place) => {
                path.push(format!("array[{array}]"));
                match place {
                    Place::Sequencer => {}
                    Place::Skew { edge, side, lane: at, stage } => {
                        let name = match edge {
                            Edge::A => "skew_a",
                            Edge::B => "skew_b",
                            Edge::C => "skew_c",
                            Edge::PartialSums => "skew_psum",
                        };
                        path.extend([name.to_owned(), lane(side, at), format!("stage[{stage}]")]);
                    }
                    Place::Pe { row, column } => path.extend([lane(Side::Rows, row), lane(Side::Columns, column)]),
                    Place::Output { side, lane: at } => path.extend(["out".to_owned(), lane(side, at)]),
                    Place::Memory { column } => path.extend(["memory".to_owned(), lane(Side::Columns, column)]),
                }
            }
        }
        path
    }
}

/// A signal of the waveform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// Where it stands.
    pub scope: Scope,
    /// Its name there.
    pub name: String,
    /// Its width.
    pub bits: u32,
    /// It is what it is at every time: a parameter.
    pub constant: bool,
}

/// What a signal last held.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Empty,
    Word(u64),
    Words(Vec<u64>),
}

/// A value that a signal takes in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The signal, by its number.
    pub signal: usize,
    /// Bytes of the value, the lowest first, as many as needed; `None` where nothing is held.
    pub value: Option<&'a [u8]>,
}

/// Changes in order of time.
#[derive(Debug, Default)]
struct Changes {
    /// Cycles with changes, and where those of each end.
    cycles: Vec<(u64, usize, usize)>,
    /// Signals, and lengths of their values in bytes; [`EMPTY`] for none.
    signals: Vec<(u32, u16)>,
    bytes: Vec<u8>,
}

const EMPTY: u16 = u16::MAX;

impl Changes {
    fn push(&mut self, cycle: u64, signal: u32, value: Option<&[u64]>, bits: u32) {
        let length = match value {
            None => EMPTY,
            Some(words) => {
                let bytes = bits.div_ceil(8) as usize;
                let whole = words.iter().flat_map(|word| word.to_le_bytes()).take(bytes);
                self.bytes.extend(whole);
                let held = bytes.min(words.len() * 8);
                if let (Some(top), true) = (self.bytes.last_mut(), held == bytes && !bits.is_multiple_of(8)) {
                    *top &= 0xff >> (8 - bits % 8);
                }
                held as u16
            }
        };
        self.signals.push((signal, length));
        let ends = (cycle, self.signals.len(), self.bytes.len());
        match self.cycles.last_mut().filter(|(last, ..)| *last == cycle) {
            Some(last) => *last = ends,
            None => self.cycles.push(ends),
        }
    }

    /// Those of the `i`-th cycle that has any.
    fn of(&self, i: usize) -> impl Iterator<Item = Change<'_>> {
        let (_, begin, mut at) = if i == 0 { (0, 0, 0) } else { self.cycles[i - 1] };
        let (_, end, _) = self.cycles[i];
        self.signals[begin..end].iter().map(move |&(signal, length)| {
            let value = (length != EMPTY).then(|| {
                at += usize::from(length);
                &self.bytes[at - usize::from(length)..at]
            });
            Change { signal: signal as usize, value }
        })
    }
}

/// Keeps what registers held in a window of cycles.
#[derive(Debug)]
pub struct Recording {
    window: Range<u64>,
    signals: Vec<Signal>,
    states: Vec<State>,
    numbers: HashMap<(u32, Place, Name), u32>,
    /// Of the top, then of each array.
    changes: Vec<Changes>,
    /// Cycle of the trace in which the present instruction's arrays begin.
    origin: u64,
    /// Cycles its arrays take.
    length: u64,
    rest: bool,
    array: u32,
    /// Signals of the present array in the order in which it shows them.
    order: Vec<u32>,
    cycle: Option<u64>,
    learning: bool,
    at: usize,
    samples: u64,
    refused: Option<(u64, u64)>,
}

impl Recording {
    /// Of the cycles of a window.
    pub fn new(window: Range<u64>) -> Self {
        Self {
            window,
            signals: Vec::new(),
            states: Vec::new(),
            numbers: HashMap::new(),
            changes: vec![Changes::default()],
            origin: 0,
            length: 0,
            rest: true,
            array: 0,
            order: Vec::new(),
            cycle: None,
            learning: true,
            at: 0,
            samples: 0,
            refused: None,
        }
    }

    /// The window.
    pub const fn window(&self) -> &Range<u64> {
        &self.window
    }

    /// Every signal, by its number.
    pub fn signals(&self) -> &[Signal] {
        &self.signals
    }

    /// Registers and cycles of what was too much to keep.
    pub const fn refused(&self) -> Option<(u64, u64)> {
        self.refused
    }

    /// Whether an array was seen at work.
    pub fn has_arrays(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// The next instruction's arrays begin in cycle `origin` and take `length` cycles; with `rest`
    /// they are at rest in the cycle behind.
    pub const fn place(&mut self, origin: u64, length: u64, rest: bool) {
        (self.origin, self.length, self.rest) = (origin, length, rest);
    }

    /// A signal outside the arrays.
    pub fn declare(&mut self, scope: Scope, name: &str, bits: u32, constant: bool) -> usize {
        self.signals.push(Signal { scope, name: name.to_owned(), bits, constant });
        self.states.push(State::Unknown);
        self.signals.len() - 1
    }

    /// Such a signal takes a value in a cycle, not before those of earlier calls.
    pub fn set(&mut self, cycle: u64, signal: usize, value: Option<&[u64]>) {
        if self.window.contains(&cycle) {
            let bits = self.signals[signal].bits;
            self.changes[0].push(cycle, signal as u32, value, bits);
        }
    }

    /// What changes, cycle by cycle, and what of the arrays changes with it.
    pub fn walk<E>(&self, mut visit: impl FnMut(u64, &mut dyn Iterator<Item = Change<'_>>) -> Result<(), E>) -> Result<(), E> {
        let mut next = vec![0; self.changes.len()];
        for cycle in self.window.clone() {
            let mut due = Vec::new();
            for (changes, next) in self.changes.iter().zip(&mut next) {
                if changes.cycles.get(*next).is_some_and(|(at, ..)| *at == cycle) {
                    due.push(changes.of(*next));
                    *next += 1;
                }
            }
            visit(cycle, &mut due.into_iter().flatten())?;
        }
        Ok(())
    }

    fn number(&mut self, held: &Held<'_>) -> u32 {
        let (signals, states, array) = (&mut self.signals, &mut self.states, self.array);
        let number = *self.numbers.entry((array, held.place, held.name)).or_insert_with(|| {
            let scope = Scope::Array(array, held.place);
            signals.push(Signal { scope, name: held.name.to_string(), bits: held.bits, constant: false });
            states.push(State::Unknown);
            signals.len() as u32 - 1
        });
        // Instructions in other modes may need more of the register.
        let bits = &mut self.signals[number as usize].bits;
        *bits = held.bits.max(*bits);
        number
    }

    /// Cycles of the present instruction that are looked at.
    fn looked_at(&self) -> u64 {
        (self.origin + self.length).min(self.window.end).saturating_sub(self.origin.max(self.window.start))
    }

    /// Once an array's registers are counted, the rest of its cycles may be seen to be too much.
    fn refuse_early(&mut self, cycle: u64) {
        let registers = self.order.len() as u64;
        let left = (self.origin + self.length).min(self.window.end).saturating_sub(cycle);
        if registers.saturating_mul(left) > MAX_SAMPLES - self.samples {
            self.refused = Some((registers, self.looked_at()));
        }
    }

    /// Takes note of a value, if it is another one.
    fn keep(&mut self, cycle: u64, number: u32, value: Option<&[u64]>, bits: u32) {
        let mask = |word: u64| if bits < 64 { word & ((1 << bits) - 1) } else { word };
        let state = match value {
            None => State::Empty,
            Some([word]) => State::Word(mask(*word)),
            Some(words) if bits <= 64 => State::Word(mask(words.first().copied().unwrap_or(0))),
            Some(words) => State::Words(words.to_vec()),
        };
        let last = &mut self.states[number as usize];
        if *last != state {
            *last = state;
            self.changes[self.array as usize + 1].push(cycle, number, value, bits);
        }
    }
}

impl Observer for Recording {
    fn begin(&mut self, array: u32) {
        self.array = array;
        self.order.clear();
        self.cycle = None;
        let slots = self.changes.len().max(array as usize + 2);
        self.changes.resize_with(slots, Changes::default);
    }

    fn wants(&self, cycle: u64) -> bool {
        self.refused.is_none() && self.window.contains(&(self.origin + cycle))
    }

    fn register(&mut self, cycle: u64, held: Held<'_>) {
        if self.refused.is_some() {
            return;
        }
        if self.cycle != Some(cycle) {
            self.learning = self.cycle.is_none();
            self.cycle = Some(cycle);
            self.at = 0;
            self.refuse_early(self.origin + cycle);
        }
        let number = if self.learning {
            let number = self.number(&held);
            self.order.push(number);
            number
        } else {
            self.order[self.at]
        };
        self.at += 1;
        self.samples += 1;
        if self.samples > MAX_SAMPLES {
            self.refused = Some((self.order.len() as u64, self.looked_at().max(1)));
        }
        self.keep(self.origin + cycle, number, held.words, held.bits);
    }

    fn end(&mut self, cycles: u64) {
        // An array at rest holds nothing.
        let end = self.origin + cycles;
        if self.refused.is_none() && self.window.contains(&end) && (self.rest || cycles < self.length) {
            for number in std::mem::take(&mut self.order) {
                self.keep(end, number, None, 1);
            }
        }
    }
}
