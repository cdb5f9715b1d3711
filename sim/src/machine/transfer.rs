//! Gathering a view's elements into codes, and scattering codes into a view.
//!
//! Contiguous views are copied whole. Of small strided ones the stretch of memory they span is
//! copied first, of large ones a row or a block at a time; of an im2col view, an image at a time.
//! Parts of a view are gathered in parallel.

use super::memory::Memory;
use super::words::{Buffers, Word, mask, read, with_words, write};
use rayon::prelude::*;
use std::ops::Range;
use systole_arrays::mask::Mask;
use systole_isa::codes::Codes;
use systole_isa::view::{Layout, TensorView, Window};

/// Bytes a gather may copy for every byte it needs before it reads elements one by one.
const SPAN_FACTOR: u128 = 8;

/// Spans below this are always copied whole.
const SPAN_ALWAYS: u128 = 1 << 16;

/// Bytes of a span above which what can be copied in runs is.
const SPAN_BYTES: u128 = if cfg!(test) { 1 << 17 } else { 4 << 20 };

/// Elements worth a thread's while.
const GRAIN: usize = 1 << 14;

/// Columns of a turned matrix that are copied together, so that their lines stay in the cache.
const TURNED: usize = 64;

/// Elements copied at once where a run may spill over its end.
const SPILL: usize = 32;

/// Element offsets from the lowest to the highest that a strided view touches, if copying all
/// between them is worth it.
fn span(view: &TensorView) -> Option<Range<i64>> {
    let (low, high) = view.offset_range()?;
    let bytes = (i128::from(high) - i128::from(low) + 1) as u128 * u128::from(view.format.storage_bytes());
    (bytes <= SPAN_FACTOR * u128::from(view.bytes()) + SPAN_ALWAYS).then_some(low..high + 1)
}

/// True if a view is better copied in runs than from its span.
fn in_runs(view: &TensorView) -> bool {
    let Layout::Strided { inner_stride, column, .. } = view.layout else { return false };
    let bytes = view.offset_range().map_or(0, |(low, high)| (high - low) as u128 * u128::from(view.format.storage_bytes()));
    (column == 1 || inner_stride == 1) && bytes > SPAN_BYTES
}

const fn byte_address(view: &TensorView, offset: i64) -> u64 {
    (view.address as i64 + offset * view.format.storage_bytes() as i64) as u64
}

/// The codes of some columns of a view, row-major; bits of memory above the format's width are
/// dropped. The view is sound and lies inside the memory.
pub fn gather(memory: &Memory, view: &TensorView, columns: Range<u32>, buffers: &mut Buffers) -> Codes {
    let mut codes = Codes::zeros(view.format, 0);
    with_words!(&mut codes, |words| {
        *words = match view.layout {
            Layout::Window(window) => gather_windows(memory, view, &window, columns, buffers),
            Layout::Strided { column, .. } => {
                let part = view.of_columns(columns).unwrap_or(*view);
                gather_strided(memory, &part, column, buffers)
            }
        };
        mask(view.format, words);
    });
    codes
}

/// The codes of some rows and columns of a view, wherever they begin, one by one.
pub fn pick(memory: &Memory, view: &TensorView, rows: Range<u32>, columns: Range<u32>) -> Codes {
    let size = view.format.storage_bytes() as usize;
    Codes::from_fn(view.format, rows.len() * columns.len(), |i| {
        let (row, col) = (rows.start + (i / columns.len()) as u32, columns.start + (i % columns.len()) as u32);
        let Some(offset) = view.offset(row, col) else { return 0 };
        let mut bytes = [0; 8];
        memory.read(byte_address(view, offset), &mut bytes[..size]);
        u64::from_le_bytes(bytes) & view.format.mask()
    })
}

fn gather_strided<W: Word>(memory: &Memory, view: &TensorView, column: i64, buffers: &mut Buffers) -> Vec<W> {
    let size = view.format.storage_bytes() as usize;
    let mut out = buffers.take(view.elements() as usize);
    if view.is_contiguous() {
        read(memory, view.address, size, &mut out);
    } else if in_runs(view) {
        runs(memory, view, column, &mut out);
    } else if let Some(span) = span(view) {
        let mut words = buffers.take((span.end - span.start) as usize);
        read(memory, byte_address(view, span.start), size, &mut words);
        strided(view, column, &words, span.start, &mut out);
        buffers.give(words);
    } else {
        one_by_one(memory, view, &mut out);
    }
    out
}

