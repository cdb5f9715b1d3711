//! A byte-addressed memory whose pages exist once they are written.
//!
//! Reads of pages never written give zeros, so a large DRAM costs what a program touches.

/// Bytes of a page.
const PAGE: usize = 1 << 20;

/// A memory of a fixed size.
#[derive(Debug, Default)]
pub struct Memory {
    pages: Vec<Option<Box<[u8]>>>,
    size: u64,
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

    /// The bytes from `address` on. The caller has checked that they lie inside.
    pub fn read(&self, address: u64, out: &mut [u8]) {
        let (mut address, mut done) = (address as usize, 0);
        while done < out.len() {
            let (page, at) = (address / PAGE, address % PAGE);
            let length = (PAGE - at).min(out.len() - done);
            let piece = &mut out[done..done + length];
            match self.pages.get(page) {
                Some(Some(bytes)) => piece.copy_from_slice(&bytes[at..at + length]),
                _ => piece.fill(0),
            }
            done += length;
            address += length;
        }
    }

    /// Replaces the bytes from `address` on. The caller has checked that they lie inside.
    pub fn write(&mut self, address: u64, bytes: &[u8]) {
        let (mut address, mut done) = (address as usize, 0);
        while done < bytes.len() {
            let (page, at) = (address / PAGE, address % PAGE);
            let length = (PAGE - at).min(bytes.len() - done);
            if self.pages.len() <= page {
                self.pages.resize_with(page + 1, || None);
            }
            let target = self.pages[page].get_or_insert_with(|| vec![0; PAGE].into_boxed_slice());
            target[at..at + length].copy_from_slice(&bytes[done..done + length]);
            done += length;
            address += length;
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
