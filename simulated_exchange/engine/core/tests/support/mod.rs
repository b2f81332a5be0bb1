//! A story teller for tests: tables with named columns drive an exchange and say what must come of it.
//! After every step all invariants are recomputed. No expectations of its own.
#![allow(dead_code)] // each test file uses its part

pub mod order_terms;
pub mod streams;

use std::collections::BTreeMap;

use exchange_core::{
    AccountAction, AccountId, Action, AdlSpec, Applied, BorrowTier, CancelReason, CoinId, CoinPrice,
    CoinSpec, CollateralTier, Command, Event, EventKind, Exchange, FillKind, Genesis, InstrumentId,
    InstrumentSpec, Kind, Ladder, LendingSpec, LinkId, Money, NewOrder, OrderId, OrderType, PoolId, PoolSpec,
    PositionIndex, Price, Qty, RateCurve, Side, TierSpec, TimeInForce, Wallet, SCALE,
};

/// People of the stories and their accounts.
const PEOPLE: [&str; 8] = ["alice", "bob", "carol", "dave", "erin", "frank", "maker", "seller"];

pub const BTC: InstrumentId = InstrumentId(0);
pub const ETH: InstrumentId = InstrumentId(1);

/// The account of a person.
pub fn who(name: &str) -> AccountId {
    let place = PEOPLE.iter().position(|person| *person == name).unwrap_or_else(|| panic!("who is {name}?"));
    AccountId(1001 + u32::try_from(place).unwrap())
}

