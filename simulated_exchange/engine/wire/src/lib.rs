//! The short ways of the gateway's translation: the usual orders from their bytes to the engine's terms, and the bytes
//! of their answers.
//!
//! Belongs here: the plain case, exactly, and nothing of what may be odd about it: whoever is told `None` reads the
//! bytes in the gateway, which knows every form and every refusal. Must not be here: I/O, Python, who may ask.
#![forbid(unsafe_code)]

mod answer;
mod frame;
mod http;
mod json;
mod order;
mod socket;

pub use answer::{Allowance, Placed, batch_result, http_answer, order_result, rest_answer, socket_answer};
pub use frame::{PlainFrame, plain_frame};
pub use http::{SignedPost, signed_post};
pub use order::{BATCH_MAX, PlainOrder, PlainOrders, plain_batch, plain_order};
pub use socket::{BINARY, TEXT, Whole, text_frame, whole_frame};
