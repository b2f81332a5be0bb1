//! `apply`: one command through the stages of the core, in their order. A refused command leaves nothing behind but the
//! count of commands: the model works on a copy and throws it away.

use exchange_core::limits::MARKET_MS_MAX;
use exchange_core::{
    Action, Applied, Command, Event, Genesis, InstrumentId, MarketAction, OrderId, Price, Reject, MONEY_MAX,
};

use crate::state::State;

/// The exchange a second time.
#[derive(Clone, Debug)]
pub struct Twin {
    state: State,
}

impl Twin {
    /// An exchange with no accounts but its own. The genesis must be one that the core accepts.
    pub fn new(genesis: &Genesis) -> Self {
        Self { state: State::new(genesis) }
    }

    /// Applies one command; also tells what happened.
    pub fn apply(&mut self, command: &Command) -> (Applied, Vec<Event>) {
        let mut next = self.state.clone();
        let performed = next.run(command);
        let applied = match performed {
            Ok(order_id) => {
                self.state = next;
                Applied { reject: None, order_id }
            }
            Err(reject) => Applied { reject: Some(reject), order_id: OrderId(0) },
        };
        self.state.commands += 1;
        (applied, std::mem::take(&mut self.state.out))
    }

    /// Digest of the whole state, the same as the core's.
    pub fn state_hash(&self) -> u128 {
        self.state.state_hash()
    }

    /// Everything it remembers.
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl State {
    fn run(&mut self, command: &Command) -> Result<OrderId, Reject> {
        if command.market_ms < self.now {
            return Err(Reject::TimeBackwards);
        }
        if command.market_ms > MARKET_MS_MAX {
            return Err(Reject::TimeInvalid);
        }
        (self.now, self.wall_us) = (command.market_ms, command.wall_us);
        let owed_before = self.all_owed();
        let order = self.perform(&command.action)?;
        match command.action {
            Action::SetIndexSource { instrument, .. }
            | Action::Market(MarketAction::SetMarkSource { instrument, .. }) => {
                self.remark(usize::from(instrument.0));
            }
            Action::AdvanceTime => {
                self.pass_time();
                self.run_lending();
            }
            _ => {}
        }
        self.run_triggers();
        let time_passed = command.action == Action::AdvanceTime;
        self.liquidate(time_passed);
        self.settle_loans(time_passed, &owed_before);
        self.attend_exits();
        Ok(order)
    }

    fn perform(&mut self, action: &Action) -> Result<OrderId, Reject> {
        let done = match *action {
            Action::PlaceOrder(ref order) => return self.place_order(order),
            Action::AmendOrder { account, order_id, price, qty } => {
                return self.amend_order(account, order_id, price, qty);
            }
            Action::Trading(action) => return self.perform_trading(action),
            Action::CancelOrder { account, order_id } => return self.cancel_order(account, order_id),
            Action::CancelAll { account, instrument } => self.cancel_all(account, instrument),
            Action::CreateAccount { account } => self.create_account(account),
            Action::Deposit { account, coin, amount } => self.deposit(account, coin, amount),
            Action::Withdraw { account, coin, amount } => self.withdraw(account, coin, amount),
            Action::SetLeverage { account, instrument, leverage } => {
                self.set_leverage(account, instrument, leverage)
            }
            Action::SetIndexSource { instrument, source, price } => {
                self.report_index(instrument, source, price)
            }
            Action::SetCoinPrice { coin, price } => self.set_coin_price(coin, price),
            Action::AdvanceTime => Ok(()),
            Action::Account(ref action) => self.perform_account(*action),
            Action::Position(action) => self.perform_position(action),
            Action::Market(action) => self.change_market(action),
            #[allow(unreachable_patterns, clippy::match_wildcard_for_single_variants)]
            // what is added to the vocabulary first
            other => panic!("not modelled: {other:?}"),
        };
        done.map(|()| OrderId(0))
    }

    fn report_index(&mut self, instrument: InstrumentId, source: u32, price: Price) -> Result<(), Reject> {
        let at = self.listed(instrument)?;
        let spec = &self.contracts[at].spec;
        if source as usize >= spec.index_sources.len() {
            return Err(Reject::UnknownSource);
        }
        let is_converted = spec.index_sources[source as usize].converted_by.is_some();
        let (least, most) = if is_converted { (1, MONEY_MAX) } else { (spec.tick_size.0, spec.max_price.0) };
        if !(least..=most).contains(&price.0) {
            return Err(Reject::IndexPriceInvalid);
        }
        self.markets[at].report(source as usize, price, self.now);
        Ok(())
    }

    fn pass_time(&mut self) {
        for instrument in 0..self.contracts.len() {
            self.take_risk_limits(instrument);
            let (best, impact) = (self.quotes(instrument), self.impacts(instrument));
            let contract = self.contract(instrument);
            self.markets[instrument].sample(&contract, self.now, best, impact);
            self.remark(instrument);
            if self.pass_funding(instrument) {
                self.remark(instrument);
            }
            self.pass_delivery(instrument);
        }
    }
}
