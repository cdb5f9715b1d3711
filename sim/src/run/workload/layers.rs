//! Files of layers: SCALE-Sim's topologies and ONNX graphs.

use super::coverage::names;
use super::topology::Topology;
use super::{Coverage, Extent, Pass, WorkloadError};
use std::path::{Path, PathBuf};
use systole_isa::design::Design;
use systole_isa::program::Program;

/// The design of a file's products unless another is named: they have no recipe, and so none of its own.
pub const DESIGN: &str = "fp8-16x16";

/// The layers of a file.
#[derive(Clone, Debug)]
pub struct Layers {
    /// The file.
    pub path: PathBuf,
    /// Its layers.
    pub topology: Topology,
    /// What they leave out of a graph; absent of topologies.
    pub coverage: Option<Coverage>,
}

/// What a file is by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Topology,
    Graph,
}

fn kind(name: &str) -> Option<Kind> {
    let extension = Path::new(name).extension()?;
    let is = |ending: &str| extension.eq_ignore_ascii_case(ending);
    if is("csv") {
        Some(Kind::Topology)
    } else if is("onnx") {
        Some(Kind::Graph)
    } else {
        None
    }
}

impl Layers {
    /// Whether that is the name of such a file.
    pub fn are_named(name: &str) -> bool {
        kind(name).is_some()
    }

    /// Reads a file whose name says what it is, a graph under the extents that its named dimensions
    /// are given.
    ///
    /// # Errors
    /// A file that cannot be read or is something else, and dimensions of what has none.
    pub fn read(path: &Path, dims: &[Extent]) -> Result<Self, WorkloadError> {
        let refuse = |reason: String| WorkloadError::File { path: path.to_owned(), place: String::new(), reason };
        if kind(&path.to_string_lossy()) == Some(Kind::Graph) {
            if let Some((_, twice)) = dims.iter().enumerate().find(|(i, dim)| dims[..*i].iter().any(|other| other.name == dim.name)) {
                return Err(refuse(format!("the dimension `{}` is given twice; give it once", twice.name)));
            }
            return Self::read_graph(path, dims);
        }
        if let Some(Extent { name, extent }) = dims.first() {
            return Err(refuse(format!("`{name}={extent}` is for the named dimensions of ONNX graphs; leave it out")));
        }
        Ok(Self { path: path.to_owned(), topology: Topology::read(path)?, coverage: None })
    }

    #[cfg(feature = "onnx")]
    fn read_graph(path: &Path, dims: &[Extent]) -> Result<Self, WorkloadError> {
        let super::onnx::Network { topology, coverage } = super::onnx::read(path, dims)?;
        Ok(Self { path: path.to_owned(), topology, coverage: Some(coverage) })
    }

    #[cfg(not(feature = "onnx"))]
    fn read_graph(path: &Path, _: &[Extent]) -> Result<Self, WorkloadError> {
        Err(WorkloadError::File {
            path: path.to_owned(),
            place: String::new(),
            reason: "this `systole` is built without the feature `onnx`, which reads graphs; build it with \
                     `cargo build --release -p systole --features onnx`, or list the layers in a topology file (.csv)"
                .to_owned(),
        })
    }

    /// Images or products at once: a topology's, 1 unless said otherwise; a graph has its own among
    /// its dimensions.
    ///
    /// # Errors
    /// A batch for a graph.
    pub fn batch(&self, asked: Option<u32>) -> Result<Option<u32>, WorkloadError> {
        match (&self.coverage, asked) {
            (None, asked) => Ok(Some(asked.unwrap_or(1))),
            (Some(_), None) => Ok(None),
            (Some(_), Some(_)) => Err(WorkloadError::File {
                path: self.path.clone(),
                place: String::new(),
                reason: "the batch of an ONNX graph is a dimension of its inputs; leave out the batch, and give the dimension's extent by \
                         its name (--dim NAME=N, or `dims` of a sweep)"
                    .to_owned(),
            }),
        }
    }

    /// The passes unless asked for otherwise: graphs are exported to be run forward.
    pub fn pass(&self, asked: Option<Pass>) -> Pass {
        asked.unwrap_or(if self.coverage.is_some() { Pass::Forward } else { Pass::Training })
    }

    /// What the passes over them leave open.
    pub fn assumptions(&self, pass: Pass) -> Vec<String> {
        let mut all = super::assumptions(super::Kind::Layers, pass);
        let unfolded = self.topology.unfolded_errors();
        if pass == Pass::Training && !unfolded.is_empty() {
            all.push(format!("error products whose windows no view describes read them as matrices stored in DRAM: {}", names(&unfolded)));
        }
        all
    }

    /// The products of every layer.
    ///
    /// # Errors
    /// As [`Topology::program`].
    pub fn program(&self, design: &Design, batch: Option<u32>, pass: Pass) -> Result<Program, WorkloadError> {
        self.topology.program(design, batch.unwrap_or(1), pass, &self.path)
    }
}
