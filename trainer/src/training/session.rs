//! One run's device: what is written to it, run on it and read from it.

use super::evidence::{Evidence, LOOKED_AT, Observer, SumEvidence};
use super::scales::ScaleState;
use super::trial::Trial;
use super::{Answers, Checkpoint, CheckpointError, Epoch, Heard, Progress, RunError, Task, Weights};
use crate::data::{Augment, Batches, Split, evaluation_batches};
use crate::host::check;
use crate::lower::{Compiled, Followed, LowerError, Scalar, Tensor, compile};
use crate::model::{initial_buffers, initial_values};
use crate::optimizer::{AdamScalars, Rule};
use crate::recipe::{LossScale, Precision, Scale, Scaler, roundoffs};
use crate::search::{Ladder, Moment, Search};
use std::num::NonZeroU64;
use systole_isa::device::{Device, DeviceError, Record};
use systole_isa::program::Program;
use systole_isa::round::encode_f64;

/// Passes over the first batch at most that set tracked scales.
const CALIBRATIONS: u32 = 16;

/// What a program belongs to, which sets the sites of its stochastic roundings apart from
/// those of other programs of the same step.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Step,
    Update,
    Calibration(u32),
    Average,
    /// A gradient on a rung of a ladder; on the first as [`Part::Step`].
    Slope(usize),
    /// A loss on a rung, at whichever point.
    Loss(usize),
}

impl Part {
    pub const fn site(self, step: u64) -> u64 {
        let step = step & 0x0fff_ffff;
        // Ladders have at most eight rungs, and their runs fewer steps than 2^26.
        let trial = step & 0x03ff_ffff;
        match self {
            Self::Step => step,
            Self::Update => 1 << 31 | step,
            Self::Calibration(pass) => 3 << 30 | pass as u64,
            Self::Average => 1 << 30 | step,
            Self::Slope(rung) => (rung as u64) << 26 | trial,
            Self::Loss(rung) => 1 << 30 | (rung as u64 + 1) << 26 | trial,
        }
    }
}

/// One run's device, programs and encoding of data.
pub(super) struct Session<'a> {
    task: &'a Task<'a>,
    pub device: &'a mut dyn Device,
    compiled: Compiled,
    /// Code of every level in the format of images.
    level_codes: Vec<u64>,
    /// Codes of 0 and 1 in the format of labels.
    label_codes: [u64; 2],
    /// The choice among rungs, and their roundoffs.
    ladder: Option<Ladder>,
    roundoffs: Vec<f64>,
    /// Who looks at the steps.
    observer: Option<Observer>,
    /// The rung of the last step, where steps are tried.
    rung: Option<usize>,
}

/// What a step came to.
struct Stepped {
    /// Mean loss before it.
    loss: f64,
    /// Labels predicted before it.
    correct: usize,
    /// What it cost.
    record: Record,
    evidence: Option<Evidence>,
}

impl<'a> Session<'a> {
    /// `every`: how often somebody looks at a step.
    pub fn new(task: &'a Task<'a>, device: &'a mut dyn Device, every: Option<NonZeroU64>) -> Result<Self, RunError> {
        check(task.model, task.data, task.recipe.batch as usize, task.recipe.augment)?;
        let compiled = compile(task.model, task.recipe, device.design())?;
        let scale = f32::from(task.data.full_scale);
        let encode = |value: f32| encode_f64(compiled.images.format, value.into());
        let level_codes = (0..=u8::MAX).map(|p| encode(f32::from(p) / scale)).collect();
        let label_codes = [encode(0.0), encode(1.0)];
        let observer = every.map(|every| Observer::new(every, &compiled));
        let ladder = task.recipe.precision.as_ref().map(Precision::ladder);
        let roundoffs = roundoffs(task.recipe, device.design());
        Ok(Self { label_codes, level_codes, observer, task, device, compiled, ladder, roundoffs, rung: None })
    }

