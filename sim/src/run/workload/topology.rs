//! Layers as SCALE-Sim's topology files list them, and their products as programs.
//!
//! A file of convolutions has a line of name, image height and width, filter height and width, channels,
//! filters, stride; one of products has name, M, N, K and, if there are several alike, their number. The
//! first line is a heading. Images are listed with their padding, and a window that the last stride takes
//! over the edge still counts: there are ceil((image - filter + stride) / stride) along each side. Names with
//! `DP` are depthwise: every channel is a convolution of its own. (SCALE-Sim, `topology_utils.py`, read.)

use super::{LARGEST_DRAM, Pass, WorkloadError};
use csv::{ReaderBuilder, StringRecord, Trim};
use std::path::Path;
use systole_isa::design::{Design, Scaling};
use systole_isa::field::{Address, FormatReg, Mode, OptionalTensor, Region, Small, Span, Stride, TensorReg};
use systole_isa::format::Format;
use systole_isa::instruction::Instruction;
use systole_isa::program::Program;
use systole_isa::view::{Layout, Space, TensorView, Window};

/// A network as a list of layers that know nothing of each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Name of the file without its ending.
    pub name: String,
    /// Its lines.
    pub layers: Vec<Layer>,
}

/// A line of a topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// What it computes.
    pub work: Work,
    /// Images of a batch of one.
    pub images: u32,
    /// How many times.
    pub count: u32,
}

/// What a layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A product of M x K by K x N.
    Product {
        /// Rows of the result.
        m: u32,
        /// Columns of the result.
        n: u32,
        /// Products summed.
        k: u32,
    },
    /// A convolution of one image.
    Convolution {
        /// The forward product's view of the image.
        window: Window,
        /// Filters.
        filters: u32,
    },
}

/// Largest values of the fields that describe windows.
pub(super) const LARGEST_SIDE: u32 = 4095;
pub(super) const LARGEST_KERNEL: u32 = 63;
pub(super) const LARGEST_CHANNELS: u32 = 65_535;
/// Rows and columns of a tensor.
pub(super) const LARGEST_EXTENT: u32 = (1 << 24) - 1;

impl Topology {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that cannot be read, or lines that are no layers.
    pub fn read(path: &Path) -> Result<Self, WorkloadError> {
        let refuse = |line: Option<u64>, reason: String| WorkloadError::File {
            path: path.to_owned(),
            place: line.map(|line| format!(", line {line}")).unwrap_or_default(),
            reason,
        };
        let mut reader = ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .trim(Trim::All)
            .from_path(path)
            .map_err(|e| refuse(None, e.to_string()))?;
        let mut layers = Vec::new();
        let mut kind = None;
        for record in reader.records() {
            let record = record.map_err(|e| refuse(e.position().map(csv::Position::line), e.to_string()))?;
            let line = record.position().map(csv::Position::line);
            let fields = Fields::new(&record);
            match kind {
                None => kind = Some(Kind::of(&fields).map_err(|reason| refuse(line, reason))?),
                Some(_) if fields.0.is_empty() => {}
                Some(kind) => layers.push(kind.layer(&fields).map_err(|reason| refuse(line, reason))?),
            }
        }
        if layers.is_empty() {
            return Err(refuse(None, "it lists no layers; give a heading and a line for each".to_owned()));
        }
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Self { name, layers })
    }

    /// Layers whose error products read their windows as a matrix that lies unfolded in DRAM.
    pub fn unfolded_errors(&self) -> Vec<String> {
        self.layers.iter().skip(1).filter(|layer| !layer.work.has_error_view()).map(|layer| layer.name.clone()).collect()
    }

    /// The products of every layer, in mode 0 of the design, `images` images or products each.
    ///
    /// Backward, the first layer passes no error on.
    ///
    /// # Errors
    /// What the instructions cannot describe.
    pub fn program(&self, design: &Design, images: u32, pass: Pass, path: &Path) -> Result<Program, WorkloadError> {
        let mut writer = Writer::new(design);
        for layer in &self.layers {
            writer.layer(layer, images, "forward", Work::forward).map_err(|reason| layer.refuse(path, reason))?;
        }
        if pass == Pass::Training {
            for (index, layer) in self.layers.iter().enumerate().rev() {
                if index > 0 {
                    writer.layer(layer, images, "error", Work::error).map_err(|reason| layer.refuse(path, reason))?;
                }
                writer.layer(layer, images, "gradient", Work::gradient).map_err(|reason| layer.refuse(path, reason))?;
            }
        }
        Ok(writer.finish())
    }
}

