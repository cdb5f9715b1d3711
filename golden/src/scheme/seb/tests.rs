//! The tracked scale by hand: at most one step an iteration, in either direction.

use super::super::Numbers;
use super::super::testing::line;
use serde_json::json;

#[test]
fn formats_by_hand() {
    // S = 0: largest 1.875, bias 15; 2^-14 is the smallest normal, 2^-17 the smallest.
    let y = line("seb", &["scale=0"], &[1.875, 1.9, 2.0, 2f32.powi(-14), 2f32.powi(-17), -2f32.powi(-18), -1.0625, 0.0]);
    assert_eq!(y.values, [1.875, 1.875, 1.875, 2f32.powi(-14), 2f32.powi(-17), -0.0, -1.0, 0.0]);
    assert_eq!(y.codes, Numbers::U8(vec![0x7f, 0x7f, 0x7f, 8, 1, 0x80, 0xf8, 0]));
    assert_eq!((&y.state["bias"], y.counts.saturated), (&json!(15), 1));
    let y = line("seb", &["room=1"], &[5.0]);
    assert_eq!((y.scales, &y.state["bias"], &y.state["next_scale"]), (Numbers::I32(vec![3]), &json!(12), &json!(3)));
}

#[test]
fn a_step_of_six_binades_takes_six_iterations() {
    let mut scale = 0i64;
    for iteration in 0..8 {
        let y = line("seb", &[&format!("scale={scale}")], &[1.5 * 64.0, 0.1]);
        assert_eq!(y.counts.saturated > 0, iteration < 6, "{iteration}");
        scale = y.state["next_scale"].as_i64().unwrap();
    }
    // Steady, and down again one by one.
    assert_eq!(scale, 6);
    for expected in [5, 4, 3, 2, 1, 0, 0, 0] {
        scale = line("seb", &[&format!("scale={scale}")], &[1.5, 0.1]).state["next_scale"].as_i64().unwrap();
        assert_eq!(scale, expected);
    }
}

#[test]
fn room_keeps_steady_and_tracking_can_be_left() {
    for room in 0..3 {
        let y = line("seb", &[&format!("room={room}"), &format!("scale={room}")], &[1.5, 0.1]);
        assert_eq!(y.state["next_scale"], room);
    }
    assert_eq!(line("seb", &["scale=9", "tracking=false"], &[1.5]).state["scale"], 0);
    assert_eq!(line("seb", &["scale=0"], &[0.0, 0.0]).state["next_scale"], -1);
}
