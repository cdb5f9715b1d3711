//! Gathering a view's elements into codes, and scattering codes into a view.
//!
//! A view is walked in runs: stretches of its row-major order that lie in memory with a
//! constant step. Contiguous runs are copied whole; scattered elements are read from one
//! copy of the bytes the view spans, when that is not much larger than the view.

use super::memory::Memory;
use systole_isa::codes::Codes;
use systole_isa::format::Format;
use systole_isa::view::{Layout, TensorView, Window};

/// Elements in row-major order whose offsets grow by `step`; `None` reads +0.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: Option<i64>,
    length: usize,
    step: i64,
}

/// Calls `each` with the runs of a sound view, in row-major order.
fn runs(view: &TensorView, mut each: impl FnMut(Run)) {
    let cols = view.cols as usize;
    match view.layout {
        Layout::Strided { column, .. } => {
            if view.is_contiguous() {
                return each(Run { start: Some(0), length: view.elements() as usize, step: 1 });
            }
            for row in 0..view.rows {
                each(Run { start: view.offset(row, 0), length: cols, step: column });
            }
        }
        Layout::Window(window) => window_runs(&window, view.rows, each),
    }
}

/// The runs of an im2col view. Kernel rows that lie in one stretch of the input are one run.
fn window_runs(window: &Window, rows: u32, mut each: impl FnMut(Run)) {
    let (w, channels) = (i64::from(window.w), window.c as usize);
    let (kernel_w, stride, pad, dilate) =
        (i64::from(window.kernel_w), i64::from(window.stride), i64::from(window.pad), i64::from(window.dilate));
    let zeros = |pixels: i64| Run { start: None, length: pixels as usize * channels, step: 1 };
    let pixels = |first: i64, count: i64| Run { start: Some(first * channels as i64), length: count as usize * channels, step: 1 };
    let (mut image, mut oy, mut ox) = (0, 0, 0);
    for _ in 0..rows {
        let left = i64::from(ox) * stride - pad;
        for ky in 0..window.kernel_h {
            let y = i64::from(oy) * stride + i64::from(ky) - pad;
            if y < 0 || y % dilate != 0 || y / dilate >= i64::from(window.h) {
                each(zeros(kernel_w));
                continue;
            }
            let line = (i64::from(image) * i64::from(window.h) + y / dilate) * w;
            if dilate == 1 {
                let from = left.clamp(0, w);
                let to = (left + kernel_w).clamp(from, w);
                let before = (from - left).min(kernel_w);
                if before > 0 {
                    each(zeros(before));
                }
                if to > from {
                    each(pixels(line + from, to - from));
                }
                let after = kernel_w - before.max(0) - (to - from);
                if after > 0 {
                    each(zeros(after));
                }
            } else {
                for x in left..left + kernel_w {
                    let inside = x >= 0 && x % dilate == 0 && x / dilate < w;
                    each(if inside { pixels(line + x / dilate, 1) } else { zeros(1) });
                }
            }
        }
        ox += 1;
        if ox == window.out_w {
            (ox, oy) = (0, oy + 1);
            if oy == window.out_h {
                (oy, image) = (0, image + 1);
            }
        }
    }
}

/// Bytes a gather may copy for every byte it needs before it reads elements one by one.
const SPAN_FACTOR: u128 = 8;

/// Spans below this are always copied whole.
const SPAN_ALWAYS: u128 = 1 << 16;

