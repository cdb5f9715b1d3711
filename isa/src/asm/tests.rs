use super::*;
use proptest::prelude::*;

fn texts(errors: &[AsmError]) -> String {
    errors.iter().map(|e| format!("{e}\n")).collect()
}

#[test]
fn a_program_reads_as_written() {
    let program = assemble(
        "p.s",
        "; a comment\n.region conv1 # first\n.region \"a; \\\"b\\\" \\u{e9}\"\n\
         .data 0x10 e4m3fn 38 =1.5 0x7e =nan\n.more =-0\n.expect 32 fp32 =2\n\n  mark conv1\nmark \"a; \\\"b\\\" \\u{e9}\"\n mark 0 \n\
         tensor t0,f0 , spm, 0x20, 2, 3 ; trailing\nhalt",
    )
    .unwrap();
    assert_eq!(program.regions, ["conv1", "a; \"b\" é"]);
    assert_eq!(program.data, [Segment { address: 16, format: Format::E4M3FN, codes: vec![0x38, 0x3c, 0x7e, 0x7f, 0x80] }]);
    assert_eq!(program.expect, [Segment { address: 32, format: Format::FP32, codes: vec![0x4000_0000] }]);
    let printed: Vec<String> = program.instructions.iter().map(Instruction::to_string).collect();
    assert_eq!(printed, ["mark 0", "mark 1", "mark 0", "tensor t0, f0, spm, 0x20, 2, 3", "halt"]);
}

#[test]
fn every_error_names_its_place_and_mend() {
    for (text, expected) in [
        ("vad t0, t1, t2", "1:1: `vad` is no instruction (did you mean `vadd`?)"),
        ("\n  vadd t0, t1", "2:3: `vadd` takes 3 operands (d a b), not 2"),
        ("vadd t0, t1, t64", "1:14: `vadd`, operand `b`: `t64` is no register t0 to t63"),
        ("vadd t0,, t1", "1:9: `vadd`, operand `a`: `` is no register t0 to t63"),
        ("é: nop", "1:1: `é:` is no instruction"),
        ("nop t0", "1:1: `nop` takes 0 operands (), not 1"),
        (".regions a", "1:1: `.regions` is no directive: use .region, .data, .expect or .more"),
        (".region", "1:1: `.region` lacks its name: write `.region NAME`"),
        (".region a b", "1:11: `b` is one word too many: put names with spaces in double quotes"),
        (".region a\n.region a", "2:9: region `a` is named already: each name stands once"),
        (".region \"a", "1:9: the quoted name does not end: close it with \""),
        (".region \"\\q\"", "1:9: an escape in a quoted name is one of"),
        (".region 7", "1:9: a name begins with a letter"),
        ("mark conv", "1:6: no region is named `conv`: add `.region conv` above"),
        ("mark 65536", "1:6: `mark`, operand `region`: `65536` is no number 0 to 65535"),
        (".data", "1:1: `.data` lacks its address: write `.data ADDRESS FORMAT CODE...`"),
        (".expect 0", "1:1: `.expect` lacks its format"),
        (".data -1 fp32", "1:7: `-1` is no byte address: use a number below 2^64"),
        (".data 0x fp32", "1:7: `0x` is no byte address"),
        (".data 0 fp23", "1:9: "),
        (".data 0 fp32 xyz", "1:14: `xyz` is no code: use hexadecimal digits, or =VALUE such as =1.5"),
        (".data 0 fp32 =x", "1:14: `=x` is no code"),
        (".data 0 e4m3fn 38 100", "1:19: code 0x100 does not fit the 8 bits of `e4m3fn`"),
        (".more 0", "1:1: .more continues the codes of a .data or .expect, and none stands above"),
    ] {
        let errors = assemble("f.s", text).expect_err(text);
        assert_eq!(errors.len(), 1, "{text}: {}", texts(&errors));
        let error = errors[0].to_string();
        assert!(error.starts_with(&format!("f.s:{expected}")), "{text}: {error}");
    }
}

#[test]
fn all_errors_are_reported_at_once() {
    let errors = assemble("f.s", "vad\nnop\n.x\nadvance t0, 99999999999999\n").unwrap_err();
    assert_eq!(errors.iter().map(|e| (e.line, e.column)).collect::<Vec<_>>(), [(1, 1), (3, 1), (4, 13)]);
}

#[test]
fn listings_indent_loops() {
    let source = "nop\nloop 2, 3\n  nop\n  loop 3, 1\n    fence\nhalt\n";
    assert_eq!(disassemble(&assemble("f.s", source).unwrap()), source);
}

