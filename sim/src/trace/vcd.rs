//! Waveforms as VCD files.

use super::wave::{Header, Kind, Writer};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use vcd::{IdCode, SimulationCommand, TimescaleUnit, VarType};

/// A file under way.
pub struct Vcd {
    file: vcd::Writer<BufWriter<File>>,
    /// Codes and widths.
    variables: Vec<(IdCode, u32)>,
    dumping: bool,
}

/// Creates a file.
///
/// # Errors
/// The file cannot be written.
pub fn open(path: &Path, header: &Header) -> io::Result<Vcd> {
    let mut file = vcd::Writer::new(BufWriter::new(File::create(path)?));
    file.version(concat!("systole ", env!("CARGO_PKG_VERSION")))?;
    for comment in &header.comments {
        // `$end` would end the comment.
        file.comment(&comment.replace('$', " "))?;
    }
    let unit = match header.timescale.exponent {
        -9 => TimescaleUnit::NS,
        -12 => TimescaleUnit::PS,
        _ => TimescaleUnit::FS,
    };
    file.timescale(1, unit)?;
    Ok(Vcd { file, variables: Vec::new(), dumping: false })
}

impl Vcd {
    fn end_dump(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.dumping) { self.file.end() } else { Ok(()) }
    }
}

impl Writer for Vcd {
    type Error = io::Error;

    fn scope(&mut self, name: &str) -> io::Result<()> {
        self.file.add_module(name)
    }

    fn up(&mut self) -> io::Result<()> {
        self.file.upscope()
    }

    fn variable(&mut self, name: &str, bits: u32, kind: Kind) -> io::Result<()> {
        let kind = match kind {
            Kind::Register => VarType::Reg,
            Kind::Wire => VarType::Wire,
            Kind::Parameter => VarType::Parameter,
        };
        self.variables.push((self.file.add_var(kind, bits, name, None)?, bits));
        Ok(())
    }

    fn start(&mut self, time: u64) -> io::Result<()> {
        self.file.enddefinitions()?;
        self.file.timestamp(time)?;
        self.file.begin(SimulationCommand::Dumpvars)?;
        self.dumping = true;
        Ok(())
    }

    fn time(&mut self, time: u64) -> io::Result<()> {
        self.end_dump()?;
        self.file.timestamp(time)
    }

    fn change(&mut self, variable: usize, bits: &[u8]) -> io::Result<()> {
        let (code, width) = self.variables[variable];
        let out = self.file.writer();
        if width > 1 {
            out.write_all(b"b")?;
        }
        out.write_all(bits)?;
        writeln!(out, "{}{code}", if width > 1 { " " } else { "" })
    }

    fn finish(mut self) -> io::Result<()> {
        self.end_dump()?;
        self.file.flush()
    }
}
