//! Codebooks against their definition, and that against tables worked by hand.

use super::super::{
    Blocks, Codebook, Elementwise, Operand, Operation, Target, VectorError, apply, check_indices, codebook_into, elementwise,
};
use super::super::{nearest, work};
use super::{Random, SITE, format, formats};
use systole_isa::codes::Codes;
use systole_isa::device::Activity;
use systole_isa::format::{Decoded, Format};
use systole_isa::round::{Policy, Rounding};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn decoded(values: &[f64]) -> Vec<Decoded> {
    values.iter().map(|&x| Decoded::from_f64(x)).collect()
}

#[test]
fn nearest_by_hand() {
    for (table, value, index) in [
        (&[0.0, 1.0, 4.0][..], 0.4, 0),
        (&[0.0, 1.0, 4.0], 2.6, 2),
        // Ties go to the lowest index, which need not be the lowest value.
        (&[0.0, 1.0, 4.0], 0.5, 0),
        (&[4.0, 1.0, 0.0], 0.5, 1),
        (&[4.0, 1.0, 0.0], 2.5, 0),
        (&[1.0, -1.0], 0.0, 0),
        (&[-1.0, 1.0], -0.0, 0),
        // Equal elements, zeros of either sign among them.
        (&[2.0, 3.0, 3.0], 9.0, 1),
        (&[5.0, -0.0, 0.0], 1e-30, 1),
        (&[5.0, 0.0, -0.0], -1e-30, 1),
        // Beyond any sum of 53 bits.
        (&[1e300, 1e-300, -1e-300], 1e-310, 1),
        (&[-1e-300, 1e-299, 1e-300], 1e200, 1),
        (&[1e-300, 1e-299], 1e200, 1),
        (&[-1e-300, -1e-299], -1e200, 1),
        (&[1e-300, -1e-300], 1e300, 0),
        (&[-1e-300, 1e-300], 1e300, 1),
        (&[-1e300, 1e300], 5e-324, 1),
        (&[1e300, -1e300], 0.0, 0),
        // Infinities.
        (&[1.0, 7.0, -2.0, 7.0], INF, 1),
        (&[1.0, 7.0, -2.0, -2.0], -INF, 2),
        (&[1.0, INF, 7.0], INF, 1),
        (&[1.0, INF, -INF], -INF, 2),
        (&[INF, 1.0, -INF], 1e308, 1),
        (&[-INF, INF], 3.0, 0),
        (&[INF], -INF, 0),
        // NaN.
        (&[3.0, 1.0], NAN, 0),
        (&[NAN, 1.0], NAN, 0),
        (&[NAN, 9.0, 1.0], 1.0, 2),
        (&[NAN, -9.0], INF, 1),
        (&[NAN, NAN], 1.0, 0),
    ] {
        assert_eq!(nearest(Decoded::from_f64(value), &decoded(table)), index, "{value} in {table:?}");
    }
}

/// Both instructions against the definition.
fn check(values: &Operand, table: &Operand, indices: Format, blocks: Blocks, (rows, cols): (usize, usize)) {
    let target = Target { format: indices, rows, cols, policy: Policy::RNE, blocks, site: SITE };
    let mut got = Codes::from_fn(Format::FP16, rows * cols + 3, |_| u64::MAX);
    let activity = codebook_into(Codebook::Find, &target, &[*values, *table], &mut got).unwrap();
    assert_eq!((activity, got.len()), (Activity::default(), rows * cols));
    let all: Vec<Decoded> = table.codes.iter().map(|code| table.format.decode(code)).collect();
    let (height, width) = (rows.div_ceil(values.rows), cols.div_ceil(values.cols));
    for i in 0..rows * cols {
        let code = values.codes.get(i / cols / height * values.cols + i % cols / width);
        let want = nearest(values.format.decode(code), &all) as u64;
        assert_eq!(got.get(i), want, "{} {code:#x} at {i} among {} of {}", values.format, table.cols, table.format);
    }
}