    fn write_values(&mut self, tensor: Tensor, values: impl IntoIterator<Item = f64>) -> Result<(), DeviceError> {
        let codes: Vec<u64> = values.into_iter().map(|v| encode_f64(tensor.format, v)).collect();
        self.device.write(tensor.address, tensor.format, &codes)
    }

    pub fn read_value(&self, tensor: Tensor) -> Result<f64, DeviceError> {
        let code = self.device.read(tensor.address, tensor.format, 1)?;
        Ok(tensor.format.to_f64(code.first().copied().unwrap_or_default()))
    }

    fn run(&mut self, program: impl Fn(&Compiled) -> &Program, site: u64, record: &mut Record) -> Result<(), DeviceError> {
        record.accumulate(&self.device.run(program(&self.compiled), site)?);
        Ok(())
    }

    /// Initial weights, states at rest, and scales that suit the first batch.
    pub fn initialise(&mut self, progress: &mut Progress) -> Result<(), RunError> {
        let plan = self.task.model.plan().map_err(LowerError::from)?;
        self.write_constants()?;
        let parameters = self.compiled.parameters.clone();
        progress.scales = self.compiled.followed.iter().map(ScaleState::new).collect();
        let initial = initial_values(&plan, self.task.seed);
        for (parameter, values) in parameters.iter().flatten().zip(initial.iter().flatten()) {
            for tensor in parameter.lasting() {
                self.write_values(tensor, vec![0.0; tensor.elements()])?;
            }
            self.write_values(parameter.staging.unwrap_or(parameter.master.elements), values.iter().map(|&v| v.into()))?;
        }
        let amax = |values: &[f32]| values.iter().fold(0.0f64, |m, v| m.max(f64::from(v.abs())));
        for (followed, state) in self.compiled.followed.iter().zip(&mut progress.scales) {
            if followed.role == "weights" {
                state.calibrate(followed, amax(&initial[followed.layer][followed.index]));
            }
        }
        self.write_scales(progress)?;
        for (tensors, values) in self.compiled.buffers.clone().iter().zip(&initial_buffers(&plan)) {
            for (tensor, values) in tensors.iter().zip(values) {
                self.write_values(*tensor, values.iter().map(|&v| v.into()))?;
            }
        }
        let average = self.compiled.average.clone();
        for tensor in average.iter().flat_map(|average| &average.tensors) {
            self.write_values(*tensor, vec![0.0; tensor.elements()])?;
        }
        if self.task.recipe.searches() {
            progress.search = Some(Search::new(&self.task.recipe.rules(self.ladder.as_ref(), &self.roundoffs)));
        }
        progress.scaler = match self.task.recipe.loss_scale {
            LossScale::Dynamic(dynamic) => Some(Scaler::new(&dynamic)),
            LossScale::Static(_) => None,
        };
        // Its last instruction only halts.
        if self.compiled.initialise.instructions.len() > 1 {
            self.run(|c| &c.initialise, Part::Calibration(0).site(0), &mut progress.training)?;
        }
        self.calibrate(progress)
    }

    /// Sets tracked scales from the first batch: each pass sets those whose largest magnitudes
    /// it saw, until none changes.
    fn calibrate(&mut self, progress: &mut Progress) -> Result<(), RunError> {
        let tracked = |followed: &Followed| matches!(followed.scale_policy, Scale::Tracked { .. });
        if !self.compiled.followed.iter().any(tracked) {
            return Ok(());
        }
        let task = self.task;
        let batches = Batches::new(task.data.train.len(), task.recipe.batch as usize, task.seed, 0);
        let Some(indices) = batches.iter().next() else { return Ok(()) };
        let buffers: Vec<Tensor> = self.compiled.buffers.iter().flatten().copied().collect();
        let kept = self.read_all(&buffers)?;
        self.load(&task.data.training_pixels(indices, task.recipe.augment, task.seed, 0), &task.data.train, indices)?;
        self.write_scalars(progress, task.recipe.optimizer.rate(0, 1, task.recipe.epochs))?;
        for pass in 1..=CALIBRATIONS {
            self.run(|c| &c.step.gradients, Part::Calibration(pass).site(0), &mut progress.training)?;
            let mut changed = false;
            for (followed, state) in self.compiled.followed.iter().zip(&mut progress.scales) {
                let code = self.device.read(followed.amax.address, followed.amax.format, 1)?;
                let amax = followed.amax.format.to_f64(code.first().copied().unwrap_or_default());
                changed |= state.calibrate(followed, amax);
            }
            self.write_scales(progress)?;
            if !changed {
                break;
            }
        }
        self.write_all(&buffers, &kept)
    }

