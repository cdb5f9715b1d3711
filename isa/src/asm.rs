//! Assembly text: one instruction per line as [`Instruction`] prints, and directives.
//!
//! `;` and `#` begin comments. `.region NAME` names the next region (`mark` takes the number
//! or the name). `.data ADDRESS FORMAT CODE...` fills DRAM before a run, `.expect` states what
//! a correct run leaves there, `.more CODE...` continues either. A code is hexadecimal, or
//! `=VALUE`, read as binary64 and rounded `rne`. Names with other than letters, digits and
//! `_./:-` stand in double quotes with Rust's escapes.

mod binary;

pub use binary::{ContainerError, MAGIC, from_bytes, to_bytes};

use crate::field::Region;
use crate::format::{Format, FormatNameError};
use crate::instruction::{Instruction, InstructionError, TABLE};
use crate::program::{Program, Segment};
use crate::round::encode_f64;
use std::fmt::Write;

/// A line that does not assemble.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {kind}")]
pub struct AsmError {
    /// File the text came from.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub kind: AsmErrorKind,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsmErrorKind {
    /// No such instruction, or operands it does not take.
    #[error(transparent)]
    Instruction(#[from] InstructionError),
    /// No such directive.
    #[error("`{0}` is no directive: use .region, .data, .expect or .more")]
    UnknownDirective(String),
    /// A directive lacks a part.
    #[error("`{directive}` lacks its {what}: write {form}")]
    Missing {
        /// The directive.
        directive: &'static str,
        /// The part.
        what: &'static str,
        /// The complete form.
        form: &'static str,
    },
    /// Text after a complete directive.
    #[error("`{0}` is one word too many: put names with spaces in double quotes")]
    Trailing(String),
    /// No 64-bit address.
    #[error("`{0}` is no byte address: use a number below 2^64, decimal or with 0x")]
    Address(String),
    /// No format of that name.
    #[error(transparent)]
    Format(#[from] FormatNameError),
    /// Neither a code nor a value.
    #[error("`{0}` is no code: use hexadecimal digits, or =VALUE such as =1.5")]
    Code(String),
    /// A code with more bits than the format.
    #[error("code {code:#x} does not fit the {bits} bits of `{format}`")]
    WideCode {
        /// The code.
        code: u64,
        /// Width of the format.
        bits: u32,
        /// The format.
        format: Format,
    },
    /// `.more` without a segment above.
    #[error(".more continues the codes of a .data or .expect, and none stands above")]
    NothingToContinue,
    /// A name given twice.
    #[error("region `{0}` is named already: each name stands once")]
    RepeatedRegion(String),
    /// `mark` with a name that no `.region` gives.
    #[error("no region is named `{0}`: add `.region {0}` above")]
    UnknownRegion(String),
    /// More names than `mark` can tell apart.
    #[error("a program has at most {} regions", u32::from(Region::MAX) + 1)]
    TooManyRegions,
    /// A quoted name that does not end, or an escape that is none.
    #[error("{0}")]
    Quote(&'static str),
}

/// A piece of a line and the byte it begins at.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    at: usize,
}

const REGION_FORM: &str = "`.region NAME`";
const SEGMENT_FORM: &str = "`.data ADDRESS FORMAT CODE...`";

/// Which list `.more` continues.
#[derive(Clone, Copy)]
enum Open {
    Data,
    Expect,
}

#[derive(Default)]
struct Assembler {
    program: Program,
    open: Option<Open>,
}

/// Reads a program; `file` is named in errors.
///
/// # Errors
/// The first thing wrong with each line that does not assemble, in order.
pub fn assemble(file: &str, text: &str) -> Result<Program, Vec<AsmError>> {
    let (mut assembler, mut errors) = (Assembler::default(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        if let Err((kind, at)) = assembler.line(line) {
            let column = line.get(..at).map_or(line.len(), |before| before.chars().count()) + 1;
            errors.push(AsmError { file: file.to_owned(), line: number + 1, column, kind });
        }
    }
    if errors.is_empty() { Ok(assembler.program) } else { Err(errors) }
}

/// The line without its comment.
fn uncommented(line: &str) -> &str {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' | '#' if !quoted => return &line[..at],
            _ => {}
        }
    }
    line
}

/// The first word of `piece` (a quoted one whole) and what follows it.
fn word(piece: Piece<'_>) -> (Piece<'_>, Piece<'_>) {
    let trimmed = piece.text.trim_start();
    let at = piece.at + piece.text.len() - trimmed.len();
    let end = if trimmed.starts_with('"') {
        let mut escaped = false;
        let close = trimmed.char_indices().skip(1).find(|&(_, c)| {
            let closes = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            closes
        });
        close.map_or(trimmed.len(), |(i, _)| i + 1)
    } else {
        trimmed.find(char::is_whitespace).unwrap_or(trimmed.len())
    };
    (Piece { text: &trimmed[..end], at }, Piece { text: &trimmed[end..], at: at + end })
}

impl Assembler {
    fn line(&mut self, line: &str) -> Result<(), (AsmErrorKind, usize)> {
        let (first, rest) = word(Piece { text: uncommented(line), at: 0 });
        match first.text {
            "" => Ok(()),
            ".region" => self.region(first, rest),
            ".data" => self.segment(".data", Open::Data, first, rest),
            ".expect" => self.segment(".expect", Open::Expect, first, rest),
            ".more" => {
                let open = self.open.ok_or((AsmErrorKind::NothingToContinue, first.at))?;
                let format = self.list(open).last().map(|s| s.format).ok_or((AsmErrorKind::NothingToContinue, first.at))?;
                let codes = self.codes(rest, format)?;
                if let Some(segment) = self.list(open).last_mut() {
                    segment.codes.extend(codes);
                }
                Ok(())
            }
            other if other.starts_with('.') => Err((AsmErrorKind::UnknownDirective(other.to_owned()), first.at)),
            _ => self.instruction(first, rest),
        }
    }

