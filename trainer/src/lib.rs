//! Training software for simulated hardware: data, models, recipes, and the reference.
//!
//! A [`model::Model`] lists layers; a [`recipe::Recipe`] says in which formats a training step
//! computes and how its optimizer works; a [`data::Dataset`] holds labelled images.
//! [`host`] trains in plain binary32 on this machine and is what simulated runs are compared
//! with. This crate knows no hardware.
//!
//! Invariants: initial weights, data splits and batches are pure functions of the seed, the
//! same on every platform; [`host`] is the only place that trains on host floats.
//!
//! ```
//! use systole_trainer::{data, host, model::Model, recipe::Recipe};
//!
//! let digits = data::load("digits", Some(256))?;
//! let model = Model::builtin("mlp", digits.shape, digits.classes)?;
//! let recipe = Recipe::builtin("fp32-host")?.with_overrides(&[("epochs", "2")])?;
//! let run = host::train(&model, &digits, &recipe.hyperparameters(0), |_, _| ())?;
//! assert!(run.epochs[1].loss < run.epochs[0].loss);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

pub mod data;
pub mod entropy;
pub mod host;
pub mod layer;
pub mod lower;
pub mod model;
pub mod optimizer;
pub mod recipe;
pub mod search;
pub mod training;
