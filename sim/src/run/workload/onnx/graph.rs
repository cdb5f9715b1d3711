//! The walk over a graph's nodes.

use super::super::{Coverage, Extent};
use super::infer::{self, Step};
use super::lower::{self, Reading};
use super::node::{Known, Node};
use super::proto::{Dimension, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::Tensor;
use super::{Network, Refusal, Topology};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

/// The most layers, and products of all of them.
const LARGEST_LAYERS: usize = 65_535;
const LARGEST_PRODUCTS: u64 = 1 << 20;

/// What is wrong with a graph, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The node or value, empty or behind a comma.
    pub place: String,
    /// What is wrong, and the mend.
    pub reason: String,
}

impl Fault {
    fn of_value(kind: &str, name: &str, reason: String) -> Self {
        Self { place: format!(", {kind} `{}`", printable(name)), reason }
    }

    fn of_node(index: usize, node: &NodeProto, reason: String) -> Self {
        Self { place: format!(", {}", title(index, node)), reason }
    }
}

/// A name without what a terminal would obey.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '_' } else { c }).collect()
}

fn title(index: usize, node: &NodeProto) -> String {
    match (printable(&node.name), printable(&node.op_type)) {
        (name, operator) if name.is_empty() => format!("node {index} ({operator})"),
        (name, operator) => format!("node `{name}` ({operator})"),
    }
}

/// Extents of named dimensions.
struct Named<'a>(&'a [Extent]);

impl Named<'_> {
    fn get(&self, name: &str) -> Option<i64> {
        self.0.iter().find(|extent| extent.name == name).map(|extent| extent.extent.into())
    }

    /// An extent of a value that is told.
    fn told(&self, dimension: &Dimension) -> Option<i64> {
        match (dimension.dim_value, &dimension.dim_param) {
            (Some(value), _) => Some(value).filter(|&value| value >= 0),
            (None, Some(name)) if is_name(name) => self.get(name),
            _ => None,
        }
    }
}

/// Exporters write `?` for dimensions that have nothing to do with each other.
fn is_name(name: &str) -> bool {
    name.chars().any(char::is_alphanumeric)
}

/// Name of a dimension of an input that has no extent: its own, or the input's with its number.
fn name_of(input: &str, axis: usize, dimension: &Dimension) -> Option<String> {
    match (dimension.dim_value, dimension.dim_param.as_deref()) {
        (Some(value), _) if value >= 0 => None,
        (None, Some(name)) if is_name(name) => Some(name.to_owned()),
        _ => Some(format!("{input}.{axis}")),
    }
}

fn dimensions(value: &ValueInfoProto) -> Option<&[Dimension]> {
    let tensor = value.r#type.as_ref()?.tensor_type.as_ref()?;
    tensor.shape.as_ref().map(|shape| &shape.dim[..])
}

struct Walk<'a> {
    /// Domain and name of the operators that the model defines.
    functions: HashSet<(&'a str, &'a str)>,
    graph: &'a GraphProto,
    named: Named<'a>,
    opset: i64,
    /// Shapes that the file tells of values between.
    told: HashMap<&'a str, &'a [Dimension]>,
    known: HashMap<&'a str, Known>,
    names: HashSet<String>,
    network: Network,
    products: u64,
}

