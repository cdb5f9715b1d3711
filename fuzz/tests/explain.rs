//! What `explain` prints of a case is a file that `systole golden check` accepts and finds right.

use std::io::Cursor;
use systole::run::golden::{Against, judges};
use systole_arrays::fast::KernelChoice;
use systole_fuzz::{TARGETS, vectors};
use systole_golden::check::{CaseFile, Judge, NanRule, Options, check};
use systole_isa::entropy::philox;

fn drawn(case: u32) -> Vec<u8> {
    (0..20).flat_map(|i| philox([case, i, 7, 0], 0x5eed)).flat_map(u32::to_le_bytes).collect()
}

#[test]
fn explained_cases_are_right() {
    for (name, cases, fewest) in
        [("convert", 2_000, 2_000), ("fma", 2_000, 1_500), ("chain", 300, 100), ("unit", 300, 50), ("gemm", 300, 50)]
    {
        let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
        let mut checked = 0;
        for case in 0..cases {
            let text = (target.explain)(&drawn(case));
            let Some((_, file)) = text.split_once("<<END\n") else { continue };
            let (file, _) = file.split_once("END\n").unwrap_or_else(|| panic!("no end: {text}"));
            let mut file = CaseFile::open("explained", Cursor::new(file.to_owned())).unwrap_or_else(|e| panic!("{e}: {text}"));
            // Operations wider than the command admits are explained, but not repeated by it.
            let Ok(subject) = vectors::subject(file.header()) else { continue };
            let judges = judges(&subject, Against::All, KernelChoice::Auto);
            let judges: Vec<&dyn Judge> = judges.iter().map(|judge| &**judge).collect();
            let options = Options { nan: NanRule::Any, show: 1 };
            let (tally, _) = check(&mut file, &subject, &judges, options).unwrap_or_else(|e| panic!("{e}: {text}"));
            assert_eq!((tally.checked, tally.differ), (1, 0), "{:?}: {text}", tally.first.first().map(ToString::to_string));
            checked += 1;
        }
        assert!(checked >= fewest, "{name}: {checked} of {cases}");
    }
}
