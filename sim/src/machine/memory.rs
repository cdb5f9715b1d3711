//! A byte-addressed memory whose pages exist once they are written.
//!
//! Reads of pages never written give zeros, so a large DRAM costs what a program touches.

use std::ops::Range;

/// Bytes of a page.
const PAGE: usize = 1 << 20;

/// A memory of a fixed size.
#[derive(Debug, Default)]
pub struct Memory {
    pages: Vec<Option<Box<[u8]>>>,
    size: u64,
}

/// The pieces of `length` bytes from `address` on that lie in one page each: page, and place in it.
fn pieces(address: u64, length: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let (mut address, end) = (address as usize, address as usize + length);
    std::iter::from_fn(move || {
        let at = address % PAGE;
        let length = (PAGE - at).min(end - address);
        let piece = (address / PAGE, at..at + length);
        address += length;
        (length > 0).then_some(piece)
    })
}

impl Memory {
    /// A memory of `size` bytes, all zero.
    pub const fn new(size: u64) -> Self {
        Self { pages: Vec::new(), size }
    }

    /// Size in bytes.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Zeroes every byte.
    pub fn clear(&mut self) {
        for page in self.pages.iter_mut().flatten() {
            page.fill(0);
        }
    }

    /// The `length` bytes from `address` on, piece by piece: how many, and which, or `None` where
    /// they are zeros that nobody has written. Pieces end where the address is a multiple of
    /// every power of two up to the page, or at the end. The caller has checked that they lie inside.
    pub fn pieces(&self, address: u64, length: usize) -> impl Iterator<Item = (usize, Option<&[u8]>)> {
        pieces(address, length)
            .map(|(page, place)| (place.len(), self.pages.get(page).and_then(|page| page.as_ref()).map(|page| &page[place])))
    }

    /// The same pieces, to be changed.
    pub fn pieces_mut(&mut self, address: u64, length: usize) -> impl Iterator<Item = &mut [u8]> {
        let first = address as usize / PAGE;
        let end = (address as usize + length).div_ceil(PAGE).max(first);
        if self.pages.len() < end {
            self.pages.resize_with(end, || None);
        }
        let pages = self.pages[first..end].iter_mut().map(|page| page.get_or_insert_with(|| vec![0; PAGE].into_boxed_slice()));
        pages.zip(pieces(address, length)).map(|(page, (_, place))| &mut page[place])
    }

    /// The bytes from `address` on. The caller has checked that they lie inside.
    pub fn read(&self, address: u64, mut out: &mut [u8]) {
        for (length, bytes) in self.pieces(address, out.len()) {
            let (piece, rest) = out.split_at_mut(length);
            match bytes {
                Some(bytes) => piece.copy_from_slice(bytes),
                None => piece.fill(0),
            }
            out = rest;
        }
    }

    /// Replaces the bytes from `address` on. The caller has checked that they lie inside.
    pub fn write(&mut self, address: u64, mut bytes: &[u8]) {
        for piece in self.pieces_mut(address, bytes.len()) {
            let (these, rest) = bytes.split_at(piece.len());
            piece.copy_from_slice(these);
            bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unwritten_bytes_are_zero_and_pages_join() {
        let mut memory = Memory::new(1 << 40);
        let edge = 5 * PAGE as u64 - 3;
        memory.write(edge, &[1, 2, 3, 4, 5, 6]);
        let mut out = [9; 8];
        memory.read(edge - 1, &mut out);
        assert_eq!(out, [0, 1, 2, 3, 4, 5, 6, 0]);
        assert_eq!(memory.pages.iter().flatten().count(), 2);
        memory.clear();
        memory.read(edge - 1, &mut out);
        assert_eq!(out, [0; 8]);
    }
}
