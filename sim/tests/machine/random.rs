//! Random designs and programs, hostile ones among them.

use super::*;

#[derive(Clone, Debug)]
struct Random {
    design: Design,
    program: Program,
}

/// A design and a program of a few products, copies and vector instructions on random operands.
fn random() -> impl Strategy<Value = Random> {
    let array =
        (1..9u32, 1..9u32, 1..4u32, select(vec!["os", "ws", "is"]), select(vec!["serial", "overlap"]), select(vec!["serial", "double"]));
    let more = (
        select(vec!["feedback", "outside"]),
        select(vec!["rtl", "rtl", "scalesim"]),
        select(vec!["rne", "rtz", "sr8"]),
        select(vec!["none", "1", "3", "8"]),
    );
    let memory = (select(vec!["64", "5.3", "1", "0.4"]), select(vec!["1", "2", "256"]), 0..200u32, select(vec!["1", "32"]));
    let scale = (
        select(vec!["none", "exponent", "chunk", "chunk_rounded"]),
        select(vec!["e8m0", "e4m3fn"]),
        select(vec![1, 1, 3, 8, 128u32]),
        select(vec![1, 1, 3, 8, 128u32]),
    );
    let step = (0..9u8, 1..20u32, 1..20u32, 1..30u32, any::<u64>());
    (array, more, memory, scale, prop::collection::vec(step, 1..6)).prop_map(|(array, more, memory, scale, steps)| {
        let scale_format = if scale.0 == "chunk" || scale.0 == "chunk_rounded" { scale.1 } else { "e8m0" };
        let chunk: Option<u32> = more.3.parse().ok();
        let scaled = scale.0 != "none" && chunk.is_some();
        let (rows, cols, count, dataflow, drain, preload) = array;
        let settings = [
            ("array.rows", rows.to_string()),
            ("array.cols", cols.to_string()),
            ("array.count", count.to_string()),
            ("array.dataflow", dataflow.to_owned()),
            ("array.drain", drain.to_owned()),
            ("array.preload", preload.to_owned()),
            ("array.partial_sums", more.0.to_owned()),
            ("array.convention", more.1.to_owned()),
            ("mac.rounding", more.2.to_owned()),
            ("mac.chunk", more.3.to_owned()),
            ("mac.accumulator", if more.3 == "none" { "fp32" } else { "e6m9" }.to_owned()),
            ("memory.dram_bytes_per_cycle", memory.0.to_owned()),
            ("memory.scratchpad_kib", "64".to_owned()),
            ("memory.accumulator_kib", "1".to_owned()),
            ("memory.scratchpad_banks", memory.1.to_owned()),
            ("memory.dram_latency_cycles", memory.2.to_string()),
            ("vector.lanes", memory.3.to_owned()),
            ("mac.scale", if scaled { scale.0 } else { "none" }.to_owned()),
            ("mac.scale_format", scale_format.to_owned()),
            ("mac.scale_rows", scale.2.to_string()),
            ("mac.scale_cols", scale.3.to_string()),
        ];
        let settings: Vec<_> = settings.map(|(path, value)| (path.to_owned(), value)).into();
        let design = design::find("fp8-16x16").unwrap().with_overrides(&settings).unwrap();
        let mut text = format!(".region odd\n.region even\nformat f0, e4m3fn\nformat f1, fp32\nformat f2, bf16\nformat f3, {scale_format}\nformat f4, e8m0\nformat f5, int8\n");
        let mut codes = Vec::new();
        for (i, (kind, m, n, k, seed)) in steps.into_iter().enumerate() {
            let mut state = seed;
            codes.extend((0..1200).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                state >> 56
            }));
            let space = if seed & 1 == 1 { "spm" } else { "dram" };
            let (a, b, d) = (i * 1200, i * 1200 + 600, 0x4000 + i * 0x800);
            text += if i % 2 == 0 { "mark even\n" } else { "mark odd\n" };
            text += &format!("tensor t0, f1, {space}, {d}, {m}, {n}\ntensor t1, f0, dram, {a}, {m}, {k}\ntensor t2, f0, dram, {b}, {k}, {n}\n");
            if scaled {
                let blocks = k.div_ceil(chunk.unwrap_or(1));
                let (rows, cols) = (m.div_ceil(scale.2), n.div_ceil(scale.3));
                let names = [["t7", "t8"], ["none", "t8"], ["t7", "none"], ["t9", "t8"], ["none", "none"]][(seed >> 32) as usize % 5];
                text += &format!(
                    "tensor t7, f3, dram, 0x1c000, {rows}, {blocks}\ntensor t8, f3, dram, 0x1c400, {blocks}, {cols}\n\
                     tensor t9, f3, spm, 0x8000, {rows}, {blocks}\nload t9, t7\nscales {}\n",
                    names.join(", ")
                );
            }
            // Powers of two in place of biases: a few binades, and NaN.
            let names = [["none", "none"], ["t10", "none"], ["none", "t11"], ["t10", "t11"]][(seed >> 36) as usize & 3];
            let (power_a, power_b) = (0x1e000 + (seed >> 38 & 7), 0x1e000 + (seed >> 41 & 7));
            text += &format!(
                "tensor t10, f4, dram, {power_a}, 1, 1\ntensor t12, f4, dram, {power_b}, 1, 1\ntensor t11, f4, spm, 0x8400, 1, 1\n\
                 load t11, t12\npowers {}\n",
                names.join(", ")
            );
            text += &match kind {
                0 | 1 => "gemm t0, t1, t2\n".to_owned(),
                2 => "gemmc t0, t1, t2, t0\n".to_owned(),
                8 => {
                    // A mask of a quarter or so of the products' own codes, which are few zeros, or of the sparse ones.
                    let (format, address) = if seed & 2 == 0 { ("f5", 0x1d000) } else { ("f0", 0x1d000 + (seed >> 40 & 0x3ff)) };
                    format!("tensor t15, {format}, dram, {address}, {m}, {n}\ngemmm t0, t1, t2, t15\n")
                }
                3 => format!("tensor t3, f0, spm, 0, {m}, {k}\nload t3, t1\ngemm t0, t3, t2\ntensor t4, f1, dram, {}, {m}, {n}\n{}", d + 0x100, if space == "spm" { "store t4, t0\n" } else { "fence\n" }),
                // Convolutions of two images: windows on the left; windows on the right, the result turned.
                6 => format!(
                    "scales none, none\ntensor t1, f0, dram, {a}, 24, 18\nwindow t1, 4, 3, 4, 3, 2, 3, 3, 1, 1, 1\ntensor t2, f0, dram, {b}, 18, {0}\n\
                     tensor t0, f1, {space}, {d}, 24, {0}\ngemm t0, t1, t2\n",
                    n
                ),
                7 => format!(
                    "scales none, none\ntensor t1, f0, dram, {a}, {0}, 24\nstride t1, {0}, 0, 1, {0}\ntensor t2, f0, dram, {b}, 24, 18\n\
                     window t2, 4, 3, 4, 3, 2, 3, 3, 1, 1, 1\ntensor t0, f1, {space}, {d}, {0}, 18\nstride t0, {0}, 0, 1, {0}\ngemm t0, t1, t2\n",
                    m
                ),
                4 => format!("gemm t0, t1, t2\ntensor t5, f2, dram, 0x10000, {m}, {n}\nvrelu t5, t0\ntensor t6, f1, dram, 0x18000, 1, {n}\nrsum t6, t5\nvadd t0, t0, t6\n\
                     tensor t13, f1, dram, 0x19000, {}, {}\nblocks 2, 3\nramax t13, t0\nvdiv t0, t0, t13\nrsum t13, t5\nblocks 0, 0\n\
                     tensor t14, f5, dram, 0x1a000, {m}, {n}\nvfind t14, t0, t6\nvhyst t5, t0, t6\nvlook t0, t14, t6\nvsign t0, t0, t5\n", m.div_ceil(2), n.div_ceil(3)),
                _ => format!("loop 3, 3\ngemm t0, t1, t2\nadvance t0, 4\nadvance t1, {}\n", m * k / 4),
            };
        }
        let mut program = program(&text);
        program.data.push(Segment { address: 0, format: Format::E4M3FN, codes });
        // Scales within a few binades of 1.
        let one = if scale_format == "e8m0" { 127 } else { 0x38 };
        let codes = (0..0x800u64).map(|i| one + (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) - 8).collect();
        program.data.push(Segment { address: 0x1c000, format: scale_format.parse().unwrap(), codes });
        // Thin, thick and empty stretches of masks.
        let strewn = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let codes = (0..0x800u64).map(|i| if strewn(i) < strewn(i / 64) { 0x38 } else { 0 }).collect();
        program.data.push(Segment { address: 0x1d000, format: Format::INT8, codes });
        let codes = [127, 124, 130, 121, 0xff, 128, 126, 133].into();
        program.data.push(Segment { address: 0x1e000, format: Format::E8M0, codes });
        Random { design, program }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn engines_agree_and_time_adds_up(case in random()) {
        let mut outcomes = Vec::new();
        let in_bands = [(Engine::Fast, 1), (Engine::Fast, 400)];
        for (engine, bytes) in Engine::ALL.into_iter().map(|engine| (engine, u64::MAX)).chain(in_bands) {
            let machine = Machine::new(case.design.clone(), engine, KernelChoice::Auto).unwrap();
            let mut machine = machine.with_gathered_bytes(bytes);
            let record = machine.run_with_data(&case.program, 3).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(record.cycles.total, record.cycles.compute + record.cycles.stalled());
            let mut sum = Cycles::default();
            for region in &record.regions {
                prop_assert_eq!(region.cycles.total, region.cycles.compute + region.cycles.stalled());
                sum += &region.cycles;
            }
            prop_assert_eq!(&sum, &record.cycles);
            let moved = record.events.dram_read_bytes + record.events.dram_write_bytes;
            let fastest = moved as f64 / case.design.memory.dram_bytes_per_cycle;
            prop_assert!(record.cycles.total as f64 + 1.0 >= fastest, "{moved} bytes in {}", record.cycles.total);
            let memory = machine.read(0, Format::INT8, 0x20000).unwrap();
            outcomes.push((record, Codes::from_fn(Format::INT8, memory.len(), |i| memory[i])));
        }
        for same in [1, 3, 4] {
            prop_assert_eq!(&outcomes[0], &outcomes[same]);
        }
        let (fast, timing) = (&outcomes[0].0, &outcomes[2].0);
        prop_assert!(fast.activity.is_some() && timing.activity.is_none());
        if masked(&case.program) {
            prop_assert_eq!(fast.events.macs, timing.events.macs);
            prop_assert!(fast.cycles.compute <= timing.cycles.compute);
            // Several arrays may share fewer operands of the tiles that are left.
            let shared = |event| case.design.array.count > 1 && ["dram_read_bytes", "scratchpad_write_bytes"].contains(&event);
            for ((event, spent), (_, most)) in fast.events.iter().zip(timing.events.iter()) {
                prop_assert!(spent <= most || event == "idle_lane_cycles" || shared(event), "{}: {} of {}", event, spent, most);
            }
            return Ok(());
        }
        prop_assert_eq!(&fast.cycles, &timing.cycles);
        prop_assert_eq!(fast.events, timing.events);
        prop_assert_eq!(&fast.macs_by_mode, &timing.macs_by_mode);
    }
}