    fn write_constants(&mut self) -> Result<(), RunError> {
        for (tensor, values) in self.compiled.constants.clone() {
            self.write_values(tensor, values)?;
        }
        Ok(())
    }

    fn write_scales(&mut self, progress: &Progress) -> Result<(), RunError> {
        for (followed, state) in self.compiled.followed.clone().iter().zip(&progress.scales) {
            let [scale, inverse] = state.values(followed);
            self.write_values(followed.scale, [scale])?;
            self.write_values(followed.inverse, [inverse])?;
        }
        Ok(())
    }

    /// After a step, scales go by the largest magnitudes it saw.
    fn follow(&mut self, progress: &mut Progress) -> Result<(), RunError> {
        for (followed, state) in self.compiled.followed.iter().zip(&mut progress.scales) {
            state.update(followed, self.read_value(followed.amax)?);
        }
        self.write_scales(progress)
    }

    /// The scalars of a step of that learning rate.
    fn write_scalars(&mut self, progress: &Progress, rate: f64) -> Result<(), RunError> {
        let optimizer = &self.task.recipe.optimizer;
        let updates = i32::try_from(progress.updates + 1).unwrap_or(i32::MAX);
        let AdamScalars { step: negated, epsilon } = match optimizer.rule {
            Rule::Sgd | Rule::TrustRegion(_) => AdamScalars { step: -rate, epsilon: 0.0 },
            rule @ Rule::Adam { .. } => AdamScalars::new(rule, rate, updates),
        };
        let scaler = progress.scaler.unwrap_or(Scaler { scale: 1.0, steps: 0 });
        for (scalar, tensor) in self.compiled.scalars.clone() {
            let value = match scalar {
                Scalar::NegatedRate => negated,
                Scalar::Epsilon => epsilon,
                Scalar::Shrink => 1.0 - rate * optimizer.weight_decay,
                Scalar::LossFactor => f64::from(scaler.scale) / self.compiled.logits.rows as f64,
                Scalar::Unscale => f64::from(scaler.inverse()),
                Scalar::Share => continue,
            };
            self.write_values(tensor, [value])?;
        }
        Ok(())
    }

    fn write_share(&mut self, count: u64) -> Result<(), RunError> {
        for (_, tensor) in self.compiled.scalars.clone().iter().filter(|(scalar, _)| *scalar == Scalar::Share) {
            self.write_values(*tensor, [1.0 / count as f64])?;
        }
        Ok(())
    }

    /// Tensors that live from step to step.
    fn persistent(&self) -> Vec<Tensor> {
        let average = self.compiled.average.iter().flat_map(|a| a.tensors.iter().chain(a.buffers.iter().flatten()));
        let parameters = self.compiled.parameters.iter().flatten();
        // In the order of older checkpoints where there is nothing new: weights, momentum, buffers.
        let master = parameters.clone().flat_map(|p| p.master.tensors());
        let others = parameters.flat_map(|p| p.lasting().split_off(p.master.tensors().len()));
        master.chain(others).chain(self.compiled.buffers.iter().flatten().copied()).chain(average.copied()).collect()
    }

