//! A file of test vectors for `golden check`.

use crate::Case;
use crate::source::Source;
use std::fmt;
use std::io::Cursor;
use systole::run::golden::dot_of;
use systole_golden::check::{CaseFile, CheckError, Judge, NanRule, Options, Oracle, Settings, Subject, check};
use systole_isa::design::find;
use systole_isa::overrides::split;

/// Longest dot product that is judged here, for time's sake.
const MAX_K: u64 = 64;

/// Bytes of a file.
#[derive(Debug)]
pub struct File(Vec<u8>);

impl Case for File {
    fn read(source: &mut Source<'_>) -> Self {
        Self(source.rest().to_vec())
    }

    fn check(&self) {
        if self.asks_too_much() {
            return;
        }
        let mut file = match CaseFile::open("fuzz", Cursor::new(self.0.clone())) {
            Ok(file) => file,
            Err(error) => return self.check_named(&error),
        };
        let Ok(subject) = subject(file.header()) else { return };
        let oracle = Oracle { subject: subject.clone() };
        let judges: [&dyn Judge; 1] = [&oracle];
        match check(&mut file, &subject, &judges, Options { nan: NanRule::Any, show: 2 }) {
            Ok((tally, _)) => {
                let cases = self.lines().filter(|line| !line.is_empty() && line[0] != b'#').count() as u64;
                assert_eq!(tally.checked, cases, "cases counted, lines of cases: {self}");
                assert!(tally.differ <= tally.checked && tally.disagree == 0, "{self}");
                let shown: Vec<String> = tally.first.iter().map(ToString::to_string).collect();
                assert_eq!(shown.len() as u64, tally.differ.min(2), "{self}");
            }
            Err(error) => self.check_named(&error),
        }
    }
}

/// What a header says its cases are about, as the command reads it.
pub fn subject(settings: &Settings) -> Result<Subject, String> {
    if !settings.is_dot() {
        return settings.operation().map(Subject::Operation).map_err(|e| e.to_string());
    }
    settings.refuse_formats().map_err(|e| e.to_string())?;
    let base = settings.design.as_deref().and_then(find).ok_or("no design")?;
    let overrides: Option<Vec<_>> = settings.set.iter().map(|setting| split(setting)).collect();
    let design = base.with_overrides(&overrides.ok_or("a setting without a value")?).map_err(|e| e.to_string())?;
    dot_of(&design).map(Subject::Dot).map_err(|e| e.to_string())
}

impl File {
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'\n').map(|line| line.trim_ascii())
    }

    fn asks_too_much(&self) -> bool {
        self.lines().any(|line| {
            let digits = line.strip_prefix(b"#k").map(|rest| String::from_utf8_lossy(rest).trim().parse::<u64>());
            matches!(digits, Some(Ok(k)) if k > MAX_K)
        })
    }

    fn check_named(&self, error: &CheckError) {
        let text = error.to_string();
        match error {
            CheckError::Line { line, .. } => {
                let lines = self.0.split(|&byte| byte == b'\n').count() as u64;
                assert!((1..=lines).contains(line) && text.starts_with(&format!("fuzz:{line}: ")), "{text}: {self}");
            }
            CheckError::Io { .. } => panic!("bytes in memory cannot be read: {text}: {self}"),
            CheckError::Mode(_) => assert!(!text.is_empty(), "{self}"),
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "systole golden check - <<END\n{}\nEND\n", String::from_utf8_lossy(&self.0))
    }
}
