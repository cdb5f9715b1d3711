//! Every committed seed, and bytes drawn here, through every property.

use std::path::Path;
use systole_isa::entropy::philox;

type Property = fn(&[u8]);

/// Target, property, and how many drawn cases it gets here.
const TARGETS: [(&str, Property, u32); 4] = [
    ("convert", systole_fuzz::conversion, 200_000),
    ("gemm", systole_fuzz::engines, 4_000),
    ("assembly", systole_fuzz::assembly, 2_000),
    ("design", systole_fuzz::design, 200),
];

#[test]
fn seeds_hold() {
    for (name, property, _) in TARGETS {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(name);
        let mut seen = 0;
        for entry in std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display())) {
            let path = entry.expect("a directory entry").path();
            property(&std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
            seen += 1;
        }
        assert!(seen > 0, "no seeds for {name}");
    }
}

#[test]
fn drawn_bytes_hold() {
    for (_, property, count) in TARGETS {
        for case in 0..count {
            let bytes: Vec<u8> = (0..32).flat_map(|i| philox([case, i, 0, 0], 0x5eed)).flat_map(u32::to_le_bytes).collect();
            property(&bytes);
        }
    }
}
