//! The one semantics: what a MAC and a chain of MACs compute, on codes, in integers.
//!
//! Written for reading. The `ticked` engine steps these functions; every kernel of the
//! `fast` engine is proved equal to them inside its stated domain.

mod chain;
mod mac;

pub use chain::{Chain, Element, Output, dot};
pub use mac::Mac;
