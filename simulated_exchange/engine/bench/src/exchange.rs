//! The exchange under the streams: full margin, fees, marks and events.

use exchange_core::{AHEAD, Command, EventKind, EventLog, Exchange, Glance, Lookout};
use exchange_prefetch::prefetch;

use crate::commands::{self, LOT, TICK};
use crate::reference::Totals;
use crate::workload::Workload;

/// The event buffer is drained this often, as a gateway would.
const COMMANDS_PER_DRAIN: usize = 64;

/// Instructions before the one that is looked at whose memory is asked for.
const FURTHER: usize = 24;

/// One exchange and the events it tells.
pub(crate) struct Run {
    pub(crate) exchange: Exchange,
    pub(crate) events: EventLog,
    pub(crate) event_count: u64,
    pub(crate) totals: Totals,
}

impl Run {
    /// One that has seen no command.
    pub(crate) fn empty(instruments: usize) -> Self {
        let exchange = Exchange::new(&commands::genesis(instruments)).expect("the genesis is sound");
        Self { exchange, events: EventLog::new(), event_count: 0, totals: Totals::default() }
    }

    /// One whose books a workload has filled.
    pub(crate) fn new(workload: &Workload) -> Self {
        let mut run = Self::empty(workload.instruments);
        run.apply(commands::setup(workload), Self::count);
        run
    }

    /// Applies commands and calls `drain` on the filled buffer now and then.
    pub(crate) fn apply(
        &mut self,
        commands: impl Iterator<Item = Command>,
        mut drain: impl FnMut(&mut Self),
    ) {
        for (at, command) in (1..).zip(commands) {
            self.step(at, &command, &mut drain);
        }
        drain(self);
        self.events.clear();
    }

    /// Applies the stream of a workload.
    pub(crate) fn play(&mut self, workload: &Workload, mut drain: impl FnMut(&mut Self)) {
        let mut lookout = Lookout::default();
        for at in 0..AHEAD {
            self.look_ahead(&mut lookout, workload, at);
        }
        for (at, instruction) in workload.stream.iter().enumerate() {
            self.look_ahead(&mut lookout, workload, at + AHEAD);
            self.step(at + 1, &commands::timed(at, instruction), &mut drain);
        }
        drain(self);
        self.events.clear();
    }

    /// The stream lies there, so that what comes can be looked at, as in a batch.
    #[inline]
    fn look_ahead(&self, lookout: &mut Lookout, workload: &Workload, at: usize) {
        self.exchange.look_ahead(lookout, || {
            if let Some(later) = workload.stream.get(at + FURTHER) {
                prefetch(later);
            }
            match workload.stream.get(at) {
                Some(coming) => Glance::of(&commands::timed(at, coming)),
                None => Glance::NOTHING,
            }
        });
    }

    #[inline]
    fn step(&mut self, at: usize, command: &Command, drain: &mut impl FnMut(&mut Self)) {
        let applied = self.exchange.apply_to(command, &mut self.events).expect("no invariant breaks");
        assert!(applied.reject.is_none(), "{command:?} was refused: {:?}", applied.reject);
        if at.is_multiple_of(COMMANDS_PER_DRAIN) {
            drain(self);
            self.events.clear();
        }
    }

    /// Drops the buffer's events.
    pub(crate) fn forget(&mut self) {
        self.event_count += self.events.len() as u64;
    }

    /// Adds the buffer's trades up.
    pub(crate) fn count(&mut self) {
        for event in &self.events {
            if let EventKind::Trade { price, qty, .. } = event.kind {
                let (ticks, lots) = (price.0 / TICK, qty.0 / LOT);
                self.totals.trades += 1;
                self.totals.volume += lots.unsigned_abs();
                self.totals.notional += (ticks * lots).unsigned_abs();
            }
        }
        self.forget();
    }

    pub(crate) fn check(&self) {
        self.exchange.check_invariants().expect("no invariant is broken");
        assert!(self.exchange.conservation().adds_up(), "money was made or lost");
    }
}
