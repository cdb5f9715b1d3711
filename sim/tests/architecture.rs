//! Imports between the project's crates run one way.

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may import of ours: ordinary dependencies, then test-only ones.
const ARROWS: &[(&str, &[&str], &[&str])] = &[
    ("systole-isa", &[], &[]),
    ("systole-arrays", &["systole-isa"], &["systole-golden"]),
    ("systole-trainer", &["systole-isa"], &[]),
    ("systole-golden", &["systole-isa"], &[]),
    ("systole", &["systole-isa", "systole-arrays", "systole-trainer", "systole-golden"], &[]),
    ("systole-fuzz", &["systole-isa", "systole-arrays", "systole-trainer", "systole-golden", "systole"], &[]),
];

#[test]
fn imports_run_along_the_arrows() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(manifest).no_deps().exec().expect("cargo metadata");
    let mut seen = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let (_, allowed, in_tests) =
            ARROWS.iter().find(|(n, ..)| *n == name).unwrap_or_else(|| panic!("crate `{name}` has no place in the arrows"));
        seen.push(name);
        for dependency in package.dependencies.iter().filter(|d| d.path.is_some()) {
            let target = dependency.name.as_str();
            let legal = allowed.contains(&target) || (dependency.kind == DependencyKind::Development && in_tests.contains(&target));
            assert!(legal, "`{name}` imports `{target}` ({:?}), against the arrows", dependency.kind);
        }
    }
    for (name, ..) in ARROWS {
        assert!(seen.contains(name), "crate `{name}` is missing from the workspace");
    }
}
