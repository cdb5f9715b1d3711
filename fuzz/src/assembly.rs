//! Assembly text and instruction words.

use crate::Case;
use crate::source::Source;
use std::fmt;
use systole_isa::asm;

/// A file that may be text, words, both or neither.
#[derive(Debug)]
pub struct Assembly(Vec<u8>);

impl Case for Assembly {
    fn read(source: &mut Source<'_>) -> Self {
        Self(source.rest().to_vec())
    }

    fn check(&self) {
        if let Ok(program) = asm::from_bytes(&self.0) {
            assert_eq!(asm::from_bytes(&asm::to_bytes(&program)).as_ref(), Ok(&program), "words, words again: {self}");
            assert_eq!(asm::to_bytes(&program), self.0, "two encodings of one program: {self}");
        }
        let Ok(text) = std::str::from_utf8(&self.0) else { return };
        match asm::assemble("fuzz", text) {
            Ok(program) => {
                let again = asm::assemble("again", &asm::disassemble(&program));
                assert_eq!(again.as_ref(), Ok(&program), "text, text again: {self}");
                assert_eq!(asm::from_bytes(&asm::to_bytes(&program)).as_ref(), Ok(&program), "text, words: {self}");
            }
            Err(errors) => {
                let lines = text.lines().count().max(1);
                assert!(!errors.is_empty() && errors.iter().all(|e| (1..=lines).contains(&e.line)), "{errors:?}: {self}");
            }
        }
    }
}

impl fmt::Display for Assembly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match asm::from_bytes(&self.0) {
            Ok(program) => writeln!(f, "words of\n{}", asm::disassemble(&program)),
            Err(e) => writeln!(f, "no words: {e}"),
        }?;
        write!(f, "text:\n{}", String::from_utf8_lossy(&self.0))
    }
}
