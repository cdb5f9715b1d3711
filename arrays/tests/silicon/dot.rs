//! Dot products of bf16 accumulated in binary32: AVX512-BF16's pairs and AMX's tiles.

use crate::cpu::Feature;
use crate::operands::Random;
use crate::scalar::{control, fmass};
use std::arch::asm;
use systole_arrays::datapath::{Element, Mac, Output, dot};
use systole_isa::design::find;
use systole_isa::device::Activity;
use systole_isa::entropy::Site;
use systole_isa::format::Format;
use systole_isa::round::{Policy, Rounding, SubnormalPolicy};

/// Sixteen binary32 sums of a 512-bit register.
type Sums = [u32; 16];
/// Thirty-two bf16 operands of a 512-bit register; each sum takes a pair.
type Pairs = [u16; 32];

/// C + A B of the design's unit, one output.
struct Unit(Mac);

impl Unit {
    fn of(design: &str) -> Self {
        let mode = find(design).unwrap_or_else(|| panic!("no design {design}")).mac;
        Self(Mac::new(&mode, 0, 0))
    }

    fn output(&self, k: u32, a: impl Fn(u32) -> u16, b: impl Fn(u32) -> u16, c: u32) -> u32 {
        let output = Output { format: Format::FP32, policy: Policy::RNE };
        let element = Element { site: Site::default(), row: 0, column: 0 };
        let (a, b) = (|i| u64::from(a(i)), |i| u64::from(b(i)));
        dot(&self.0, k, a, b, Some(c.into()), None, &output, &element, &mut Activity::default()) as u32
    }
}

fn same(ours: u32, theirs: u32) -> bool {
    ours == theirs || f32::from_bits(ours).is_nan() && f32::from_bits(theirs).is_nan()
}

/// Operands of a sum of `terms` products, and an addend that often nearly cancels one of them.
fn sum(random: &mut Random, terms: usize) -> (Vec<u16>, Vec<u16>, u32) {
    let (bf16, fp32) = (Format::BF16, Format::FP32);
    let specials = random.below(4) == 0;
    let mut operand = |_| {
        if specials {
            random.code(bf16) as u16
        } else {
            // Finite, within few binades of one, so that every addition of a long sum rounds.
            (random.next() as u16 & 0x807f) | (120 + random.below(12) as u16) << 7
        }
    };
    let (mut a, mut b): (Vec<u16>, Vec<u16>) = ((0..terms).map(&mut operand).collect(), (0..terms).map(&mut operand).collect());
    let c = match random.below(4) {
        0 => random.code(fp32) as u32,
        1 if terms > 1 => {
            // Two products that cancel but for their last bits.
            let (i, j) = (random.below(terms as u64) as usize, random.below(terms as u64) as usize);
            (a[i], b[i]) = (a[j] ^ 0x8000, b[j] ^ (random.below(2) as u16));
            random.code(fp32) as u32
        }
        _ => {
            let product = f32::from_bits(u32::from(a[0]) << 16) * f32::from_bits(u32::from(b[0]) << 16);
            (-product).to_bits().wrapping_add(random.below(9) as u32).wrapping_sub(4)
        }
    };
    (a, b, c)
}

/// The unit of `avx512-bf16` against something that computes sixteen sums of pairs.
fn hold_pairs(silicon: impl Fn(&Sums, &Pairs, &Pairs) -> Sums, blocks: u32) {
    let unit = Unit::of("avx512-bf16");
    let mut random = Random(11);
    for _ in 0..blocks {
        let (mut a, mut b, mut c) = ([0; 32], [0; 32], [0; 16]);
        for i in 0..16 {
            let (x, y, z) = sum(&mut random, 2);
            a[2 * i..2 * i + 2].copy_from_slice(&x);
            b[2 * i..2 * i + 2].copy_from_slice(&y);
            c[i] = z;
        }
        let d = silicon(&c, &a, &b);
        for i in 0..16 {
            let ours = unit.output(2, |k| a[2 * i + k as usize], |k| b[2 * i + k as usize], c[i]);
            let (x, y) = (&a[2 * i..2 * i + 2], &b[2 * i..2 * i + 2]);
            assert!(same(ours, d[i]), "{:#x} + {x:x?} . {y:x?}: {ours:#x}, silicon {:#x}", c[i], d[i]);
        }
    }
    println!("pairs: {} cases, none differs", u64::from(blocks) * 16);
}

fn vdpbf16ps(c: &Sums, a: &Pairs, b: &Pairs) -> Sums {
    let mut d = *c;
    // SAFETY: reads and writes 64 bytes behind each pointer, the arrays' size; callers have found AVX512-BF16,
    // and every vector register is declared lost.
    unsafe {
        asm!(
            "vmovups zmm0, zmmword ptr [{d}]",
            "vmovups zmm1, zmmword ptr [{a}]",
            "vmovups zmm2, zmmword ptr [{b}]",
            "vdpbf16ps zmm0, zmm1, zmm2",
            "vmovups zmmword ptr [{d}], zmm0",
            "vzeroupper",
            d = in(reg) d.as_mut_ptr(), a = in(reg) a.as_ptr(), b = in(reg) b.as_ptr(),
            clobber_abi("C"),
            options(nostack),
        );
    }
    d
}

fn avx512(blocks: u32) {
    if Feature::Avx512Bf16.here() {
        hold_pairs(vdpbf16ps, blocks);
    }
}

#[test]
fn pairs_of_avx512() {
    avx512(20_000);
}

