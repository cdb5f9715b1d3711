//! A file of cases: header lines, `#k` lines, comments, and one case per line.

use super::CheckError;
use super::settings::{Settings, SettingsError};
use std::io::{self, BufRead};
use std::ops::Range;

/// Something wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// A header that is none.
    #[error(transparent)]
    Header(#[from] SettingsError),
    /// A header after the first case.
    #[error("a `#!` line must stand before the first case; split the file here")]
    LateHeader,
    /// A `#k` line without a length.
    #[error("`#k` takes the number of products, 1 to {MAX_K}, not `{0}`")]
    K(String),
    /// A dot product before any `#k`.
    #[error("no line `#k K` says how many products a case has; put one before the first case")]
    NoK,
    /// Bytes that are no text.
    #[error("the line is not text")]
    Text,
    /// Too few or too many fields.
    #[error("{found} fields where a case has {expected}, or {} with flags: {fields}", expected + 1)]
    Fields {
        /// Fields there are.
        found: usize,
        /// Fields without flags.
        expected: usize,
        /// Names of the fields.
        fields: String,
    },
    /// A field that is not hexadecimal.
    #[error("field {field} ({name}): `{text}` is not a hexadecimal code")]
    Digits {
        /// Position from 1.
        field: usize,
        /// What it holds.
        name: String,
        /// Its text.
        text: String,
    },
    /// A code with more bits than it can have.
    #[error("field {field} ({name}): {text} is wider than {what}; check the format and the order of fields")]
    Wide {
        /// Position from 1.
        field: usize,
        /// What it holds.
        name: String,
        /// Its text.
        text: String,
        /// What limits it, with its width.
        what: String,
    },
    /// An addend with bits that the accumulator has not.
    #[error(
        "c = {text} is read as an fp32 code, and the accumulator {format} cannot hold its low bits; round c to {format} with the unit's own conversion first"
    )]
    Addend {
        /// The code.
        text: String,
        /// The accumulator.
        format: String,
    },
}

/// Longest dot product a file may hold.
pub const MAX_K: usize = 1 << 20;

/// Cases as text, all with the same number of products.
#[derive(Debug, Default)]
pub struct Block {
    text: Vec<u8>,
    /// Line number and extent of each case, comments cut off.
    lines: Vec<(u64, Range<usize>)>,
    /// Number of products, where a `#k` line gave one.
    pub k: Option<usize>,
}

impl Block {
    /// Cases in it.
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// True if it holds none.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Line number and text of the cases in a range.
    pub fn cases(&self, range: Range<usize>) -> impl Iterator<Item = (u64, &[u8])> {
        self.lines[range].iter().map(|(line, extent)| (*line, &self.text[extent.clone()]))
    }
}

/// A file being read.
pub struct CaseFile {
    name: String,
    reader: Box<dyn BufRead + Send>,
    header: Settings,
    line: u64,
    k: Option<usize>,
    /// The first case, read while looking for the header's end.
    first: Vec<u8>,
    ended: bool,
}

/// What a line turned out to be.
enum Line {
    /// A comment, a blank line, or a directive taken in.
    Nothing,
    /// A `#k` line.
    K(usize),
    /// A case: what remains without its comment.
    Case(Range<usize>),
}

impl CaseFile {
    /// Reads the header. `name` is used in messages.
    ///
    /// # Errors
    /// A file that cannot be read, and header lines that are none.
    pub fn open(name: impl Into<String>, reader: impl BufRead + Send + 'static) -> Result<Self, CheckError> {
        let mut file = Self {
            name: name.into(),
            reader: Box::new(reader),
            header: Settings::default(),
            line: 0,
            k: None,
            first: Vec::new(),
            ended: false,
        };
        let mut text = Vec::new();
        while !file.ended {
            text.clear();
            if !file.read_line(&mut text)? {
                break;
            }
            match file.classify(&text, 0, true)? {
                Line::Nothing => {}
                Line::K(k) => file.k = Some(k),
                Line::Case(_) => {
                    file.first = text;
                    break;
                }
            }
        }
        Ok(file)
    }

    /// The file's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its `#!` lines said.
    pub const fn header(&self) -> &Settings {
        &self.header
    }

    fn fail(&self, source: io::Error) -> CheckError {
        CheckError::Io { file: self.name.clone(), source }
    }

    /// Appends the next line; false at the end of the file.
    fn read_line(&mut self, text: &mut Vec<u8>) -> Result<bool, CheckError> {
        let read = self.reader.read_until(b'\n', text).map_err(|source| self.fail(source))?;
        self.ended = read == 0;
        self.line += u64::from(read > 0);
        Ok(read > 0)
    }

    /// Understands the line that starts at `start` of `text`, the last one read.
    fn classify(&mut self, text: &[u8], start: usize, in_header: bool) -> Result<Line, CheckError> {
        let line = &text[start..];
        let begin = line.iter().position(|b| !b.is_ascii_whitespace()).unwrap_or(line.len());
        let Some(b'#') = line.get(begin) else {
            let end = line.iter().position(|&b| b == b'#').unwrap_or(line.len());
            return Ok(if begin == end { Line::Nothing } else { Line::Case(start + begin..start + end) });
        };
        let at = |e: LineError| CheckError::Line { file: self.name.clone(), line: self.line, source: e };
        let body = std::str::from_utf8(&line[begin + 1..]).map_err(|_| at(LineError::Text))?.trim();
        if let Some(words) = body.strip_prefix('!') {
            if !in_header {
                return Err(at(LineError::LateHeader));
            }
            let mut header = self.header.clone();
            header.read_header(words).map_err(|e| at(e.into()))?;
            self.header = header;
        } else if let Some(count) = body.strip_prefix('k').filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
            && line.get(begin + 1) == Some(&b'k')
        {
            let k = count.trim().parse().ok().filter(|k| (1..=MAX_K).contains(k));
            return k.map(Line::K).ok_or_else(|| at(LineError::K(count.trim().to_owned())));
        }
        Ok(Line::Nothing)
    }

    /// The next cases, at most `limit`, all of one number of products; `None` at the end.
    ///
    /// # Errors
    /// A file that cannot be read, a header among the cases, a `#k` line without a number.
    pub fn next_block(&mut self, limit: usize) -> Result<Option<Block>, CheckError> {
        let mut block = Block { text: std::mem::take(&mut self.first), lines: Vec::new(), k: self.k };
        if !block.text.is_empty() {
            let text = std::mem::take(&mut block.text);
            if let Line::Case(extent) = self.classify(&text, 0, false)? {
                block.lines.push((self.line, extent));
            }
            block.text = text;
        }
        while block.len() < limit {
            let start = block.text.len();
            if !self.read_line(&mut block.text)? {
                break;
            }
            match self.classify(&block.text, start, false)? {
                Line::Nothing => block.text.truncate(start),
                Line::Case(extent) => block.lines.push((self.line, extent)),
                Line::K(k) => {
                    block.text.truncate(start);
                    self.k = Some(k);
                    if block.is_empty() {
                        block.k = self.k;
                    } else {
                        return Ok(Some(block));
                    }
                }
            }
        }
        Ok((!block.is_empty()).then_some(block))
    }
}
