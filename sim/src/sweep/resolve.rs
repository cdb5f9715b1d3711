//! From a spec to the points it spans: recipes, designs, models and data, loaded and checked.

use super::constraint::Constraint;
use super::plan::{Plan, PlannedPoint, PlannedRun};
use super::spec::{Alternative, Spec, SpecError, Task, text};
use crate::energy;
use crate::run::gemm::hex_digest;
use crate::run::results::identity;
use crate::run::specification::{self, Settings, split_settings};
use crate::run::workload::{Extent, Kind, Layers, Pass, assumptions, layers};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use systole_isa::design::Design;
use systole_isa::overrides;
use systole_trainer::data::{self, Dataset, Split};
use systole_trainer::model::{Model, Workload};
use systole_trainer::recipe::{Backend, Recipe};

/// What a point's runs need.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The recipe.
    pub recipe: Arc<Recipe>,
    /// The hardware.
    pub design: Arc<Design>,
    /// What is done on it.
    pub work: Work,
}

/// What a run does.
#[derive(Clone, Debug)]
pub enum Work {
    /// Trains a model on data.
    Train(Arc<Model>, Arc<Dataset>),
    /// Costs a network by its shapes.
    Network(Arc<Model>, Pass),
    /// Costs the products of a file's layers, a batch of a topology's.
    Layers(Arc<Layers>, Option<u32>, Pass),
}

impl Work {
    /// What the shapes leave open, of what is costed by them.
    pub fn assumptions(&self) -> Vec<String> {
        match self {
            Self::Train(..) => Vec::new(),
            Self::Network(model, pass) => assumptions(if model.input.height == 1 { Kind::Texts } else { Kind::Images }, *pass),
            Self::Layers(layers, _, pass) => layers.assumptions(*pass),
        }
    }
}

/// A plan with what its points need.
pub struct Resolution {
    /// The plan.
    pub plan: Plan,
    /// By point; absent for points that cannot be run.
    pub points: Vec<Option<Resolved>>,
}

/// The recipe that points start from unless they say otherwise.
const DEFAULT_RECIPE: &str = "fp8";

/// Paths that name whole specifications rather than fields of one.
const WHOLES: [&str; 5] = ["recipe", "design", "model", "data", "workload"];

/// What has been loaded, by name.
#[derive(Default)]
struct Shelf {
    recipes: HashMap<String, Recipe>,
    data: HashMap<String, (Arc<Dataset>, String)>,
    layers: HashMap<String, Arc<Layers>>,
}

impl Shelf {
    fn recipe(&mut self, name: &str) -> Result<Recipe, String> {
        if let Some(recipe) = self.recipes.get(name) {
            return Ok(recipe.clone());
        }
        let recipe = Recipe::load(name).map_err(|e| e.to_string())?;
        self.recipes.insert(name.to_owned(), recipe.clone());
        Ok(recipe)
    }

    /// Data, and the digest of all its bytes.
    fn data(&mut self, name: &str, limit: Option<usize>) -> Result<(Arc<Dataset>, String), String> {
        if let Some(data) = self.data.get(name) {
            return Ok(data.clone());
        }
        let data = data::load(name, limit).map_err(|e| e.to_string())?;
        let bytes = |split: &Split| [&split.pixels[..], &split.labels[..]].concat();
        let digest = hex_digest(&[bytes(&data.train), bytes(&data.test)].concat());
        let loaded = (Arc::new(data), digest);
        self.data.insert(name.to_owned(), loaded.clone());
        Ok(loaded)
    }

    fn layers(&mut self, name: &str, dims: &[Extent]) -> Result<Arc<Layers>, String> {
        if let Some(layers) = self.layers.get(name) {
            return Ok(layers.clone());
        }
        let layers = Arc::new(Layers::read(Path::new(name), dims).map_err(|e| e.to_string())?);
        self.layers.insert(name.to_owned(), layers.clone());
        Ok(layers)
    }
}

/// A point's settings in the order they apply, divided into names of whole specifications and fields.
struct Choice {
    wholes: BTreeMap<String, String>,
    design: Settings,
    recipe: Settings,
}