    pub fn read_all(&self, tensors: &[Tensor]) -> Result<Vec<Vec<u64>>, RunError> {
        tensors.iter().map(|t| Ok(self.device.read(t.address, t.format, t.elements())?)).collect()
    }

    pub fn write_all(&mut self, tensors: &[Tensor], codes: &[Vec<u64>]) -> Result<(), RunError> {
        for (tensor, codes) in tensors.iter().zip(codes) {
            self.device.write(tensor.address, tensor.format, codes)?;
        }
        Ok(())
    }

    pub fn state(&self) -> Result<Vec<Vec<u64>>, RunError> {
        self.read_all(&self.persistent())
    }

    pub fn restore(&mut self, checkpoint: &Checkpoint) -> Result<(), RunError> {
        let tensors = self.persistent();
        checkpoint.check_tensors(&tensors)?;
        checkpoint.check_search(self.task.recipe.searches().then_some(self.roundoffs.len()))?;
        let (found, expected) = (checkpoint.progress.scales.len(), self.compiled.followed.len());
        if found != expected {
            return Err(CheckpointError::Scales { found, expected }.into());
        }
        self.write_all(&tensors, &checkpoint.tensors)?;
        self.write_scales(&checkpoint.progress)?;
        self.write_constants()
    }

    /// Writes images and the labels of `indices`.
    fn load(&mut self, pixels: &[u8], split: &Split, indices: &[usize]) -> Result<(), DeviceError> {
        let images: Vec<u64> = self.task.data.levels(pixels).iter().map(|&level| self.level_codes[usize::from(level)]).collect();
        let labels: Vec<u64> = split
            .labels_of(indices)
            .into_iter()
            .flat_map(|label| (0..self.task.data.classes).map(move |class| usize::from(class == label)))
            .map(|hot| self.label_codes[hot])
            .collect();
        self.device.write(self.compiled.images.address, self.compiled.images.format, &images)?;
        self.device.write(self.compiled.labels.address, self.compiled.labels.format, &labels)
    }

    /// How many labels of the first `indices` the logits in memory predict.
    pub fn correct(&self, split: &Split, indices: &[usize]) -> Result<usize, DeviceError> {
        let Tensor { address, format, rows, cols } = self.compiled.logits;
        let logits = self.device.read(address, format, rows * cols)?;
        let values: Vec<f64> = logits.into_iter().map(|code| format.to_f64(code)).collect();
        Ok(split.labels_of(indices).into_iter().zip(values.chunks(cols)).filter(|&(label, row)| largest(row) == label).count())
    }

    /// The mean loss that the last program left.
    pub fn loss(&self) -> Result<f64, RunError> {
        Ok(self.read_value(self.compiled.loss)?)
    }

    pub fn weight_decay(&self) -> f64 {
        self.task.recipe.optimizer.weight_decay
    }

    /// Statistics that training tracks.
    pub fn buffers(&self) -> Vec<Tensor> {
        self.compiled.buffers.iter().flatten().copied().collect()
    }

    /// What the next advance multiplies the direction by.
    pub fn write_rate(&mut self, factor: f64) -> Result<(), RunError> {
        for (_, tensor) in self.compiled.scalars.clone().iter().filter(|(scalar, _)| *scalar == Scalar::NegatedRate) {
            self.write_values(*tensor, [factor])?;
        }
        Ok(())
    }

    pub fn forget_momentum(&mut self) -> Result<(), RunError> {
        let momenta: Vec<Tensor> = self.compiled.parameters.iter().flatten().filter_map(|p| p.momentum.map(|m| m.elements)).collect();
        for tensor in momenta {
            self.write_values(tensor, vec![0.0; tensor.elements()])?;
        }
        Ok(())
    }

    /// Before a step runs, counted from 0.
    fn look_before(&mut self, step: u64) -> Result<(), RunError> {
        if let Some(observer) = &mut self.observer {
            observer.before(step + 1, &*self.device)?;
            if observer.looks(step + 1) {
                self.device.look_at_sums(LOOKED_AT);
            }
        }
        Ok(())
    }

