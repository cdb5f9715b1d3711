//! The book's instruction reference is the instruction table.
//!
//! `SYSTOLE_BLESS=1 cargo test -p systole-isa --test book` rewrites it.

use std::fmt::Write;
use systole_isa::instruction::TABLE;

const CHAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/instructions.md");
const MARK: &str = "<!-- table -->\n";

fn table() -> String {
    let mut text = String::from("| opcode | instruction | field bits | does |\n|---|---|---|---|\n");
    for row in TABLE {
        let operands = row.operands.split_whitespace().collect::<Vec<_>>().join(", ");
        let widths = row.widths.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        let doc = row.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let _ = writeln!(text, "| `{:#04x}` | `{} {operands}` | {widths} | {doc} |", row.opcode, row.mnemonic);
    }
    text.replace(" ` |", "` |")
}

#[test]
fn the_chapter_is_the_table() {
    let chapter = std::fs::read_to_string(CHAPTER).expect("docs/src/instructions.md");
    let (head, found) = chapter.split_once(MARK).expect("the chapter marks its table");
    if std::env::var_os("SYSTOLE_BLESS").is_some() {
        std::fs::write(CHAPTER, format!("{head}{MARK}{}", table())).expect("docs/src/instructions.md");
    } else {
        assert!(found == table(), "docs/src/instructions.md is out of date: run with SYSTOLE_BLESS=1");
    }
}
