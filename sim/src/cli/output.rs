//! Standard output and standard error, which may be closed, or on a full disk.

use miette::{Report, Result, miette};
use std::fmt;
use std::io::{self, ErrorKind, Write, stderr, stdout};

/// Nobody reads standard output any more: no failure, and nothing more to do.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub struct Closed;

impl miette::Diagnostic for Closed {}

/// Why standard output took no more.
pub fn refusal(error: &io::Error) -> Report {
    if error.kind() == ErrorKind::BrokenPipe { Report::new(Closed) } else { miette!("standard output: {error}") }
}

/// Writes to standard output.
///
/// # Errors
/// [`Closed`], or what else keeps it from being written.
pub fn emit(text: fmt::Arguments<'_>) -> Result<()> {
    let mut out = stdout().lock();
    out.write_fmt(text).and_then(|()| out.flush()).map_err(|error| refusal(&error))
}

/// Writes a line to standard error, if anybody reads it.
pub fn tell(text: fmt::Arguments<'_>) {
    let _ = writeln!(stderr().lock(), "{text}");
}
