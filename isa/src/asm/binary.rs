//! The binary container of a program.
//!
//! Little-endian throughout: 8 bytes of magic, then `u32` version and the counts of
//! instructions, region names, `.data` and `.expect` segments; the 128-bit words; each name
//! as a `u32` length and UTF-8; each segment as `u64` address, packed format and number of
//! codes, then the codes in [`Format::storage_bytes`] bytes each. Nothing follows.

use crate::field::{Field, FieldError};
use crate::format::Format;
use crate::instruction::{Instruction, InstructionError};
use crate::program::{Program, Segment};

/// First bytes of every binary program.
pub const MAGIC: [u8; 8] = *b"systole\x1a";
const VERSION: u32 = 1;

/// Bytes that are no program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// The first bytes are not the container's.
    #[error("not a binary program: the magic bytes are missing; assembly text is read with `systole asm`")]
    Magic,
    /// Written by another version.
    #[error("binary program of version {0}, this reads version {VERSION}: assemble it again from its text")]
    Version(u32),
    /// The bytes end before the contents do.
    #[error("byte {at}: the {what} needs {needed} bytes and {left} are left: the file is cut short or its counts are wrong")]
    Truncated {
        /// Offset.
        at: usize,
        /// Part being read.
        what: &'static str,
        /// Bytes it needs.
        needed: u64,
        /// Bytes left.
        left: usize,
    },
    /// Bytes after the end.
    #[error("byte {at}: {left} bytes follow the program: the counts are wrong")]
    Trailing {
        /// Offset.
        at: usize,
        /// How many.
        left: usize,
    },
    /// A word that is no instruction.
    #[error("word {index}: {source}")]
    Word {
        /// Its position in the program.
        index: usize,
        /// Why.
        source: InstructionError,
    },
    /// A name that is no UTF-8.
    #[error("byte {at}: the region name is no UTF-8")]
    Name {
        /// Offset.
        at: usize,
    },
    /// A segment's format.
    #[error("byte {at}: {source}")]
    Format {
        /// Offset.
        at: usize,
        /// Why.
        source: FieldError,
    },
    /// A code with more bits than its format.
    #[error("byte {at}: code {code:#x} does not fit `{format}`")]
    Code {
        /// Offset.
        at: usize,
        /// The code.
        code: u64,
        /// Its format.
        format: Format,
    },
}

/// The container's bytes. Bits of a code above its format's width are dropped.
pub fn to_bytes(program: &Program) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    for count in [program.instructions.len(), program.regions.len(), program.data.len(), program.expect.len()] {
        bytes.extend((count as u32).to_le_bytes());
    }
    for word in program.words() {
        bytes.extend(word.to_le_bytes());
    }
    for name in &program.regions {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(name.as_bytes());
    }
    for segment in program.data.iter().chain(&program.expect) {
        bytes.extend(segment.address.to_le_bytes());
        bytes.extend((segment.format.pack() as u64).to_le_bytes());
        bytes.extend((segment.codes.len() as u64).to_le_bytes());
        let size = segment.format.storage_bytes() as usize;
        for code in &segment.codes {
            bytes.extend_from_slice(&(code & segment.format.mask()).to_le_bytes()[..size]);
        }
    }
    bytes
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, needed: u64, what: &'static str) -> Result<&'a [u8], ContainerError> {
        let left = self.bytes.len() - self.at;
        if needed > left as u64 {
            return Err(ContainerError::Truncated { at: self.at, what, needed, left });
        }
        let slice = &self.bytes[self.at..self.at + needed as usize];
        self.at += needed as usize;
        Ok(slice)
    }

    fn number(&mut self, size: usize, what: &'static str) -> Result<u64, ContainerError> {
        Ok(little_endian(self.take(size as u64, what)?))
    }

    fn segment(&mut self) -> Result<Segment, ContainerError> {
        let address = self.number(8, "segment address")?;
        let at = self.at;
        let packed = self.number(8, "segment format")?;
        let format = if packed >> Format::BITS == 0 {
            Format::unpack(packed.into())
        } else {
            Err(FieldError(format!("{packed:#x} encodes no format")))
        }
        .map_err(|source| ContainerError::Format { at, source })?;
        let size = format.storage_bytes() as usize;
        let count = self.number(8, "segment length")?;
        let at = self.at;
        let bytes = self.take(count.saturating_mul(size as u64), "segment's codes")?;
        let codes: Vec<u64> = bytes.chunks_exact(size).map(little_endian).collect();
        if let Some(i) = codes.iter().position(|code| code & !format.mask() != 0) {
            return Err(ContainerError::Code { at: at + i * size, code: codes[i], format });
        }
        Ok(Segment { address, format, codes })
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Reads a container. Memory use is bounded by a small multiple of the bytes given.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn from_bytes(bytes: &[u8]) -> Result<Program, ContainerError> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.take(8, "magic").ok() != Some(&MAGIC[..]) {
        return Err(ContainerError::Magic);
    }
    let version = reader.number(4, "header")? as u32;
    if version != VERSION {
        return Err(ContainerError::Version(version));
    }
    let mut counts = [0; 4];
    for count in &mut counts {
        *count = reader.number(4, "header")?;
    }
    let [instructions, regions, data, expect] = counts;
    let mut program = Program::default();
    for (index, bytes) in reader.take(instructions * 16, "instruction words")?.chunks_exact(16).enumerate() {
        let (low, high) = bytes.split_at(8);
        let word = u128::from(little_endian(high)) << 64 | u128::from(little_endian(low));
        program.push(Instruction::decode(word).map_err(|source| ContainerError::Word { index, source })?);
    }
    for _ in 0..regions {
        let length = reader.number(4, "length of a region name")?;
        let at = reader.at;
        let name = str::from_utf8(reader.take(length, "region name")?).map_err(|_| ContainerError::Name { at })?;
        program.regions.push(name.to_owned());
    }
    for _ in 0..data {
        program.data.push(reader.segment()?);
    }
    for _ in 0..expect {
        program.expect.push(reader.segment()?);
    }
    let left = bytes.len() - reader.at;
    if left > 0 {
        return Err(ContainerError::Trailing { at: reader.at, left });
    }
    Ok(program)
}