impl Layer {
    fn refuse(&self, path: &Path, reason: String) -> WorkloadError {
        WorkloadError::File { path: path.to_owned(), place: format!(", layer `{}`", self.name), reason }
    }
}

/// The fields of a line, without the empty ones that a comma at the end leaves.
struct Fields<'a>(Vec<&'a str>);

impl<'a> Fields<'a> {
    fn new(record: &'a StringRecord) -> Self {
        let mut fields: Vec<&str> = record.iter().collect();
        while fields.last().is_some_and(|field| field.is_empty()) {
            fields.pop();
        }
        Self(fields)
    }

    fn number(&self, index: usize, what: &str, largest: u32) -> Result<u32, String> {
        let text = self.0.get(index).ok_or_else(|| format!("{what} is missing; it is column {}", index + 1))?;
        match text.parse() {
            Ok(number) if (1..=largest).contains(&number) => Ok(number),
            _ => Err(format!("{what} (column {}) must be a whole number of 1 to {largest}, not `{text}`", index + 1)),
        }
    }

    /// Refuses sparse layers; what else is in the column.
    fn dense(&self, index: usize) -> Result<Option<&'a str>, String> {
        match self.0.get(index) {
            Some(ratio) if ratio.contains(':') => match ratio.split_once(':') {
                Some((kept, of)) if kept.trim() == of.trim() => Ok(None),
                _ => Err(format!("sparse layers (`{ratio}`) are not modelled; give the dense layer")),
            },
            other => Ok(other.copied()),
        }
    }
}

/// What the lines of a file list.
#[derive(Clone, Copy)]
enum Kind {
    Products,
    Convolutions,
}

impl Kind {
    fn of(heading: &Fields<'_>) -> Result<Self, String> {
        let names: Vec<String> = heading.0.iter().map(|name| name.to_lowercase()).collect();
        let has = |name: &str| names.iter().any(|n| n.contains(name));
        if names.iter().skip(1).take(3).map(String::as_str).eq(["m", "n", "k"]) {
            Ok(Self::Products)
        } else if has("ifmap") && has("filter") && names.len() >= 8 {
            Ok(Self::Convolutions)
        } else {
            Err("the heading must be `Layer, M, N, K` or `Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, \
                 Channels, Num Filter, Strides`"
                .to_owned())
        }
    }

    fn layer(self, fields: &Fields<'_>) -> Result<Layer, String> {
        let name = fields.0[0].to_owned();
        if name.is_empty() {
            return Err("the layer has no name (column 1)".to_owned());
        }
        match self {
            Self::Products => {
                let extent = |index, what| fields.number(index, what, LARGEST_EXTENT);
                let work = Work::Product { m: extent(1, "M")?, n: extent(2, "N")?, k: extent(3, "K")? };
                let number = if fields.dense(4)?.is_some() { Some(4) } else { fields.0.get(5).map(|_| 5) };
                let count = number.map_or(Ok(1), |index| fields.number(index, "the number of such products", LARGEST_EXTENT))?;
                Ok(Layer { name, work, images: 1, count })
            }
            Self::Convolutions => {
                let side = |index, what| fields.number(index, what, LARGEST_SIDE);
                let kernel = |index, what| fields.number(index, what, LARGEST_KERNEL);
                let (h, w) = (side(1, "IFMAP Height")?, side(2, "IFMAP Width")?);
                let (kernel_h, kernel_w) = (kernel(3, "Filter Height")?, kernel(4, "Filter Width")?);
                let channels = fields.number(5, "Channels", LARGEST_CHANNELS)?;
                let filters = fields.number(6, "Num Filter", LARGEST_EXTENT)?;
                let stride = kernel(7, "Strides")?;
                fields.dense(8)?;
                if kernel_h > h || kernel_w > w {
                    return Err(format!("a filter of {kernel_h}x{kernel_w} does not fit an image of {h}x{w}"));
                }
                let depthwise = name.contains("DP");
                let (c, count) = if depthwise { (1, channels) } else { (channels, 1) };
                let out = |image: u32, filter: u32| (image - filter + stride).div_ceil(stride);
                let (out_h, out_w) = (out(h, kernel_h), out(w, kernel_w));
                let window = Window { out_h, out_w, h, w, c, kernel_h, kernel_w, stride, pad: 0, dilate: 1 };
                Ok(Layer { name, work: Work::Convolution { window, filters }, images: 1, count })
            }
        }
    }
}