fn gather_windows<W: Word>(memory: &Memory, view: &TensorView, window: &Window, columns: Range<u32>, buffers: &mut Buffers) -> Vec<W> {
    let bytes = view.format.storage_bytes() as usize;
    let mut out = buffers.take(view.rows as usize * columns.len());
    let pixels = window.out_h as usize * window.out_w as usize;
    let size = window.h as usize * window.w as usize * window.c as usize;
    let all = columns == (0..view.cols);
    parts_with(
        &mut out,
        pixels * columns.len(),
        || vec![W::default(); size],
        |words, image, out| {
            read(memory, view.address + (image * size * bytes) as u64, bytes, words);
            if all { image_windows(window, words, out) } else { image_columns(window, words, columns.clone(), out) }
        },
    );
    out
}

/// Calls `part` with the parts of `out`, `size` elements each, and their numbers.
fn parts<W: Send>(out: &mut [W], size: usize, part: impl Fn(usize, &mut [W]) + Sync) {
    parts_with(out, size, || (), |(), index, out| part(index, out));
}

/// The like, with what a thread keeps from part to part.
fn parts_with<W: Send, T>(out: &mut [W], size: usize, keep: impl Fn() -> T + Sync + Send, part: impl Fn(&mut T, usize, &mut [W]) + Sync) {
    if out.len() > GRAIN {
        out.par_chunks_mut(size).enumerate().for_each_init(keep, |kept, (index, out)| part(kept, index, out));
    } else {
        let mut kept = keep();
        out.chunks_mut(size).enumerate().for_each(|(index, out)| part(&mut kept, index, out));
    }
}

/// A view read without a copy of its span.
fn one_by_one<W: Word>(memory: &Memory, view: &TensorView, out: &mut [W]) {
    let size = view.format.storage_bytes() as usize;
    for (row, out) in out.chunks_mut(view.cols as usize).enumerate() {
        for (col, word) in out.iter_mut().enumerate() {
            match view.offset(row as u32, col as u32) {
                Some(offset) => read(memory, byte_address(view, offset), size, std::slice::from_mut(word)),
                None => *word = W::default(),
            }
        }
    }
}

/// A strided view, from the words of its span, which begins at element `low`.
fn strided<W: Word>(view: &TensorView, column: i64, words: &[W], low: i64, out: &mut [W]) {
    let cols = view.cols as usize;
    let rows = GRAIN.div_ceil(cols);
    parts(out, rows * cols, |part, out| {
        let start = |row: usize| (view.offset((part * rows + row) as u32, 0).unwrap_or_default() - low) as usize;
        match usize::try_from(column) {
            Ok(1) => out.chunks_exact_mut(cols).enumerate().for_each(|(row, out)| out.copy_from_slice(&words[start(row)..][..cols])),
            Ok(step @ 2..) => {
                for first in (0..cols).step_by(TURNED) {
                    for (row, out) in out.chunks_exact_mut(cols).enumerate() {
                        let out = out[first..].iter_mut().take(TURNED);
                        out.zip(words[start(row) + first * step..].iter().step_by(step)).for_each(|(out, &word)| *out = word);
                    }
                }
            }
            _ => {
                for (row, out) in out.chunks_exact_mut(cols).enumerate() {
                    let mut at = start(row) as i64;
                    for out in out {
                        *out = words[at as usize];
                        at += column;
                    }
                }
            }
        }
    });
}

/// Rows of a turned matrix that are read as one run.
const RUN: usize = 256;

/// A strided view whose columns or rows are neighbours, run by run.
fn runs<W: Word>(memory: &Memory, view: &TensorView, column: i64, out: &mut [W]) {
    let (size, cols) = (view.format.storage_bytes() as usize, view.cols as usize);
    let start = |row: usize, col: usize| byte_address(view, view.offset(row as u32, col as u32).unwrap_or_default());
    if column == 1 {
        let rows = GRAIN.div_ceil(cols);
        return parts(out, rows * cols, |part, out| {
            out.chunks_exact_mut(cols).enumerate().for_each(|(row, out)| read(memory, start(part * rows + row, 0), size, out));
        });
    }
    let Layout::Strided { inner, .. } = view.layout else { return };
    let turned = || vec![W::default(); TURNED * RUN];
    parts_with(out, RUN * cols, turned, |lines, part, out| {
        let rows = part * RUN..part * RUN + out.len() / cols;
        for first in (0..cols).step_by(TURNED) {
            let block = first..cols.min(first + TURNED);
            for (col, line) in block.clone().zip(lines.chunks_exact_mut(RUN)) {
                // Rows are neighbours up to the next outer step.
                let mut row = rows.start;
                while row < rows.end {
                    let end = rows.end.min((row / inner as usize + 1) * inner as usize);
                    read(memory, start(row, col), size, &mut line[row - rows.start..end - rows.start]);
                    row = end;
                }
            }
            for (row, out) in out.chunks_exact_mut(cols).enumerate() {
                out[block.clone()].iter_mut().zip(lines[row..].iter().step_by(RUN)).for_each(|(out, &word)| *out = word);
            }
        }
    });
}