impl Choice {
    fn of(spec: &Spec, alternatives: &[Alternative], command_line: &Settings) -> Self {
        let settings = spec.set.iter().map(|(path, value)| (path.clone(), text(value)));
        let varied = alternatives.iter().flat_map(|a| a.settings.iter().map(|(path, value)| (path.clone(), text(value))));
        let all: Vec<(String, String)> = settings.chain(command_line.iter().cloned()).chain(varied).collect();
        let (wholes, fields): (Vec<_>, Vec<_>) = all.into_iter().partition(|(path, _)| WHOLES.contains(&path.as_str()));
        let (design, recipe) = split_settings(fields);
        Self { wholes: wholes.into_iter().collect(), design, recipe }
    }

    fn whole<'a>(&'a self, path: &str, otherwise: &'a str) -> &'a str {
        self.wholes.get(path).map_or(otherwise, String::as_str)
    }
}

/// What becomes of one combination of alternatives.
enum Candidate {
    /// A constraint leaves it out.
    Excluded,
    /// It cannot be run.
    Unsound(String),
    Sound(Box<(Resolved, String)>),
}

fn candidate(spec: &Spec, file: &str, choice: &Choice, constraints: &[Constraint], shelf: &mut Shelf) -> Result<Candidate, SpecError> {
    match resolve(spec, choice, shelf, |fields| {
        for constraint in constraints {
            let holds = constraint.holds(fields).map_err(|source| SpecError::Constraint { file: file.to_owned(), source })?;
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }) {
        Ok(Some(sound)) => Ok(Candidate::Sound(Box::new(sound))),
        Ok(None) => Ok(Candidate::Excluded),
        Err(Failure::Point(problem)) => Ok(Candidate::Unsound(problem)),
        Err(Failure::Spec(error)) => Err(error),
    }
}

/// Why a point could not be resolved.
enum Failure {
    /// It is unsound; others may be sound.
    Point(String),
    /// The spec is.
    Spec(SpecError),
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self::Point(problem)
    }
}

/// A point's parts with a text of all that determines its results; `None` if it is not asked for.
fn resolve(
    spec: &Spec,
    choice: &Choice,
    shelf: &mut Shelf,
    admits: impl Fn(&Value) -> Result<bool, SpecError>,
) -> Result<Option<(Resolved, String)>, Failure> {
    let (workload, batch) = match &spec.task {
        Task::Train(_) => (None, None),
        Task::Workload(workload) => (Some(choice.whole("workload", &workload.name).to_owned()), workload.batch),
    };
    let known = workload.as_deref().and_then(Workload::find);
    let layered = workload.as_deref().is_some_and(Layers::are_named);
    if layered && (spec.recipe.is_some() || choice.wholes.contains_key("recipe") || !choice.recipe.is_empty()) {
        return Err(Failure::Point(
            "a file's products take mode 0 of the design, and no recipe; leave out recipe and roles, or set mac.* fields".to_owned(),
        ));
    }
    let base = shelf.recipe(choice.whole("recipe", spec.recipe.as_deref().unwrap_or(DEFAULT_RECIPE)))?;
    let mut recipe_settings = choice.recipe.clone();
    let sets_batch = recipe_settings.iter().any(|(path, _)| path == "batch");
    if let (Some(batch), false) = (batch.or_else(|| known.map(|workload| workload.batch)), sets_batch) {
        recipe_settings.push(("batch".to_owned(), batch.to_string()));
    }
    let otherwise = if layered { layers::DESIGN } else { base.design.as_str() };
    let design_name = choice.whole("design", spec.design.as_deref().unwrap_or(otherwise)).to_owned();
    let design_base = specification::design(&design_name, &[]).map_err(|e| e.to_string())?;
    // Constraints see a point before it is checked: they may be there to leave it out.
    let recipe: Recipe = overrides::apply("recipe", &base, &recipe_settings).map_err(|e| e.to_string())?;
    let design: Design = overrides::apply("design", &design_base, &choice.design).map_err(|e| e.to_string())?;
    if !admits(&fields(&recipe, &design, spec, choice)).map_err(Failure::Spec)? {
        return Ok(None);
    }
    let recipe = base.with_overrides(&recipe_settings).map_err(|e| e.to_string())?;
    let design = specification::design(&design_name, &choice.design).map_err(|e| e.to_string())?;
    energy::check(&design, matches!(spec.task, Task::Train(_))).map_err(|e| e.to_string())?;
    if recipe.backend == Backend::Host {
        return Err(Failure::Point(format!("recipe `{}` trains on the host and simulates no hardware", recipe.name)));
    }
    let (work, what) = match &spec.task {
        Task::Train(training) => {
            let (data, digest) = shelf.data(choice.whole("data", &training.data), training.limit)?;
            let name = choice.whole("model", &training.model);
            let model = Model::builtin(name, data.shape, data.classes).map_err(|e| e.to_string())?;
            let what = format!("train|{}|{digest}", model.name);
            (Work::Train(Arc::new(model), data), what)
        }
        Task::Workload(of) => {
            let name = workload.unwrap_or_default();
            let pass = if of.forward_only { Pass::Forward } else { Pass::Training };
            if layered {
                let dims: Vec<Extent> = of.dims.iter().map(|(name, n)| Extent { name: name.clone(), extent: n.get() }).collect();
                let layers = shelf.layers(&name, &dims)?;
                let batch = layers.batch(batch).map_err(|e| e.to_string())?;
                let digest = hex_digest(format!("{:?}", layers.topology).as_bytes());
                let what = format!("topology|{digest}|{}|{}", batch.unwrap_or(1), pass.name());
                (Work::Layers(layers, batch, pass), what)
            } else {
                if let Some(dim) = of.dims.keys().next() {
                    return Err(Failure::Point(format!("`dims` (`{dim}`) are for the named dimensions of ONNX graphs; leave them out")));
                }
                let known = known.ok_or_else(|| {
                    format!(
                        "no workload is called `{name}`; `systole list workloads` names those there are, a topology's name ends in .csv, a graph's in .onnx"
                    )
                })?;
                (Work::Network(Arc::new(known.model()), pass), format!("workload|{name}|{}", pass.name()))
            }
        }
    };
    let all = format!("systole {}|{what}|{}|{}", env!("CARGO_PKG_VERSION"), identity(&recipe), identity(&design));
    Ok(Some((Resolved { recipe: Arc::new(recipe), design: Arc::new(design), work }, all)))
}

