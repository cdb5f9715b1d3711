//! Expected numbers by hand from the format's limits, and the rule of hysteresis.

use super::super::testing::{Random, bits, line, parameters};
use super::super::{Input, Numbers};
use super::*;
use crate::value::Value;

const SCALE_0: &[&str] = &["scale=0"];

#[test]
fn spot_values() {
    let tiny = 2f32.powi(-10);
    let x = [1.99, tiny, tiny / 2.0, 1.01 * tiny / 2.0, -5.0, -tiny / 2.0, 0.0, -0.0, 1.0, 1.0 + 1.0 / 32.0, 1.0 + 3.0 / 32.0];
    let expected = [1.9375, tiny, 0.0, tiny, -1.9375, -0.0, 0.0, -0.0, 1.0, 1.0, 1.0 + 1.0 / 8.0];
    let y = line("fp134", SCALE_0, &x);
    assert_eq!(bits(&y.values), bits(&expected));
    assert_eq!(y.codes, Numbers::U8(vec![0x7f, 1, 0, 1, 0xff, 0x80, 0, 0x80, 0x70, 0x70, 0x72]));
    assert_eq!(y.counts.saturated, 2);
    // Just below 2 rounds to 2 and is cut; the scale's rule sees the 2.
    let y = line("fp134", SCALE_0, &[f32::from_bits(0x3fff_ffff)]);
    assert_eq!((y.values[0], &y.state["next_scale"]), (1.9375, &1.into()));
    let y = line("fp134", SCALE_0, &[f32::INFINITY, f32::NAN]);
    assert!(y.values[0] == 1.9375 && y.values[1].is_nan());
}

/// FP134, FP143 and FP152 under scale S are floats with bias 2^e - 1 - S, code by code.
#[test]
fn codes_are_floats() {
    for (name, e, m) in [("fp134", 3u32, 4u32), ("fp143", 4, 3), ("fp152", 5, 2)] {
        for scale in [-3i32, 0, 2] {
            let bias = (1 << e) - 1 - scale;
            let float: systole_isa::format::Format = format!("e{e}m{m}b{bias}f").parse().unwrap();
            let x: Vec<f32> = (0..256u64)
                .map(|code| match Value::of(float, code) {
                    Value::Finite { negative, magnitude } => {
                        super::super::number::binary32(negative, &if negative { -magnitude } else { magnitude })
                    }
                    _ => unreachable!("all codes are finite"),
                })
                .collect();
            let y = line("fp134", &[&format!("format={name}"), &format!("scale={scale}")], &x);
            assert_eq!(bits(&y.values), bits(&x), "{name} {scale}");
            assert_eq!(y.codes, Numbers::U8((0..=255).collect()), "{name} {scale}");
        }
    }
}

#[test]
fn powers_of_two() {
    let x = [1.0, 0.75, 0.76, 1.49, 1.51, 0.0625, 0.015625, 0.0117, 0.0079, 0.0078];
    // Between powers the tie goes to the even count of half binades: 0.75 to 1, 1.5 to 2, cut to 1.
    let y = line("fp134", &["format=log4", "scale=0"], &x);
    assert_eq!(y.values, [1.0, 1.0, 1.0, 1.0, 1.0, 0.0625, 0.015625, 0.015625, 0.015625, 0.0]);
    assert_eq!(y.codes, Numbers::U8(vec![7, 7, 7, 7, 7, 3, 1, 1, 1, 0]));
    // log3: 1, 1/2, 1/4.
    let y = line("fp134", &["format=log3", "scale=0"], &[-1.0, 0.5, 0.25, 0.13, 0.125]);
    assert_eq!((y.values, y.codes), (vec![-1.0, 0.5, 0.25, 0.25, 0.0], Numbers::U8(vec![7, 2, 1, 1, 0])));
}

