//! Everything the exchange remembers, as plain lists and maps. Nothing here is derived from anything else here: sums,
//! margins, levels of the book and rankings are worked out from these whenever they are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use exchange_core::{
    AccountLevel, AdlSpec, CoinId, CoinPrice, CoinSpec, Event, EventKind, Genesis, LinkId, MarginMode,
    OrderSettings, OrderType, PoolId, PositionIndex, Qty, Side, StopKind, Strain, Terms, TimeInForce,
    CONVERSION_ACCOUNT, FEE_ACCOUNT, FIRST_POOL_ACCOUNT, LENDING_ACCOUNT, TAKEOVER_ACCOUNT,
};

use crate::conditional::Waiting;
use crate::contract::Contract;
use crate::exits::News;
use crate::insurance::{Record, Samples};
use crate::money::Meter;
use crate::prices::Market;

/// Place of the fee account in the list of accounts.
pub const FEES: usize = 0;
/// Place of the take-over account.
pub const TAKEOVER: usize = 1;
/// Place of the account that holds what suppliers lend.
pub const LENDING: usize = 2;
/// Place of the account that buys what borrowers sell.
pub const CONVERSION: usize = 3;
/// Place of the first insurance pool.
pub const FIRST_POOL: usize = 4;

/// Names one position: which account (place in the list), which instrument, which of its positions there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Place of the account.
    pub account: usize,
    /// Instrument.
    pub instrument: usize,
    /// Which position.
    pub index: PositionIndex,
}

/// An account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Identifier at the boundary.
    pub id: u32,
    /// What backs its positions.
    pub mode: MarginMode,
    /// Every link id ever used, in order.
    pub links: Vec<LinkId>,
    /// Its main account, of a sub-account.
    pub main: Option<usize>,
    /// What it was told to be, once it was told anything.
    pub profile: Option<Profile>,
    /// Of a main account: what its family withdrew, once it did.
    pub meter: Option<Meter>,
}

/// What an account is besides its money.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Level, of a main account.
    pub level: AccountLevel,
    /// It repays by selling other coins at every full and half hour.
    pub auto_repay: bool,
}

impl Profile {
    /// Of an account that was never told anything.
    pub const USUAL: Self = Self { level: AccountLevel::Standard, auto_repay: false };
}

/// One coin of an account.
#[derive(Clone, Debug)]
pub struct Purse {
    /// Balance.
    pub wallet: i128,
    /// The account uses it as collateral.
    pub is_collateral: bool,
    /// Lent to it as cash.
    pub spot_borrow: i128,
    /// The wallet that withdraws and lends; no collateral.
    pub funding: i128,
    /// It owed something when that was told last.
    pub told_owing: bool,
}

impl Default for Purse {
    fn default() -> Self {
        Self { wallet: 0, is_collateral: true, spot_borrow: 0, funding: 0, told_owing: false }
    }
}

/// What an account has in an instrument.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Leverage chosen, in hundredths.
    pub leverage: i128,
    /// Signed position.
    pub qty: i128,
    /// Signed settlement value at which it was entered.
    pub cost: i128,
    /// Realised here so far, less fees.
    pub realised: i128,
    /// Funding paid here so far, less what was received.
    pub funding: i128,
    /// Margin assigned to an isolated position, out of the wallet.
    pub assigned: i128,
    /// Margin is added to the isolated position before it is liquidated.
    pub adds_margin: bool,
}

/// A resting order.
#[derive(Clone, Debug)]
pub struct Order {
    /// Number.
    pub id: u64,
    /// Whose, and for which position.
    pub key: Key,
    /// Side.
    pub side: Side,
    /// Limit or market.
    pub order_type: OrderType,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// Price.
    pub price: i128,
    /// Total quantity.
    pub qty: i128,
    /// Unfilled quantity.
    pub leaves: i128,
    /// What a market buy is to spend; 0 for one of so many of the base coin.
    pub spend: Qty,
    /// Never grows a position.
    pub reduce_only: bool,
    /// What it asks for beyond the plain; self-match prevention counts again when it comes in again.
    pub terms: Terms,
    /// What kind it was while it waited for a price.
    pub kind: StopKind,
    /// Client's identifier.
    pub link: LinkId,
    /// Market time of acceptance.
    pub created_ms: i64,
    /// Value filled.
    pub filled_value: i128,
    /// Fees paid.
    pub fee: i128,
    /// Ticket it drew when it last joined the queue at its price: lower goes first.
    pub queued: u64,
    /// Ticket it drew when it last came to rest anew: lower is older among the orders of its account.
    pub aged: u64,
}