/// The codes of a view, row-major; bits of memory above the format's width are dropped.
/// The view is sound and lies inside the memory.
pub fn gather(memory: &Memory, view: &TensorView) -> Codes {
    let size = view.format.storage_bytes() as usize;
    let elements = view.elements() as usize;
    let Some((first, last)) = view.byte_range() else { return Codes::zeros(view.format, elements) };
    if view.is_contiguous() {
        let mut bytes = vec![0; elements * size];
        memory.read(view.address, &mut bytes);
        return from_bytes(view.format, bytes);
    }
    let mut codes = Codes::zeros(view.format, elements);
    let mut at = 0;
    if (last - first + 1) as u128 <= SPAN_FACTOR * u128::from(view.bytes()) + SPAN_ALWAYS {
        let mut span = vec![0; (last - first + 1) as usize];
        memory.read(first as u64, &mut span);
        let base = (i128::from(view.address) - first) as i64;
        let mask = view.format.mask();
        macro_rules! copy {
            ($out:expr, $type:ty) => {
                runs(view, |run| {
                    let target = &mut $out[at..at + run.length];
                    at += run.length;
                    // The buffer starts zeroed, so padding is in place.
                    let Some(start) = run.start else { return };
                    let mut byte = base + start * size as i64;
                    if run.step == 1 && size == size_of::<$type>() {
                        let (cells, _) = span[byte as usize..].as_chunks();
                        for (code, &bytes) in target.iter_mut().zip(cells) {
                            *code = <$type>::from_le_bytes(bytes) & mask as $type;
                        }
                    } else {
                        for code in target {
                            *code = little_endian(&span[byte as usize..], size) as $type & mask as $type;
                            byte += run.step * size as i64;
                        }
                    }
                })
            };
        }
        match &mut codes {
            Codes::U8(out) => copy!(out, u8),
            Codes::U16(out) => copy!(out, u16),
            Codes::U32(out) => copy!(out, u32),
            Codes::U64(out) => copy!(out, u64),
        }
    } else {
        runs(view, |run| {
            for i in 0..run.length {
                if let Some(start) = run.start {
                    codes.set(at, read_code(memory, view, start + i as i64 * run.step));
                }
                at += 1;
            }
        });
    }
    codes
}

/// Writes codes to a strided view that lies inside the memory, in row-major order.
pub fn scatter(memory: &mut Memory, view: &TensorView, codes: &Codes) {
    let size = view.format.storage_bytes() as usize;
    if view.is_contiguous() {
        return memory.write(view.address, &to_bytes(view.format, codes));
    }
    let mut at = 0;
    let mut row = Vec::new();
    runs(view, |run| {
        let Some(start) = run.start else { return };
        if run.step == 1 {
            row.clear();
            for i in at..at + run.length {
                row.extend_from_slice(&codes.get(i).to_le_bytes()[..size]);
            }
            memory.write(byte_address(view, start), &row);
        } else {
            for i in 0..run.length {
                let offset = start + i as i64 * run.step;
                memory.write(byte_address(view, offset), &codes.get(at + i).to_le_bytes()[..size]);
            }
        }
        at += run.length;
    });
}

const fn byte_address(view: &TensorView, offset: i64) -> u64 {
    (view.address as i64 + offset * view.format.storage_bytes() as i64) as u64
}

fn read_code(memory: &Memory, view: &TensorView, offset: i64) -> u64 {
    let mut bytes = [0; 8];
    memory.read(byte_address(view, offset), &mut bytes[..view.format.storage_bytes() as usize]);
    u64::from_le_bytes(bytes) & view.format.mask()
}

#[inline]
fn little_endian(bytes: &[u8], size: usize) -> u64 {
    match size {
        1 => bytes[0].into(),
        2 => u16::from_le_bytes([bytes[0], bytes[1]]).into(),
        4 => u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]).into(),
        _ => bytes[..size].iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)),
    }
}

/// Codes stored without gaps, as memory holds them.
pub fn from_bytes(format: Format, mut bytes: Vec<u8>) -> Codes {
    let mask = format.mask();
    let size = format.storage_bytes() as usize;
    match size {
        1 => {
            if mask != 0xff {
                bytes.iter_mut().for_each(|byte| *byte &= mask as u8);
            }
            Codes::U8(bytes)
        }
        2 => Codes::U16(bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]) & mask as u16).collect()),
        3 | 4 => Codes::U32(bytes.chunks_exact(size).map(|b| little_endian(b, size) as u32 & mask as u32).collect()),
        _ => Codes::U64(bytes.chunks_exact(size).map(|b| little_endian(b, size) & mask).collect()),
    }
}

