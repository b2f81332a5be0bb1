//! Any bytes as the choices of a stream of commands: no panic, every invariant after every command, the same again after a
//! restart from a snapshot.
#![no_main]

use exchange_soak::entropy::{Entropy, Given};
use exchange_soak::run::Run;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Given(bytes);
    let mut run = Run::new(u64::from(choices.byte())).unwrap_or_else(|error| panic!("{error}"));
    while !choices.is_spent() {
        run.advance(&mut choices).unwrap_or_else(|error| panic!("{error}"));
    }
    run.restart().unwrap_or_else(|error| panic!("{error}"));
});
