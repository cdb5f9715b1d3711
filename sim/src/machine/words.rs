//! Codes in memory: stretches of them, read into and written from typed buffers.
//!
//! A stretch holds codes without gaps, little-endian, each in as many bytes as its format's width
//! asks for. Where that is the width of the buffer's words too, whole pieces of memory are
//! copied at once.

use super::memory::Memory;
use rayon::prelude::*;
use systole_isa::codes::Codes;
use systole_isa::format::Format;

/// Words one thread copies at a time.
const GRAIN: usize = 1 << 15;

/// Bytes of the largest buffer worth keeping, and how many of each width are kept.
const SPARE_BYTES: usize = 8 << 20;
const SPARE_BUFFERS: usize = 12;

/// What a buffer of codes consists of.
pub trait Word: Copy + Default + Send + Sync {
    /// Reads as many words as `out` holds from as many bytes as they have.
    fn load(bytes: &[u8], out: &mut [Self]);
    /// Writes words into as many bytes as they have.
    fn store(words: &[Self], out: &mut [u8]);
    /// The low bits of a code.
    fn from_code(code: u64) -> Self;
    /// The code.
    fn code(self) -> u64;
    /// Buffers of such words.
    fn spare(buffers: &mut Buffers) -> &mut Vec<Vec<Self>>;
}

macro_rules! words {
    ($($word:ident),*) => {$(
        impl Word for $word {
            #[inline]
            fn load(bytes: &[u8], out: &mut [Self]) {
                let (cells, _) = bytes.as_chunks();
                for (word, &cell) in out.iter_mut().zip(cells) {
                    *word = Self::from_le_bytes(cell);
                }
            }
            #[inline]
            fn store(words: &[Self], out: &mut [u8]) {
                let (cells, _) = out.as_chunks_mut();
                for (cell, word) in cells.iter_mut().zip(words) {
                    *cell = word.to_le_bytes();
                }
            }
            #[inline]
            fn from_code(code: u64) -> Self {
                code as Self
            }
            #[inline]
            fn code(self) -> u64 {
                self.into()
            }
            fn spare(buffers: &mut Buffers) -> &mut Vec<Vec<Self>> {
                &mut buffers.$word
            }
        }
    )*};
}
words!(u8, u16, u32, u64);

/// Evaluates `$body` with the words of a buffer of codes in `$words`.
macro_rules! with_words {
    ($codes:expr, |$words:ident| $body:expr) => {
        match $codes {
            Codes::U8($words) => $body,
            Codes::U16($words) => $body,
            Codes::U32($words) => $body,
            Codes::U64($words) => $body,
        }
    };
}
pub(super) use with_words;

/// Whether a stretch at `address` can be copied word by word: pieces of memory end at multiples
/// of a word.
const fn is_plain<W>(address: u64, size: usize) -> bool {
    size == size_of::<W>() && address.is_multiple_of(size as u64)
}

/// Reads the stretch of codes of `size` bytes each from `address` on.
pub fn read<W: Word>(memory: &Memory, address: u64, size: usize, out: &mut [W]) {
    let part = |(index, mut out): (usize, &mut [W])| {
        let address = address + (index * GRAIN * size) as u64;
        if is_plain::<W>(address, size) {
            for (length, bytes) in memory.pieces(address, out.len() * size) {
                let (piece, rest) = out.split_at_mut(length / size);
                match bytes {
                    Some(bytes) => W::load(bytes, piece),
                    None => piece.fill(W::default()),
                }
                out = rest;
            }
        } else {
            let mut bytes = vec![0; out.len() * size];
            memory.read(address, &mut bytes);
            for (word, bytes) in out.iter_mut().zip(bytes.chunks_exact(size)) {
                *word = W::from_code(bytes.iter().rev().fold(0, |code, &byte| code << 8 | u64::from(byte)));
            }
        }
    };
    if out.len() > GRAIN {
        out.par_chunks_mut(GRAIN).enumerate().for_each(part);
    } else {
        part((0, out));
    }
}

/// Writes codes as a stretch of `size` bytes each from `address` on.
pub fn write<W: Word>(memory: &mut Memory, address: u64, size: usize, mut words: &[W]) {
    if is_plain::<W>(address, size) {
        for piece in memory.pieces_mut(address, words.len() * size) {
            let (these, rest) = words.split_at(piece.len() / size);
            if these.len() > GRAIN {
                these.par_chunks(GRAIN).zip(piece.par_chunks_mut(GRAIN * size)).for_each(|(words, piece)| W::store(words, piece));
            } else {
                W::store(these, piece);
            }
            words = rest;
        }
    } else {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.code().to_le_bytes().into_iter().take(size)).collect();
        memory.write(address, &bytes);
    }
}

/// Drops the bits above the format's width.
pub fn mask<W: Word>(format: Format, words: &mut [W]) {
    if !format.bits().is_multiple_of(8) {
        words.iter_mut().for_each(|word| *word = W::from_code(word.code() & format.mask()));
    }
}

/// Buffers of earlier instructions: fresh pages cost more than most vector work.
#[derive(Debug, Default)]
pub struct Buffers {
    u8: Vec<Vec<u8>>,
    u16: Vec<Vec<u16>>,
    u32: Vec<Vec<u32>>,
    u64: Vec<Vec<u64>>,
}

impl Buffers {
    /// A buffer of `len` words, with whatever an earlier instruction left in it.
    pub fn take<W: Word>(&mut self, len: usize) -> Vec<W> {
        let spare = W::spare(self);
        // The smallest that is large enough, else the largest.
        let best = (0..spare.len()).min_by_key(|&index| match spare[index].capacity() {
            room if room >= len => (0, room),
            room => (1, usize::MAX - room),
        });
        let mut words = best.map(|index| spare.swap_remove(index)).unwrap_or_default();
        words.resize(len, W::default());
        words
    }

    /// Keeps a buffer for later instructions.
    pub fn give<W: Word>(&mut self, words: Vec<W>) {
        let spare = W::spare(self);
        if words.capacity() * size_of::<W>() > SPARE_BYTES {
            return;
        }
        if spare.len() < SPARE_BUFFERS {
            spare.push(words);
        } else if let Some(smallest) = spare.iter_mut().min_by_key(|words| words.capacity())
            && smallest.capacity() < words.capacity()
        {
            *smallest = words;
        }
    }

    /// [`Buffers::take`] for `len` codes of a format.
    pub fn take_codes(&mut self, format: Format, len: usize) -> Codes {
        let mut codes = Codes::zeros(format, 0);
        with_words!(&mut codes, |words| *words = self.take(len));
        codes
    }

    /// [`Buffers::give`], whatever the width.
    pub fn give_codes(&mut self, codes: Codes) {
        with_words!(codes, |words| self.give(words));
    }
}
