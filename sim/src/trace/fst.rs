//! Waveforms as FST files.

use super::wave::{Header, Kind, Writer};
use fst_writer::{
    FstBodyWriter, FstFileType, FstHeaderWriter, FstInfo, FstScopeType, FstSignalId, FstSignalType, FstVarDirection, FstVarType,
};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Changes are written out when they take this many bytes.
const FLUSHED_BYTES: usize = 1 << 26;

enum Part {
    Header(FstHeaderWriter<BufWriter<File>>),
    Body(FstBodyWriter<BufWriter<File>>),
    Done,
}

/// A file under way.
pub struct Fst {
    part: Part,
    variables: Vec<FstSignalId>,
}

/// Creates a file. FST has no comments: what a reader must know is in the signals of `formats`.
///
/// # Errors
/// The file cannot be written.
pub fn open(path: &Path, header: &Header) -> Result<Fst, fst_writer::FstWriteError> {
    let info = FstInfo {
        start_time: 0,
        timescale_exponent: header.timescale.exponent,
        version: concat!("systole ", env!("CARGO_PKG_VERSION")).to_owned(),
        date: String::new(),
        file_type: FstFileType::Verilog,
    };
    Ok(Fst { part: Part::Header(fst_writer::open_fst(path, &info)?), variables: Vec::new() })
}

impl Writer for Fst {
    type Error = fst_writer::FstWriteError;

    fn scope(&mut self, name: &str) -> Result<(), Self::Error> {
        match &mut self.part {
            Part::Header(header) => header.scope(name, "", FstScopeType::Module),
            _ => Ok(()),
        }
    }

    fn up(&mut self) -> Result<(), Self::Error> {
        match &mut self.part {
            Part::Header(header) => header.up_scope(),
            _ => Ok(()),
        }
    }

    fn variable(&mut self, name: &str, bits: u32, kind: Kind) -> Result<(), Self::Error> {
        if let Part::Header(header) = &mut self.part {
            let kind = match kind {
                Kind::Register => FstVarType::Reg,
                Kind::Wire => FstVarType::Wire,
                Kind::Parameter => FstVarType::Parameter,
            };
            self.variables.push(header.var(name, FstSignalType::bit_vec(bits), kind, FstVarDirection::Implicit, None)?);
        }
        Ok(())
    }

    fn start(&mut self, time: u64) -> Result<(), Self::Error> {
        if let Part::Header(header) = std::mem::replace(&mut self.part, Part::Done) {
            self.part = Part::Body(header.finish()?);
        }
        self.time(time)
    }

    fn time(&mut self, time: u64) -> Result<(), Self::Error> {
        let Part::Body(body) = &mut self.part else { return Ok(()) };
        if body.size() > FLUSHED_BYTES {
            body.flush()?;
        }
        body.time_change(time)
    }

    fn change(&mut self, variable: usize, bits: &[u8]) -> Result<(), Self::Error> {
        match &mut self.part {
            Part::Body(body) => body.signal_change(self.variables[variable], bits),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Result<(), Self::Error> {
        match self.part {
            Part::Body(body) => Ok(body.finish()?.flush()?),
            _ => Ok(()),
        }
    }
}