/// What constraints see: the fields of recipe and design, and what the point is made of.
fn fields(recipe: &Recipe, design: &Design, spec: &Spec, choice: &Choice) -> Value {
    let object = |value: Result<Value, serde_json::Error>| match value {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let mut all = object(serde_json::to_value(recipe));
    all.extend(object(serde_json::to_value(design)));
    all.remove("summary");
    all.insert("recipe".to_owned(), json!(recipe.name));
    all.insert("design".to_owned(), json!(design.name));
    match &spec.task {
        Task::Train(training) => {
            all.insert("model".to_owned(), json!(choice.whole("model", &training.model)));
            all.insert("data".to_owned(), json!(choice.whole("data", &training.data)));
        }
        Task::Workload(workload) => {
            all.insert("workload".to_owned(), json!(choice.whole("workload", &workload.name)));
        }
    }
    Value::Object(all)
}

/// The plan of a spec, and what its points need. `command_line` wins over the spec's own settings;
/// what an axis varies it may not name.
///
/// # Errors
/// What is wrong with the spec as a whole. A point that is unsound is a point of the plan, with its
/// problem.
pub fn plan(file: &str, spec: &Spec, command_line: &Settings, command: &str) -> Result<Resolution, SpecError> {
    let base = |place: &str, message: String| SpecError::Base { file: file.to_owned(), place: place.to_owned(), message };
    if let Some((path, _)) = command_line.iter().find(|(path, _)| spec.varies(path)) {
        return Err(base("--set", format!("the sweep varies `{path}` itself; leave the setting out, or take the path out of `axes`")));
    }
    let constraints: Vec<Constraint> = spec
        .constraints
        .iter()
        .enumerate()
        .map(|(i, text)| Constraint::compile(i, text).map_err(|source| SpecError::Constraint { file: file.to_owned(), source }))
        .collect::<Result<_, _>>()?;
    let mut shelf = Shelf::default();
    // A base that is missing fails once, not at every point.
    if let (Some(recipe), false) = (&spec.recipe, spec.varies("recipe")) {
        shelf.recipe(recipe).map_err(|message| base("`recipe`", message))?;
    }
    if let (Some(design), false) = (&spec.design, spec.varies("design")) {
        specification::design(design, &[]).map_err(|e| base("`design`", e.to_string()))?;
    }
    if let (Task::Train(training), false) = (&spec.task, spec.varies("data")) {
        shelf.data(&training.data, training.limit).map_err(|message| base("`task.data`", message))?;
    }
    let seeds: Vec<Option<u64>> = match &spec.task {
        Task::Train(training) => training.seeds.list().into_iter().map(Some).collect(),
        Task::Workload(_) => vec![None],
    };
    let mut planned: Vec<PlannedPoint> = Vec::new();
    let mut resolved = Vec::new();
    let mut determinants = Vec::new();
    let mut names = HashSet::new();
    for alternatives in spec.combinations() {
        let choice = Choice::of(spec, &alternatives, command_line);
        let (point, all, problem) = match candidate(spec, file, &choice, &constraints, &mut shelf)? {
            Candidate::Excluded => continue,
            Candidate::Unsound(problem) => (None, None, Some(problem)),
            Candidate::Sound(sound) => (Some(sound.0), Some(sound.1), None),
        };
        let words: Vec<String> = alternatives.iter().map(Alternative::name).filter(|name| !name.is_empty()).collect();
        let words = if words.is_empty() { spec.name.clone() } else { words.join(" ") };
        let (mut name, mut same) = (words.clone(), 1);
        while !names.insert(name.clone()) {
            same += 1;
            name = format!("{words} ({same})");
        }
        let settings = alternatives.iter().flat_map(|a| a.settings.iter().cloned()).collect();
        planned.push(PlannedPoint { name, settings, problem });
        resolved.push(point);
        determinants.push(all);
    }
    if planned.is_empty() {
        return Err(base("`constraints`", "no point satisfies all of them; remove one, or give the axes other values".to_owned()));
    }
    if let (Some(PlannedPoint { name, problem: Some(problem), .. }), true) = (planned.first(), resolved.iter().all(Option::is_none)) {
        let all = planned.len();
        let message = if all == 1 { problem.clone() } else { format!("none of {all} can be run; of the first, `{name}`: {problem}") };
        return Err(base("points", message));
    }
    // All points under the first seed, then under the next: what there is so far speaks of all.
    let run = |point: usize, seed: Option<u64>| {
        let all = determinants[point].as_ref()?;
        Some(PlannedRun { point, seed, key: hex_digest(format!("{all}|{seed:?}").as_bytes()) })
    };
    let runs = seeds.iter().flat_map(|seed| (0..planned.len()).filter_map(|point| run(point, *seed))).collect();
    let layered = matches!(&spec.task, Task::Workload(workload) if Layers::are_named(&workload.name));
    let plan = Plan {
        name: spec.name.clone(),
        summary: spec.summary.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        task: task(&spec.task, &seeds),
        trains: matches!(spec.task, Task::Train(_)),
        recipe: (!layered).then(|| spec.recipe.clone().unwrap_or_else(|| DEFAULT_RECIPE.to_owned())),
        design: spec.design.clone().or_else(|| layered.then(|| layers::DESIGN.to_owned())),
        set: spec.set.iter().map(|(k, v)| (k.clone(), v.clone())).chain(command_line.iter().map(|(k, v)| (k.clone(), json!(v)))).collect(),
        command: command.to_owned(),
        points: planned,
        runs,
    };
    Ok(Resolution { plan, points: resolved })
}

fn task(task: &Task, seeds: &[Option<u64>]) -> String {
    match task {
        Task::Train(training) => {
            let seeds: Vec<String> = seeds.iter().flatten().map(u64::to_string).collect();
            let limit = training.limit.map(|limit| format!(", the first {limit}")).unwrap_or_default();
            format!("training {} on {}{limit}, seeds {}", training.model, training.data, seeds.join(", "))
        }
        Task::Workload(workload) => {
            let pass = if workload.forward_only { "the forward pass" } else { "a training step" };
            format!("{pass} of {} by its shapes", workload.name)
        }
    }
}
