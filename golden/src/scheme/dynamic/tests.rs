//! The maps against their construction elsewhere, and the nearest value at every midpoint.

use super::super::testing::{Random, line};
use super::*;

/// Bits of both maps as PyTorch computed them, with FMA and without.
fn published(column: usize) -> Vec<f32> {
    let text = include_str!("../../../tests/data/scheme/dynamic_maps.txt");
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| f32::from_bits(u32::from_str_radix(line.split(' ').nth(column).unwrap(), 16).unwrap()))
        .collect()
}

#[test]
fn maps_are_pytorchs() {
    for (linspace, column) in [(Linspace::Fused, 0), (Linspace::Separate, 1)] {
        let published = published(column);
        assert_eq!(map(true, linspace), published[..256], "{linspace:?}");
        assert_eq!(map(false, linspace), published[256..], "{linspace:?}");
    }
}

#[test]
fn facts_of_the_maps() {
    for linspace in [Linspace::Fused, Linspace::Separate, Linspace::Exact] {
        let (signed, unsigned) = (map(true, linspace), map(false, linspace));
        assert!(signed.windows(2).chain(unsigned.windows(2)).all(|w| w[0] < w[1]));
        let close = |x: f32, y: f32| (x - y).abs() <= 2e-7 * y.abs();
        assert!(close(signed[0], -0.992_968_7) && signed[127] == 0.0 && signed[255] == 1.0);
        assert!(close(signed[128], 5.5e-7) && close(signed[126], -5.5e-7));
        assert!(unsigned[0] == 0.0 && close(unsigned[1], 3.25e-7) && close(unsigned[254], 0.996_484_4) && unsigned[255] == 1.0);
        // Every negative value is that of a positive one; 1 alone has none.
        assert!((0..127).all(|i| signed[i] == -signed[254 - i]));
        // The variants are at most 2 units in the last place apart.
        for (a, b) in map(true, linspace).iter().zip(map(true, Linspace::Exact)) {
            assert!(a.to_bits().abs_diff(b.to_bits()) <= 2);
        }
    }
}

/// At each midpoint that binary32 has, and one unit to either side of each midpoint.
#[test]
fn nearest_at_every_midpoint() {
    for (scheme, signed) in [("dynamic_signed", true), ("dynamic_unsigned", false)] {
        let map = map(signed, Linspace::Fused);
        let mut ties = 0;
        for (lower, pair) in map.windows(2).enumerate() {
            // A binary64 holds the sum of neighbours, and its half.
            let middle = (f64::from(pair[0]) + f64::from(pair[1])) / 2.0;
            let near = middle as f32;
            let (below, above) = (near.next_down(), near.next_up());
            let x = [1.0, near, below, above, pair[0], pair[1]];
            let codes = line(scheme, &[], &x).codes;
            let is_tie = f64::from(near) == middle;
            ties += u32::from(is_tie);
            let at_near = lower + usize::from(f64::from(near) > middle);
            let Numbers::U8(codes) = codes else { panic!("codes of 8 bits") };
            let codes: Vec<usize> = codes.into_iter().map(usize::from).collect();
            assert_eq!(codes, [255, at_near, lower, lower + 1, lower, lower + 1], "{scheme} {lower}");
        }
        assert!(ties > 20, "{ties} midpoints are binary32 numbers");
    }
}

#[test]
fn blocks_and_specials() {
    let y = line("dynamic_signed", &["block=2"], &[4.0, -1.0, 0.0, -0.0, f32::NAN, 2.0, f32::NEG_INFINITY, 3.0, 0.5]);
    assert_eq!(y.scales, Numbers::F32(vec![4.0, 0.0, 2.0, 3.0, 0.5]));
    let Numbers::U8(codes) = &y.codes else { panic!("codes of 8 bits") };
    assert_eq!((codes[0], &codes[2..5], codes[5], codes[6], codes[7], codes[8]), (255, &[127, 127, 127][..], 255, 0, 255, 255));
    assert!(y.values[0] == 4.0 && y.values[2] == 0.0 && y.values[4].is_nan() && y.values[6] == map(true, Linspace::Fused)[0] * 3.0);
    assert_eq!((y.counts.blocks, y.counts.zero_blocks, y.counts.nan), (5, 1, 1));
    // The map is asymmetric: -1 is cut to -0.993. 0.5 lies in cell 28 of 64 from 0.1 on: 191 + 28.
    let y = line("dynamic_signed", &[], &[-2.0, 1.0]);
    assert_eq!((y.codes, y.counts.saturated), (Numbers::U8(vec![0, 219]), 1));
    // Negative numbers have no place in the unsigned map but 0.
    assert_eq!(line("dynamic_unsigned", &[], &[-1.0, 1.0]).codes, Numbers::U8(vec![0, 255]));
}

#[test]
fn signs_are_mended_on_request() {
    let x = [1.0, -1e-8, 1e-8, 0.0];
    assert_eq!(line("dynamic_signed", &[], &x).codes, Numbers::U8(vec![255, 127, 127, 127]));
    assert_eq!(line("dynamic_signed", &["sign_fix=true"], &x).codes, Numbers::U8(vec![255, 126, 127, 127]));
}

#[test]
fn values_are_found_again() {
    let mut random = Random(4);
    for _ in 0..20 {
        let x = random.numbers(200);
        let y = line("dynamic_signed", &["block=64"], &x);
        // Where the largest magnitude is positive it is met exactly, and the block is the same.
        let again = line("dynamic_signed", &["block=64"], &y.values);
        let (Numbers::U8(first), Numbers::U8(second)) = (&y.codes, &again.codes) else { panic!("codes of 8 bits") };
        let (Numbers::F32(scales), Numbers::F32(scales_again)) = (&y.scales, &again.scales) else { panic!("scales") };
        for (i, (a, b)) in first.iter().zip(second).enumerate() {
            assert!(scales[i / 64] != scales_again[i / 64] || a == b);
        }
    }
}