/// Some columns of the windows of one image.
fn image_columns<W: Word>(window: &Window, image: &[W], columns: Range<u32>, out: &mut [W]) {
    for (row, out) in out.chunks_exact_mut(columns.len()).enumerate() {
        let mut column = columns.start;
        while column < columns.end {
            let (position, channel) = (column / window.c, column % window.c);
            let end = columns.end.min((position + 1) * window.c);
            let to = &mut out[(column - columns.start) as usize..(end - columns.start) as usize];
            match window.pixel(row as u64, position / window.kernel_w, position % window.kernel_w) {
                Some(pixel) => to.copy_from_slice(&image[(pixel * u64::from(window.c) + u64::from(channel)) as usize..][..to.len()]),
                None => to.fill(W::default()),
            }
            column = end;
        }
    }
}

/// The windows of one image. Written in ascending order, so that a run may spill over its end
/// into what is written next.
fn image_windows<W: Word>(window: &Window, image: &[W], out: &mut [W]) {
    let channels = window.c as usize;
    let (w, h) = (i64::from(window.w), i64::from(window.h));
    let (kernel_w, stride, pad, dilate) =
        (i64::from(window.kernel_w), i64::from(window.stride), i64::from(window.pad), i64::from(window.dilate));
    let mut at = 0;
    let zeros = |out: &mut [W], at: &mut usize, pixels: i64| {
        let length = pixels as usize * channels;
        out[*at..*at + length].fill(W::default());
        *at += length;
    };
    let pixels = |out: &mut [W], at: &mut usize, first: i64, count: i64| {
        let (start, length) = (first as usize * channels, count as usize * channels);
        match (out[*at..].first_chunk_mut::<SPILL>(), image[start..].first_chunk::<SPILL>()) {
            (Some(out), Some(from)) if length <= SPILL => *out = *from,
            _ => out[*at..*at + length].copy_from_slice(&image[start..start + length]),
        }
        *at += length;
    };
    for oy in 0..i64::from(window.out_h) {
        for ox in 0..i64::from(window.out_w) {
            let left = ox * stride - pad;
            for ky in 0..i64::from(window.kernel_h) {
                let y = oy * stride + ky - pad;
                if y < 0 || y % dilate != 0 || y / dilate >= h {
                    zeros(out, &mut at, kernel_w);
                    continue;
                }
                let line = y / dilate * w;
                if dilate > 1 {
                    for x in left..left + kernel_w {
                        if x >= 0 && x % dilate == 0 && x / dilate < w {
                            pixels(out, &mut at, line + x / dilate, 1);
                        } else {
                            zeros(out, &mut at, 1);
                        }
                    }
                } else if left >= 0 && left + kernel_w <= w {
                    pixels(out, &mut at, line + left, kernel_w);
                } else {
                    let from = left.clamp(0, w);
                    let to = (left + kernel_w).clamp(from, w);
                    // All of it where the window lies left of the image, nothing where it lies right of it.
                    let before = (from - left).clamp(0, kernel_w);
                    zeros(out, &mut at, before);
                    pixels(out, &mut at, line + from, to - from);
                    zeros(out, &mut at, kernel_w - before - (to - from));
                }
            }
        }
    }
}

/// Writes codes to a strided view that lies inside the memory, in row-major order.
pub fn scatter(memory: &mut Memory, view: &TensorView, codes: &Codes, buffers: &mut Buffers) {
    with_words!(codes, |words| scatter_words(memory, view, words, buffers));
}

