//! Random commands without end, and an observer who believes nothing but commands and events.
//!
//! - `entropy`: where choices come from, a seed or a fuzzer's bytes;
//! - `composer`: choices become commands of every kind there is, plausible or absurd;
//! - `observer`: what must hold between events, whatever the exchange thinks of itself;
//! - `queues`: order books out of the events: who comes first, who must not meet;
//! - `means`: what accounts could bear, and whether a liquidation had to be;
//! - `run`: one venue under many commands, restarted from its snapshot now and then.
//!
//! Must not be here: expectations of single commands (the twin's business) and anything the venue runs on.
#![forbid(unsafe_code)]

pub mod composer;
pub mod entropy;
pub mod means;
pub mod observer;
pub mod queues;
pub mod run;
