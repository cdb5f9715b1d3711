//! The command, as a user runs it.
#![allow(dead_code, reason = "each test takes what it needs")]

use serde_json::Value;
use std::path::Path;
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

/// What it printed, having succeeded.
pub fn success(args: &[&str]) -> String {
    let output = systole(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Its JSON.
pub fn report(args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    serde_json::from_str(&success(&args)).expect("one JSON object")
}

/// A tensor as numpy writes it.
pub fn write_tensor(path: &Path, element: &str, fortran: bool, shape: &[usize], data: &[u8]) {
    let extents: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let order = if fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{element}', 'fortran_order': {order}, 'shape': ({extents}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(data);
    std::fs::write(path, bytes).expect("temporary file");
}

/// A matrix, row by row.
pub fn write_array(path: &Path, element: &str, shape: [usize; 2], data: &[u8]) {
    write_tensor(path, element, false, &shape, data);
}

/// A matrix of one code of one byte.
pub fn write_npy(path: &Path, rows: usize, cols: usize, code: u8) {
    write_array(path, "|u1", [rows, cols], &vec![code; rows * cols]);
}