/// The whole exchange.
#[derive(Clone, Debug)]
pub struct State {
    /// Coins as listed.
    pub coins: Rc<Vec<CoinSpec>>,
    /// Price of each coin in USD; 0 for none.
    pub coin_prices: Vec<i128>,
    /// Whether the venue takes each coin as collateral.
    pub venue_collateral: Vec<bool>,
    /// Strain of each coin's lending pool.
    pub strain: Vec<Strain>,
    /// Suppliers' shares by coin and account.
    pub shares: BTreeMap<(CoinId, usize), i128>,
    /// Last hour whose interest was charged.
    pub interest_hour: i64,
    /// Last round of repayment.
    pub repayment_number: i64,
    /// Nobody owed anything when that was looked at last.
    pub nobody_owed: bool,
    /// Deposits and withdrawals of each coin, ever.
    pub moved: Vec<(i128, i128)>,
    /// Coin of each insurance pool.
    pub pools: Vec<CoinId>,
    /// Orders that step a position down fill whole or not at all.
    pub fills_whole: bool,
    /// How far beyond the mark the venue closes at a loss; nothing for as far as the fees reach.
    pub beyond: Option<i64>,
    /// Rule of each insurance pool.
    pub rules: Vec<AdlSpec>,
    /// Balances of each insurance pool.
    pub pool_samples: Vec<Samples>,
    /// What each contract gained for its pool.
    pub records: Vec<Record>,
    /// Market minute of the last samples.
    pub sampled_minute: i64,
    /// Instruments.
    pub contracts: Vec<Rc<Contract>>,
    /// Their prices.
    pub markets: Vec<Market>,
    /// Accounts in the order of their opening.
    pub accounts: Vec<Account>,
    /// Purses by account and coin.
    pub purses: BTreeMap<(usize, CoinId), Purse>,
    /// Positions.
    pub slots: BTreeMap<Key, Slot>,
    /// Accounts and instruments in which they hold a long and a short position side by side.
    pub hedged: BTreeSet<(usize, usize)>,
    /// Resting orders, in no order.
    pub orders: Vec<Order>,
    /// Orders that wait for a price, by number.
    pub waiting: BTreeMap<u64, Waiting>,
    /// Those whose price was reached, with that price, in the order of their turns.
    pub due_orders: Vec<(u64, i128)>,
    /// Fills that concern the ends of positions and are not attended to yet.
    pub news: Vec<News>,
    /// Settings for orders of the accounts that have any other than the usual.
    pub settings: BTreeMap<usize, OrderSettings>,
    /// Accounts whose liquidation is due.
    pub due: BTreeSet<usize>,
    /// Instruments in which a position was taken over by the present command.
    pub taken_over: BTreeSet<usize>,
    /// Last ticket drawn.
    pub last_ticket: u64,
    /// Last order number.
    pub last_order: u64,
    /// Last trade number.
    pub last_trade: u64,
    /// Last event number.
    pub last_event: u64,
    /// Commands so far, refused ones included.
    pub commands: u64,
    /// Market time.
    pub now: i64,
    /// Wall time.
    pub wall_us: i64,
    /// Events of the present command.
    pub out: Vec<Event>,
}