#[test]
fn the_search_is_the_definition() {
    let mut random = Random(60);
    for entries in [1, 2, 3, 5, 15, 16, 17, 200, 255, 256, 257, 1000] {
        for case in 0..9 {
            let from = random.pick(&formats(&["fp32", "fp32", "bf16", "e4m3fn", "e5m2", "int8", "e8m0", "fp16", "posit8_0", "fp64"]));
            let of = random.pick(&formats(&["fp32", "fp32", "bf16", "e4m3fn", "e2m1f", "e5m2", "e8m0", "int8", "fp64"]));
            if (from == Format::FP64 || of == Format::FP64) && entries > 300 {
                continue;
            }
            let mut table = Codes::from_fn(of, entries, |_| random.code(of));
            if case % 3 == 0 {
                // Near one another and in order, as codebooks are.
                let first = random.code(of) & (of.mask() >> 2);
                table = Codes::from_fn(of, entries, |i| (first + (i as u64).wrapping_mul(case + 1)) & of.mask());
            }
            let table = Operand { format: of, rows: 1, cols: entries, codes: &table };
            // Elements of the table, middles of two of them and their neighbours, and anything.
            let pick = |random: &mut Random| of.to_f64(table.codes.get(random.next() as usize % entries));
            let codes = Codes::from_fn(from, 600, |i| {
                let exact = match i % 4 {
                    0 => pick(&mut random),
                    1 => pick(&mut random) / 2.0 + pick(&mut random) / 2.0,
                    2 => {
                        let at = random.next() as usize % entries;
                        (of.to_f64(table.codes.get(at)) + of.to_f64(table.codes.get((at + 1) % entries))) / 2.0
                    }
                    _ => return random.code(from),
                };
                let code = systole_isa::round::encode_f64(from, exact);
                code.wrapping_add(random.pick(&[0, 0, 1, u64::MAX])) & from.mask()
            });
            let values = Operand { format: from, rows: 20, cols: 30, codes: &codes };
            let indices = format(if entries <= 256 { "int8" } else { "fp16" });
            check(&values, &table, indices, Blocks::WHOLE, (20, 30));
            check(&values, &table, indices, Blocks { rows: 2, cols: 3 }, (40, 90));
        }
    }
}

#[test]
fn every_code_of_narrow_formats_in_every_table_of_them() {
    for of in formats(&["e4m3fn", "e2m1f", "e4m3fnuz", "int8"]) {
        let all = Codes::from_fn(of, 1 << of.bits(), |i| i as u64);
        let table = Operand { format: of, rows: 1, cols: all.len(), codes: &all };
        for from in formats(&["e5m2", "bf16"]) {
            let codes = Codes::from_fn(from, 1 << from.bits(), |i| i as u64);
            let values = Operand { format: from, rows: 1, cols: codes.len(), codes: &codes };
            check(&values, &table, format("int8"), Blocks::WHOLE, (1, codes.len()));
        }
    }
}

#[test]
fn many_threads_find_what_one_does() {
    let mut random = Random(61);
    let table = Codes::from_fn(Format::FP32, 256, |i| u64::from(((i as f32 - 128.0) / 128.0).powi(3).to_bits()));
    let table = Operand { format: Format::FP32, rows: 1, cols: 256, codes: &table };
    let codes = Codes::from_fn(Format::FP32, 100_000, |_| random.code(Format::FP32));
    check(&Operand { format: Format::FP32, rows: 100, cols: 1000, codes: &codes }, &table, format("int8"), Blocks::WHOLE, (100, 1000));
}