/// A product's operands and result: extents and layouts of A, B and D.
struct Operands {
    a: (u64, u64, Arrangement),
    b: (u64, u64, Arrangement),
    d: (u64, u64, Arrangement),
}

#[derive(Clone, Copy)]
enum Arrangement {
    Stored,
    Transposed,
    Windows(Window),
}

impl Work {
    fn forward(&self, images: u64) -> Result<Operands, String> {
        use Arrangement::{Stored, Windows};
        Ok(match *self {
            Self::Product { m, n, k } => {
                let (m, n, k) = (u64::from(m) * images, u64::from(n), u64::from(k));
                Operands { a: (m, k, Stored), b: (k, n, Stored), d: (m, n, Stored) }
            }
            Self::Convolution { window, filters } => {
                let (m, n, k) = (pixels(&window) * images, u64::from(filters), reduction(&window));
                Operands { a: (m, k, Windows(window)), b: (k, n, Stored), d: (m, n, Stored) }
            }
        })
    }

    /// Whether a view describes the windows of errors that the error product reads: it has one border
    /// for both sides, and so many channels at most.
    const fn has_error_view(&self) -> bool {
        match self {
            Self::Product { .. } => true,
            Self::Convolution { window, filters } => window.kernel_h == window.kernel_w && *filters <= LARGEST_CHANNELS,
        }
    }

    /// The error by the input: that by the result times the weights transposed.
    fn error(&self, images: u64) -> Result<Operands, String> {
        use Arrangement::{Stored, Transposed, Windows};
        Ok(match *self {
            Self::Product { m, n, k } => {
                let (m, n, k) = (u64::from(m) * images, u64::from(n), u64::from(k));
                Operands { a: (m, n, Stored), b: (n, k, Transposed), d: (m, k, Stored) }
            }
            Self::Convolution { window: w, filters } => {
                let seen = Window {
                    out_h: w.h,
                    out_w: w.w,
                    h: w.out_h,
                    w: w.out_w,
                    c: filters,
                    stride: 1,
                    pad: w.kernel_h - 1,
                    dilate: w.stride,
                    ..w
                };
                let (m, n, k) = (pixels(&seen) * images, u64::from(w.c), reduction(&seen));
                let errors = if self.has_error_view() { Windows(seen) } else { Stored };
                Operands { a: (m, k, errors), b: (k, n, Stored), d: (m, n, Stored) }
            }
        })
    }

    /// The gradient by the weights, transposed so that the images stay the right operand.
    fn gradient(&self, images: u64) -> Result<Operands, String> {
        use Arrangement::{Stored, Transposed, Windows};
        Ok(match *self {
            Self::Product { m, n, k } => {
                let (m, n, k) = (u64::from(m) * images, u64::from(n), u64::from(k));
                Operands { a: (n, m, Transposed), b: (m, k, Stored), d: (n, k, Transposed) }
            }
            Self::Convolution { window, filters } => {
                let (m, n, k) = (pixels(&window) * images, u64::from(filters), reduction(&window));
                Operands { a: (n, m, Transposed), b: (m, k, Windows(window)), d: (n, k, Transposed) }
            }
        })
    }
}

/// Output pixels of an image.
const fn pixels(window: &Window) -> u64 {
    window.out_h as u64 * window.out_w as u64
}

/// Products summed for an output.
const fn reduction(window: &Window) -> u64 {
    window.kernel_h as u64 * window.kernel_w as u64 * window.c as u64
}

/// A program under construction, its tensors one after another in DRAM.
struct Writer<'a> {
    design: &'a Design,
    program: Program,
    next: u64,
}

impl<'a> Writer<'a> {
    fn new(design: &'a Design) -> Self {
        Self { design, program: Program::default(), next: 0 }
    }

    /// What stays as it is for all products.
    fn configure(&mut self) {
        let Self { design, program, .. } = self;
        let output = &design.output;
        program.push(Instruction::Mode { mode: Mode(0) });
        program.push(Instruction::Output { rounding: output.rounding, overflow: output.overflow, no_infinity: output.no_infinity });
        for (register, format) in
            [(0, design.output_format(&design.mac)), (1, design.mac.a), (2, design.mac.b), (3, design.mac.scale_format)]
        {
            program.push(Instruction::Format { dst: FormatReg(register), format });
        }
    }