/// Follows shapes through a graph.
///
/// # Errors
/// The first node or value that has no shape, or whose products cannot be lowered.
pub fn walk(model: &ModelProto, graph: &GraphProto, name: &str, extents: &[Extent]) -> Result<Network, Fault> {
    let opset = model.opset_import.iter().find(|set| is_standard(&set.domain)).map_or(i64::MAX, |set| set.version);
    let told = graph.value_info.iter().chain(&graph.output).filter_map(|value| Some((&value.name[..], dimensions(value)?))).collect();
    let mut walk = Walk {
        functions: model.functions.iter().map(|function| (&function.domain[..], &function.name[..])).collect(),
        graph,
        named: Named(extents),
        opset,
        told,
        known: HashMap::new(),
        names: HashSet::new(),
        network: Network {
            topology: Topology { name: name.to_owned(), layers: Vec::new() },
            coverage: Coverage { dims: extents.to_vec(), ..Coverage::default() },
        },
        products: 0,
    };
    walk.weights()?;
    walk.inputs()?;
    for (index, node) in graph.node.iter().enumerate() {
        walk.node(index, node)?;
    }
    if let Some(output) = graph.output.iter().find(|output| !walk.known.contains_key(&output.name[..])) {
        let reason = "no node computes it; export the model again".to_owned();
        return Err(Fault::of_value("result", &output.name, reason));
    }
    if walk.network.topology.layers.is_empty() {
        let reason = "it has no MatMul, Gemm, Conv or other nodes that hold products, and these are what is costed".to_owned();
        return Err(Fault { place: String::new(), reason });
    }
    Ok(walk.network)
}