#[test]
fn looking_is_taking_and_converting() {
    let mut random = Random(62);
    for case in 0..200 {
        let (of, to) = (
            random.pick(&formats(&["fp32", "bf16", "e4m3fn", "fp64", "e8m0"])),
            random.pick(&formats(&["fp32", "e4m3fn", "bf16", "e8m0", "int8"])),
        );
        let from = random.pick(&formats(&["int8", "e2m1f", "e4m3fn", "fp16", "int32", "fp64"]));
        let entries = random.pick(&[1, 2, 16, 255, 256, 700]);
        let table = Codes::from_fn(of, entries, |_| random.code(of));
        let codes = Codes::from_fn(from, 35 * 20, |_| if case % 2 == 0 { (random.next() % 300) & from.mask() } else { random.code(from) });
        let values = Operand { format: from, rows: 35, cols: 20, codes: &codes };
        let target = Target { format: to, rows: 35, cols: 20, policy: random.policy(), blocks: Blocks::WHOLE, site: SITE };
        let mut got = Codes::zeros(to, 0);
        let table = Operand { format: of, rows: 1, cols: entries, codes: &table };
        let activity = codebook_into(Codebook::Look, &target, &[values, table], &mut got).unwrap();
        // Codes beyond the table stand for its last element.
        let taken = Codes::from_fn(of, codes.len(), |i| table.codes.get((codes.get(i) as usize).min(entries - 1)));
        let taken = Operand { format: of, codes: &taken, ..values };
        let want = elementwise(Elementwise::Convert, &target, &[taken]).unwrap();
        assert_eq!((got, activity), want, "{from} in {entries} of {of} -> {to}");
    }
    let (table, codes) = (Codes::U32([1.5f32, -2.0, 7.0].map(f32::to_bits).to_vec()), Codes::U8(vec![2, 0, 1, 3, 255]));
    let (table, values) = (
        Operand { format: Format::FP32, rows: 1, cols: 3, codes: &table },
        Operand { format: format("int8"), rows: 1, cols: 5, codes: &codes },
    );
    let target = Target { format: Format::FP32, rows: 1, cols: 5, policy: Policy::RNE, blocks: Blocks::WHOLE, site: SITE };
    let mut got = Codes::zeros(Format::FP32, 0);
    codebook_into(Codebook::Look, &target, &[values, table], &mut got).unwrap();
    assert_eq!(got, Codes::U32([7.0f32, 1.5, -2.0, 7.0, 7.0].map(f32::to_bits).to_vec()));
}

#[test]
fn refusals_and_work() {
    let find = |target, operands: &[(usize, usize)]| work(&Operation::Codebook(Codebook::Find), Blocks::WHOLE, target, operands);
    let says = |outcome: Result<_, VectorError>, needle: &str| {
        let text = outcome.map(|_| ()).unwrap_err().to_string();
        assert!(text.contains(needle), "{text}");
    };
    says(find((4, 4), &[(4, 4), (2, 8)]), "`vfind`: the table is 2x8; it must be one row of 1 to 65536 elements");
    says(find((4, 4), &[(4, 4), (1, 65537)]), "the table is 1x65537");
    says(find((4, 4), &[(3, 4), (1, 8)]), "3x4 does not repeat to the result's 4x4");
    says(find((4, 4), &[(4, 4)]), "takes 2 operands, not 1");
    let narrow = check_indices(format("int8"), 257).unwrap_err().to_string();
    assert!(
        narrow.contains("the table has 257 elements, more than the codes of int8 can number; give D a format of 9 bits or more"),
        "{narrow}"
    );
    assert_eq!((check_indices(format("int8"), 256), check_indices(format("e2m1f"), 16)), (Ok(()), Ok(())));
    assert!(check_indices(format("e2m1f"), 17).is_err() && check_indices(Format::FP16, 1 << 16).is_ok());
    for (entries, each, slots) in [(1, 0, 1), (2, 1, 1), (3, 2, 2), (16, 4, 4), (256, 8, 8), (257, 9, 9), (65536, 16, 16)] {
        let work = find((10, 17), &[(10, 17), (1, entries)]).unwrap();
        assert_eq!((work.additions, work.slots), (170 * each, 170 * slots), "{entries}");
        assert_eq!((work.multiplications, work.functions), (0, 0));
    }
    let look = work(&Operation::Codebook(Codebook::Look), Blocks::WHOLE, (10, 17), &[(10, 17), (1, 256)]).unwrap();
    assert_eq!((look.additions, look.slots), (170, 170));
    let one = |op, n| work(&Operation::Elementwise(op), Blocks::WHOLE, (1, n), &[(1, n), (1, n)]).unwrap();
    assert_eq!((one(Elementwise::Hysteresis, 9).additions, one(Elementwise::Hysteresis, 9).slots), (18, 9));
    assert_eq!((one(Elementwise::CopySign, 9).additions, one(Elementwise::CopySign, 9).slots), (9, 9));
}

