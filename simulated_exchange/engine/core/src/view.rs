//! The shapes in which queries answer. Plain data; how it is computed stands in `query`.

use crate::kyc::AccountLevel;
use crate::lending::Strain;
use crate::mark::MarkSource;
use crate::terms::{StopKind, Terms, TpSlMode};
use crate::types::{
    AccountId, CoinId, InstrumentId, LinkId, MarginMode, Money, OrderId, OrderType, PoolId, PositionIndex,
    Price, Qty, Rate, Side, TimeInForce,
};

/// A position of one account in one instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionView {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Which of the account's positions in the instrument.
    pub position_index: PositionIndex,
    /// Signed quantity.
    pub qty: Qty,
    /// Average entry price, rounded half up; 0 when flat.
    pub entry_price: Price,
    /// Mark price.
    pub mark_price: Price,
    /// Leverage, in hundredths.
    pub leverage: i64,
    /// Value at the mark, unsigned.
    pub value: Money,
    /// Initial margin of the position.
    pub initial_margin: Money,
    /// Maintenance margin of the position.
    pub maintenance_margin: Money,
    /// Profit at the mark.
    pub unrealised_pnl: Money,
    /// Realised in this instrument so far, less fees.
    pub realised_pnl: Money,
    /// Mark price at which the account would be liquidated, everything else fixed; 0 when there is none.
    pub liquidation_price: Price,
    /// Mark price at which the account's equity would be zero, everything else fixed; 0 when there is none.
    pub bankruptcy_price: Price,
    /// Lights of the deleveraging queue: 0 without a position, 5 is next in line.
    pub adl_rank: u8,
    /// Risk-limit tier, from 1.
    pub tier: u8,
    /// What backs the position.
    pub margin_mode: MarginMode,
    /// Margin assigned to an isolated position; 0 in cross margin.
    pub assigned_margin: Money,
    /// Margin is added to an isolated position before it is liquidated.
    pub auto_add_margin: bool,
    /// Price at which closing pays for the fees and what the present holding has realised; 0 when there is none.
    pub break_even_price: Price,
    /// Realised by the present holding, less fees; the last holding's while flat.
    pub current_realised_pnl: Money,
    /// Funding paid so far, less what was received.
    pub funding_paid: Money,
    /// Price at which profit is taken of all of it; 0 for none.
    pub take_profit: Price,
    /// Price at which its loss is stopped; 0 for none.
    pub stop_loss: Price,
    /// How far its trailing stop lets the price come back; 0 for none.
    pub trailing_stop: Price,
    /// Price at which the trailing stop is armed, or was; 0 for at once.
    pub active_price: Price,
    /// Whether parts of it have a take-profit or stop-loss of their own.
    pub tpsl_mode: TpSlMode,
}

/// An account's margin figures in USD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountView {
    /// What its wallets are worth at the coins' prices, debts taken off, without haircuts.
    pub wallet_balance: Money,
    /// The same with profit at the marks.
    pub equity: Money,
    /// Margin balance: the same after haircuts.
    pub margin_balance: Money,
    /// What new orders may use; negative when the initial margin is not covered.
    pub available: Money,
    /// Initial margin of positions, orders and loans.
    pub initial_margin: Money,
    /// Maintenance margin of positions and loans.
    pub maintenance_margin: Money,
    /// Initial margin per margin balance, in `10^-8`; the largest number when the balance is used up. Isolated margin
    /// knows no account rates.
    pub initial_rate: Option<i64>,
    /// Maintenance margin per margin balance, likewise; one whole is a breach.
    pub maintenance_rate: Option<i64>,
    /// Initial margin of orders.
    pub order_margin: Money,
    /// Initial margin of positions.
    pub position_margin: Money,
    /// Profit at the marks.
    pub unrealised_pnl: Money,
    /// What it owes.
    pub borrowed: Money,
    /// Its main account: itself, unless it is a sub-account.
    pub main: AccountId,
    /// How well the venue knows its owner.
    pub level: AccountLevel,
    /// It repays by selling other coins at every full and half hour.
    pub auto_repay: bool,
    /// What it may still withdraw today.
    pub withdrawal_room: Money,
}