    /// The products of a layer in one pass.
    fn layer(
        &mut self,
        layer: &Layer,
        images: u32,
        pass: &str,
        operands: impl Fn(&Work, u64) -> Result<Operands, String>,
    ) -> Result<(), String> {
        let Operands { a, b, d } = operands(&layer.work, u64::from(images) * u64::from(layer.images))?;
        let mode = &self.design.mac;
        let region = self.program.region(&format!("{} {pass}", layer.name));
        self.program.push(Instruction::Mark { region: Region(region) });
        if self.program.instructions.len() == 1 {
            self.configure();
        }
        for _ in 0..layer.count {
            self.tensor(0, self.design.output_format(mode), d)?;
            self.tensor(1, mode.a, a)?;
            self.tensor(2, mode.b, b)?;
            if mode.scale != Scaling::None {
                let blocks = a.1.div_ceil(u64::from(mode.chunk.unwrap_or(1)));
                self.tensor(3, mode.scale_format, (a.0.div_ceil(mode.scale_rows.into()), blocks, Arrangement::Stored))?;
                self.tensor(4, mode.scale_format, (blocks, b.1.div_ceil(mode.scale_cols.into()), Arrangement::Stored))?;
                let [a, b] = [3, 4].map(|register| OptionalTensor(Some(TensorReg(register))));
                self.program.push(Instruction::Scales { a, b });
            }
            self.program.push(Instruction::Gemm { d: TensorReg(0), a: TensorReg(1), b: TensorReg(2) });
        }
        Ok(())
    }

    fn tensor(&mut self, register: u8, format: Format, (rows, cols, arrangement): (u64, u64, Arrangement)) -> Result<(), String> {
        let extent = |extent: u64, what: &str| match u32::try_from(extent) {
            Ok(extent) if extent <= LARGEST_EXTENT => Ok(extent),
            _ => Err(format!(
                "a matrix of {extent} {what} is beyond the {LARGEST_EXTENT} that instructions can name; make the batch smaller"
            )),
        };
        let (rows, cols) = (extent(rows, "rows")?, extent(cols, "columns")?);
        let elements = match arrangement {
            Arrangement::Windows(w) => {
                let images = u64::from(rows) / pixels(&w);
                [images, w.h.into(), w.w.into(), w.c.into()].into_iter().map(u128::from).product()
            }
            _ => u128::from(rows) * u128::from(cols),
        };
        let address = self.next;
        let next = u128::from(address) + (elements * u128::from(format.storage_bytes())).next_multiple_of(64);
        self.next = match u64::try_from(next) {
            Ok(next) if next <= u64::from(LARGEST_DRAM) << 20 => next,
            _ => {
                return Err(format!(
                    "with it the tensors of all layers take more than the {LARGEST_DRAM} MiB of DRAM that a design may have; \
                     make the batch smaller"
                ));
            }
        };
        let dst = TensorReg(register);
        let view = TensorView::contiguous(format, Space::Dram, address, rows, cols);
        self.program.push(Instruction::Tensor {
            dst,
            format: FormatReg(register.min(3)),
            space: Space::Dram,
            address: Address(view.address),
            rows: Span(rows),
            cols: Span(cols),
        });
        match arrangement {
            Arrangement::Stored => {}
            Arrangement::Transposed => {
                debug_assert!(matches!(view.layout, Layout::Strided { .. }));
                self.program.push(Instruction::Stride {
                    dst,
                    inner: Span(rows),
                    outer_stride: Stride(0),
                    inner_stride: Stride(1),
                    col_stride: Stride(rows as i32),
                });
            }
            Arrangement::Windows(w) => self.program.push(Instruction::Window {
                dst,
                out_h: Small(w.out_h as u16),
                out_w: Small(w.out_w as u16),
                h: Small(w.h as u16),
                w: Small(w.w as u16),
                c: Small(w.c as u16),
                kernel_h: Small(w.kernel_h as u16),
                kernel_w: Small(w.kernel_w as u16),
                stride: Small(w.stride as u16),
                pad: Small(w.pad as u16),
                dilate: Small(w.dilate as u16),
            }),
        }
        Ok(())
    }

    fn finish(mut self) -> Program {
        self.program.push(Instruction::Halt {});
        self.program
    }
}
