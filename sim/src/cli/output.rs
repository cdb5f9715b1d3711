//! Standard output and standard error, which may be closed, or on a full disk.

use miette::{Result, miette};
use std::fmt;
use std::io::{self, ErrorKind, Write, stderr, stdout};

/// What became of writing to standard output. That nobody reads it any more is no failure: the command
/// goes on, and its exit status stays what it is.
///
/// # Errors
/// What else kept it from being written.
pub fn written(result: io::Result<()>) -> Result<()> {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(miette!("standard output: {error}")),
        _ => Ok(()),
    }
}

/// Writes to standard output.
///
/// # Errors
/// As [`written`].
pub fn emit(text: fmt::Arguments<'_>) -> Result<()> {
    let mut out = stdout().lock();
    written(out.write_fmt(text).and_then(|()| out.flush()))
}

/// Writes a line to standard error, if anybody reads it.
pub fn tell(text: fmt::Arguments<'_>) {
    let _ = writeln!(stderr().lock(), "{text}");
}