fn instruction() -> impl Strategy<Value = Instruction> {
    // Fields filled at random mostly make instructions; formats and enums that they miss are skipped.
    let row = (0..TABLE.len(), any::<u128>()).prop_filter_map("no instruction", |(index, bits)| {
        let row = &TABLE[index];
        let width: u32 = row.widths.iter().sum();
        let fields = if width == 0 { 0 } else { bits >> (128 - width) };
        Instruction::decode(fields << 8 | u128::from(row.opcode)).ok()
    });
    let format = (0u8..16, 0..crate::format::NAMED.len()).prop_map(|(register, named)| Instruction::Format {
        dst: crate::field::FormatReg(register),
        format: crate::format::NAMED[named].name.parse().unwrap(),
    });
    prop_oneof![8 => row, 1 => format]
}

fn segment() -> impl Strategy<Value = Segment> {
    let format =
        prop_oneof![Just("e4m3fn"), Just("fp32"), Just("e6m9"), Just("fx46.18"), Just("e2m1f"), Just("int8"), Just("fp64"), Just("e7m9")];
    (any::<u64>(), format, prop::collection::vec(any::<u64>(), 0..40)).prop_map(|(address, format, codes)| {
        let format: Format = format.parse().unwrap();
        Segment { address, format, codes: codes.into_iter().map(|c| c & format.mask()).collect() }
    })
}

fn program() -> impl Strategy<Value = Program> {
    let regions = prop::collection::btree_set("\\PC{0,6}|[a-z]{1,3}|[\"\\\\;#\n\r\t ]{1,4}|[0-9]{1,2}", 0..6);
    (prop::collection::vec(instruction(), 0..40), regions, prop::collection::vec(segment(), 0..3), prop::collection::vec(segment(), 0..3))
        .prop_map(|(instructions, regions, data, expect)| Program { instructions, regions: regions.into_iter().collect(), data, expect })
}

proptest! {
    #[test]
    fn text_and_bytes_round_trip(program in program()) {
        let text = disassemble(&program);
        let again = assemble("f.s", &text).map_err(|e| TestCaseError::fail(format!("{text}\n{}", texts(&e))))?;
        prop_assert_eq!(again.words(), program.words());
        prop_assert_eq!(&again, &program);
        prop_assert_eq!(from_bytes(&to_bytes(&program)), Ok(program));
    }

    #[test]
    fn random_words_decode_to_what_encodes_them(words in prop::collection::vec((any::<u128>(), any::<u8>()), 256)) {
        for (word, shift) in words {
            // Small words have their reserved bits clear and so decode more often.
            let word = word >> (shift % 128);
            if let Ok(instruction) = Instruction::decode(word) {
                prop_assert_eq!(instruction.encode(), word);
                let program = Program { instructions: vec![instruction], ..Program::default() };
                prop_assert_eq!(assemble("f.s", &disassemble(&program)).unwrap().words(), vec![word]);
            }
        }
    }

    #[test]
    fn hostile_bytes_are_refused_without_harm(
        program in program(), cut in any::<prop::sample::Index>(), flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
    ) {
        let mut bytes = to_bytes(&program);
        let whole = bytes.clone();
        for (index, bits) in flips {
            let index = index.index(bytes.len());
            bytes[index] ^= bits;
        }
        if let Ok(other) = from_bytes(&bytes) {
            prop_assert_eq!(to_bytes(&other), bytes);
        }
        let short = &whole[..cut.index(whole.len())];
        prop_assert!(from_bytes(short).is_err());
    }

    #[test]
    fn hostile_text_never_panics(text in "(\\PC|[\n\"\\\\;#,.]){0,80}") {
        let _ = assemble("f.s", &text);
    }
}

#[test]
fn every_row_with_plain_fields_round_trips() {
    for row in TABLE {
        let word = u128::from(row.opcode);
        if let Ok(instruction) = Instruction::decode(word) {
            let text = instruction.to_string();
            assert_eq!(assemble("f.s", &text).unwrap().words(), [word], "{text}");
        }
    }
}

#[test]
fn containers_that_are_none() {
    let program = assemble("f.s", ".region a\n.data 0 e7m9 1ffff\nhalt").unwrap();
    let good = to_bytes(&program);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let mut longer = good.clone();
    longer.push(0);
    for (bytes, needle) in [
        (vec![], "magic"),
        (b"PK\x03\x04....".to_vec(), "magic"),
        (with(8, &[9]), "version 9"),
        (with(12, &u32::MAX.to_le_bytes()), "the instruction words needs 68719476720 bytes"),
        (with(16, &u32::MAX.to_le_bytes()), "bytes"),
        (with(28, &[0xff]), "word 0: opcode 0xff is no instruction"),
        (with(44, &u32::MAX.to_le_bytes()), "region name needs 4294967295 bytes"),
        (with(48, &[0xff]), "no UTF-8"),
        (with(57, &u64::MAX.to_le_bytes()), "encodes no format"),
        (with(65, &u64::MAX.to_le_bytes()), "the segment's codes needs 18446744073709551615 bytes"),
        (with(75, &[2]), "code 0x2ffff does not fit `e7m9`"),
        (longer, "1 bytes follow the program"),
    ] {
        let error = from_bytes(&bytes).expect_err(needle).to_string();
        assert!(error.contains(needle), "{error}");
    }
}