/// True if a program has masked products, which cost what their masks select.
fn masked(program: &Program) -> bool {
    program.instructions.iter().any(|i| matches!(i, Instruction::GemmM { .. }))
}

/// Instructions with small operands, sound or not.
fn hostile() -> impl Strategy<Value = Vec<String>> {
    let format = (0..4u8, select(vec!["e4m3fn", "fp32", "bf16", "int8", "e8m0", "e7m9", "fx46.18"]))
        .prop_map(|(f, name)| format!("format f{f}, {name}"));
    let tensor = (0..6u8, 0..4u8, select(vec!["dram", "spm"]), 0..0x2000u32, (0..20u32, 0..20u32))
        .prop_map(|(t, f, space, address, (rows, cols))| format!("tensor t{t}, f{f}, {space}, {address}, {rows}, {cols}"));
    let stride = (0..6u8, 0..9u32, -40..40i32, -40..40i32, -3..3i32).prop_map(|(t, i, a, b, c)| format!("stride t{t}, {i}, {a}, {b}, {c}"));
    let window = (0..6u8, prop::collection::vec(0..5u32, 10))
        .prop_map(|(t, fields)| format!("window t{t}, {}", fields.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")));
    let control = prop_oneof![
        (0..4u32, 0..12u32).prop_map(|(count, length)| format!("loop {count}, {length}")),
        (0..6u8, -300..300i32).prop_map(|(t, bytes)| format!("advance t{t}, {bytes}")),
        (0..4u8).prop_map(|mode| format!("mode {mode}")),
        (0..6u8, 0..6u8).prop_map(|(a, b)| format!("scales t{a}, {}", if b == 0 { "none".to_owned() } else { format!("t{b}") })),
        Just("scales none, none".to_owned()),
        (-9..9i32, -9..9i32).prop_map(|(a, b)| format!("bias {a}, {b}")),
        (0..6u8, 0..6u8).prop_map(|(a, b)| format!("powers t{a}, {}", if b == 0 { "none".to_owned() } else { format!("t{b}") })),
        Just("powers none, none".to_owned()),
        (0..6u32, 0..6u32).prop_map(|(rows, cols)| format!("blocks {rows}, {cols}")),
        Just("vector sr3, ieee, max".to_owned()),
        Just("output rup, saturate, nan".to_owned()),
        Just("fence".to_owned()),
    ];
    let work = (
        select(systole_isa::instruction::TABLE.iter().filter(|row| row.opcode >= 0x18).collect::<Vec<_>>()),
        prop::collection::vec(0..6u8, 4),
    )
        .prop_map(|(row, t)| {
            let operands: Vec<String> = row.operands.split_whitespace().zip(t).map(|(_, t)| format!("t{t}")).collect();
            format!("{} {}", row.mnemonic, operands.join(", "))
        });
    prop::collection::vec(prop_oneof![2 => format, 5 => tensor, 1 => stride, 1 => window, 1 => control, 6 => work], 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn hostile_programs_end_alike_under_every_engine(
        lines in hostile(),
        dataflow in select(vec!["os", "ws", "is"]),
        scale in select(vec!["none", "none", "exponent"]),
    ) {
        let text = lines.join("\n");
        let design = design(&[("mac.scale", scale), ("mac.chunk", "4"), ("memory.dram_mib", "1"), ("memory.scratchpad_kib", "4"), ("array.rows", "3"), ("array.cols", "2"), ("array.dataflow", dataflow)]);
        // Programs end at their first refusal; what ran before is compared by leaving it out.
        let mut program = program(&text);
        loop {
            let outcomes = Engine::ALL.map(|engine| {
                Machine::new(design.clone(), engine, KernelChoice::Auto).unwrap().with_instruction_limit(3000).run(&program, 1)
            });
            match outcomes {
                [Ok(fast), Ok(ticked), Ok(timing)] => {
                    prop_assert_eq!(&fast, &ticked);
                    if !masked(&program) {
                        prop_assert_eq!((&fast.cycles, fast.events), (&timing.cycles, timing.events));
                    }
                    prop_assert_eq!(fast.cycles.total, fast.cycles.compute + fast.cycles.stalled());
                    break;
                }
                [Err(fast), Err(ticked), Err(timing)] => {
                    prop_assert_eq!(&fast, &ticked);
                    prop_assert_eq!(&fast, &timing);
                    let text = fast.to_string();
                    let index = text.split_whitespace().nth(1).and_then(|n| n.parse::<usize>().ok());
                    prop_assert!(index.is_some_and(|i| i < program.instructions.len()), "{}", text);
                    program.instructions.remove(index.unwrap_or(0));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