/// The bytes memory holds for codes stored without gaps.
pub fn to_bytes(format: Format, codes: &Codes) -> Vec<u8> {
    let size = format.storage_bytes() as usize;
    if size == codes.bytes_per_code() {
        return codes.to_le_bytes();
    }
    codes.iter().flat_map(|code| code.to_le_bytes().into_iter().take(size)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::overlap::overlaps_itself;
    use super::*;
    use systole_isa::view::Space;

    const FORMATS: [&str; 7] = ["e4m3fn", "e2m1f", "e6m9", "e7m9", "fp32", "fx30.18", "fp64"];

    fn filled(bytes: usize) -> Memory {
        let mut memory = Memory::new(1 << 30);
        let data: Vec<u8> = (0..bytes as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        memory.write(0, &data);
        memory
    }

    fn views(format: Format) -> Vec<TensorView> {
        let base = TensorView::contiguous(format, Space::Dram, 8003, 12, 18);
        let strided =
            |inner, outer, inner_stride, column| TensorView { layout: Layout::Strided { inner, outer, inner_stride, column }, ..base };
        let window = |out_h, out_w, h, w, c, kernel_h, kernel_w, stride, pad, dilate| {
            Layout::Window(Window { out_h, out_w, h, w, c, kernel_h, kernel_w, stride, pad, dilate })
        };
        vec![
            base,
            strided(12, 0, 40, 1),
            strided(12, 0, 1, 12),
            strided(3, -100, 18, 2),
            strided(5, 7, 0, -1),
            strided(3, -100, 36, 2),
            strided(4, 1, 400, -4),
            // Far apart: read element by element.
            strided(12, 0, 100_000, 1),
            TensorView { layout: window(3, 4, 5, 6, 2, 3, 3, 1, 1, 1), ..base },
            TensorView { layout: window(2, 3, 3, 4, 2, 3, 3, 2, 1, 1), ..base },
            TensorView { layout: window(3, 4, 2, 2, 2, 3, 3, 1, 5, 1), ..base },
            TensorView { layout: window(3, 2, 9, 1, 6, 1, 3, 4, 2, 1), ..base },
            TensorView { layout: window(1, 4, 9, 5, 1, 1, 18, 1, 3, 1), ..base },
            TensorView { layout: window(6, 2, 4, 2, 2, 3, 3, 1, 1, 2), ..base },
        ]
    }

    #[test]
    fn gathering_is_reading_every_offset() {
        let memory = filled(200_000);
        for name in FORMATS {
            let format: Format = name.parse().unwrap();
            for view in views(format) {
                assert_eq!(view.problem(), None);
                let codes = gather(&memory, &view);
                for row in 0..view.rows {
                    for col in 0..view.cols {
                        let expected = view.offset(row, col).map_or(0, |offset| read_code(&memory, &view, offset));
                        assert_eq!(codes.get((row * view.cols + col) as usize), expected, "{name} {view:?} {row} {col}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_scattered_is_gathered_and_nothing_else_changes() {
        for name in FORMATS {
            let format: Format = name.parse().unwrap();
            for view in views(format).iter().filter(|view| !overlaps_itself(view)) {
                let mut memory = filled(50_000);
                let codes = Codes::from_fn(format, view.elements() as usize, |i| (i as u64 * 77) & format.mask());
                scatter(&mut memory, view, &codes);
                assert_eq!(gather(&memory, view), codes, "{name} {view:?}");
                let (mut before, mut after) = (vec![0; 50_000], vec![0; 50_000]);
                filled(50_000).read(0, &mut before);
                memory.read(0, &mut after);
                let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
                assert!(changed as u64 <= view.bytes());
            }
        }
    }
}
