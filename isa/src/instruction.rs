//! The instruction table: one row per instruction, from which the encoding, the assembly
//! text and the parser all follow.
//!
//! An instruction is one 128-bit word: the opcode in bits 0..8, then its fields in the order
//! of the row, lowest bits first; every bit above them is reserved and must be zero.

use crate::field::{Address, Count, FormatReg, Length, Mode, OptionalTensor, Region, SignedBias, Small, Span, Stride, TensorReg};
use crate::field::{Field, FieldError};
use crate::format::Format;
use crate::round::{NoInfinity, Overflow, Rounding};
use crate::view::Space;
use std::fmt;

/// A word that is no instruction, or text that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstructionError {
    /// No row of the table has this opcode.
    #[error("opcode {0:#04x} is no instruction")]
    UnknownOpcode(u8),
    /// Bits above the last field are set.
    #[error("`{mnemonic}` has reserved bits set: {bits:#034x}")]
    ReservedBits {
        /// The instruction.
        mnemonic: &'static str,
        /// The offending bits in place.
        bits: u128,
    },
    /// No row of the table has this mnemonic.
    #[error("`{mnemonic}` is no instruction{}", suggestion.map(|s| format!(" (did you mean `{s}`?)")).unwrap_or_default())]
    UnknownMnemonic {
        /// What was given.
        mnemonic: String,
        /// The closest mnemonic.
        suggestion: Option<&'static str>,
    },
    /// Too few or too many operands.
    #[error("`{mnemonic}` takes {expected} operands ({form}), not {given}")]
    OperandCount {
        /// The instruction.
        mnemonic: &'static str,
        /// Operands it takes.
        expected: usize,
        /// Their names.
        form: &'static str,
        /// Operands given.
        given: usize,
    },
    /// A field cannot hold its value.
    #[error("`{mnemonic}`, operand `{operand}`: {source}")]
    Field {
        /// The instruction.
        mnemonic: &'static str,
        /// The operand's name.
        operand: &'static str,
        /// Why.
        source: FieldError,
    },
}

/// A row of the table, for documentation and tests.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Bits 0..8 of the word.
    pub opcode: u8,
    /// Name in assembly.
    pub mnemonic: &'static str,
    /// Operand names in order.
    pub operands: &'static str,
    /// Width of each field in bits.
    pub widths: &'static [u32],
    /// What it does.
    pub doc: &'static [&'static str],
}

