//! The exchange a second time: a plain, obvious model to hold the fast one against.
//!
//! It is written from the venue's rules and from the words in the core's module headers. It keeps nothing that can be
//! worked out: every margin, sum, level of a book and ranking is computed afresh from plain lists whenever it is asked for.
//! It shares the core's vocabulary (genesis, commands, events, refusals) and the digest primitive, nothing else, and must
//! give the same events in the same order, the same refusals and the same state hash. It is never linked into the
//! bindings.
//!
//! - the model: `exchange` runs a command; `orders`, `amend`, `order_terms`, `conditional`, `exits`, `matching`,
//!   `spot`; `margin`, `isolated`, `holding`;
//!   `account`, `money`, `borrowing`, `lending`; `index`, `prices`, `funding`, `delivery`, `terms`; `liquidation`,
//!   `position_liquidation`, `realisation`, `adl`, `insurance` are the rules; `contract` is a listed instrument; `state` all that
//!   is remembered; `state_hash` its digest;
//! - the comparison: `stream` makes random commands, `duel` runs both exchanges on them, `shrink` makes a short story of a
//!   difference.
//!
//! Not modelled: link ids that are forgotten after 65,536 others; no stream is that long.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc)] // the model stops where something cannot be: the comparison catches it

pub mod account;
pub mod adl;
pub mod amend;
pub mod borrowing;
pub mod conditional;
pub mod contract;
pub mod delivery;
pub mod duel;
pub mod exchange;
pub mod exits;
pub mod funding;
pub mod holding;
pub mod index;
pub mod insurance;
pub mod isolated;
pub mod lending;
pub mod liquidation;
pub mod margin;
pub mod matching;
pub mod money;
pub mod order_terms;
pub mod orders;
pub mod parts;
pub mod position_liquidation;
pub mod prices;
pub mod random;
pub mod realisation;
pub mod rounding;
pub mod shrink;
pub mod spot;
pub mod spot_exits;
pub mod state;
pub mod state_hash;
pub mod stream;
pub mod terms;
pub mod world;

pub use duel::{Difference, Duel};
pub use exchange::Twin;