impl Default for AccountView {
    fn default() -> Self {
        Self {
            wallet_balance: Money(0),
            equity: Money(0),
            margin_balance: Money(0),
            available: Money(0),
            initial_margin: Money(0),
            maintenance_margin: Money(0),
            initial_rate: None,
            maintenance_rate: None,
            order_margin: Money(0),
            position_margin: Money(0),
            unrealised_pnl: Money(0),
            borrowed: Money(0),
            main: AccountId(0),
            level: AccountLevel::Unverified,
            auto_repay: false,
            withdrawal_room: Money(0),
        }
    }
}

/// A coin's lending pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LendingPoolView {
    /// Coin.
    pub coin: CoinId,
    /// What suppliers own.
    pub assets: Money,
    /// What of it lies in the pool's wallet.
    pub cash: Money,
    /// Everything owed; more than the assets when losses outran the pool.
    pub loans: Money,
    /// What may still be lent on demand.
    pub lendable: Money,
    /// What suppliers could take out now.
    pub redeemable: Money,
    /// Loans per assets, in `10^-8`.
    pub utilisation: i64,
    /// What borrowers pay in an hour.
    pub borrow_rate: Rate,
    /// What suppliers earn in an hour.
    pub supply_rate: Rate,
    /// Worth of a share, in `10^-12`.
    pub index: i64,
    /// Where on its ladder it stands.
    pub strain: Strain,
}

/// One coin of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoinView {
    /// Coin.
    pub coin: CoinId,
    /// Deposits, withdrawals and realised results.
    pub wallet_balance: Money,
    /// Wallet less debt, with profit at the marks.
    pub equity: Money,
    /// Profit at the marks of what settles in the coin.
    pub unrealised_pnl: Money,
    /// Initial margin of positions settled in the coin.
    pub position_margin: Money,
    /// Initial margin of orders settled in the coin.
    pub order_margin: Money,
    /// Maintenance margin of positions settled in the coin.
    pub maintenance_margin: Money,
    /// Margin assigned to isolated positions, part of the wallet.
    pub isolated_margin: Money,
    /// Held by spot orders, part of the wallet.
    pub locked: Money,
    /// The wallet it withdraws and lends from; no collateral.
    pub funding_balance: Money,
    /// Owed, however it came about.
    pub borrowed: Money,
    /// What of it was lent as cash.
    pub spot_borrowed: Money,
    /// What the next hour of interest would take if it were charged now.
    pub interest_due: Money,
    /// Cash that nothing holds.
    pub free: Money,
    /// The account uses it as collateral.
    pub is_collateral: bool,
    /// What its equity adds to the margin balance, in USD.
    pub collateral_value: Money,
    /// Worth of the equity in USD, without haircut.
    pub usd_value: Money,
    /// Price of the coin in USD.
    pub usd_price: Price,
}

/// A live order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderView {
    /// Order.
    pub order_id: OrderId,
    /// Owner.
    pub account: AccountId,
    /// Instrument.
    pub instrument: InstrumentId,
    /// Which of the account's positions it is for.
    pub position_index: PositionIndex,
    /// Side.
    pub side: Side,
    /// Limit or market.
    pub order_type: OrderType,
    /// How long it lives.
    pub time_in_force: TimeInForce,
    /// Price.
    pub price: Price,
    /// Total quantity.
    pub qty: Qty,
    /// Unfilled quantity.
    pub leaves: Qty,
    /// Value filled so far.
    pub filled_value: Money,
    /// Fees paid so far.
    pub fee: Money,
    /// Never grows a position.
    pub reduce_only: bool,
    /// What it asks for beyond the plain.
    pub terms: Terms,
    /// What kind of order waits, or waited, for a price.
    pub kind: StopKind,
    /// It waits for its trigger price and is not in the book.
    pub is_waiting: bool,
    /// How far a trailing stop lets the price come back; its trigger price follows the best once it is armed. 0 for others.
    pub trailing_stop: Price,
    /// The other one of a pair of take-profit and stop-loss that both wait; 0 for none.
    pub partner: OrderId,
    /// Client's identifier.
    pub link_id: LinkId,
    /// Market time of acceptance.
    pub created_market_ms: i64,
    /// Wall time of acceptance.
    pub created_wall_us: i64,
    /// Wall time of the last change.
    pub updated_wall_us: i64,
}

