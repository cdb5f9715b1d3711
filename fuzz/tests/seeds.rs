//! Every committed seed, and bytes drawn here, through every property.

use std::fmt;
use std::path::{Path, PathBuf};
use systole_fuzz::{TARGETS, Target};
use systole_isa::entropy::philox;

/// Names the case if the property fails while it is held.
struct Held<'a>(&'a Target, &'a dyn fmt::Display, &'a [u8]);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}, {}:\n{}", self.0.name, self.1, (self.0.explain)(self.2));
        }
    }
}

fn hold(target: &Target, origin: &dyn fmt::Display, bytes: &[u8]) {
    let held = Held(target, origin, bytes);
    (target.check)(bytes);
    drop(held);
}

fn seeds(target: &Target) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a directory entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn seeds_hold() {
    for target in TARGETS {
        let paths = seeds(target);
        assert!(!paths.is_empty(), "no seeds for {}", target.name);
        for path in paths {
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            hold(target, &path.display(), &bytes);
        }
    }
}

/// The bytes of a drawn case, of every length below 700.
fn drawn(case: u32) -> Vec<u8> {
    let length = philox([case, 0, 1, 0], 0x5eed)[0] as usize % 700;
    (0..length.div_ceil(16) as u32).flat_map(|i| philox([case, i, 0, 0], 0x5eed)).flat_map(u32::to_le_bytes).take(length).collect()
}

#[test]
fn drawn_bytes_hold() {
    for target in TARGETS {
        for case in 0..target.drawn {
            hold(target, &format_args!("drawn case {case}"), &drawn(case));
        }
    }
}

#[test]
fn every_target_is_a_fuzz_target() {
    for target in TARGETS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets").join(target.name).with_extension("rs");
        assert!(path.is_file(), "{} is missing", path.display());
    }
}
