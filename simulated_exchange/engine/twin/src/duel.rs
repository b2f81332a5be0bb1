//! Both exchanges on the same commands: after every one the refusal, the events one by one and the hash of the state must
//! be equal.

use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};

use exchange_core::{
    AccountId, Action, Applied, Command, Event, EventKind, Exchange, Genesis, OrderId, TermsAmendment,
    TradingAction,
};

use crate::exchange::Twin;
use crate::random::Random;
use crate::rounding::shown;
use crate::stream::{Step, Stream, STEP_MARK};
use crate::world;

/// Where the two part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The step after which they differ.
    pub step: u64,
    /// In what.
    pub what: String,
}

/// Both exchanges.
#[derive(Clone, Debug)]
pub struct Duel {
    core: Exchange,
    twin: Twin,
    placed: BTreeMap<u64, OrderId>,
    tally: Tally,
}

/// How often each thing happened, by its name: kinds of events with their reasons, and refusals.
pub type Tally = BTreeMap<String, u64>;

impl Duel {
    /// Both before their first command.
    pub fn new(genesis: &Genesis) -> Self {
        Self::between(genesis, genesis)
    }

    /// A core and a twin of another venue, to see that a difference is found.
    pub fn between(core: &Genesis, twin: &Genesis) -> Self {
        let core = Exchange::new(core).expect("the genesis is sound");
        Self { core, twin: Twin::new(twin), placed: BTreeMap::new(), tally: Tally::new() }
    }

    /// Applies a step to both.
    pub fn step(&mut self, step: &Step) -> Result<Applied, Difference> {
        let command = self.resolved(&step.command);
        let run = catch_unwind(AssertUnwindSafe(|| self.compare(&command)));
        let compared = run.unwrap_or_else(|panic| Err(format!("panic: {}", words_of(panic.as_ref()))));
        let applied = compared.map_err(|what| Difference { step: step.number, what })?;
        if matches!(command.action, Action::PlaceOrder(_)) && applied.reject.is_none() {
            self.placed.insert(step.number, applied.order_id);
        }
        Ok(applied)
    }

    /// What has happened so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The model.
    pub fn twin(&self) -> &Twin {
        &self.twin
    }

    fn compare(&mut self, command: &Command) -> Result<Applied, String> {
        let mut events = Vec::new();
        let by_core =
            self.core.apply(command, &mut events).map_err(|fatal| format!("the core stopped: {fatal}"))?;
        let (by_twin, told) = self.twin.apply(command);
        if by_core != by_twin {
            return Err(format!("answers differ\n  core: {by_core:?}\n  twin: {by_twin:?}"));
        }
        let names = events.iter().map(|event| name_of(&event.kind));
        for name in names.chain(by_core.reject.map(|reject| format!("refused {reject:?}"))) {
            *self.tally.entry(name).or_default() += 1;
        }
        compare_events(&events, &told)?;
        if self.core.state_hash() != self.twin.state_hash() {
            let shown: Vec<String> = events.iter().map(|event| format!("    {:?}", event.kind)).collect();
            return Err(format!("states differ, events are equal:\n{}", shown.join("\n")));
        }
        self.compare_figures()?;
        Ok(by_core)
    }

    /// Margin is no part of the state, but nothing may be a unit off: one account after the other is looked at.
    fn compare_figures(&self) -> Result<(), String> {
        let state = self.twin.state();
        let place = usize::try_from(state.commands).unwrap_or(0) % state.accounts.len();
        let (id, figures) = (AccountId(state.accounts[place].id), state.figures(place));
        let by_core = self.core.account(id).ok_or("an account is missing")?;
        let by_core = [
            ("margin balance", by_core.margin_balance),
            ("available", by_core.available),
            ("initial margin", by_core.initial_margin),
            ("maintenance margin", by_core.maintenance_margin),
        ];
        let by_twin = [figures.balance, figures.available(), figures.initial, figures.maintenance];
        for ((name, core), twin) in by_core.into_iter().zip(by_twin) {
            if core.0 != shown(twin) {
                return Err(format!("{name} of {id:?} differs: {core:?} by the core, {twin} by the twin"));
            }
        }
        Ok(())
    }

    /// The command with orders named by their identifiers.
    fn resolved(&self, command: &Command) -> Command {
        let mut resolved = *command;
        if let Action::AmendOrder { order_id, .. }
        | Action::CancelOrder { order_id, .. }
        | Action::Trading(TradingAction::AmendTerms(TermsAmendment { order_id, .. })) =
            &mut resolved.action
        {
            let named = self.placed.get(&(order_id.0 ^ STEP_MARK));
            *order_id = named.copied().unwrap_or(*order_id);
        }
        resolved
    }
}

/// A kind of event, with its reason where it has one.
fn name_of(kind: &EventKind) -> String {
    match kind {
        EventKind::OrderCancelled { reason, .. } => format!("OrderCancelled {reason:?}"),
        EventKind::WalletChanged { reason, .. } => format!("WalletChanged {reason:?}"),
        EventKind::Fill { kind, .. } => format!("Fill {kind:?}"),
        other => format!("{other:?}").split(' ').next().unwrap_or_default().to_owned(),
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

fn compare_events(by_core: &[Event], by_twin: &[Event]) -> Result<(), String> {
    for at in 0..by_core.len().max(by_twin.len()) {
        let (core, twin) = (by_core.get(at), by_twin.get(at));
        if core != twin {
            let shared: Vec<String> =
                by_core.iter().take(at).map(|event| format!("\n  both: {:?}", event.kind)).collect();
            return Err(format!("event {at} differs{}\n  core: {core:?}\n  twin: {twin:?}", shared.concat()));
        }
    }
    Ok(())
}

/// Runs given steps; where the two part first.
pub fn replay(start: &Duel, steps: &[Step]) -> Option<Difference> {
    let mut duel = start.clone();
    steps.iter().find_map(|step| duel.step(step).err())
}

/// What one seed gave.
#[derive(Debug)]
pub struct Hunt {
    /// Both before the first step.
    pub start: Duel,
    /// The steps, up to the difference if there is one.
    pub steps: Vec<Step>,
    /// Where the two part, if they do.
    pub difference: Option<Difference>,
    /// What happened.
    pub tally: Tally,
}

/// Draws a venue and so many commands from a seed, and runs both exchanges on them.
pub fn hunt(seed: u64, length: usize) -> Hunt {
    let mut random = Random::new(seed);
    let genesis = world::genesis(&mut random);
    hunt_from(Duel::new(&genesis), random, length)
}

/// Draws so many commands and runs both exchanges on them.
pub fn hunt_from(start: Duel, random: Random, length: usize) -> Hunt {
    let mut stream = Stream::new(random, start.twin.state());
    let mut duel = start.clone();
    let mut steps = Vec::new();
    let mut difference = None;
    for _ in 0..length {
        let step = stream.next(duel.twin().state());
        steps.push(step);
        match duel.step(&step) {
            Ok(applied) => stream.note(step.number, applied.order_id),
            Err(found) => {
                difference = Some(found);
                break;
            }
        }
    }
    Hunt { start, steps, difference, tally: duel.tally }
}