#[test]
fn hysteresis_waits_for_a_whole_step() {
    // Steps of 1/16 in [1, 2).
    let at = |previous: f32, x: f32| {
        let y = parameters("fp134", SCALE_0).quantize(&Input::new(&[1], &[x]).previous(&[previous])).unwrap();
        y.values[0]
    };
    assert_eq!(at(1.0, 1.0624), 1.0);
    assert_eq!(at(1.0, 1.0625), 1.0625);
    assert_eq!(at(1.0625, 1.0624), 1.0625);
    assert_eq!(at(1.0625, 1.0), 1.0);
    assert_eq!(at(1.125, 1.0626), 1.125);
    // Signed: towards the previous value from either side of zero, and beyond the top.
    assert_eq!(at(-1.0, -1.03), -1.0);
    assert_eq!(at(-1.1, -1.03), -1.0625);
    assert_eq!(at(0.0, -1.03), -1.0);
    assert_eq!(at(0.5, -0.0001).to_bits(), (-0.0f32).to_bits());
    assert_eq!(at(-0.5, 0.0001), 0.0);
    assert_eq!(at(1.9375, 2.5), 1.9375);
    // The nearest flips at each crossing of a threshold, hysteresis never.
    let (mut flips, mut held) = (0, 0);
    let (mut nearest, mut kept) = (1.0f32, 1.0f32);
    for i in 0..100 {
        let x = 1.03125 + if i % 2 == 0 { 0.6 } else { -0.6 } / 32.0;
        let y = line("fp134", SCALE_0, &[x]).values[0];
        flips += u32::from(y != nearest);
        nearest = y;
        let y = at(kept, x);
        held += u32::from(y != kept);
        kept = y;
    }
    assert_eq!((flips, held), (100, 0));
}

#[test]
fn stochastic_compares_with_the_signed_fraction() {
    // 1.01 is 16.16 steps up from 0, -1.01 is 0.84 above -17.
    let x = [1.01, 1.01, -1.01, -1.01, -0.0001];
    let u = [0.15, 0.17, 0.83, 0.85, 0.5];
    let y = parameters("fp134", SCALE_0).quantize(&Input::new(&[5], &x).uniforms(&u)).unwrap();
    assert_eq!(bits(&y.values), bits(&[1.0625, 1.0, -1.0, -1.0625, 0.0]));
    let both = Input::new(&[5], &x).uniforms(&u).previous(&x);
    assert_eq!(parameters("fp134", &[]).quantize(&both).unwrap_err(), SchemeError::Both);
}

#[test]
fn scales_follow_channels_and_room() {
    let x = [1.0, 0.3, 8.0, 0.3, 0.0, 0.0];
    let y = parameters("fp134", &["share=channel", "room=1"]).quantize(&Input::new(&[3, 2], &x)).unwrap();
    assert_eq!(y.scales, Numbers::I32(vec![1, 4, 1]));
    // Zeros need no binade.
    assert_eq!(y.state["next_scale"], serde_json::json!([1, 4, 0]));
    for (settings, next) in [(&["scale=0"][..], 4), (&["scale=3"], 3), (&["scale=3", "room=1"], 4), (&["scale=4"], 3), (&["scale=2"], 3)] {
        let y = line("fp134", settings, &x);
        let next = if settings == ["scale=0"] { 1 } else { next };
        assert_eq!(y.state["next_scale"], next, "{settings:?}");
    }
}

#[test]
fn lists_are_checked() {
    let refused = |list: &str| {
        let p = parameters("fp134", &[&format!("significant_bits={list}")]);
        p.quantize(&Input::new(&[1], &[1.0])).unwrap_err().to_string()
    };
    for list in ["[]", "[0]", "[0,4]", "[3,0,0]", "[3,0,1]", "[3,17]", "[17]"] {
        assert!(refused(list).starts_with("significant_bits="), "{list}");
    }
    // [2]: 1 and 1.5 and, below, multiples of 0.5.
    let y = line("fp134", &["significant_bits=[2]", "scale=0"], &[1.5, 1.0, 0.5, 0.26, 0.25]);
    assert_eq!((y.values, y.codes), (vec![1.5, 1.0, 0.5, 0.5, 0.0], Numbers::U8(vec![3, 2, 1, 1, 0])));
}

