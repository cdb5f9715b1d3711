//! Bytes of an ONNX graph.

use crate::Case;
use crate::source::Source;
use std::fmt;
use systole::run::workload::{Extent, Pass, onnx, products};
use systole_isa::design::find;

/// A graph that a library wrote: attention, convolutions, shapes computed from shapes.
const SOUND: &[u8] = include_bytes!("../../sim/tests/graphs/block.onnx");

/// Bytes that are changed at most.
const MOST_CHANGES: usize = 8;

/// Products of a graph that is lowered; others are read only.
const MOST_PRODUCTS: u64 = 10_000;

/// A file, and what its named dimensions are given.
#[derive(Debug)]
pub struct File {
    bytes: Vec<u8>,
    extents: [u32; 2],
}

impl Case for File {
    /// The sound graph with some bytes changed, taken out or put in, or any bytes.
    fn read(source: &mut Source<'_>) -> Self {
        let extents = [(); 2].map(|()| source.pick(&[1, 2, 3, 8, 128, 1 << 20, u32::MAX]));
        if source.one_in(16) {
            return Self { bytes: source.rest().to_vec(), extents };
        }
        let mut bytes = SOUND.to_vec();
        for _ in 0..source.below(MOST_CHANGES + 1) {
            let at = source.bits(16) as usize % bytes.len().max(1);
            match source.below(4) {
                0 if at < bytes.len() => drop(bytes.remove(at)),
                1 => bytes.insert(at, source.byte()),
                2 => bytes.truncate(at),
                _ => {
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= 1 << source.below(8);
                    }
                }
            }
        }
        Self { bytes, extents }
    }

    /// A graph's products are those that its layers tell of, or what is wrong is told.
    fn check(&self) {
        let extents = ["batch", "length"].into_iter().zip(self.extents).map(|(name, extent)| Extent { name: name.to_owned(), extent });
        let extents: Vec<Extent> = extents.collect();
        let network = match onnx::decode(self.bytes.clone().into(), "graph", &extents) {
            Ok(network) => network,
            Err(fault) => return assert!(!fault.reason.is_empty(), "{self}"),
        };
        let layers = &network.topology.layers;
        let count: u64 = layers.iter().map(|layer| u64::from(layer.count)).sum();
        assert!(layers.iter().all(|layer| layer.count > 0 && layer.images > 0), "{self}");
        if count > MOST_PRODUCTS {
            return;
        }
        let design = find("fp8-16x16").unwrap_or_else(|| panic!("a built-in design"));
        for pass in [Pass::Forward, Pass::Training] {
            let Ok(program) = network.topology.program(&design, 1, pass, "graph.onnx".as_ref()) else { continue };
            let all = products(&design, &[program]).unwrap_or_else(|e| panic!("{e}: {self}"));
            let asked: u64 = all.iter().map(|(_, count)| count).sum();
            let first = layers.first().map_or(0, |layer| u64::from(layer.count));
            assert_eq!(asked, if pass == Pass::Forward { count } else { 3 * count - first }, "{pass:?}: {self}");
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [batch, length] = self.extents;
        writeln!(f, "batch {batch}, length {length}, {} bytes:", self.bytes.len())?;
        let changed = self.bytes.iter().zip(SOUND).position(|(a, b)| a != b);
        let from = changed.unwrap_or_else(|| self.bytes.len().min(SOUND.len())).saturating_sub(16);
        let shown = &self.bytes[from.min(self.bytes.len())..];
        write!(f, "the sound graph up to byte {from}, then {:02x?}", &shown[..shown.len().min(64)])
    }
}
