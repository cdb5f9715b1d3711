//! What memory and registers hold, and when.

use super::*;

#[test]
fn host_accesses_stay_inside_dram() {
    let mut machine = Machine::new(design(&[("memory.dram_mib", "1")]), Engine::Fast, KernelChoice::Auto).unwrap();
    for (address, count) in [(1 << 20, 1), ((1 << 20) - 3, 1), (u64::MAX, 2), (0, usize::MAX)] {
        assert!(matches!(machine.read(address, Format::FP32, count), Err(DeviceError::OutOfRange { .. })), "{address} {count}");
    }
    assert!(machine.write((1 << 20) - 7, Format::FP32, &[0, 0]).is_err());
    assert_eq!(machine.write((1 << 20) - 8, Format::FP32, &[1, 2]), Ok(()));
    assert_eq!(machine.read((1 << 20) - 8, Format::FP32, 2), Ok(vec![1, 2]));
    assert_eq!(machine.read(u64::MAX, Format::FP32, 0), Ok(vec![]));
}

#[test]
fn memory_keeps_what_ran_before_a_refusal() {
    let text = ".data 0 fp32 =3\nformat f0, fp32\ntensor t0, f0, dram, 0, 1, 1\nvadd t0, t0, t0\nvadd t0, t0, t9";
    let mut machine = Machine::new(design(&[]), Engine::Fast, KernelChoice::Auto).unwrap();
    assert!(machine.run_with_data(&program(text), 0).is_err());
    assert_eq!(machine.read(0, Format::FP32, 1), Ok(vec![encode_f64(Format::FP32, 6.0)]));
}

#[test]
fn cost_only_designs_are_timed_and_not_computed() {
    let tpu = design::find("tpu-v3").unwrap();
    let cost_only = |engine| Machine::new(tpu.clone(), engine, KernelChoice::Auto).map(|_| ());
    assert_eq!(cost_only(Engine::Timing), Ok(()));
    for engine in [Engine::Fast, Engine::Ticked] {
        assert!(matches!(cost_only(engine), Err(DeviceError::CostOnly { .. })), "{engine:?}");
    }
}

#[test]
fn timing_leaves_zeros() {
    let text = ".data 0 fp32 =3\nformat f0, fp32\ntensor t0, f0, dram, 0, 1, 1\nvadd t0, t0, t0";
    let mut machine = Machine::new(design(&[]), Engine::Timing, KernelChoice::Auto).unwrap();
    assert_eq!(machine.run_with_data(&program(text), 0).unwrap().activity, None);
    assert_eq!(machine.read(0, Format::FP32, 2), Ok(vec![0, 0]));
}

#[test]
fn a_run_starts_from_cleared_registers_and_scratchpad() {
    let mut machine = Machine::new(design(&[]), Engine::Fast, KernelChoice::Auto).unwrap();
    let fill = ".data 0 fp32 =7\nformat f0, fp32\ntensor t0, f0, dram, 0, 1, 1\ntensor t1, f0, spm, 0, 1, 1\nload t1, t0";
    machine.run_with_data(&program(fill), 0).unwrap();
    let copy = "format f0, fp32\ntensor t0, f0, dram, 4, 1, 1\ntensor t1, f0, spm, 0, 1, 1\nstore t0, t1";
    machine.run(&program(copy), 0).unwrap();
    assert_eq!(machine.read(0, Format::FP32, 2), Ok(vec![encode_f64(Format::FP32, 7.0), 0]));
    assert!(machine.run(&program("store t0, t1"), 0).is_err());
}

#[test]
fn stochastic_rounding_knows_step_and_ordinal_only() {
    let mut text = String::from(
        "format f0, fp32\nformat f1, e4m3fn\ntensor t0, f0, dram, 0, 8, 32\ntensor t1, f1, dram, 0x1000, 8, 32\nvector sr16, saturate, max\nvcvt t1, t0\n",
    );
    let run = |text: &str, step| {
        let mut machine = Machine::new(design(&[]), Engine::Fast, KernelChoice::Auto).unwrap();
        machine.write(0, Format::FP32, &[encode_f64(Format::FP32, 1.03); 256]).unwrap();
        machine.run(&program(text), step).unwrap();
        machine.read(0x1000, Format::E4M3FN, 256).unwrap()
    };
    let first = run(&text, 0);
    let up = first.iter().filter(|code| **code == encode_f64(Format::E4M3FN, 1.125)).count();
    assert!((30..95).contains(&up), "{up} of 256 rounded up, 61 expected");
    assert_eq!(run(&text, 0), first);
    assert_ne!(run(&text, 1), first);
    text.insert_str(0, "nop\n");
    assert_ne!(run(&text, 0), first);
}