    const fn list(&mut self, open: Open) -> &mut Vec<Segment> {
        match open {
            Open::Data => &mut self.program.data,
            Open::Expect => &mut self.program.expect,
        }
    }

    fn region(&mut self, directive: Piece<'_>, rest: Piece<'_>) -> Result<(), (AsmErrorKind, usize)> {
        let (name, rest) = word(rest);
        if name.text.is_empty() {
            return Err((AsmErrorKind::Missing { directive: ".region", what: "name", form: REGION_FORM }, directive.at));
        }
        no_more(rest)?;
        let text = unquote(name.text).map_err(|message| (AsmErrorKind::Quote(message), name.at))?;
        if self.program.regions.contains(&text) {
            return Err((AsmErrorKind::RepeatedRegion(text), name.at));
        }
        if self.program.regions.len() > usize::from(Region::MAX) {
            return Err((AsmErrorKind::TooManyRegions, directive.at));
        }
        self.program.regions.push(text);
        Ok(())
    }

    fn segment(&mut self, directive: &'static str, open: Open, first: Piece<'_>, rest: Piece<'_>) -> Result<(), (AsmErrorKind, usize)> {
        // A segment that is refused must not let `.more` extend the one before it.
        self.open = None;
        let missing = |what| (AsmErrorKind::Missing { directive, what, form: SEGMENT_FORM }, first.at);
        let (address, rest) = word(rest);
        let (format, rest) = word(rest);
        if address.text.is_empty() {
            return Err(missing("address"));
        }
        let value = match address.text.strip_prefix("0x") {
            Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => u64::from_str_radix(hex, 16).ok(),
            None if address.text.bytes().all(|b| b.is_ascii_digit()) => address.text.parse().ok(),
            _ => None,
        };
        let value = value.ok_or_else(|| (AsmErrorKind::Address(address.text.to_owned()), address.at))?;
        if format.text.is_empty() {
            return Err(missing("format"));
        }
        let format = format.text.parse().map_err(|e: FormatNameError| (e.into(), format.at))?;
        self.list(open).push(Segment { address: value, format, codes: Vec::new() });
        self.open = Some(open);
        let codes = self.codes(rest, format)?;
        if let Some(segment) = self.list(open).last_mut() {
            segment.codes = codes;
        }
        Ok(())
    }

    /// Codes to the end of the line.
    fn codes(&mut self, mut rest: Piece<'_>, format: Format) -> Result<Vec<u64>, (AsmErrorKind, usize)> {
        let mut codes = Vec::new();
        loop {
            let (item, after) = word(rest);
            if item.text.is_empty() {
                return Ok(codes);
            }
            codes.push(code(item.text, format).map_err(|kind| (kind, item.at))?);
            rest = after;
        }
    }

    fn instruction(&mut self, mnemonic: Piece<'_>, rest: Piece<'_>) -> Result<(), (AsmErrorKind, usize)> {
        let (operands, places) = self.operands(mnemonic.text, rest)?;
        let texts: Vec<&str> = operands.iter().map(String::as_str).collect();
        let instruction = Instruction::parse(mnemonic.text, &texts).map_err(|error| {
            let place = match &error {
                InstructionError::Field { mnemonic, operand, .. } => TABLE
                    .iter()
                    .find(|row| row.mnemonic == *mnemonic)
                    .and_then(|row| row.operands.split_whitespace().position(|name| name == *operand))
                    .and_then(|index| places.get(index).copied()),
                _ => None,
            };
            (error.into(), place.unwrap_or(mnemonic.at))
        })?;
        self.program.push(instruction);
        Ok(())
    }