/// `cargo test --release -p systole-arrays --test silicon -- --ignored --nocapture pairs`
#[test]
#[ignore = "minutes"]
fn pairs_of_avx512_at_length() {
    avx512(2_000_000);
}

/// One fused multiply-add as the dot-product instructions make it: nearest even, no subnormals.
fn fused(a: u16, b: u16, c: f32) -> f32 {
    let widen = |code: u16| f32::from_bits(u32::from(code) << 16);
    fmass(control(Rounding::Rne, SubnormalPolicy::DazFtz), widen(a), widen(b), c).0
}

/// The sum of two as a fused multiply-add with a factor of one.
fn added(x: f32, y: f32) -> f32 {
    fmass(control(Rounding::Rne, SubnormalPolicy::DazFtz), x, 1.0, y).0
}

#[test]
fn pairs_of_a_stand_in() {
    if !Feature::Fma3.here() {
        return;
    }
    let pair = |c: u32, a: &[u16], b: &[u16]| fused(a[0], b[0], fused(a[1], b[1], f32::from_bits(c))).to_bits();
    hold_pairs(|c, a, b| std::array::from_fn(|i| pair(c[i], &a[2 * i..], &b[2 * i..])), 20_000);
}

/// Sixteen rows of 64 bytes.
type Tile<T, const N: usize> = [[T; N]; 16];

/// The unit of `amx-bf16` against something that computes C + A B of 16 x 32 by 32 x 16. B
/// comes as the instruction takes it: row r holds b(2r, n) and b(2r + 1, n) side by side.
fn hold_tiles(silicon: impl Fn(&mut Tile<u32, 16>, &Tile<u16, 32>, &Tile<u16, 32>), tiles: u32) {
    let unit = Unit::of("amx-bf16");
    let mut random = Random(12);
    for _ in 0..tiles {
        let (mut a, mut b, mut c) = ([[0; 32]; 16], [[0; 32]; 16], [[0; 16]; 16]);
        for i in 0..16 {
            let (row, column, _) = sum(&mut random, 32);
            a[i].copy_from_slice(&row);
            for (k, code) in column.into_iter().enumerate() {
                b[k / 2][2 * i + k % 2] = code;
            }
            c[i] = std::array::from_fn(|_| sum(&mut random, 1).2);
        }
        let mut d = c;
        silicon(&mut d, &a, &b);
        for (row, column) in (0..16).flat_map(|row| (0..16).map(move |column| (row, column))) {
            let ours = unit.output(32, |k| a[row][k as usize], |k| b[k as usize / 2][2 * column + k as usize % 2], c[row][column]);
            let theirs = d[row][column];
            let (x, y): (_, Vec<u16>) = (a[row], (0..32).map(|k| b[k / 2][2 * column + k % 2]).collect());
            assert!(same(ours, theirs), "{:#x} + {x:x?} . {y:x?}: {ours:#x}, silicon {theirs:#x}", c[row][column]);
        }
    }
    println!("tiles: {} cases, none differs", u64::from(tiles) * 256);
}

/// Palette 1: eight tiles, of which 0, 1 and 2 have sixteen rows of 64 bytes.
#[repr(C, align(64))]
struct TileConfiguration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

fn tdpbf16ps(d: &mut Tile<u32, 16>, a: &Tile<u16, 32>, b: &Tile<u16, 32>) {
    let mut configuration = TileConfiguration { palette: 1, start_row: 0, reserved: [0; 14], row_bytes: [0; 16], rows: [0; 16] };
    configuration.row_bytes[..3].fill(64);
    configuration.rows[..3].fill(16);
    // SAFETY: the configuration is the 64 bytes that palette 1 defines; each tile reads or writes sixteen rows
    // of 64 bytes, 64 apart, which is what the arrays hold; callers have found AMX and the right to use it;
    // the tiles are released again.
    unsafe {
        asm!(
            "ldtilecfg [{configuration}]",
            "tileloadd tmm0, [{d} + {stride}*1]",
            "tileloadd tmm1, [{a} + {stride}*1]",
            "tileloadd tmm2, [{b} + {stride}*1]",
            "tdpbf16ps tmm0, tmm1, tmm2",
            "tilestored [{d} + {stride}*1], tmm0",
            "tilerelease",
            configuration = in(reg) &raw const configuration,
            d = in(reg) d.as_mut_ptr(), a = in(reg) a.as_ptr(), b = in(reg) b.as_ptr(), stride = in(reg) 64usize,
            clobber_abi("C"),
            options(nostack),
        );
    }
}

fn amx(tiles: u32) {
    if Feature::AmxBf16.here() {
        hold_tiles(tdpbf16ps, tiles);
    }
}

#[test]
fn tiles_of_amx() {
    amx(200);
}

/// `cargo test --release -p systole-arrays --test silicon -- --ignored --nocapture tiles`
#[test]
#[ignore = "minutes"]
fn tiles_of_amx_at_length() {
    amx(20_000);
}

#[test]
fn tiles_of_a_stand_in() {
    if !Feature::Fma3.here() {
        return;
    }
    let stand_in = |d: &mut Tile<u32, 16>, a: &Tile<u16, 32>, b: &Tile<u16, 32>| {
        for (row, column) in (0..16).flat_map(|row| (0..16).map(move |column| (row, column))) {
            let mut sums = [0f32; 2];
            for k in 0..32 {
                sums[k % 2] = fused(a[row][k], b[k / 2][2 * column + k % 2], sums[k % 2]);
            }
            d[row][column] = added(f32::from_bits(d[row][column]), added(sums[0], sums[1])).to_bits();
        }
    };
    hold_tiles(stand_in, 200);
}
