//! One venue under random commands: all invariants after every one, two exchanges that must agree, one of which is put down
//! and taken up again from its snapshot.

use std::collections::BTreeMap;

use exchange_core::{
    AccountId, Action, CoinId, Command, Event, Exchange, Genesis, InstrumentId, Kind, Money, Price, SCALE,
};
use exchange_twin::random::Random;
use exchange_twin::world;

use crate::composer::{ACCOUNTS, Composer};
use crate::entropy::Entropy;
use crate::means::Before;
use crate::observer::Observer;

/// Commands between two looks at everything, at the least.
const LOOK_EVERY: u64 = 64;
/// Commands between two restarts.
const RESTART_EVERY: u64 = 4096;

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Commands, refused ones included.
    pub commands: u64,
    /// Events by kind.
    pub events: BTreeMap<u8, u64>,
    /// Refusals by reason.
    pub refusals: BTreeMap<String, u64>,
    /// Times a snapshot was restored.
    pub restarts: u64,
    /// Refusals after which the state's digest was found as before.
    pub digests: u64,
}

impl Tally {
    /// Adds what happened in another run.
    pub fn add(&mut self, other: Self) {
        self.commands += other.commands;
        self.restarts += other.restarts;
        self.digests += other.digests;
        for (kind, times) in other.events {
            *self.events.entry(kind).or_default() += times;
        }
        for (reason, times) in other.refusals {
            *self.refusals.entry(reason).or_default() += times;
        }
    }
}

/// A venue that is being watched.
#[derive(Debug)]
pub struct Run {
    exchange: Exchange,
    /// The same, restarted from snapshots.
    second: Exchange,
    composer: Composer,
    /// Who watches it.
    pub observer: Observer,
    events: Vec<Event>,
    again: Vec<Event>,
    /// The command after which everything was looked at last.
    looked: u64,
    /// What happened so far.
    pub tally: Tally,
}

impl Run {
    /// A venue drawn from a seed, its accounts funded and its prices set.
    ///
    /// # Errors
    /// What did not hold already.
    pub fn new(seed: u64) -> Result<Self, String> {
        let genesis = world::genesis(&mut Random::new(seed));
        let open = || Exchange::new(&genesis).map_err(|error| error.to_string());
        let mut run = Self {
            exchange: open()?,
            second: open()?,
            composer: Composer::new(genesis.instruments.len()),
            observer: Observer::default(),
            events: Vec::new(),
            again: Vec::new(),
            looked: 0,
            tally: Tally::default(),
        };
        for action in opening(&genesis) {
            run.step(&Command { market_ms: 0, wall_us: 0, action })?;
        }
        Ok(run)
    }

    /// One more command.
    ///
    /// # Errors
    /// What does not hold any more, with the command.
    pub fn advance(&mut self, entropy: &mut impl Entropy) -> Result<(), String> {
        let command = self.composer.compose(entropy);
        self.step(&command)
    }

    fn step(&mut self, command: &Command) -> Result<(), String> {
        self.tally.commands += 1;
        let number = self.tally.commands;
        self.apply(command).map_err(|error| format!("command {number}: {error}, by {command:?}"))
    }

    fn apply(&mut self, command: &Command) -> Result<(), String> {
        if Command::decode(&command.encode()) != Ok(*command) {
            return Err("it has no record".to_owned());
        }
        self.events.clear();
        self.again.clear();
        let before = self.exchange.event_count();
        let means = Before::of(&self.exchange, command);
        let applied = self.exchange.apply(command, &mut self.events).map_err(|fatal| fatal.to_string())?;
        // the second one stands where the first stood
        if applied.reject.is_some() {
            self.tally.digests += 1;
            if self.exchange.contents_hash() != self.second.contents_hash() {
                return Err("it was refused and left something behind".to_owned());
            }
        }
        let again = self.second.apply(command, &mut self.again).map_err(|fatal| fatal.to_string())?;
        if applied != again || self.events != self.again {
            return Err(format!("restarted, the exchange does otherwise: {again:?} {:?}", self.again));
        }
        self.exchange.check_invariants().map_err(|fatal| fatal.to_string())?;
        self.observer.watch(&self.events, &self.exchange)?;
        if let Some(before) = &means {
            self.observer.means.judge(before, &self.events, &self.exchange)?;
        }
        self.composer.note(&self.events);
        if let Some(reject) = applied.reject {
            *self.tally.refusals.entry(format!("{reject:?}")).or_default() += 1;
            if self.exchange.event_count() != before {
                return Err("it was refused and something happened".to_owned());
            }
        }
        for event in &self.events {
            *self.tally.events.entry(event.kind.code()).or_default() += 1;
        }
        let is_time = self.tally.commands - self.looked >= LOOK_EVERY;
        if applied.reject.is_none() && (is_time || self.observer.means.is_anybody_due()) {
            self.looked = self.tally.commands;
            self.observer.look_around(&self.exchange)?;
        }
        if self.tally.commands.is_multiple_of(RESTART_EVERY) {
            self.restart()?;
        }
        Ok(())
    }

    /// The state as a restart would find it.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        self.exchange.snapshot()
    }

    /// Puts the second exchange down and takes it up again.
    ///
    /// # Errors
    /// What is not as it was.
    pub fn restart(&mut self) -> Result<(), String> {
        self.second = Exchange::restore(&self.second.snapshot()).map_err(|error| error.to_string())?;
        self.tally.restarts += 1;
        if self.second.state_hash() == self.exchange.state_hash() {
            Ok(())
        } else {
            Err("restarted, the exchange has another state hash".to_owned())
        }
    }
}

fn opening(genesis: &Genesis) -> Vec<Action> {
    let accounts = (0..ACCOUNTS).map(|at| AccountId(1000 + at));
    let mut actions: Vec<Action> = accounts
        .clone()
        .zip([2_000, 10_000, 50_000, 200_000, 2_000_000, 40_000_000])
        .flat_map(|(account, whole)| {
            let coin = CoinId(u16::from(account.0 % 3 == 2));
            let whole = if coin == CoinId(0) { whole } else { whole / 20_000 + 1 };
            let amount = Money(whole * SCALE);
            [Action::CreateAccount { account }, Action::Deposit { account, coin, amount }]
        })
        .collect();
    for (at, spec) in (0..).zip(&genesis.instruments) {
        let instrument = InstrumentId(at);
        let price = Price(world::first_price(spec));
        actions.push(Action::SetIndexSource { instrument, source: 0, price });
        if spec.kind == Kind::Spot {
            continue;
        }
        actions.extend(accounts.clone().map(|account| {
            let leverage = 1000 * (1 + account.0 % 8);
            Action::SetLeverage { account, instrument, leverage }
        }));
    }
    actions
}
