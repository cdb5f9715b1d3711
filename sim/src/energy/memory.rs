//! Energy and area of memories and wires.

use super::basis::{Basis, Place};
use super::model::Model;

/// Bits of the access the table prices.
const ACCESS_BITS: f64 = 64.0;
const UM_PER_MM: f64 = 1000.0;

/// An on-chip memory of equal banks, each accessed by itself, spread over equal shares that
/// lie beside what they serve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sram {
    /// Capacity over all banks, bytes.
    pub bytes: f64,
    /// Banks.
    pub banks: f64,
    /// Shares.
    pub shares: f64,
}

impl Sram {
    /// Area with periphery, um2.
    pub fn um2(&self, model: &Model) -> f64 {
        8.0 * self.bytes * model.table.sram_area.value
    }

    /// Energy of reading or writing one bit, pJ: the access of one bank, and the wire from
    /// there to the port, half the side of a share.
    pub fn pj_per_bit(&self, model: &Model) -> f64 {
        let side_um = (self.um2(model) / self.shares).sqrt();
        access_pj(model, self.bytes / self.banks) / ACCESS_BITS + wire_pj(model, 1.0, 0.5 * side_um)
    }
}

/// Energy of one 64-bit access of a single bank of `bytes`, pJ: a power law between the
/// table's capacities and beyond them, never below a register file of the same capacity.
pub fn access_pj(model: &Model, bytes: f64) -> f64 {
    let points = &model.table.memories;
    let above = (1..points.len() - 1).find(|&i| bytes <= points[i].bytes).unwrap_or(points.len() - 1);
    let (low, high) = (&points[above - 1], &points[above]);
    let power = (high.energy.value / low.energy.value).ln() / (high.bytes / low.bytes).ln();
    let law = low.energy.value * (bytes / low.bytes).powf(power);
    let words = 8.0 * bytes / ACCESS_BITS;
    let register_file = model.flip_flops(ACCESS_BITS) + model.shifter(ACCESS_BITS, words);
    law.max(register_file.pj)
}

/// Where a bank of `bytes` stands among the table's capacities; the wire to it is a component.
pub fn access_basis(model: &Model, bytes: f64) -> Basis {
    let capacities: Vec<f64> = model.table.memories.iter().map(|m| m.bytes).collect();
    Basis::law(Place::among(bytes, &capacities)).with(Basis::COMPONENTS)
}

/// Energy of carrying `bits` over `um`, pJ.
pub fn wire_pj(model: &Model, bits: f64, um: f64) -> f64 {
    bits * model.table.wire.value * um / UM_PER_MM
}

/// Energy of forwarding `bits` from one PE of `pe_um2` to its neighbour, pJ.
pub fn hop_pj(model: &Model, bits: f64, pe_um2: f64) -> f64 {
    wire_pj(model, bits, pe_um2.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::energy::table::{HOROWITZ_45NM, named};
    use systole_isa::design::Calibration;

    fn model() -> Model {
        Model::new(named(HOROWITZ_45NM).unwrap(), Calibration::Table)
    }

    #[test]
    fn access_energy() {
        // The table's capacities, sqrt between the first two, 0.464 beyond.
        for (kib, pj) in [(8.0, 10.0), (32.0, 20.0), (1024.0, 100.0), (16.0, 14.142_136), (128.0, 38.073), (2.0, 5.0)] {
            let got = access_pj(&model(), kib * 1024.0);
            assert!((got / pj - 1.0).abs() < 1e-5, "{kib} KiB: {got} instead of {pj}");
        }
    }

    #[test]
    fn access_energy_grows_with_capacity_and_never_below_registers() {
        let mut last = 0.0;
        for step in 0..400 {
            let bytes = 8.0 * 1.05_f64.powi(step);
            let pj = access_pj(&model(), bytes);
            assert!(pj >= last && pj >= model().flip_flops(64.0).pj, "{bytes} bytes: {pj} after {last}");
            last = pj;
        }
    }

    #[test]
    fn banks_price_an_access_and_shares_the_wire() {
        let m = model();
        for (banks, shares, access) in [(1.0, 1.0, 100.0), (32.0, 1.0, 20.0), (128.0, 4.0, 10.0)] {
            let sram = Sram { bytes: 1_048_576.0, banks, shares };
            // 8 Mi cells of 0.55 um2.
            let side_um = (8_388_608.0 * 0.55 / shares).sqrt();
            let wanted = access / 64.0 + 0.12 * side_um / 2000.0;
            assert!((sram.pj_per_bit(&m) - wanted).abs() < 1e-12, "{sram:?}");
        }
    }

    #[test]
    fn forwarding_a_byte_across_a_small_pe() {
        assert!((hop_pj(&model(), 8.0, 1500.0) - 0.0372).abs() < 1e-4);
    }
}