macro_rules! instructions {
    ($($(#[doc = $doc:literal])* $opcode:literal $mnemonic:literal $name:ident { $($field:ident: $type:ty),* $(,)? }),* $(,)?) => {
        /// One instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "the fields are the operands of the row")]
        pub enum Instruction { $($(#[doc = $doc])* $name { $($field: $type),* }),* }

        /// The whole table.
        pub const TABLE: &[Row] = &[$(Row {
            opcode: $opcode,
            mnemonic: $mnemonic,
            operands: concat!($(stringify!($field), " "),*),
            widths: &[$(<$type as Field>::BITS),*],
            doc: &[$($doc),*],
        }),*];

        impl Instruction {
            /// Name in assembly.
            pub const fn mnemonic(&self) -> &'static str {
                match self { $(Self::$name { .. } => $mnemonic),* }
            }

            /// The 128-bit word.
            #[allow(unused_assignments, unused_mut, unused_variables, reason = "instructions without fields, and the last shift")]
            pub fn encode(&self) -> u128 {
                match *self { $(Self::$name { $($field),* } => {
                    let mut word = u128::from($opcode as u8);
                    let mut position = 8;
                    $(word |= $field.pack() << position; position += <$type as Field>::BITS;)*
                    word
                }),* }
            }

            /// The instruction a word stands for.
            ///
            /// # Errors
            /// An opcode without a row, set reserved bits, or a field outside its range.
            #[allow(unused_mut, unused_variables, reason = "instructions without fields")]
            pub fn decode(word: u128) -> Result<Self, InstructionError> {
                match word as u8 { $($opcode => {
                    let mut position = 8;
                    $(
                        let bits = word >> position & ((1 << <$type as Field>::BITS) - 1);
                        let $field = <$type as Field>::unpack(bits)
                            .map_err(|source| InstructionError::Field { mnemonic: $mnemonic, operand: stringify!($field), source })?;
                        position += <$type as Field>::BITS;
                    )*
                    if word >> position != 0 {
                        return Err(InstructionError::ReservedBits { mnemonic: $mnemonic, bits: word >> position << position });
                    }
                    Ok(Self::$name { $($field),* })
                }),*
                    other => Err(InstructionError::UnknownOpcode(other)),
                }
            }

            /// Reads one instruction from its mnemonic and operand texts.
            ///
            /// # Errors
            /// An unknown mnemonic, a wrong operand count, or an operand that does not fit.
            #[allow(unused_mut, unused_variables, reason = "instructions without fields")]
            pub fn parse(mnemonic: &str, operands: &[&str]) -> Result<Self, InstructionError> {
                match mnemonic { $($mnemonic => {
                    const EXPECTED: usize = <[&str]>::len(&[$(stringify!($field)),*]);
                    if operands.len() != EXPECTED {
                        return Err(InstructionError::OperandCount {
                            mnemonic: $mnemonic,
                            expected: EXPECTED,
                            form: concat!($(stringify!($field), " "),*).trim_ascii_end(),
                            given: operands.len(),
                        });
                    }
                    let mut texts = operands.iter();
                    $(let $field = <$type as Field>::parse(texts.next().copied().unwrap_or_default())
                        .map_err(|source| InstructionError::Field { mnemonic: $mnemonic, operand: stringify!($field), source })?;)*
                    Ok(Self::$name { $($field),* })
                }),*
                    _ => Err(InstructionError::UnknownMnemonic {
                        mnemonic: mnemonic.to_owned(),
                        suggestion: TABLE.iter()
                            .map(|row| (strsim::damerau_levenshtein(row.mnemonic, mnemonic), row.mnemonic))
                            .min()
                            .filter(|(distance, _)| *distance <= 2)
                            .map(|(_, known)| known),
                    }),
                }
            }
        }

        impl fmt::Display for Instruction {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$name { $($field),* } => {
                    f.write_str($mnemonic)?;
                    let texts: &[String] = &[$($field.print()),*];
                    if !texts.is_empty() {
                        write!(f, " {}", texts.join(", "))?;
                    }
                    Ok(())
                }),* }
            }
        }
    };
}

instructions! {
    /// Does nothing.
    0x00 "nop" Nop {},
    /// Ends the program.
    0x01 "halt" Halt {},
    /// Waits until every earlier instruction has retired.
    0x02 "fence" Fence {},
    /// Starts a region: costs from here on are recorded under its name.
    0x03 "mark" Mark { region: Region },
    /// Repeats the next `length` instructions `count` times. Loops nest four deep.
    0x04 "loop" Loop { count: Count, length: Length },

    /// Sets a format register.
    0x08 "format" Format { dst: FormatReg, format: Format },
    /// Describes a contiguous row-major tensor of `rows` x `cols` elements at a byte address.
    0x09 "tensor" Tensor { dst: TensorReg, format: FormatReg, space: Space, address: Address, rows: Span, cols: Span },
    /// Gives the tensor other strides, in elements: row r = q * inner + p lies at
    /// q * outer_stride + p * inner_stride, column c at c * col_stride from there.
    0x0a "stride" Stride { dst: TensorReg, inner: Span, outer_stride: Stride, inner_stride: Stride, col_stride: Stride },
    /// Makes the tensor an im2col view of an NHWC tensor at its address: row (n, oy, ox),
    /// column (ky, kx, c) is the element at y = oy * stride + ky - pad, likewise x, of the
    /// input with `dilate` - 1 zeros put between neighbours; outside it is +0.
    0x0b "window" Window {
        dst: TensorReg, out_h: Small<12>, out_w: Small<12>, h: Small<12>, w: Small<12>, c: Small<16>,
        kernel_h: Small<6>, kernel_w: Small<6>, stride: Small<6>, pad: Small<6>, dilate: Small<6>,
    },
    /// Adds a signed number of bytes to the tensor's address.
    0x0c "advance" Advance { dst: TensorReg, bytes: crate::field::ByteStep },
    /// Selects the MAC mode of the matrix instructions that follow.
    0x0d "mode" Mode { mode: Mode },
    /// Sets the shared exponent bias registers: operand values are multiplied by 2^-bias.
    0x0e "bias" Bias { a: SignedBias, b: SignedBias },
    /// Sets how results leaving the array are converted to the destination's format.
    0x0f "output" Output { rounding: Rounding, overflow: Overflow, no_infinity: NoInfinity },
    /// Sets how the vector unit rounds to the destination's format.
    0x10 "vector" Vector { rounding: Rounding, overflow: Overflow, no_infinity: NoInfinity },
    /// Names the registers of the tensors that hold the block scales of A and of B; `none` stands
    /// for scales of 1. Matrix instructions that follow read them, in modes that take scales.
    0x11 "scales" Scales { a: OptionalTensor, b: OptionalTensor },
    /// Sets the extents of the blocks in which the vector instructions that follow repeat
    /// operands and reduce them; 0, as at the start, is the whole axis.
    0x12 "blocks" Blocks { rows: Span, cols: Span },
    /// Names the registers of one-element `e8m0` tensors whose powers of two multiply the operand
    /// values of A and of B in the matrix instructions that follow, in place of `bias`; `none`
    /// leaves it to `bias`. They are read as each instruction executes; a NaN there makes every
    /// result NaN.
    0x13 "powers" Powers { a: OptionalTensor, b: OptionalTensor },

    /// Copies a tensor, by any view, from DRAM to the scratchpad.
    0x18 "load" Load { dst: TensorReg, src: TensorReg },
    /// Copies a tensor, by any view, from the scratchpad to DRAM.
    0x19 "store" Store { dst: TensorReg, src: TensorReg },

    /// D = A B: the array's sequencer walks every fold. D's format is the output format.
    0x20 "gemm" Gemm { d: TensorReg, a: TensorReg, b: TensorReg },
    /// D = A B + C, C in the format of the outermost accumulator, or in D's where that is too
    /// wide for memory.
    0x21 "gemmc" GemmC { d: TensorReg, a: TensorReg, b: TensorReg, c: TensorReg },

    /// D = A + B. In this and every elementwise instruction an operand's extent along each axis
    /// is D's, or 1 (repeated), or one element for each block of D.
    0x30 "vadd" VAdd { d: TensorReg, a: TensorReg, b: TensorReg },
    /// D = A - B.
    0x31 "vsub" VSub { d: TensorReg, a: TensorReg, b: TensorReg },
    /// D = A B, elementwise.
    0x32 "vmul" VMul { d: TensorReg, a: TensorReg, b: TensorReg },
    /// D = A / B.
    0x33 "vdiv" VDiv { d: TensorReg, a: TensorReg, b: TensorReg },
    /// D = the larger (IEEE 754-2019 maximum: NaN wins, +0 above -0).
    0x34 "vmax" VMax { d: TensorReg, a: TensorReg, b: TensorReg },
    /// D = the smaller (IEEE 754-2019 minimum).
    0x35 "vmin" VMin { d: TensorReg, a: TensorReg, b: TensorReg },
    /// D = A B + C with one rounding.
    0x36 "vfma" VFma { d: TensorReg, a: TensorReg, b: TensorReg, c: TensorReg },
    /// D = A where X > 0, else +0: the gradient of a rectifier.
    0x37 "vgate" VGate { d: TensorReg, a: TensorReg, x: TensorReg },
    /// D = A rounded upward where P > A, else downward, whatever the rounding of `vector`: a value
    /// stays where it was until it passes the next one (Lee et al. 2022).
    0x38 "vhyst" VHyst { d: TensorReg, a: TensorReg, p: TensorReg },
    /// D = |A| with the sign bit of X (IEEE 754-2019 copySign); NaN stays NaN.
    0x39 "vsign" VSign { d: TensorReg, a: TensorReg, x: TensorReg },
    /// D = the indices, as codes, of the elements of T nearest to those of A; of equals the lowest.
    /// T is one row of at most 2^16.
    0x3a "vfind" VFind { d: TensorReg, a: TensorReg, t: TensorReg },
    /// D = the elements of T at the codes of A, converted; the last for codes beyond T.
    0x3b "vlook" VLook { d: TensorReg, a: TensorReg, t: TensorReg },

    /// D = A, converted.
    0x40 "vcvt" VCvt { d: TensorReg, a: TensorReg },
    /// D = -A.
    0x41 "vneg" VNeg { d: TensorReg, a: TensorReg },
    /// D = |A|.
    0x42 "vabs" VAbs { d: TensorReg, a: TensorReg },
    /// D = A where A > 0, else +0; NaN stays NaN.
    0x43 "vrelu" VRelu { d: TensorReg, a: TensorReg },
    /// D = e^A, correctly rounded, as every function below.
    0x48 "vexp" VExp { d: TensorReg, a: TensorReg },
    /// D = 2^A.
    0x49 "vexp2" VExp2 { d: TensorReg, a: TensorReg },
    /// D = ln A.
    0x4a "vlog" VLog { d: TensorReg, a: TensorReg },
    /// D = log2 A.
    0x4b "vlog2" VLog2 { d: TensorReg, a: TensorReg },
    /// D = tanh A.
    0x4c "vtanh" VTanh { d: TensorReg, a: TensorReg },
    /// D = 1 / (1 + e^-A).
    0x4d "vsigmoid" VSigmoid { d: TensorReg, a: TensorReg },
    /// D = erf A.
    0x4e "verf" VErf { d: TensorReg, a: TensorReg },
    /// D = 1 / A.
    0x4f "vrecip" VRecip { d: TensorReg, a: TensorReg },
    /// D = 1 / sqrt A.
    0x50 "vrsqrt" VRsqrt { d: TensorReg, a: TensorReg },
    /// D = sqrt A.
    0x51 "vsqrt" VSqrt { d: TensorReg, a: TensorReg },

    /// Sums A along the axes where D has extent 1 and A has not, or within the blocks of A where D
    /// has one element for each: a chain from +0 in row-major order, rounded to D's format after
    /// every addition.
    0x58 "rsum" RSum { d: TensorReg, a: TensorReg },
    /// The largest of the same elements (IEEE 754-2019 maximum).
    0x59 "rmax" RMax { d: TensorReg, a: TensorReg },
    /// The largest of their magnitudes.
    0x5a "ramax" RAmax { d: TensorReg, a: TensorReg },

    /// Max pooling: D row (n, oy, ox), column c is the maximum over the window view A.
    0x60 "pmax" PMax { d: TensorReg, a: TensorReg },
    /// Its gradient: D, shaped as the input under the window view X, gets each element of G at
    /// the first maximum of its window, summed from +0 in window order where windows overlap.
    0x61 "pmaxg" PMaxG { d: TensorReg, x: TensorReg, g: TensorReg },
    /// Window sums: as `pmax`, a chain from +0 in (ky, kx) order.
    0x62 "psum" PSum { d: TensorReg, a: TensorReg },
    /// Its gradient: every element of G added to all inputs of its window.
    0x63 "pspread" PSpread { d: TensorReg, x: TensorReg, g: TensorReg },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_encodings_overlap() {
        for (i, a) in TABLE.iter().enumerate() {
            for b in &TABLE[..i] {
                assert_ne!(a.opcode, b.opcode, "{} and {}", a.mnemonic, b.mnemonic);
                assert_ne!(a.mnemonic, b.mnemonic);
            }
            assert!(8 + a.widths.iter().sum::<u32>() <= 128, "{} does not fit a word", a.mnemonic);
            assert!(!a.doc.is_empty(), "{} is undocumented", a.mnemonic);
        }
    }

    #[test]
    fn reserved_bits_are_rejected() {
        for row in TABLE {
            let used = 8 + row.widths.iter().sum::<u32>();
            let zero_fields = Instruction::decode(u128::from(row.opcode));
            for bit in used..128 {
                let error = Instruction::decode(u128::from(row.opcode) | 1 << bit);
                if zero_fields.is_ok() {
                    assert!(matches!(error, Err(InstructionError::ReservedBits { .. })), "{} bit {bit}", row.mnemonic);
                } else {
                    assert!(error.is_err());
                }
            }
        }
        assert_eq!(Instruction::decode(0xff), Err(InstructionError::UnknownOpcode(0xff)));
        // `none` is one code, not 64.
        assert!(Instruction::decode(0x11 | 64 << 8).is_ok());
        assert!(matches!(Instruction::decode(0x11 | 65 << 8), Err(InstructionError::Field { mnemonic: "scales", operand: "a", .. })));
    }

    #[test]
    fn words_and_text_round_trip() {
        let cases = [
            ("nop", vec![]),
            ("loop", vec!["4000000000", "17"]),
            ("format", vec!["f3", "e4m3b-3fn"]),
            ("format", vec!["f15", "fx46.18"]),
            ("format", vec!["f0", "dlfloat16"]),
            ("tensor", vec!["t63", "f2", "spm", "0xffffffffff", "16777215", "1"]),
            ("stride", vec!["t1", "9", "-96", "1", "-1"]),
            ("window", vec!["t1", "28", "28", "28", "28", "3", "5", "5", "1", "2", "1"]),
            ("advance", vec!["t1", "-4096"]),
            ("bias", vec!["-12", "40"]),
            ("output", vec!["sr12", "saturate", "max"]),
            ("scales", vec!["t0", "t63"]),
            ("scales", vec!["none", "t7"]),
            ("scales", vec!["none", "none"]),
            ("vfma", vec!["t0", "t1", "t2", "t3"]),
        ];
        for (mnemonic, operands) in cases {
            let instruction = Instruction::parse(mnemonic, &operands).unwrap();
            assert_eq!(Instruction::decode(instruction.encode()), Ok(instruction));
            assert_eq!(instruction.to_string(), format!("{mnemonic} {}", operands.join(", ")).trim_end());
        }
    }

    #[test]
    fn refusals() {
        for (mnemonic, operands, needle) in [
            ("vad", vec![], "did you mean `vadd`"),
            ("vadd", vec!["t0"], "takes 3 operands (d a b), not 1"),
            ("vadd", vec!["t0", "t1", "t64"], "t0 to t63"),
            ("tensor", vec!["t0", "f0", "dram", "0x10000000000", "1", "1"], "0 to 0xffffffffff"),
            ("tensor", vec!["t0", "f0", "sram", "0", "1", "1"], "dram or spm"),
            ("format", vec!["f0", "e4m3fm"], "did you mean"),
            ("output", vec!["rnd", "ieee", "nan"], "no rounding mode"),
            ("scales", vec!["t0", "t64"], "`t64` is no register t0 to t63 and not `none`"),
            ("scales", vec!["t0"], "takes 2 operands (a b), not 1"),
        ] {
            let error = Instruction::parse(mnemonic, &operands).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
    }
}
