//! The command, as a user runs it.
#![allow(dead_code, reason = "each test takes what it needs")]

use serde_json::Value;
use std::process::{Command, Output};

/// The command with these arguments, kernels chosen by the machine.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_systole"));
    command.args(args).env_remove("SYSTOLE_KERNEL");
    command
}

/// What it said.
pub fn systole(args: &[&str]) -> Output {
    command(args).output().expect("systole runs")
}

/// Its JSON.
pub fn report(args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let output = systole(&args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}
