//! A state written down and read back: whatever follows, follows from it as it would have without.

mod support;

use exchange_core::{AccountId, Action, Command, Event, Exchange, RestoreError};
use proptest::prelude::*;
use support::streams::{commands, genesis};

fn applied(exchange: &mut Exchange, commands: &[Command]) -> Vec<Event> {
    let mut events = Vec::new();
    for command in commands {
        exchange.apply(command, &mut events).unwrap_or_else(|fatal| panic!("{fatal} by {command:?}"));
    }
    events
}

proptest! {
    #[test]
    fn a_restored_exchange_goes_on_as_the_first_would(
        commands in commands(300),
        at in any::<prop::sample::Index>(),
        fund in prop_oneof![Just(0_i64), 0..1_000_000_i64],
    ) {
        let (before, after) = commands.split_at(at.index(commands.len()));
        let mut exchange = Exchange::new(&genesis(fund)).unwrap();
        applied(&mut exchange, before);
        let bytes = exchange.snapshot();
        let mut restored = Exchange::restore(&bytes).unwrap();
        prop_assert_eq!(restored.state_hash(), exchange.state_hash());
        prop_assert_eq!(restored.conservation(), exchange.conservation());
        prop_assert_eq!(applied(&mut restored, after), applied(&mut exchange, after));
        prop_assert_eq!(restored.state_hash(), exchange.state_hash());
        restored.check_invariants().unwrap();
    }

    #[test]
    fn bytes_that_nobody_wrote_down_are_refused_or_harmless(
        commands in commands(120),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (before, after) = commands.split_at(commands.len() / 2);
        let mut exchange = Exchange::new(&genesis(1_000)).unwrap();
        applied(&mut exchange, before);
        let mut bytes = exchange.snapshot();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(mut restored) = Exchange::restore(&bytes) {
            let mut events = Vec::new();
            for command in after {
                if restored.apply(command, &mut events).is_err() {
                    break;
                }
            }
        }
    }
}

/// Bytes whose state hash is that of the state in them.
fn signed(bytes: &[u8], hash: u128) -> Vec<u8> {
    let ((build, _), rest) = postcard::take_from_bytes::<(&str, u128)>(bytes).unwrap();
    let mut signed = postcard::to_allocvec(&(build, hash)).unwrap();
    signed.extend_from_slice(rest);
    signed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whoever can write a checksum can write this hash, too: what is let in must be an exchange that goes on.
    #[test]
    fn a_forged_state_is_refused_or_goes_on_as_an_exchange(
        commands in commands(160),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 40..80),
    ) {
        let (before, after) = commands.split_at(commands.len() / 2);
        let mut exchange = Exchange::new(&genesis(1_000)).unwrap();
        applied(&mut exchange, before);
        let bytes = exchange.snapshot();
        for (at, byte) in changes {
            let mut forged = bytes.clone();
            let at = at.index(bytes.len());
            forged[at] = byte;
            let mut restored = Exchange::restore(&forged);
            if let Err(RestoreError::Hash(hash)) = restored {
                restored = Exchange::restore(&signed(&forged, hash));
            }
            if let Ok(mut restored) = restored {
                applied(&mut restored, after);
                restored.check_invariants().unwrap();
            }
        }
    }
}

#[test]
fn bytes_of_another_build_or_shape_are_refused_with_the_reason() {
    let mut exchange = Exchange::new(&genesis(1_000)).unwrap();
    let action = Action::CreateAccount { account: AccountId(1000) };
    applied(&mut exchange, &[Command { market_ms: 1, wall_us: 1, action }]);
    let bytes = exchange.snapshot();
    let refused = |bytes: &[u8]| Exchange::restore(bytes).unwrap_err();
    assert_eq!(refused(b""), RestoreError::Bytes);
    assert_eq!(refused(&bytes[..bytes.len() - 1]), RestoreError::Bytes);
    assert_eq!(refused(&[bytes.as_slice(), &[0]].concat()), RestoreError::Bytes);
    let mut other = bytes.clone();
    other[1] ^= 1; // a digit of the build
    assert_eq!(refused(&other), RestoreError::Build);
    let mut other = bytes.clone();
    other[34] ^= 1; // of the state hash
    assert_eq!(refused(&other), RestoreError::Hash(exchange.state_hash()));
}