/// The authors also try formats that are finest below the top, as in `[4,5,4,3,2,1,0]`.
#[test]
fn lists_may_rise() {
    // [3,4,2] under S = 0: fourths from 1, sixteenths from 1/2, eighths below.
    let settings = ["significant_bits=[3,4,2]", "scale=0"];
    let x = [1.99, 1.75, 1.1, 0.97, 0.9375, 0.53, 0.47, 0.4, 0.0626, 0.0624, -0.90626, -1.125];
    let y = line("fp134", &settings, &x);
    assert_eq!(bits(&y.values), bits(&[1.75, 1.75, 1.0, 1.0, 0.9375, 0.5, 0.5, 0.375, 0.125, 0.0, -0.9375, -1.0]));
    assert_eq!(y.codes, Numbers::U8(vec![15, 15, 12, 12, 11, 4, 4, 3, 1, 0, 16 | 11, 16 | 12]));
    // Hysteresis, a step of the number's own binade.
    let held = parameters("fp134", &settings).quantize(&Input::new(&[3], &[0.9, 1.2, -0.9]).previous(&[1.0, 1.0, -1.0])).unwrap();
    assert_eq!(held.values, [0.9375, 1.0, -0.9375]);
    // Sixteen binades of which the three at the top have 3 bits, and no gradual end.
    let y = line("fp134", &["significant_bits=[3,3,3,4,4,4,4,4,4,4,4,4,4,4,4,4]", "scale=0"], &[1.9, 0.2, 0.122, 2f32.powi(-18)]);
    assert_eq!(y.values, [1.75, 0.203125, 0.125, 2f32.powi(-18)]);
    assert_eq!(y.codes, Numbers::U8(vec![123, 109, 104, 1]));
}

/// What a step remembers is taken as it is by the next.
#[test]
fn scales_are_taken_back() {
    let x = [1.0, 0.3, 8.0, 0.3, 0.0, 0.0];
    let through = |scale: &str| parameters("fp134", &["share=channel", scale]).quantize(&Input::new(&[3, 2], &x));
    let y = through("scale=[1,2,1]").unwrap();
    assert_eq!(y.scales, Numbers::I32(vec![1, 2, 1]));
    // The top of the second channel lies one binade too low, that of the others one higher than needed.
    assert_eq!((y.values[2], &y.state["next_scale"]), (7.75, &serde_json::json!([0, 3, 0])));
    let next = y.state["next_scale"].to_string();
    assert_eq!(through(&format!("scale={next}")).unwrap().values, [1.0, 0.296875, 8.0, 0.296875, 0.0, 0.0]);
    assert_eq!(through("scale=2").unwrap().scales, Numbers::I32(vec![2; 3]));
    assert_eq!(through("scale=[1,2]").unwrap_err().to_string(), "scale=[1, 2]: 2 scales where there are 3 blocks");
    // With room a scale lies above every binary32, and zeros take it below.
    let y = line("fp134", &["room=2"], &[3e38]);
    assert_eq!(y.state["scale"], 129);
    assert_eq!(line("fp134", &["room=2", "scale=129"], &[3e38]), y);
    assert_eq!(line("fp134", &["scale=-300"], &[0.0]).state["next_scale"], -301);
}

#[test]
fn again_changes_nothing_and_errors_stay_below_a_step() {
    let mut random = Random(3);
    for name in ["fp134", "fp143", "fp152", "log4", "log3"] {
        let format = format!("format={name}");
        let settings = [format.as_str(), "scale=7"];
        let x = random.numbers(2000);
        let y = line("fp134", &settings, &x);
        assert_eq!(bits(&line("fp134", &settings, &y.values).values), bits(&y.values), "{name}");
        let previous = random.numbers(2000);
        let held = parameters("fp134", &settings).quantize(&Input::new(&[2000], &x).previous(&previous)).unwrap();
        for (i, (held, nearest)) in held.values.iter().zip(&y.values).enumerate() {
            let towards = if previous[i] > x[i] { *held >= x[i].min(254.0) } else { *held <= x[i] || x[i] < -128.0 };
            assert!(towards || x[i].abs() > 128.0, "{name} {} {} {held} {nearest}", previous[i], x[i]);
        }
    }
}