/// The prices of an instrument; 0 where there is none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceView {
    /// Index price.
    pub index: Price,
    /// Mark price.
    pub mark: Price,
    /// Last traded price.
    pub last: Price,
    /// Index with the funding premium.
    pub price1: Price,
    /// Index with the mean basis.
    pub price2: Price,
    /// Mean basis over the window.
    pub basis_mean: i64,
    /// Highest price a buy may execute at now.
    pub max_buy: Price,
    /// Lowest price a sell may execute at now.
    pub min_sell: Price,
    /// Sum of all long positions.
    pub open_interest: Qty,
    /// What the instrument is marked at.
    pub mark_source: MarkSource,
}

/// Funding of a perpetual.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FundingView {
    /// What the next settlement would have with the samples so far.
    pub rate: Rate,
    /// Rate of the last settlement; 0 before the first.
    pub settled_rate: Rate,
    /// Market time of the next settlement; 0 before the first price.
    pub next_ms: i64,
    /// Length of the interval that ends then.
    pub period_ms: i64,
    /// Interval in force from the next settlement on.
    pub interval_ms: i64,
    /// Last premium sample.
    pub premium: Rate,
    /// Mean of the interval's premium samples, in which the i-th counts i times.
    pub average_premium: Rate,
    /// How many samples the interval has.
    pub samples: i64,
    /// Lowest rate.
    pub lower: Rate,
    /// Highest rate.
    pub upper: Rate,
}

/// An insurance pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolView {
    /// Pool.
    pub pool: PoolId,
    /// Its coin.
    pub coin: CoinId,
    /// What it holds.
    pub balance: Money,
    /// Its eight-hour maximum.
    pub balance_peak: Money,
}

/// How far a contract is from deleveraging (`adlAlert`). Amounts in the pool's coin, ratios in `10^-8`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdlAlertView {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Its pool.
    pub pool: PoolId,
    /// What the pool holds.
    pub balance: Money,
    /// The pool's eight-hour maximum.
    pub balance_peak: Money,
    /// What the contract gained for the pool, less what it cost.
    pub pnl: Money,
    /// The eight-hour maximum of that.
    pub pnl_peak: Money,
    /// What the contract's positions taken over would lose at the mark.
    pub open_loss: Money,
    /// Loss since the peak, open loss included, per maximum of the pool.
    pub ratio: i64,
    /// Pools that hold no more are not watched for drawdown.
    pub threshold: Money,
    /// Ratio at which deleveraging starts.
    pub trigger_ratio: i64,
    /// Ratio above which it stops.
    pub stop_ratio: i64,
    /// It has started and not stopped.
    pub is_deleveraging: bool,
}

/// A place in the queue of the deleveraging.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AdlPlaceView {
    /// Account.
    pub account: AccountId,
    /// Which of its positions.
    pub position_index: PositionIndex,
    /// Signed quantity.
    pub qty: Qty,
    /// 5 lights: next in line.
    pub lights: u8,
}

/// One price level of the book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookLevel {
    /// Price; 0 when there is no level.
    pub price: Price,
    /// Quantity at the price.
    pub qty: Qty,
}

/// The books of one coin, recomputed from every account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoinConservation {
    /// Coin.
    pub coin: CoinId,
    /// Wallets less entry costs less deposits plus withdrawals; must be 0.
    pub delta: i128,
    /// Sum of all wallets, the venue's own and the funding wallets included.
    pub wallets: i128,
    /// Sum of all signed entry costs settled in the coin.
    pub entry_costs: i128,
    /// Insurance pools held in the coin.
    pub insurance: i128,
    /// Fees collected.
    pub fees: i128,
    /// Cash in the lending pool.
    pub lending: i128,
    /// Everything owed, as cash or by falling below nothing.
    pub loans: i128,
    /// Everything ever deposited, the pools' opening balances included.
    pub deposits: i128,
    /// Everything ever withdrawn.
    pub withdrawals: i128,
}

/// The books of the whole venue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conservation {
    /// Coin by coin.
    pub coins: Vec<CoinConservation>,
    /// Sum of signed positions per instrument; each must be 0.
    pub position_qty_sums: Vec<i128>,
}

impl Conservation {
    /// The coin farthest from adding up: its delta, unsigned.
    pub fn worst_delta(&self) -> u128 {
        self.coins.iter().map(|coin| coin.delta.unsigned_abs()).max().unwrap_or(0)
    }

    /// True when no coin was made or lost and every instrument's positions cancel.
    pub fn adds_up(&self) -> bool {
        self.coins.iter().all(|coin| coin.delta == 0) && self.position_qty_sums.iter().all(|sum| *sum == 0)
    }
}
