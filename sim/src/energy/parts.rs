//! Itemised sums: what energy and area are made of.

/// Declares a sum of named parts. Those after the semicolon are named only where there are any.
macro_rules! parts {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* $field:ident),*; $($(#[$extra_meta:meta])* $extra:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name { $($(#[$field_meta])* pub $field: f64,)* $($(#[$extra_meta])* pub $extra: f64),* }

        impl $name {
            /// Every part with its name, in declaration order.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, f64)> + use<> {
                let extra = [$((stringify!($extra), self.$extra)),*].into_iter().filter(|(_, value)| *value > 0.0);
                [$((stringify!($field), self.$field)),*].into_iter().chain(extra)
            }

            /// Sum of the parts.
            pub fn total(&self) -> f64 {
                0.0 $(+ self.$field)* $(+ self.$extra)*
            }
        }

        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)*
                $(self.$extra += other.$extra;)*
            }
        }
    };
}

parts! {
    /// Energy of a run, pJ.
    pub struct EnergyParts {
        /// Products.
        multipliers,
        /// Additions into accumulators, outer accumulators and the accumulator memory.
        adders,
        /// Roundings of products and sums, and conversions to the output format.
        rounding,
        /// Clock and writes of operand, accumulator, skew and drain registers.
        registers,
        /// Forwarding operands and partial sums between PEs.
        wires,
        /// Scratchpad accesses.
        scratchpad,
        /// Accumulator memory accesses.
        accumulator_memory,
        /// DRAM traffic.
        dram,
        /// Vector unit.
        vector,
        /// Fetching and decoding instructions.
        instructions,
        /// Leakage over the whole time.
        leakage;
        /// Detectors of zero operands.
        zero_detectors,
    }
}

parts! {
    /// Energy of one MAC at full use, pJ.
    pub struct MacParts {
        /// The product.
        multipliers,
        /// Its share of additions.
        adders,
        /// Its share of roundings.
        rounding,
        /// Its share of register clocks and writes.
        registers,
        /// Forwarding its operands and partial sum.
        wires,
        /// Its share of scratchpad reads.
        scratchpad,
        /// Its share of accumulator memory accesses.
        accumulator_memory,
        /// Its share of leakage.
        leakage;
        /// Detectors of zero operands.
        zero_detectors,
    }
}

parts! {
    /// Cell area, um2.
    pub struct AreaParts {
        /// Multipliers.
        multipliers,
        /// Adders of accumulators, outer accumulators and the accumulator memory.
        adders,
        /// Rounders and output converters.
        rounding,
        /// Operand, accumulator, skew and drain registers.
        registers,
        /// Scratchpad.
        scratchpad,
        /// Accumulator memory.
        accumulator_memory,
        /// Vector unit.
        vector;
        /// Detectors of zero operands.
        zero_detectors,
    }
}