fn scatter_words<W: Word>(memory: &mut Memory, view: &TensorView, words: &[W], buffers: &mut Buffers) {
    let size = view.format.storage_bytes() as usize;
    if view.is_contiguous() {
        return write(memory, view.address, size, words);
    }
    let Layout::Strided { column, .. } = view.layout else { return };
    let rows = words.chunks_exact(view.cols as usize).zip((0..view.rows).map(|row| view.offset(row, 0).unwrap_or_default()));
    if column == 1 {
        return rows.for_each(|(words, offset)| write(memory, byte_address(view, offset), size, words));
    }
    let Some(span) = span(view) else {
        for (words, mut offset) in rows {
            for word in words {
                write(memory, byte_address(view, offset), size, std::slice::from_ref(word));
                offset += column;
            }
        }
        return;
    };
    let address = byte_address(view, span.start);
    let mut spanned = buffers.take((span.end - span.start) as usize);
    // What lies between the view's elements stays as it is.
    read(memory, address, size, &mut spanned);
    for (words, offset) in rows {
        let mut at = offset - span.start;
        for &word in words {
            spanned[at as usize] = word;
            at += column;
        }
    }
    write(memory, address, size, &spanned);
    buffers.give(spanned);
}

/// Writes the codes that a mask selects to a strided view; the other elements keep every bit.
pub fn scatter_selected(memory: &mut Memory, view: &TensorView, codes: &Codes, mask: &Mask) {
    with_words!(codes, |words| scatter_selected_words(memory, view, words, mask));
}