fn is_standard(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

impl<'a> Walk<'a> {
    fn weights(&mut self) -> Result<(), Fault> {
        let dense = self.graph.initializer.iter().map(|tensor| (&tensor.name[..], Tensor::of_proto(tensor)));
        let sparse = self.graph.sparse_initializer.iter();
        let sparse = sparse.filter_map(|tensor| Some((&tensor.values.as_ref()?.name[..], Tensor::of_sparse(tensor))));
        for (name, tensor) in dense.chain(sparse) {
            let tensor = tensor.map_err(|refusal| Fault::of_value("initializer", name, refusal.reason()))?;
            if self.known.insert(name, Known::Shape(tensor)).is_some() {
                return Err(Fault::of_value("initializer", name, "there are two of this name; export the model again".to_owned()));
            }
        }
        Ok(())
    }

    fn inputs(&mut self) -> Result<(), Fault> {
        let graph = self.graph;
        let mut open = BTreeSet::new();
        let mut names: BTreeSet<String> =
            self.told.values().flat_map(|dims| dims.iter()).filter_map(|dim| dim.dim_param.clone()).filter(|name| is_name(name)).collect();
        // Old files list weights among the inputs.
        for input in graph.input.iter().filter(|input| !self.known.contains_key(&input.name[..])).collect::<Vec<_>>() {
            let Some(dims) = dimensions(input) else {
                let why = format!("the file tells none of input `{}`; give it one there", printable(&input.name));
                self.known.insert(&input.name, Known::Nothing(why.into()));
                continue;
            };
            let mut shape = Vec::with_capacity(dims.len().min(64));
            for (axis, dim) in dims.iter().enumerate() {
                match name_of(&input.name, axis, dim) {
                    None => shape.push(dim.dim_value.unwrap_or(0)),
                    Some(name) => {
                        match self.named.get(&name) {
                            Some(extent) => shape.push(extent),
                            None => _ = open.insert(name.clone()),
                        }
                        names.insert(name);
                    }
                }
            }
            if shape.len() == dims.len() {
                let tensor = Tensor::new(shape).map_err(|refusal| Fault::of_value("input", &input.name, refusal.reason()))?;
                if self.known.insert(&input.name, Known::Shape(tensor)).is_some() {
                    return Err(Fault::of_value("input", &input.name, "there are two of this name; export the model again".to_owned()));
                }
            }
        }
        self.check_names(&open, &names)
    }

    fn check_names(&self, open: &BTreeSet<String>, names: &BTreeSet<String>) -> Result<(), Fault> {
        let list = |names: &BTreeSet<String>, of: fn(&str) -> String| -> String {
            let shown: Vec<String> = names.iter().take(8).map(|name| of(&printable(name))).collect();
            if names.len() > shown.len() { format!("{} and {} more", shown.join(" "), names.len() - shown.len()) } else { shown.join(" ") }
        };
        if let Some(extent) = self.named.0.iter().find(|extent| !names.contains(&extent.name)) {
            let there =
                if names.is_empty() { "all have numbers".to_owned() } else { format!("there is {}", list(names, |n| format!("`{n}`"))) };
            let reason = format!("no dimension is called `{}` as --dim has it; {there}", printable(&extent.name));
            return Err(Fault { place: String::new(), reason });
        }
        if open.is_empty() {
            return Ok(());
        }
        let reason = format!(
            "dimensions of its inputs have no extent: {}; give each one: {}",
            list(open, |name| format!("`{name}`")),
            list(open, |name| format!("--dim {}=N", if name.contains(' ') { format!("'{name}'") } else { name.to_owned() }))
        );
        Err(Fault { place: String::new(), reason })
    }

    fn node(&mut self, index: usize, node: &'a NodeProto) -> Result<(), Fault> {
        let fault = |reason: String| Fault::of_node(index, node, reason);
        let operator = &node.op_type[..];
        let standard = is_standard(&node.domain);
        if operator.is_empty() {
            return Err(fault("it has no operator; export the model again".to_owned()));
        }
        if self.functions.contains(&(&node.domain[..], operator)) {
            return Err(fault(
                "its operator is a function that the model defines, which is not followed; inline the model's functions".to_owned(),
            ));
        }
        if let Some(reason) = infer::refused(operator) {
            return Err(fault(format!("it {reason}")));
        }
        if infer::is_costed(operator) && !standard {
            return Err(fault(format!("its operator is not ONNX's but one of domain `{}`; export it as ONNX's", printable(&node.domain))));
        }
        let operands = self.operands(index, node)?;
        let unknown = operands.iter().flatten().find_map(|known| match known {
            Known::Nothing(why) => Some(why.clone()),
            Known::Shape(_) => None,
        });
        let seen = Node { proto: node, operands, opset: self.opset };
        let found = if standard { infer::infer(&seen) } else { Ok(None) };
        let costed = infer::is_costed(operator);
        let (step, why): (Step, Option<Rc<str>>) = match found {
            Ok(Some(step)) => (step, None),
            // The first reason is the one to mend.
            Err(Refusal::Unknown(reason)) if !costed => {
                let here = || format!("{}: {reason}", title(index, node)).into();
                (Step::default(), Some(unknown.unwrap_or_else(here)))
            }
            Err(refusal) => return Err(fault(refusal.reason())),
            Ok(None) => {
                let told = |name: &String| name.is_empty() || self.shape_told(name).is_some();
                if let Some(missing) = node.output.iter().find(|name| !told(name)) {
                    return Err(fault(format!(
                        "its operator is not known, and the file does not tell the shape of its result `{}`; \
                         give that in value_info (onnx.shape_inference writes it), or export it as operators of ONNX",
                        printable(missing)
                    )));
                }
                (Step::default(), None)
            }
        };
        self.results(index, node, &step, why)?;
        if !step.products.is_empty() {
            return step.products.iter().try_for_each(|part| self.layer(index, node, part));
        }
        let kind = if standard { operator.to_owned() } else { format!("{}.{operator}", node.domain) };
        *self.network.coverage.not_costed.entry(printable(&kind)).or_default() += 1;
        Ok(())
    }

    fn operands(&self, index: usize, node: &'a NodeProto) -> Result<Vec<Option<&Known>>, Fault> {
        let operand = |name: &'a String| {
            if name.is_empty() {
                return Ok(None);
            }
            self.known.get(&name[..]).map(Some).ok_or_else(|| {
                let later = self.graph.node.iter().enumerate().skip(index).find(|(_, other)| other.output.contains(name));
                let name = printable(name);
                let reason = match later {
                    Some((other, node)) => format!(
                        "it reads `{name}`, which only {} computes; sort the nodes so that each reads what earlier ones computed, \
                         and break the cycle if there is one",
                        title(other, node)
                    ),
                    None => format!("it reads `{name}`, which is no input, no initializer and no node's result; export the model again"),
                };
                Fault::of_node(index, node, reason)
            })
        };
        node.input.iter().map(operand).collect()
    }

    fn shape_told(&self, name: &str) -> Option<Vec<i64>> {
        self.told.get(name)?.iter().map(|dim| self.named.told(dim)).collect()
    }

    fn results(&mut self, index: usize, node: &'a NodeProto, step: &Step, why: Option<Rc<str>>) -> Result<(), Fault> {
        let fault = |reason: String| Fault::of_node(index, node, reason);
        for (number, name) in node.output.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            let known = match step.results.get(number).cloned().flatten() {
                Some(tensor) => {
                    match self.agree(name, &tensor) {
                        // What exporters tell of a graph's results is often out of date, and nothing follows from it.
                        Err(_) if self.graph.output.iter().any(|output| output.name == *name) => {
                            self.network.coverage.contradicted.push(printable(name));
                        }
                        agreed => agreed.map_err(fault)?,
                    }
                    Known::Shape(tensor)
                }
                None => match self.shape_told(name) {
                    Some(dims) => Known::Shape(Tensor::new(dims).map_err(|refusal| fault(refusal.reason()))?),
                    None => Known::Nothing(why.clone().unwrap_or_else(|| {
                        format!("{}: its operator tells no shape of `{}`; give one in value_info", title(index, node), printable(name))
                            .into()
                    })),
                },
            };
            if self.known.insert(name, known).is_some() {
                return Err(fault(format!("it computes `{}`, which is there already; export the model again", printable(name))));
            }
        }
        Ok(())
    }

    /// Refuses shapes other than those that the file tells.
    fn agree(&self, name: &str, tensor: &Tensor) -> Result<(), String> {
        let Some(told) = self.told.get(name) else { return Ok(()) };
        let dims = tensor.dims();
        let alike =
            told.len() == dims.len() && told.iter().zip(dims).all(|(told, &dim)| self.named.told(told).is_none_or(|told| told == dim));
        if alike {
            return Ok(());
        }
        let shown: Vec<String> =
            told.iter().take(32).map(|dim| self.named.told(dim).map_or_else(|| "?".to_owned(), |extent| extent.to_string())).collect();
        Err(format!(
            "its result `{}` is of shape {dims:?}, but the file tells [{}]; mend the shapes or --dim",
            printable(name),
            shown.join(", ")
        ))
    }

    fn layer(&mut self, index: usize, node: &NodeProto, part: &infer::Part) -> Result<(), Fault> {
        let fault = |reason: String| Fault::of_node(index, node, reason);
        let name = self.unique(index, node, part.name);
        let (layer, reading) = lower::layer(name, &part.product).map_err(fault)?;
        self.products += u64::from(layer.count);
        if self.products > LARGEST_PRODUCTS || self.network.topology.layers.len() == LARGEST_LAYERS {
            return Err(fault(format!(
                "with it the graph has more than {LARGEST_PRODUCTS} products or {LARGEST_LAYERS} layers; make the batch smaller, or cut the graph"
            )));
        }
        let coverage = &mut self.network.coverage;
        match reading {
            Reading::Plain => {}
            Reading::Bordered => coverage.bordered.push(layer.name.clone()),
            Reading::Unfolded => coverage.unfolded.push(layer.name.clone()),
            Reading::Scattered => coverage.scattered.push(layer.name.clone()),
        }
        self.network.topology.layers.push(layer);
        Ok(())
    }

    /// The node's name, or its operator and number, and the part of it; a number more where another has it.
    fn unique(&mut self, index: usize, node: &NodeProto, part: &str) -> String {
        let base = if node.name.is_empty() { format!("{}_{index}", node.op_type) } else { node.name.clone() };
        let base = if part.is_empty() { printable(&base) } else { format!("{} {part}", printable(&base)) };
        // The node's number is in no other's name twice, so this ends.
        let mut name = base.clone();
        while !self.names.insert(name.clone()) {
            name = format!("{name}_{index}");
        }
        name
    }
}