    /// Operand texts and where they stand; a region's name becomes its number.
    fn operands(&self, mnemonic: &str, rest: Piece<'_>) -> Result<(Vec<String>, Vec<usize>), (AsmErrorKind, usize)> {
        if rest.text.trim().is_empty() {
            return Ok((Vec::new(), Vec::new()));
        }
        if mnemonic == "mark" {
            let (name, after) = word(rest);
            no_more(after)?;
            let number = name.text.bytes().all(|b| b.is_ascii_digit());
            let text = if number {
                name.text.to_owned()
            } else {
                let text = unquote(name.text).map_err(|message| (AsmErrorKind::Quote(message), name.at))?;
                match self.program.regions.iter().position(|r| *r == text) {
                    Some(index) => index.to_string(),
                    None => return Err((AsmErrorKind::UnknownRegion(text), name.at)),
                }
            };
            return Ok((vec![text], vec![name.at]));
        }
        let (mut texts, mut places, mut at) = (Vec::new(), Vec::new(), rest.at);
        for part in rest.text.split(',') {
            texts.push(part.trim().to_owned());
            places.push(at + part.len() - part.trim_start().len());
            at += part.len() + 1;
        }
        Ok((texts, places))
    }
}

fn no_more(rest: Piece<'_>) -> Result<(), (AsmErrorKind, usize)> {
    let (extra, _) = word(rest);
    if extra.text.is_empty() { Ok(()) } else { Err((AsmErrorKind::Trailing(extra.text.to_owned()), extra.at)) }
}

fn code(text: &str, format: Format) -> Result<u64, AsmErrorKind> {
    if let Some(value) = text.strip_prefix('=') {
        return value.parse().map(|value| encode_f64(format, value)).map_err(|_| AsmErrorKind::Code(text.to_owned()));
    }
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let code = Some(digits)
        .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|d| u64::from_str_radix(d, 16).ok())
        .ok_or_else(|| AsmErrorKind::Code(text.to_owned()))?;
    if code & !format.mask() != 0 {
        return Err(AsmErrorKind::WideCode { code, bits: format.bits(), format });
    }
    Ok(code)
}

fn is_bare(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_./:-".contains(&b))
}

fn quote(name: &str) -> String {
    if is_bare(name) { name.to_owned() } else { format!("\"{}\"", name.escape_default()) }
}

fn unquote(text: &str) -> Result<String, &'static str> {
    let Some(inner) = text.strip_prefix('"') else {
        return if is_bare(text) {
            Ok(text.to_owned())
        } else {
            Err("a name begins with a letter and holds letters, digits and _./:- only: put others in double quotes")
        };
    };
    const ESCAPE: &str = "an escape in a quoted name is one of \\\\ \\\" \\' \\n \\r \\t \\u{HEX}";
    let inner = inner.strip_suffix('"').ok_or("the quoted name does not end: close it with \"")?;
    let mut name = String::with_capacity(inner.len());
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            name.push(c);
            continue;
        }
        name.push(match rest.next() {
            Some(c @ ('\\' | '"' | '\'')) => c,
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let tail = rest.as_str();
                let (hex, after) = tail.strip_prefix('{').and_then(|t| t.split_once('}')).ok_or(ESCAPE)?;
                rest = after.chars();
                u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).ok_or(ESCAPE)?
            }
            _ => return Err(ESCAPE),
        });
    }
    Ok(name)
}

/// Codes per line of a listing.
const CODES_PER_LINE: usize = 16;

/// Text that assembles to the same words, region names and segments.
///
/// The body of every loop is indented. Region names that occur twice, which text cannot
/// give, keep their first place and are numbered apart after it.
pub fn disassemble(program: &Program) -> String {
    let mut text = String::new();
    let names = distinct(&program.regions);
    for name in &names {
        let _ = writeln!(text, ".region {}", quote(name));
    }
    for (directive, segments) in [(".data", &program.data), (".expect", &program.expect)] {
        for segment in segments {
            let _ = write!(text, "{directive} {:#x} {}", segment.address, segment.format);
            let digits = segment.format.bits().div_ceil(4) as usize;
            for (i, code) in segment.codes.iter().enumerate() {
                if i > 0 && i % CODES_PER_LINE == 0 {
                    text.push_str("\n.more");
                }
                let _ = write!(text, " {code:0digits$x}");
            }
            text.push('\n');
        }
    }
    let mut bodies: Vec<usize> = Vec::new();
    for instruction in &program.instructions {
        bodies.retain(|left| *left > 0);
        text.extend(std::iter::repeat_n("  ", bodies.len().min(8)));
        bodies.iter_mut().for_each(|left| *left -= 1);
        match instruction {
            Instruction::Mark { region } => match names.get(usize::from(region.0)) {
                Some(name) => {
                    let _ = writeln!(text, "mark {}", quote(name));
                }
                None => {
                    let _ = writeln!(text, "{instruction}");
                }
            },
            Instruction::Loop { length, .. } => {
                bodies.push(usize::from(length.0));
                let _ = writeln!(text, "{instruction}");
            }
            _ => {
                let _ = writeln!(text, "{instruction}");
            }
        }
    }
    text
}

fn distinct(names: &[String]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    names
        .iter()
        .map(|name| {
            let mut unique = name.clone();
            let mut number = 2;
            while !seen.insert(unique.clone()) {
                unique = format!("{name}.{number}");
                number += 1;
            }
            unique
        })
        .collect()
}

#[cfg(test)]
mod tests;
