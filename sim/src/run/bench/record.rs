//! A measurement kept: one page a date and processor, and the page that shows them all.

use super::Report;
use std::path::{Path, PathBuf};

const INDEX: &str = "index.md";

const HEADING: &str = "# Records of speed

What `systole bench` printed, by date and processor. `systole bench --record docs/src/records` adds
a record, or replaces that of the same day and processor; the machine should have nothing else to do.
";

/// A record cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct RecordError {
    path: String,
    source: std::io::Error,
}

/// Writes the report to a page of `directory` and has the page of all records include it; the
/// page's path.
///
/// # Errors
/// A file that cannot be read or written.
pub fn write(directory: &Path, report: &Report, command: &str) -> Result<PathBuf, RecordError> {
    let fail = |path: &Path| {
        let path = path.display().to_string();
        move |source| RecordError { path, source }
    };
    let host = &report.host;
    let name = format!("{}.md", host.slug());
    let page = directory.join(&name);
    std::fs::create_dir_all(directory).map_err(fail(directory))?;
    let text = format!("## {}, {}\n\n```console\n$ {command}\n{}```\n", host.date, host.cpu, report.text());
    std::fs::write(&page, text).map_err(fail(&page))?;
    let index = directory.join(INDEX);
    let known = match std::fs::read_to_string(&index) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => HEADING.to_owned(),
        Err(e) => return Err(fail(&index)(e)),
    };
    std::fs::write(&index, including(&known, &name)).map_err(fail(&index))?;
    Ok(page)
}

/// The page of all records with one more, newest first.
fn including(index: &str, name: &str) -> String {
    let line = format!("{{{{#include {name}}}}}");
    let is_record = |line: &&str| line.starts_with("{{#include ");
    let mut records: Vec<&str> = index.lines().filter(is_record).collect();
    if !records.contains(&line.as_str()) {
        records.push(&line);
    }
    records.sort_unstable_by(|a, b| b.cmp(a));
    let heading: Vec<&str> = index.lines().filter(|line| !is_record(line)).collect();
    format!("{}\n\n{}\n", heading.join("\n").trim_end(), records.join("\n\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_stand_once_each_newest_first() {
        let one = including(HEADING, "2026-11-22-a.md");
        let two = including(&one, "2027-01-01-a.md");
        assert_eq!(including(&two, "2026-11-22-a.md"), two);
        let expected = format!("{HEADING}\n{{{{#include 2027-01-01-a.md}}}}\n\n{{{{#include 2026-11-22-a.md}}}}\n");
        assert_eq!(two, expected);
    }
}