impl State {
    /// Nobody but the venue's own accounts, and the pools with their opening balances.
    pub fn new(genesis: &Genesis) -> Self {
        let coin_of = |name: &str| {
            let at = genesis.coins.iter().position(|coin| coin.name == name).expect("a sound genesis");
            CoinId(u16::try_from(at).expect("a sound genesis"))
        };
        let pools: Vec<CoinId> = genesis.pools.iter().map(|pool| coin_of(&pool.coin)).collect();
        let pool_of = |name: &str, settle: CoinId| {
            let fits =
                |at: &usize| pools[*at] == settle && (name.is_empty() || genesis.pools[*at].name == name);
            let at = (0..pools.len()).find(fits).expect("a sound genesis");
            PoolId(u16::try_from(at).expect("a sound genesis"))
        };
        let contract = |spec: &exchange_core::InstrumentSpec| {
            let settle = coin_of(if spec.inverse { &spec.base } else { &spec.quote });
            let named = |name: &str| {
                let at = genesis.coins.iter().position(|coin| coin.name == name)?;
                Some(CoinId(u16::try_from(at).expect("a sound genesis")))
            };
            let coins = [named(&spec.base), named(&spec.quote)];
            Rc::new(Contract::new(spec, coins, pool_of(&spec.pool, settle)))
        };
        let contracts: Vec<Rc<Contract>> = genesis.instruments.iter().map(contract).collect();
        let opening_price = |coin: &CoinSpec| match coin.price {
            CoinPrice::Fixed(price) | CoinPrice::Reported(price) => i128::from(price.0),
            CoinPrice::Index(_) | CoinPrice::Ratio { .. } => 0,
        };
        let fresh_record = Record { gained: 0, samples: vec![(0, 0)], owed: 0, is_on: false };
        let mut state = Self {
            coins: Rc::new(genesis.coins.clone()),
            coin_prices: genesis.coins.iter().map(opening_price).collect(),
            venue_collateral: genesis.coins.iter().map(|coin| coin.is_collateral).collect(),
            strain: vec![Strain::Calm; genesis.coins.len()],
            shares: BTreeMap::new(),
            interest_hour: -1,
            repayment_number: 0,
            nobody_owed: true,
            moved: vec![(0, 0); genesis.coins.len()],
            beyond: genesis.liquidation.takeover_beyond,
            fills_whole: genesis.liquidation.fill_or_kill,
            rules: genesis.pools.iter().map(|pool| pool.adl).collect(),
            pool_samples: genesis.pools.iter().map(|pool| vec![(0, i128::from(pool.balance.0))]).collect(),
            records: vec![fresh_record; contracts.len()],
            sampled_minute: 0,
            pools,
            markets: contracts.iter().map(|contract| Market::new(&contract.spec)).collect(),
            contracts,
            accounts: Vec::new(),
            purses: BTreeMap::new(),
            slots: BTreeMap::new(),
            hedged: BTreeSet::new(),
            orders: Vec::new(),
            waiting: BTreeMap::new(),
            due_orders: Vec::new(),
            news: Vec::new(),
            settings: BTreeMap::new(),
            due: BTreeSet::new(),
            taken_over: BTreeSet::new(),
            last_ticket: 0,
            last_order: 0,
            last_trade: 0,
            last_event: 0,
            commands: 0,
            now: 0,
            wall_us: 0,
            out: Vec::new(),
        };
        for own in [FEE_ACCOUNT, TAKEOVER_ACCOUNT, LENDING_ACCOUNT, CONVERSION_ACCOUNT] {
            state.open(own.0);
        }
        for (id, (at, pool)) in (FIRST_POOL_ACCOUNT..).zip(genesis.pools.iter().enumerate()) {
            let balance = i128::from(pool.balance.0);
            let coin = state.pools[at];
            state.open(id);
            state.purse_mut(FIRST_POOL + at, coin).wallet = balance;
            state.moved[usize::from(coin.0)].0 += balance;
        }
        state.open_lending();
        state
    }

    /// What the venue itself supplies to the lending pools.
    fn open_lending(&mut self) {
        for coin in self.coin_ids() {
            let at = usize::from(coin.0);
            let supplied = self.coins[at].lending.map_or(0, |lending| i128::from(lending.supplied.0));
            self.purse_mut(LENDING, coin).wallet += supplied;
            self.moved[at].0 += supplied;
            self.add_shares(LENDING, coin, supplied);
        }
    }

    /// Every coin, as listed.
    pub fn coin_ids(&self) -> impl Iterator<Item = CoinId> {
        (0_u16..).map(CoinId).take(self.coins.len())
    }

    /// Adds an account at the end of the list.
    pub fn open(&mut self, id: u32) {
        self.accounts.push(Account {
            id,
            mode: MarginMode::Cross,
            links: Vec::new(),
            main: None,
            profile: None,
            meter: None,
        });
    }