/// A decimal number as the boundary counts it.
pub fn fixed(text: &str) -> i64 {
    let text = text.replace('_', "");
    let (sign, digits) = text.strip_prefix('-').map_or((1, text.as_str()), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    assert!(fraction.len() <= 8, "{text} is finer than 10^-8");
    let units: i64 = format!("{fraction:0<8}").parse().unwrap_or_else(|_| panic!("{text} is no number"));
    let whole: i64 = whole.parse().unwrap_or_else(|_| panic!("{text} is no number"));
    sign * (whole * SCALE + units)
}

/// A boundary number as decimal text.
pub fn shown(value: i64) -> String {
    let (whole, fraction) = (value.unsigned_abs() / 100_000_000, value.unsigned_abs() % 100_000_000);
    let sign = if value < 0 { "-" } else { "" };
    let fraction = format!("{fraction:08}");
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// The twenty published tiers of BTCUSDT: limit, highest leverage, maintenance rate in units of 0.0001.
pub const BTC_TIERS: [(i64, i64, i64); 20] = [
    (2_000_000, 100, 50),
    (2_600_000, 90, 56),
    (3_200_000, 80, 63),
    (3_800_000, 75, 67),
    (4_400_000, 70, 71),
    (5_000_000, 65, 77),
    (5_600_000, 55, 91),
    (8_500_000, 50, 100),
    (10_000_000, 45, 130),
    (14_000_000, 40, 150),
    (20_000_000, 35, 160),
    (28_000_000, 30, 200),
    (38_000_000, 25, 250),
    (50_000_000, 20, 290),
    (55_000_000, 19, 300),
    (60_000_000, 18, 350),
    (65_000_000, 17, 360),
    (70_000_000, 16, 380),
    (75_000_000, 15, 400),
    (80_000_000, 14, 450),
];

pub fn btc() -> InstrumentSpec {
    let tier = |(limit, leverage, rate): (i64, i64, i64)| TierSpec {
        limit: Money(limit * SCALE),
        max_leverage: leverage * 100,
        maintenance_rate: rate * SCALE / 10_000,
    };
    InstrumentSpec { tiers: BTC_TIERS.into_iter().map(tier).collect(), ..InstrumentSpec::default() }
}

pub fn eth() -> InstrumentSpec {
    InstrumentSpec {
        symbol: "ETHUSDT".into(),
        base: "ETH".into(),
        tick_size: Price(SCALE / 100),
        max_price: Price(199_999 * SCALE),
        qty_step: Qty(SCALE / 100),
        min_qty: Qty(SCALE / 100),
        max_qty: Qty(7000 * SCALE),
        max_market_qty: Qty(3000 * SCALE),
        ..btc()
    }
}

/// Of the leg of a hedge, or of the only position.
fn leg(name: Option<&str>) -> PositionIndex {
    match name {
        None => PositionIndex::OneWay,
        Some("long") => PositionIndex::HedgeBuy,
        Some("short") => PositionIndex::HedgeSell,
        Some(other) => panic!("no leg {other}"),
    }
}

/// BTCUSD: one USD a contract, settled in BTC, with the published first tier.
pub fn btc_inverse() -> InstrumentSpec {
    InstrumentSpec {
        symbol: "BTCUSD".into(),
        quote: "USD".into(),
        inverse: true,
        qty_step: Qty(SCALE),
        min_qty: Qty(SCALE),
        max_qty: Qty(1_000_000 * SCALE),
        max_market_qty: Qty(500_000 * SCALE),
        min_notional: Money(SCALE),
        tiers: vec![
            TierSpec { limit: Money(150 * SCALE), max_leverage: 10_000, maintenance_rate: SCALE / 200 },
            TierSpec { limit: Money(450 * SCALE), max_leverage: 5_000, maintenance_rate: SCALE / 100 },
        ],
        ..btc()
    }
}

/// BTCPERP: settled in USDC.
pub fn btc_perp() -> InstrumentSpec {
    InstrumentSpec { symbol: "BTCPERP".into(), quote: "USDC".into(), ..btc() }
}

/// A linear contract delivered after two hours.
pub fn btc_expiry() -> InstrumentSpec {
    InstrumentSpec { symbol: "BTC-0200".into(), kind: Kind::Expiry { delivery_ms: 7_200_000 }, ..btc() }
}

/// An inverse one.
pub fn btc_inverse_expiry() -> InstrumentSpec {
    InstrumentSpec {
        symbol: "BTCUSD-0200".into(),
        kind: Kind::Expiry { delivery_ms: 7_200_000 },
        ..btc_inverse()
    }
}

/// BTC itself for USDT, at 0.1 % on both sides.
pub fn btc_spot() -> InstrumentSpec {
    InstrumentSpec {
        symbol: "BTC/USDT".into(),
        kind: Kind::Spot,
        taker_fee: SCALE / 1000,
        maker_fee: SCALE / 1000,
        qty_step: Qty(SCALE / 10_000),
        min_qty: Qty(SCALE / 10_000),
        ..btc()
    }
}

/// Coins USDT, USDC (par both) and BTC (reported at 50,000, counted at 98 % up to ten), a pool of each.
pub fn many_coins(instruments: Vec<InstrumentSpec>, funds: &str) -> Genesis {
    let tier =
        |limit: i64, ratio: i64| CollateralTier { limit: Qty(limit * SCALE), ratio: SCALE / 100 * ratio };
    let usdt = CoinSpec { lending: lending(2_000_000), ..lent(CoinSpec::par("USDT"), 100_000) };
    let usdc = CoinSpec { lending: lending(100_000), ..lent(CoinSpec::par("USDC"), 100_000) };
    let btc = CoinSpec {
        price: CoinPrice::Reported(Price(50_000 * SCALE)),
        collateral: vec![tier(10, 98), tier(20, 95), tier(1000, 90)],
        can_switch: true,
        lending: lending(20),
        ..lent(CoinSpec::par("BTC"), 5)
    };
    let pool = |coin: &str| PoolSpec {
        name: coin.into(),
        coin: coin.into(),
        balance: Money(fixed(funds)),
        adl: AdlSpec::default(),
    };
    Genesis {
        coins: vec![usdt, usdc, btc],
        pools: vec![pool("USDT"), pool("USDC"), pool("BTC")],
        instruments,
        ..Genesis::default()
    }
}

/// A coin that may be borrowed: so much by one account, at 20 % and 4 % margin, twice as much at 50 % and 6 %.
pub fn lent(coin: CoinSpec, user_limit: i64) -> CoinSpec {
    let tier = |limit: i64, initial: i64, maintenance: i64| BorrowTier {
        limit: Qty(limit * SCALE),
        initial_rate: SCALE / 100 * initial,
        maintenance_rate: SCALE / 100 * maintenance,
    };
    CoinSpec {
        borrow: vec![tier(user_limit, 20, 4), tier(2 * user_limit, 50, 6)],
        user_limit: Qty(user_limit * SCALE),
        ..coin
    }
}

/// A pool that the venue filled with so much: an hour costs 0.001 % idle, 0.011 % at 80 % lent, 0.111 % lent out; a tenth
/// of it is the venue's.
#[allow(clippy::unnecessary_wraps)] // as a coin holds it
pub fn lending(supplied: i64) -> Option<LendingSpec> {
    Some(LendingSpec {
        curve: RateCurve {
            base: 10_000_000,
            slope1: 100_000_000,
            kink: SCALE / 10 * 8,
            slope2: 1_000_000_000,
        },
        reserve: SCALE / 10,
        cap: SCALE / 100 * 95,
        ladder: Ladder { warning: SCALE / 10 * 9, repay: SCALE / 10 * 11, stop: SCALE / 100 * 95 },
        supplied: Money(supplied * SCALE),
    })
}

/// An exchange with the people in it, and what happened to it.
pub struct Story {
    pub exchange: Exchange,
    pub events: Vec<Event>,
    pub market_ms: i64,
    labels: BTreeMap<String, OrderId>,
}

/// One row of a table by column name.
pub type Row = BTreeMap<String, String>;

fn rows(table: &str) -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let mut lines = table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let header = cells(lines.next().expect("a table has a header"));
    lines
        .map(|line| {
            let row = cells(line);
            assert_eq!(row.len(), header.len(), "row does not fit the header: {line}");
            header.iter().cloned().zip(row).filter(|(_, cell)| !cell.is_empty()).collect()
        })
        .collect()
}

impl Story {
    /// Everyone has `deposit`; the index of BTC stands at 50,000 and of ETH at 2,000.
    pub fn new(insurance_fund: &str, deposit: &str) -> Self {
        Self::with(vec![btc(), eth()], insurance_fund, deposit)
    }

    pub fn with(instruments: Vec<InstrumentSpec>, insurance_fund: &str, deposit: &str) -> Self {
        let genesis = Genesis::linear(instruments, Money(fixed(insurance_fund)));
        let coin = genesis.coins[0].name.clone();
        let mut story = Self::of(&genesis, &[(&coin, deposit)]);
        story.index(BTC, "50000");
        if story.exchange.instruments().len() > 1 {
            story.index(ETH, "2000");
        }
        story
    }

    /// Everyone has these deposits of these coins; there are no prices yet.
    pub fn of(genesis: &Genesis, deposits: &[(&str, &str)]) -> Self {
        let exchange = Exchange::new(genesis).expect("genesis is sound");
        let mut story = Self { exchange, events: Vec::new(), market_ms: 0, labels: BTreeMap::new() };
        for person in PEOPLE {
            story.must(Action::CreateAccount { account: who(person) });
            for (coin, deposit) in deposits.iter().filter(|(_, deposit)| fixed(deposit) > 0) {
                let (coin, amount) = (story.coin(coin), Money(fixed(deposit)));
                story.must(Action::Deposit { account: who(person), coin, amount });
            }
        }
        story
    }

    /// The coin of a name.
    pub fn coin(&self, name: &str) -> CoinId {
        let at = self.exchange.listed_coins().iter().position(|coin| coin.spec.name == name);
        CoinId(at.unwrap_or_else(|| panic!("no coin {name}")).try_into().unwrap())
    }

    /// The instrument of a symbol, or of the base coin of one settled in the first coin.
    pub fn instrument(&self, name: &str) -> InstrumentId {
        let is_it = |symbol: &str, base: &str| symbol == name || base == name;
        let mut listed = self.exchange.instruments().iter();
        let at = listed.position(|listed| is_it(&listed.spec.symbol, &listed.spec.base));
        InstrumentId(at.unwrap_or_else(|| panic!("no instrument {name}")).try_into().unwrap())
    }

    /// Applies an action; `events` holds what came of it.
    pub fn does(&mut self, action: Action) -> Applied {
        self.events.clear();
        let command = Command { market_ms: self.market_ms, wall_us: self.market_ms * 1000, action };
        let applied = self.exchange.apply(&command, &mut self.events).expect("no invariant broke");
        self.exchange.check_invariants().unwrap_or_else(|fatal| panic!("{fatal} by {action:?}"));
        applied
    }

    pub fn must(&mut self, action: Action) -> Applied {
        let applied = self.does(action);
        assert_eq!(applied.reject, None, "{action:?}");
        applied
    }

    pub fn index(&mut self, instrument: InstrumentId, price: &str) {
        self.must(Action::SetIndexSource { instrument, source: 0, price: Price(fixed(price)) });
    }

    pub fn passes(&mut self, milliseconds: i64) {
        self.market_ms += milliseconds;
        self.must(Action::AdvanceTime);
    }

    pub fn leverage(&mut self, name: &str, leverage: u32) -> Applied {
        self.does(Action::SetLeverage { account: who(name), instrument: BTC, leverage: leverage * 100 })
    }

    /// Columns: `who`, `does` (buy, sell, amend, cancel, cancel all, stop: what ends a position, deposit, withdraw: into the funding wallet), `order` (label), `qty`,
    /// `price` (empty: market), `how` (gtc, ioc, fok, post, reduce), `in` (symbol, or base coin), `leg` (long or short in
    /// hedge mode), `coin` (of what moves), `then` (what comes of it), and those of `order_terms`.
    pub fn tell(&mut self, table: &str) {
        for row in rows(table) {
            let get = |name: &str| row.get(name).map_or("", String::as_str);
            let action = self.action(&row);
            let applied = self.does(action);
            if !get("order").is_empty() && matches!(action, Action::PlaceOrder(_)) {
                self.labels.insert(get("order").to_owned(), applied.order_id);
            }
            if !get("then").is_empty() {
                assert_eq!(self.outcome(&applied), get("then"), "after {row:?}: {:#?}", self.events);
            }
        }
    }

    /// Gives an order a label.
    pub fn name(&mut self, label: &str, order: OrderId) {
        self.labels.insert(label.to_owned(), order);
    }

    pub fn order(&self, label: &str) -> OrderId {
        *self.labels.get(label).unwrap_or_else(|| panic!("no order {label}"))
    }

    fn action(&self, row: &Row) -> Action {
        let get = |name: &str| row.get(name).map(String::as_str);
        let account = who(get("who").expect("who"));
        let instrument = get("in").map_or(BTC, |name| self.instrument(name));
        let coin = get("coin").map_or(CoinId(0), |name| self.coin(name));
        let order_id = || self.order(get("order").expect("order"));
        let amount = || Money(fixed(get("qty").expect("qty")));
        match get("does").expect("does") {
            "cancel" => Action::CancelOrder { account, order_id: order_id() },
            "cancel all" => Action::CancelAll { account, instrument: get("in").map(|_| instrument) },
            "deposit" => Action::Deposit { account, coin, amount: amount() },
            "withdraw" => Action::Account(AccountAction::Transfer {
                from: account,
                to: account,
                coin,
                amount: amount(),
                from_wallet: Wallet::Unified,
                to_wallet: Wallet::Funding,
            }),
            "stop" => order_terms::trading_stop(row, account, instrument, leg(get("leg"))),
            "amend" if order_terms::ARE_TERMS.iter().any(|column| get(column).is_some()) => {
                order_terms::amendment(row, account, order_id())
            }
            "amend" => Action::AmendOrder {
                account,
                order_id: order_id(),
                price: get("price").map(|price| Price(fixed(price))),
                qty: get("qty").map(|qty| Qty(fixed(qty))),
            },
            side => {
                let how = get("how").unwrap_or("gtc");
                Action::PlaceOrder(NewOrder {
                    account,
                    instrument,
                    position_index: leg(get("leg")),
                    side: if side == "buy" { Side::Buy } else { Side::Sell },
                    order_type: if get("price").is_some() { OrderType::Limit } else { OrderType::Market },
                    time_in_force: match how.split(' ').next_back().unwrap_or("") {
                        "ioc" => TimeInForce::ImmediateOrCancel,
                        "fok" => TimeInForce::FillOrKill,
                        "post" => TimeInForce::PostOnly,
                        _ => TimeInForce::GoodTillCancel,
                    },
                    qty: Qty(fixed(get("qty").expect("qty"))),
                    price: Price(get("price").map_or(0, fixed)),
                    reduce_only: how.starts_with("reduce"),
                    link_id: get("link").map_or(LinkId::NONE, |link| LinkId::parse(link).expect("link id")),
                    terms: order_terms::of(row),
                })
            }
        }
    }

    /// What came of a command, in words: refusals; fills of the order; how it ended.
    fn outcome(&self, applied: &Applied) -> String {
        if let Some(reject) = applied.reject {
            return format!("{reject:?}");
        }
        self.fate(applied.order_id)
    }

    /// What happened to an order in the last step, and where it is now, in words.
    pub fn fate(&self, order: OrderId) -> String {
        let mut words: Vec<String> = Vec::new();
        for event in &self.events {
            match event.kind {
                EventKind::OrderTriggered { order_id, price, .. } if order_id == order => {
                    words.push(format!("triggered at {}", shown(price.0)));
                }
                EventKind::Fill { order_id, qty, price, kind: FillKind::Trade, .. }
                    if order_id == order && order_id != OrderId(0) =>
                {
                    words.push(format!("{} at {}", shown(qty.0), shown(price.0)));
                }
                EventKind::OrderCancelled { order_id, leaves, reason, .. } if order_id == order => {
                    words.push(match reason {
                        CancelReason::User => "cancelled".to_owned(),
                        reason => format!("{reason:?} {}", shown(leaves.0)),
                    });
                }
                _ => {}
            }
        }
        if let Some(order) = self.exchange.order(order) {
            if order.is_waiting {
                let trigger = shown(order.terms.trigger_price.0);
                words.push(format!("waits {} for {trigger}", shown(order.qty.0)));
                return words.join(", ");
            }
            words.push(format!("rests {} at {}", shown(order.leaves.0), shown(order.price.0)));
        }
        words.join(", ")
    }

    /// Columns: `side`, `price`, `qty`; bids and asks from the best on.
    pub fn expect_book(&self, table: &str) {
        let (bids, asks) = self.exchange.book(BTC, 100);
        let side = |name: &str, levels: Vec<exchange_core::BookLevel>| -> Vec<String> {
            levels
                .iter()
                .map(|level| format!("{name} {} {}", shown(level.price.0), shown(level.qty.0)))
                .collect()
        };
        let mut book = side("bid", bids);
        book.extend(side("ask", asks));
        let expected: Vec<String> = rows(table)
            .iter()
            .map(|row| {
                format!("{} {} {}", row["side"], shown(fixed(&row["price"])), shown(fixed(&row["qty"])))
            })
            .collect();
        assert_eq!(book, expected);
    }

    /// Columns: `who` and any of `wallet`, `equity`, `available`, `im`, `mm`, `upl`, `qty`, `entry`, `liq`, `bankrupt`,
    /// `light`, `value`, `realised`, `tp`, `sl`, `trail`; positions are those in BTC, or `in` another instrument (its `leg`), for which `cash`
    /// and `oim` are wallet and order margin in its settlement coin, and `pim`, `pmm`, `pupl` the position's own figures.
    pub fn expect(&self, table: &str) {
        for row in rows(table) {
            let name = &row["who"];
            let account = self.exchange.account(who(name)).expect("account");
            let instrument = row.get("in").map_or(BTC, |name| self.instrument(name));
            let leg = leg(row.get("leg").map(String::as_str));
            let position = self.exchange.position(who(name), instrument, leg).expect("position");
            let settle = self.exchange.instruments()[usize::from(instrument.0)].settle;
            let coins = self.exchange.coins(who(name));
            let coin = coins.into_iter().find(|held| held.coin == settle).unwrap_or_default();
            for (column, expected) in &row {
                let actual = match column.as_str() {
                    "who" | "in" | "leg" => continue,
                    "cash" => coin.wallet_balance.0,
                    "oim" => coin.order_margin.0,
                    "pim" => position.initial_margin.0,
                    "pmm" => position.maintenance_margin.0,
                    "pupl" => position.unrealised_pnl.0,
                    "value" => position.value.0,
                    "realised" => position.realised_pnl.0,
                    "wallet" => account.wallet_balance.0,
                    "equity" => account.equity.0,
                    "available" => account.available.0,
                    "im" => account.initial_margin.0,
                    "mm" => account.maintenance_margin.0,
                    "upl" => account.unrealised_pnl.0,
                    "qty" => position.qty.0,
                    "entry" => position.entry_price.0,
                    "tp" => position.take_profit.0,
                    "sl" => position.stop_loss.0,
                    "trail" => position.trailing_stop.0,
                    "liq" => position.liquidation_price.0,
                    "bankrupt" => position.bankruptcy_price.0,
                    "light" => i64::from(position.adl_rank) * SCALE,
                    other => panic!("no column {other}"),
                };
                assert_eq!(shown(actual), shown(fixed(expected)), "{column} of {name}");
            }
        }
    }

    /// Balance of the insurance pool.
    pub fn fund(&self) -> i64 {
        self.exchange.insurance_pool(PoolId(0)).expect("there is a pool").0
    }

    /// What an account has of a coin: wallet, and of it held by spot orders.
    pub fn coin_of(&self, name: &str, coin: &str) -> (String, String) {
        let (coins, coin) = (self.exchange.coins(who(name)), self.coin(coin));
        let held = coins.into_iter().find(|held| held.coin == coin).unwrap_or_default();
        (shown(held.wallet_balance.0), shown(held.locked.0))
    }

    /// Events of the last step that a filter lets through, in words.
    pub fn happened<T>(&self, filter: impl Fn(&EventKind) -> Option<T>) -> Vec<T> {
        self.events.iter().filter_map(|event| filter(&event.kind)).collect()
    }
}
