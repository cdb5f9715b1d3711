//! Whether views share bytes of memory.

use systole_isa::view::{Layout, TensorView};

/// True if two views are the same bytes for the same elements.
pub fn same_elements(a: &TensorView, b: &TensorView) -> bool {
    let layout = a.layout == b.layout || a.is_contiguous() && b.is_contiguous();
    a.space == b.space
        && a.address == b.address
        && a.format.storage_bytes() == b.format.storage_bytes()
        && (a.rows, a.cols) == (b.rows, b.cols)
        && layout
}

/// True if two elements of a strided view may share memory.
///
/// The axes are sorted by stride; each must step over all that the shorter ones span. Layouts
/// that interleave without colliding otherwise count as overlapping.
pub fn overlaps_itself(view: &TensorView) -> bool {
    let Layout::Strided { inner, outer, inner_stride, column } = view.layout else { return true };
    let mut axes = [
        (column.unsigned_abs(), u64::from(view.cols)),
        (inner_stride.unsigned_abs(), u64::from(view.rows.min(inner))),
        (outer.unsigned_abs(), u64::from(view.rows.div_ceil(inner))),
    ];
    axes.sort_unstable();
    let mut span = 1;
    for (stride, extent) in axes {
        if extent > 1 {
            if stride < span {
                return true;
            }
            span += stride * (extent - 1);
        }
    }
    false
}

/// Stretches looked at one by one before views with common bounds count as overlapping.
const MAX_STRETCHES: u64 = 1 << 20;

/// True if two sound views may share bytes. Window views are taken as their whole input.
pub fn overlap(a: &TensorView, b: &TensorView) -> bool {
    let (Some(range_a), Some(range_b)) = (a.byte_range(), b.byte_range()) else { return false };
    if a.space != b.space || range_a.1 < range_b.0 || range_b.1 < range_a.0 {
        return false;
    }
    if a.is_contiguous() && b.is_contiguous() {
        return true;
    }
    match (stretches(a), stretches(b)) {
        (Some(mut all), Some(more)) => {
            all.extend(more.into_iter().map(|(first, last, _)| (first, last, true)));
            all.sort_unstable();
            // Furthest byte so far of either view.
            let mut reach = [i128::MIN; 2];
            all.into_iter().any(|(first, last, second)| {
                let mine = usize::from(second);
                reach[mine] = reach[mine].max(last);
                first <= reach[1 - mine]
            })
        }
        _ => true,
    }
}

/// First and last bytes of the contiguous pieces of a view; `None` if there are too many.
fn stretches(view: &TensorView) -> Option<Vec<(i128, i128, bool)>> {
    let size = i128::from(view.format.storage_bytes());
    let base = i128::from(view.address);
    let piece = |offset: i64, length: u32| {
        let first = base + i128::from(offset) * size;
        (first, first + i128::from(length) * size - 1, false)
    };
    let Layout::Strided { column, .. } = view.layout else {
        return view.byte_range().map(|(first, last)| vec![(first, last, false)]);
    };
    if view.is_contiguous() {
        return view.byte_range().map(|(first, last)| vec![(first, last, false)]);
    }
    let by_rows = column == 1 || view.cols == 1;
    let count = if by_rows { u64::from(view.rows) } else { view.elements() };
    if count > MAX_STRETCHES {
        return None;
    }
    let each_row = |row| {
        let cols = if by_rows { 0..1 } else { 0..view.cols };
        cols.filter_map(move |col| Some(piece(view.offset(row, col)?, if by_rows { view.cols } else { 1 })))
    };
    Some((0..view.rows).flat_map(each_row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use systole_isa::format::Format;
    use systole_isa::view::Space;

    fn strided(address: u64, rows: u32, cols: u32, inner: u32, outer: i64, inner_stride: i64, column: i64) -> TensorView {
        TensorView {
            layout: Layout::Strided { inner, outer, inner_stride, column },
            ..TensorView::contiguous(Format::FP16, Space::Dram, address, rows, cols)
        }
    }

    #[test]
    fn within_a_view() {
        for (view, expected) in [
            (strided(0, 4, 4, 4, 0, 4, 1), false),
            (strided(0, 4, 4, 4, 0, 3, 1), true),
            (strided(0, 4, 4, 4, 0, 1, 4), false),
            (strided(0, 4, 4, 4, 0, 4, 0), true),
            (strided(0, 4, 1, 4, 0, 4, 0), false),
            (strided(64, 4, 4, 2, -8, 4, 1), false),
            (strided(64, 4, 4, 2, -6, 4, 1), true),
        ] {
            assert_eq!(overlaps_itself(&view), expected, "{view:?}");
        }
    }

    #[test]
    fn between_views_is_what_their_bytes_say() {
        let views = [
            strided(0, 4, 4, 4, 0, 4, 1),
            strided(0, 4, 4, 4, 0, 8, 1),
            strided(8, 4, 4, 4, 0, 8, 1),
            strided(10, 4, 4, 4, 0, 8, 1),
            strided(40, 2, 3, 2, 0, 1, 5),
            strided(32, 4, 4, 4, 0, 4, 1),
            strided(1, 1, 1, 1, 0, 1, 1),
        ];
        let bytes = |v: &TensorView| -> Vec<i64> {
            let elements = (0..v.rows).flat_map(|r| (0..v.cols).map(move |c| (r, c)));
            elements.flat_map(|(r, c)| (0..2).map(move |i| v.address as i64 + v.offset(r, c).unwrap() * 2 + i)).collect()
        };
        for a in &views {
            for b in &views {
                let common = bytes(a).iter().any(|byte| bytes(b).contains(byte));
                assert_eq!(overlap(a, b), common, "{a:?} {b:?}");
                assert!(!overlap(a, &TensorView { space: Space::Scratchpad, ..*b }));
            }
        }
    }
}