    /// Place of an account.
    pub fn place_of(&self, id: u32) -> Option<usize> {
        self.accounts.iter().position(|account| account.id == id)
    }

    /// Places of the users: whoever is not the venue.
    pub fn users(&self) -> std::ops::Range<usize> {
        FIRST_POOL + self.pools.len()..self.accounts.len()
    }

    /// A contract.
    pub fn contract(&self, instrument: usize) -> Rc<Contract> {
        Rc::clone(&self.contracts[instrument])
    }

    /// One coin of an account; an empty one if it never had any.
    pub fn purse(&self, account: usize, coin: CoinId) -> Purse {
        self.purses.get(&(account, coin)).cloned().unwrap_or_default()
    }

    /// One coin of an account, to change.
    pub fn purse_mut(&mut self, account: usize, coin: CoinId) -> &mut Purse {
        self.purses.entry((account, coin)).or_default()
    }

    /// A position; a fresh one if it was never used.
    pub fn slot(&self, key: Key) -> Slot {
        self.slots.get(&key).cloned().unwrap_or_else(|| self.fresh_slot(key))
    }

    /// A position, to change.
    pub fn slot_mut(&mut self, key: Key) -> &mut Slot {
        let fresh = self.fresh_slot(key);
        self.slots.entry(key).or_insert(fresh)
    }

    /// A position never used: at the instrument's leverage, a leg of a hedge at that of the only position.
    pub fn fresh_slot(&self, key: Key) -> Slot {
        let only = self.slots.get(&Key { index: PositionIndex::OneWay, ..key });
        let leverage = match (key.index, only) {
            (PositionIndex::HedgeBuy | PositionIndex::HedgeSell, Some(only)) => only.leverage,
            _ => self.contracts[key.instrument].default_leverage(),
        };
        Slot { leverage, qty: 0, cost: 0, realised: 0, funding: 0, assigned: 0, adds_margin: false }
    }

    /// Where an account has, or had, a position, orders or a leverage, by instrument and index.
    pub fn slots_of(&self, account: usize) -> Vec<Key> {
        let keys = self.slots.keys().chain(self.orders.iter().map(|order| &order.key));
        let keys: BTreeSet<Key> = keys.copied().filter(|key| key.account == account).collect();
        keys.into_iter().collect()
    }

    /// An account's orders for one position, oldest first.
    pub fn orders_of(&self, key: Key) -> Vec<Order> {
        let mut orders: Vec<Order> = self.orders.iter().filter(|order| order.key == key).cloned().collect();
        orders.sort_by_key(|order| order.aged);
        orders
    }

    /// One side of a book: best price first, at one price first come, first served.
    pub fn queue(&self, instrument: usize, side: Side) -> Vec<Order> {
        let is_there = |order: &&Order| order.key.instrument == instrument && order.side == side;
        let mut queue: Vec<Order> = self.orders.iter().filter(is_there).cloned().collect();
        queue.sort_by_key(|order| (-order.price * i128::from(side.sign()), order.queued));
        queue
    }

    /// Best price of a side.
    pub fn best(&self, instrument: usize, side: Side) -> Option<i128> {
        self.queue(instrument, side).first().map(|order| order.price)
    }

    /// Quantity resting at a price.
    pub fn level(&self, instrument: usize, side: Side, price: i128) -> i128 {
        let queue = self.queue(instrument, side);
        queue.iter().filter(|order| order.price == price).map(|order| order.leaves).sum()
    }

    /// A resting order.
    pub fn order(&self, id: u64) -> Option<&Order> {
        self.orders.iter().find(|order| order.id == id)
    }

    /// A resting order, to change.
    pub fn order_mut(&mut self, id: u64) -> &mut Order {
        self.orders.iter_mut().find(|order| order.id == id).expect("the order rests")
    }

    /// Takes an order out of the book.
    pub fn remove_order(&mut self, id: u64) {
        self.orders.retain(|order| order.id != id);
    }

    /// Draws the next ticket.
    pub fn ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Records what happened.
    pub fn emit(&mut self, kind: EventKind) {
        self.last_event += 1;
        let (sequence, market_ms, wall_us) = (self.last_event, self.now, self.wall_us);
        self.out.push(Event { sequence, market_ms, wall_us, kind });
    }
}
