//! Vectors as lines of hexadecimal fields under a header that `golden check` understands.

use super::{Plan, Vector, VectorsError};
use crate::check::{Settings, Subject, show::hex_digits};
use std::fmt::Write as _;
use std::io::Write;

/// Writes the header and every case; exceptions in a last column if `flags`.
///
/// `settings` are those the plan's subject came from; `title` is one line on the file.
///
/// # Errors
/// A mode the oracle refuses, or a file that cannot be written.
pub fn write(plan: &Plan, settings: &Settings, title: &str, flags: bool, file: &str, out: &mut impl Write) -> Result<(), VectorsError> {
    let fail = |source| VectorsError::Io { file: file.to_owned(), source };
    let mut header = format!("# {title}\n");
    for line in settings.header() {
        header.push_str(&line);
        header.push('\n');
    }
    header.push_str(&fields(plan, flags));
    out.write_all(header.as_bytes()).map_err(fail)?;
    let subject = &plan.subject;
    let widths: Vec<usize> = (0..subject.operand_count(plan.k)).map(|i| hex_digits(subject.operand_format(i, plan.k))).collect();
    let random_width = subject.random_bits().div_ceil(4) as usize;
    let result_width = hex_digits(subject.result());
    let mut line = String::new();
    plan.for_each(|vector: &Vector| {
        line.clear();
        for (code, &width) in vector.operands.iter().zip(&widths) {
            let _ = write!(line, "{code:0width$x} ");
        }
        for r in &vector.random {
            let _ = write!(line, "{r:0random_width$x} ");
        }
        let _ = write!(line, "{:0result_width$x}", vector.result);
        if flags {
            let _ = write!(line, " {:02x}", vector.flags.0);
        }
        line.push('\n');
        out.write_all(line.as_bytes()).map_err(fail)
    })?;
    out.flush().map_err(fail)
}

/// The `#k` line of dot products, and a comment that names the fields.
fn fields(plan: &Plan, flags: bool) -> String {
    let random = match plan.randoms {
        0 => String::new(),
        1 => " R".to_owned(),
        n => format!(" R[0]..R[{}]", n - 1),
    };
    let flags = if flags { " flags" } else { "" };
    match &plan.subject {
        Subject::Dot(_) => format!("#k {0}\n# a[0]..a[{1}] b[0]..b[{1}] c{random} result{flags}\n", plan.k, plan.k - 1),
        Subject::Operation(operation) => {
            let names = ["a", "b", "c"][..operation.op.arity()].join(" ");
            format!("# {names}{random} result{flags}\n")
        }
    }
}
