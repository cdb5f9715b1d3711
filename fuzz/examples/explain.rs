//! `explain TARGET FILE...`: what the bytes of a crash or a seed decode to.

use std::process::ExitCode;
use systole_fuzz::TARGETS;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("usage: explain TARGET FILE...; targets:");
        for target in TARGETS {
            eprintln!("  {:<10} {}", target.name, target.property);
        }
        return ExitCode::from(2);
    };
    for path in arguments {
        match std::fs::read(&path) {
            Ok(bytes) => println!("{path}:\n{}\n", (target.explain)(&bytes)),
            Err(error) => {
                eprintln!("{path}: {error}");
                return ExitCode::from(2);
            }
        }
    }
    ExitCode::SUCCESS
}
