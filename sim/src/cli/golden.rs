//! `systole golden`: foreign test vectors checked, and our own made.

mod check;
mod vectors;

use super::Common;
use clap::{Args, Subcommand};
use miette::Result;
use std::process::ExitCode;
use systole_golden::check::Settings;

/// Arguments of `golden`.
#[derive(Args)]
pub struct GoldenArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Hold test vectors against the oracle, the datapath and the fast kernels.
    ///
    /// A file has one case per line, in hexadecimal: operands, expected result, and if it likes
    /// the exception flags (1 inexact, 2 underflow, 4 overflow, 8 divide by zero, 10 invalid), as
    /// Berkeley TestFloat writes them. `#` begins a comment. Exit status 0 if nothing differs.
    Check(check::CheckArgs),
    /// Make test vectors: operands by level, results and exceptions by the oracle.
    ///
    /// Lines that `golden check` reads go to standard output or a file, words for `$readmemh` to a
    /// directory. `--op gemm` makes the matrices of a whole product on a design's array.
    Vectors(vectors::VectorsArgs),
}

/// What is computed, in options that a file's `#!` lines can also give.
#[derive(Args)]
struct SubjectArgs {
    /// Operation: convert, add, sub, mul, fma (a b + c), or dot (one output of a design's array).
    #[arg(long, value_name = "OP")]
    op: Option<String>,
    /// Operand formats: one for all (fma: a and b, c being in the result's), or one each (fma also A,C).
    #[arg(long = "in", value_name = "FMT[,FMT[,FMT]]")]
    operands: Option<String>,
    /// Result format.
    #[arg(long, value_name = "FMT")]
    out: Option<String>,
    /// Rounding: rne, rmm, rtz, rdn, rup, rod, or sr<N>, where R precedes the result on each line.
    #[arg(long, value_name = "MODE")]
    round: Option<String>,
    /// Results out of range: ieee (by direction), saturate, propagate (saturate, but keep infinite inputs), infinity.
    #[arg(long, value_name = "POLICY")]
    overflow: Option<String>,
    /// What stands for infinity where the result format has none: nan or max.
    #[arg(long, value_name = "CODE")]
    no_infinity: Option<String>,
    /// Subnormals: gradual, daz (inputs are zeros), ftz (results are zeros), daz_ftz.
    #[arg(long, value_name = "POLICY")]
    subnormals: Option<String>,
    /// When a result counts as tiny: before or after rounding.
    #[arg(long, value_name = "WHEN")]
    tininess: Option<String>,
    /// For dot: a built-in design or a RON file; its formats and rounding are those of the cases.
    #[arg(long, value_name = "DESIGN")]
    design: Option<String>,
}

impl SubjectArgs {
    fn settings(&self, common: &Common) -> Settings {
        let word = |word: &Option<String>| word.as_ref().map(|w| w.replace('-', "_"));
        Settings {
            op: self.op.clone(),
            operands: self.operands.clone(),
            result: self.out.clone(),
            round: self.round.clone(),
            overflow: word(&self.overflow),
            no_infinity: word(&self.no_infinity),
            subnormals: word(&self.subnormals),
            tininess: word(&self.tininess),
            design: self.design.clone(),
            set: common.settings.clone(),
        }
    }
}

/// Runs the subcommand.
pub fn run(args: &GoldenArgs, common: &Common) -> Result<ExitCode> {
    match &args.command {
        Command::Check(args) => check::run(args, common),
        Command::Vectors(args) => vectors::run(args, common),
    }
}
