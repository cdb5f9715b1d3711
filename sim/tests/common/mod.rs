//! Program files and designs for tests that run all of them.

use std::path::Path;
use systole_isa::asm::assemble;
use systole_isa::design::{self, Design};
use systole_isa::program::Program;

/// A built-in design with settings.
pub fn design(name: &str, settings: &[(&str, &str)]) -> Design {
    let settings: Vec<_> = settings.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    design::find(name).expect("a built-in design").with_overrides(&settings).unwrap_or_else(|e| panic!("{e}"))
}

/// A program that assembles.
pub fn program(name: &str, text: &str) -> Program {
    assemble(name, text).unwrap_or_else(|e| panic!("{}", e.iter().map(|e| format!("{e}\n")).collect::<String>()))
}

/// Every program file, with its name and the design its header names.
pub fn programs() -> Vec<(String, Design, Program)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("programs")
        .map(|entry| {
            let path = entry.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).expect("text");
            let headers = |key: &'static str| text.lines().filter_map(move |line| line.strip_prefix(key)).map(str::trim);
            let settings: Vec<_> = headers("; set:").map(|s| s.split_once('=').expect("PATH=VALUE")).collect();
            let design = design(headers("; design:").next().expect("a design"), &settings);
            let program = program(&name, &text);
            (name, design, program)
        })
        .collect();
    files.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(files.len() > 10, "{}", files.len());
    files
}
