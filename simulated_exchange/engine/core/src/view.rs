//! The shapes in which queries answer. Plain data; how it is computed stands in `query`.

use crate::types::{
    AccountId, InstrumentId, LinkId, Money, OrderId, OrderType, Price, Qty, Side, TimeInForce,
};

/// A position of one account in one instrument.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PositionView {
    /// Instrument.
    pub instrument: InstrumentId,
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
}

/// An account's margin figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountView {
    /// Deposits and realised results.
    pub wallet_balance: Money,
    /// Wallet and unrealised profit: the margin balance.
    pub equity: Money,
    /// What new orders may use; negative when the initial margin is not covered.
    pub available: Money,
    /// Initial margin of positions and orders.
    pub initial_margin: Money,
    /// Maintenance margin of positions.
    pub maintenance_margin: Money,
    /// Initial margin of orders.
    pub order_margin: Money,
    /// Initial margin of positions.
    pub position_margin: Money,
    /// Profit at the marks.
    pub unrealised_pnl: Money,
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
}

/// One price level of the book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookLevel {
    /// Price; 0 when there is no level.
    pub price: Price,
    /// Quantity at the price.
    pub qty: Qty,
}

/// The books of the whole venue, recomputed from every account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conservation {
    /// Wallets less entry costs less deposits plus withdrawals; must be 0.
    pub delta: i128,
    /// Sum of all wallets, the venue's own included.
    pub wallets: i128,
    /// Sum of all signed entry costs.
    pub entry_costs: i128,
    /// Insurance fund.
    pub insurance_fund: i128,
    /// Fees collected.
    pub fees: i128,
    /// Everything ever deposited, the fund's opening balance included.
    pub deposits: i128,
    /// Everything ever withdrawn.
    pub withdrawals: i128,
    /// Sum of signed positions per instrument; each must be 0.
    pub position_qty_sums: Vec<i128>,
}