    /// Takes partial sums out of the record of a step whose programs have run: those of a run are
    /// not kept.
    fn take_sums(&mut self, record: &mut Record) -> Vec<SumEvidence> {
        self.device.look_at_sums(0);
        SumEvidence::take(record)
    }

    /// What is seen of a step that has run; `about` has all but that.
    fn look_after(&mut self, about: Evidence) -> Result<Option<Evidence>, RunError> {
        let Some(observer) = &mut self.observer else { return Ok(None) };
        let seen = observer.after(about.step, about.moved, &*self.device, &self.compiled)?;
        Ok(seen.map(|(tensors, gradients)| Evidence { tensors, gradients, ..about }))
    }

    /// One step on the batch in memory that is tried before it is taken.
    fn try_step(&mut self, progress: &mut Progress, moment: Moment, epoch: u32, indices: &[usize]) -> Result<Stepped, RunError> {
        let (task, step) = (self.task, progress.steps);
        let (Some(trials), Some(mut search)) = (self.compiled.trials.take(), progress.search.take()) else {
            unreachable!("a recipe that searches has programs and a state for it")
        };
        self.look_before(step)?;
        let (ladder, roundoffs) = (self.ladder.clone(), self.roundoffs.clone());
        let mut record = Record::default();
        let mut trial = Trial::new(self, &trials, &mut record, step, &task.data.train, indices);
        search.step(&task.recipe.rules(ladder.as_ref(), &roundoffs), &mut trial, moment)?;
        let ((loss, correct), rung) = (trial.first, trial.rung);
        let moved = search.moved(step);
        let sums = self.take_sums(&mut record);
        progress.training.accumulate(&record);
        progress.steps += 1;
        progress.updates += u64::from(moved);
        if let Some(observer) = &mut self.observer
            && self.rung != Some(rung)
        {
            self.compiled.watched = trials.rungs[rung].watched.clone();
            observer.forget();
        }
        self.rung = Some(rung);
        let evidence = self.look_after(Evidence {
            loss: Some(loss).filter(|loss| loss.is_finite()),
            learning_rate: moment.rate,
            loss_scale: task.recipe.loss_scale.initial(),
            moved,
            rung: Some(rung),
            test: search.decisions.last().filter(|test| test.step == step).cloned(),
            sums,
            ..Evidence::of_step(step, epoch)
        })?;
        self.compiled.trials = Some(trials);
        progress.search = Some(search);
        Ok(Stepped { loss, correct, record, evidence })
    }

    /// One step on the batch in memory.
    fn step(&mut self, progress: &mut Progress, moment: Moment, epoch: u32, indices: &[usize]) -> Result<Stepped, RunError> {
        let step = progress.steps;
        self.write_scalars(progress, moment.rate)?;
        let loss_scale = match self.task.recipe.loss_scale {
            LossScale::Static(scale) => scale,
            LossScale::Dynamic(_) => progress.scaler.map_or(1.0, |scaler| scaler.scale.into()),
        };
        self.look_before(step)?;
        let mut record = Record::default();
        let mut moved = true;
        if self.compiled.step.whole.is_some() {
            self.run(|c| c.step.whole.as_ref().unwrap_or(&c.step.gradients), Part::Step.site(step), &mut record)?;
        } else {
            self.run(|c| &c.step.gradients, Part::Step.site(step), &mut record)?;
            let amax = self.compiled.overflow.map(|tensor| self.read_value(tensor)).transpose()?;
            moved = amax.is_none_or(f64::is_finite);
            if moved {
                self.run(|c| &c.step.update, Part::Update.site(step), &mut record)?;
            }
            if let (LossScale::Dynamic(dynamic), Some(scaler)) = (self.task.recipe.loss_scale, &mut progress.scaler) {
                scaler.update(&dynamic, !moved);
            }
        }
        let sums = self.take_sums(&mut record);
        progress.training.accumulate(&record);
        progress.steps += 1;
        progress.updates += u64::from(moved);
        let (loss, correct) = (self.loss()?, self.correct(&self.task.data.train, indices)?);
        // Scales are those of the step until they follow it.
        let evidence = self.look_after(Evidence {
            loss: Some(loss).filter(|loss| loss.is_finite()),
            learning_rate: moment.rate,
            loss_scale,
            moved,
            sums,
            ..Evidence::of_step(step, epoch)
        })?;
        self.follow(progress)?;
        Ok(Stepped { loss, correct, record, evidence })
    }

