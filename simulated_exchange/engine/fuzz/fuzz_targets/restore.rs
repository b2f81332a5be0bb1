//! A snapshot in which any bytes were changed: refused, or a state whose invariants hold.
#![no_main]

use std::sync::LazyLock;

use exchange_core::Exchange;
use exchange_soak::entropy::Drawn;
use exchange_soak::run::Run;
use libfuzzer_sys::fuzz_target;

static SNAPSHOT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    // The fuzzer ends with any panic; the restore catches its own.
    std::panic::set_hook(Box::new(|_| {}));
    let mut run = Run::new(1).unwrap_or_else(|error| panic!("{error}"));
    let mut choices = Drawn::new(1);
    for _ in 0..600 {
        run.advance(&mut choices).unwrap_or_else(|error| panic!("{error}"));
    }
    run.snapshot()
});

fuzz_target!(|bytes: &[u8]| {
    let mut state = SNAPSHOT.clone();
    for change in bytes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % state.len();
        state[at] = change[2];
    }
    if let Ok(exchange) = Exchange::restore(&state) {
        assert_eq!(exchange.check_invariants(), Ok(()));
    }
});