fn scatter_selected_words<W: Word>(memory: &mut Memory, view: &TensorView, words: &[W], mask: &Mask) {
    let (size, cols) = (view.format.storage_bytes() as usize, view.cols as usize);
    let contiguous = matches!(view.layout, Layout::Strided { column: 1, .. });
    for (row, words) in (0..view.rows).zip(words.chunks_exact(cols)) {
        let mut selected = mask.columns(row, 0..view.cols).peekable();
        while let Some(first) = selected.next() {
            let mut last = first;
            while let Some(next) = selected.next_if(|&next| contiguous && next == last + 1) {
                last = next;
            }
            let address = byte_address(view, view.offset(row, first).unwrap_or_default());
            write(memory, address, size, &words[first as usize..=last as usize]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::overlap::overlaps_itself;
    use super::*;
    use systole_isa::format::Format;
    use systole_isa::view::Space;

    const FORMATS: [&str; 7] = ["e4m3fn", "e2m1f", "e6m9", "e7m9", "fp32", "fx30.18", "fp64"];

    fn read_code(memory: &Memory, view: &TensorView, offset: i64) -> u64 {
        let mut bytes = [0; 8];
        memory.read(byte_address(view, offset), &mut bytes[..view.format.storage_bytes() as usize]);
        u64::from_le_bytes(bytes) & view.format.mask()
    }

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
                for columns in [0..view.cols, 5..13, 17..18] {
                    let codes = gather(&memory, &view, columns.clone(), &mut used_buffers());
                    assert_eq!(codes.len(), view.rows as usize * columns.len());
                    let places = (0..view.rows).flat_map(|row| columns.clone().map(move |col| (row, col)));
                    for ((row, col), code) in places.zip(codes.iter()) {
                        let expected = view.offset(row, col).map_or(0, |offset| read_code(&memory, &view, offset));
                        assert_eq!(code, expected, "{name} {view:?} {row} {col}");
                    }
                }
            }
        }
    }

    /// Buffers full of ones, so that whatever is not written shows.
    fn used_buffers() -> Buffers {
        let mut buffers = Buffers::default();
        for _ in 0..2 {
            buffers.give(vec![u8::MAX; 300_000]);
            buffers.give(vec![u16::MAX; 300_000]);
            buffers.give(vec![u32::MAX; 300_000]);
            buffers.give(vec![u64::MAX; 300_000]);
        }
        buffers
    }

    /// Views that are gathered in parts, in blocks, and across pages of memory.
    #[test]
    fn gathering_in_parts_is_reading_every_offset() {
        let memory = filled(2_500_000);
        let view = |address, rows, cols, layout| TensorView {
            address,
            rows,
            cols,
            layout,
            ..TensorView::contiguous(Format::FP32, Space::Dram, 0, 1, 1)
        };
        let strided = |inner, outer, inner_stride, column| Layout::Strided { inner, outer, inner_stride, column };
        let window = |out, side, c, kernel, stride, pad, dilate| {
            let (out_h, out_w, h, w, kernel_h, kernel_w) = (out, out, side, side, kernel, kernel);
            Layout::Window(Window { out_h, out_w, h, w, c, kernel_h, kernel_w, stride, pad, dilate })
        };
        for (rows, cols, layout) in [
            (250, 200, strided(250, 0, 200, 1)),
            (250, 200, strided(250, 0, 1, 250)),
            (6, 9000, strided(6, 0, 1, 6)),
            (9000, 6, strided(9000, 0, 1, 9000)),
            (250, 200, strided(250, 0, 230, 1)),
            (250, 200, strided(10, -2000, 1, 10)),
            (3 * 576, 25, window(24, 28, 1, 5, 1, 0, 1)),
            (3 * 784, 54, window(28, 28, 6, 3, 1, 1, 1)),
            (2 * 784, 25, window(28, 14, 1, 5, 1, 4, 2)),
            (3 * 100, 150, window(10, 14, 6, 5, 1, 0, 1)),
        ] {
            for (name, address) in [
                ("e4m3fn", 1_000_001),
                ("e2m1f", 900_000),
                ("fp16", 1_000_002),
                ("fp16", 1_000_003),
                ("fx30.18", 1_000_004),
                ("fx17.3", 999_999),
            ] {
                let format: Format = name.parse().unwrap();
                let view = TensorView { format, ..view(address, rows, cols, layout) };
                assert_eq!(view.problem(), None);
                for columns in [0..cols, 1..cols - 2] {
                    let codes = gather(&memory, &view, columns.clone(), &mut used_buffers());
                    assert_eq!(codes.len(), rows as usize * columns.len());
                    let places = (0..rows).flat_map(|row| columns.clone().map(move |col| (row, col)));
                    for ((row, col), code) in places.zip(codes.iter()) {
                        let expected = view.offset(row, col).map_or(0, |offset| read_code(&memory, &view, offset));
                        assert_eq!(code, expected, "{view:?} {row} {col}");
                    }
                }
            }
        }
    }

    #[test]
    fn only_selected_elements_are_written() {
        for name in FORMATS {
            let format: Format = name.parse().unwrap();
            for view in views(format).iter().filter(|view| !overlaps_itself(view) && matches!(view.layout, Layout::Strided { .. })) {
                let mut memory = filled(50_000);
                let mut mask = Mask::none(view.rows, view.cols, 1);
                let chosen = |i: u32| i % 7 < 3 || i % 5 == 1;
                (0..view.rows * view.cols).filter(|&i| chosen(i)).for_each(|i| mask.select(i / view.cols, i % view.cols));
                let codes = Codes::from_fn(format, view.elements() as usize, |i| (i as u64 * 77) & format.mask());
                scatter_selected(&mut memory, view, &codes, &mask);
                // Every byte but those of selected elements is what it was.
                let (mut before, mut after) = (vec![0; 50_000], vec![0; 50_000]);
                filled(50_000).read(0, &mut before);
                memory.read(0, &mut after);
                let size = format.storage_bytes() as usize;
                for i in (0..view.rows * view.cols).filter(|&i| chosen(i)) {
                    let at = byte_address(view, view.offset(i / view.cols, i % view.cols).unwrap()) as usize;
                    assert_eq!(read_code(&memory, view, view.offset(i / view.cols, i % view.cols).unwrap()), codes.get(i as usize));
                    if at + size <= 50_000 {
                        before[at..at + size].copy_from_slice(&codes.get(i as usize).to_le_bytes()[..size]);
                    }
                }
                assert!(before == after, "{name} {view:?}");
            }
        }
    }

    #[test]
    fn what_is_scattered_is_gathered_and_nothing_else_changes() {
        let check = |view: &TensorView, bytes: usize| {
            let mut memory = filled(bytes);
            let codes = Codes::from_fn(view.format, view.elements() as usize, |i| (i as u64 * 77) & view.format.mask());
            scatter(&mut memory, view, &codes, &mut used_buffers());
            assert!(gather(&memory, view, 0..view.cols, &mut Buffers::default()) == codes, "{view:?}");
            let (mut before, mut after) = (vec![0; bytes], vec![0; bytes]);
            filled(bytes).read(0, &mut before);
            memory.read(0, &mut after);
            let changed = before.iter().zip(&after).filter(|(a, b)| a != b).count();
            assert!(changed as u64 <= view.bytes(), "{view:?}");
        };
        for name in FORMATS {
            let format: Format = name.parse().unwrap();
            for view in views(format).iter().filter(|view| !overlaps_itself(view)) {
                check(view, 50_000);
            }
            // In parts, and across pages.
            for (inner, inner_stride, column) in [(250, 200, 1), (250, 1, 250), (250, 210, 1)] {
                let layout = Layout::Strided { inner, outer: 0, inner_stride, column };
                check(&TensorView { layout, ..TensorView::contiguous(format, Space::Dram, 1_000_000, 250, 200) }, 1_500_000);
            }
        }
    }
}