    pub fn epoch<E: From<RunError>>(
        &mut self,
        epoch: u32,
        progress: &mut Progress,
        observe: &mut impl FnMut(Heard<'_>) -> Result<(), E>,
    ) -> Result<Epoch, E> {
        let data = self.task.data;
        let batches = Batches::new(data.train.len(), self.task.recipe.batch as usize, self.task.seed, epoch);
        let steps = u64::from(self.task.recipe.epochs) * batches.len() as u64;
        let drawn = self.task.recipe.drawn(self.task.seed, steps);
        let (mut loss_sum, mut correct) = (0.0, 0);
        for (i, indices) in batches.iter().enumerate() {
            if drawn == Some(progress.steps) {
                self.take_average(progress)?;
            }
            let pixels = data.training_pixels(indices, self.task.recipe.augment, self.task.seed, epoch);
            self.load(&pixels, &data.train, indices).map_err(RunError::from)?;
            let rate = self.task.recipe.optimizer.rate(progress.steps, steps, self.task.recipe.epochs);
            let moment = Moment { step: progress.steps, in_epoch: i as u64, per_epoch: batches.len() as u64, rate };
            let searches = progress.search.is_some();
            let step = if searches { Self::try_step } else { Self::step };
            let Stepped { loss, correct: right, record, evidence } = step(self, progress, moment, epoch, indices)?;
            loss_sum += loss;
            correct += right;
            observe(Heard::Step { epoch, step: i + 1, of: batches.len(), loss })?;
            if let Some(evidence) = &evidence {
                observe(Heard::Evidence { evidence, record: &record })?;
            }
        }
        let rung = progress.search.as_ref().map_or(0, |search| search.rung);
        let test_accuracy = self.evaluate(
            |c| match &c.trials {
                Some(trials) => &trials.rungs[rung].evaluate,
                None => &c.evaluate,
            },
            &data.test,
            progress,
        )?;
        let averaged_test_accuracy = self.average(epoch, progress)?;
        let seen = batches.len() * self.task.recipe.batch as usize * data.train.targets;
        let (loss, train_accuracy) = (loss_sum / batches.len() as f64, correct as f64 / seen as f64);
        Ok(Epoch { loss, train_accuracy, test_accuracy, averaged_test_accuracy })
    }

    /// Takes the weights into their averages; the first are taken as they are.
    fn take_average(&mut self, progress: &mut Progress) -> Result<(), RunError> {
        let Some(average) = &self.compiled.average else { return Ok(()) };
        let take = average.take.clone();
        progress.averaged += 1;
        self.write_share(progress.averaged)?;
        progress.training.accumulate(&self.device.run(&take, Part::Average.site(progress.steps))?);
        Ok(())
    }

    /// Takes the weights into their averages where that is due, and says how those classify the test images.
    fn average(&mut self, epoch: u32, progress: &mut Progress) -> Result<Option<f64>, RunError> {
        let recipe = self.task.recipe;
        let due = recipe.averaging.is_some_and(|averaging| match averaging.drawn {
            Some(_) => epoch + 1 == recipe.epochs,
            None => averaging.takes(epoch, recipe.epochs),
        });
        let (true, Some(average)) = (due, self.compiled.average.clone()) else { return Ok(None) };
        if recipe.averaging.is_some_and(|averaging| averaging.drawn.is_none()) {
            self.take_average(progress)?;
        }
        let site = Part::Average.site(progress.steps);
        if average.buffers.iter().any(|buffers| !buffers.is_empty()) {
            let data = self.task.data;
            for tensor in average.buffers.iter().flatten() {
                self.write_values(*tensor, vec![0.0; tensor.elements()])?;
            }
            for (seen, indices) in Batches::new(data.train.len(), recipe.batch as usize, self.task.seed, epoch).iter().enumerate() {
                let pixels = data.training_pixels(indices, Augment::None, self.task.seed, epoch);
                self.load(&pixels, &data.train, indices)?;
                self.write_share(seen as u64 + 1)?;
                progress.evaluation.accumulate(&self.device.run(&average.statistics, site)?);
            }
        }
        self.evaluate(|c| c.average.as_ref().map_or(&c.evaluate, |a| &a.evaluate), &self.task.data.test, progress).map(Some)
    }

    /// Fraction of the labels of `split` that are predicted.
    fn evaluate(&mut self, program: impl Fn(&Compiled) -> &Program, split: &Split, progress: &mut Progress) -> Result<f64, RunError> {
        let mut correct = 0;
        for batch in evaluation_batches(split.len(), self.task.recipe.batch as usize) {
            self.load(&self.task.data.pixels(split, &batch.indices), split, &batch.indices)?;
            self.run(&program, Part::Step.site(progress.steps), &mut progress.evaluation)?;
            correct += self.correct(split, &batch.indices[..batch.valid])?;
        }
        Ok(correct as f64 / split.labels.len().max(1) as f64)
    }

    /// Logits of the test images.
    pub fn answers(&mut self) -> Result<Answers, RunError> {
        let split = &self.task.data.test;
        let (mut logits, mut correct, mut batches, mut record) = (Vec::new(), 0, 0, Record::default());
        for batch in evaluation_batches(split.len(), self.task.recipe.batch as usize) {
            self.load(&self.task.data.pixels(split, &batch.indices), split, &batch.indices)?;
            self.run(|c| &c.evaluate, Part::Step.site(batches), &mut record)?;
            batches += 1;
            let valid = &batch.indices[..batch.valid];
            correct += self.correct(split, valid)?;
            let Tensor { address, format, cols, .. } = self.compiled.logits;
            let codes = self.device.read(address, format, split.labels_of(valid).len() * cols)?;
            logits.extend(codes.into_iter().map(|code| format.to_f64(code)));
        }
        let accuracy = correct as f64 / split.labels.len().max(1) as f64;
        Ok(Answers { logits, accuracy, batches, record })
    }

    pub fn weights(&self) -> Result<Vec<Weights>, RunError> {
        let plan = self.task.model.plan().map_err(LowerError::from)?;
        let mut weights = Vec::new();
        for (layer, parameters) in plan.iter().zip(&self.compiled.parameters) {
            for (shape, parameter) in layer.parameters.iter().zip(parameters) {
                let compensation = parameter.compensation.filter(|_| parameter.staging.is_some());
                let tensors = parameter.master.tensors().into_iter().chain(compensation.into_iter().flat_map(|c| c.tensors()));
                for (index, t) in tensors.enumerate() {
                    let codes = self.device.read(t.address, t.format, t.elements())?;
                    let name = format!("{}.{}", layer.name, shape.name);
                    let name = if index == 0 { name } else { format!("{name}.{index}") };
                    weights.push(Weights { name, format: t.format, rows: t.rows, cols: t.cols, codes });
                }
            }
        }
        Ok(weights)
    }
}

/// Index of the first of the largest values; NaN counts as the largest.
fn largest(row: &[f64]) -> usize {
    let mut best = 0;
    for (i, value) in row.iter().enumerate() {
        if !row[best].is_nan() && (value.is_nan() || *value > row[best]) {
            best = i;
        }
    }
    best
}