#[test]
fn hysteresis_by_hand() {
    let e4m3 = Format::E4M3FN;
    let fp32 = |x: f32| (Format::FP32, u64::from(x.to_bits()));
    // Between 1 and 1.125; between 448 and what is beyond.
    for (a, p, want) in [
        (1.06f32, 1.0f32, 1.0f32),
        (1.06, 1.06, 1.0),
        (1.06, 1.1, 1.125),
        (1.0, 2.0, 1.0),
        (1.0, 0.0, 1.0),
        (-1.06, -1.0, -1.0),
        (-1.06, -2.0, -1.125),
        (0.0, 1.0, 0.0),
        (-0.0, 1.0, -0.0),
        (1e-9, 0.0, 0.0),
        (1e-9, 1.0, 2f32.powi(-9)),
        (-1e-9, 1.0, -0.0),
        (1.06, f32::NAN, 1.0),
        (1.06, f32::INFINITY, 1.125),
        (500.0, 0.0, 448.0),
        (500.0, 1000.0, f32::NAN),
        (-500.0, 0.0, -448.0),
        (-500.0, -1000.0, f32::NAN),
        (f32::NAN, 1.0, f32::NAN),
        (f32::INFINITY, 0.0, f32::NAN),
    ] {
        // Whatever the policy's rounding, random bits included.
        for rounding in [Rounding::Rne, Rounding::Rup, Rounding::Sr(8)] {
            let (code, _) = apply(Elementwise::Hysteresis, &[fp32(a), fp32(p)], e4m3, Policy::new(rounding), 77).unwrap();
            // An infinity is NaN here.
            let want = if want.is_nan() { 0x7f } else { systole_isa::round::encode_f64(e4m3, want.into()) };
            assert_eq!(code, want, "{a} {p}");
        }
    }
}

#[test]
fn signs_by_hand() {
    let name = |x: &str| format(x);
    let apply = |a: f32, x: (Format, u64)| {
        apply(Elementwise::CopySign, &[(Format::FP32, a.to_bits().into()), x], Format::FP32, Policy::RNE, 0).unwrap().0
    };
    let fp32 = |x: f32| u64::from(x.to_bits());
    for (x, negative) in [
        ((Format::FP32, fp32(-0.0)), true),
        ((Format::FP32, fp32(0.0)), false),
        ((Format::FP32, 0xffc0_0000), true),
        ((Format::FP32, 0x7fc0_0000), false),
        ((Format::E4M3FN, 0xff), true),
        ((name("int8"), 0x80), true),
        ((name("int8"), 0x7f), false),
        ((name("e8m0"), 0xff), false),
        ((name("posit8_0"), 0x80), true),
        ((name("e4m3fnuz"), 0x80), true),
    ] {
        let sign = if negative { -1.0 } else { 1.0 };
        for a in [3.0f32, 0.0, f32::INFINITY] {
            assert_eq!(apply(a, x), fp32(a * sign), "{a} {x:?}");
            assert_eq!(apply(-a, x), fp32(a * sign), "-{a} {x:?}");
        }
        assert_eq!(apply(-f32::NAN, x), 0x7fc0_0000);
    }
}
