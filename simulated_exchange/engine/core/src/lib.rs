//! The simulated exchange as a pure state machine: commands in, events out.
//!
//! No I/O, no clock, no randomness, no floating point. The same commands give the same events and the same state
//! hash on every machine. Dependencies between modules point one way:
//!
//! - orders beyond the plain: `self_match`, `conditional` over `spot_stops` and `trading_stop` over `tpsl` over `triggers` over `trailing`, `order_settings`, asked by `trading_command` and `terms`;
//! - stages: `exchange` runs `plain`, the short way of most orders, or `entry` over `order_filters` and `parts`, `amend`, `matching`, `transfers`, `borrowing`, `supply`, `standing`, `clock`
//!   over `coin_prices`, `funding_payment`, `liquidation` over `realisation` and `reduction`, `position_liquidation` over `reduction`, `takeover`
//!   over `insurance_book`, `invariants`;
//! - how accounts hold positions: `leverage`, `hedge`, `margin_mode` and `isolated`, asked by `position_command`;
//! - how instruments are priced, funded and limited: `market_terms`, asked by `market_command`;
//! - outside views: `query`, `money_query`, `insurance_query`, `adl_queue`, `state_hash`, `snapshot`;
//! - rules, pure: `index`, `impact`, `mark`, `funding`, `risk_limits`, `margin`, `position`, `adl`, `insurance`,
//!   `collateral`, `lending`, `repayment`, `kyc`;
//! - stores: `book` over `ladder`, `order` over `order_ids`, `account` with `at_par`, over `id_map`, `link_ids`, `slot`, `purse` and `loan_book`,
//!   `lending_book`, `profile`, `market`;
//! - words: `types`, `fixed`, `digest`, `record`, `genesis`, `coin`, `instrument`, `command`, `account_command`,
//!   `event` over `event_field`, `reject`, `view`.
#![forbid(unsafe_code)]

mod account;
mod account_command;
mod adl_queue;
mod amend;
mod borrowing;
mod clock;
mod coin_prices;
mod conditional;
mod delivery;
mod digest;
mod entry;
mod event_field;
mod event_market;
mod event_order;
mod funding_payment;
mod hedge;
mod id_map;
mod insurance_book;
mod insurance_query;
mod invariants;
mod isolated;
mod ladder;
mod lending_book;
mod leverage;
mod link_ids;
mod liquidation;
mod loan_book;
mod lookout;
mod margin_mode;
mod market_terms;
mod matching;
mod money_query;
mod order;
mod order_filters;
mod order_ids;
mod order_settings;
mod parts;
mod plain;
mod profile;
mod purse;
mod query;
mod realisation;
mod record;
mod reduction;
mod self_match;
mod slot;
mod snapshot;
mod soundness;
mod spot;
mod spot_stops;
mod standing;
mod state_hash;
mod supply;
mod takeover;
mod tpsl;
mod trading_stop;
mod trailing;
mod transfers;
mod triggers;

pub mod adl;
pub mod book;
pub mod coin;
pub mod collateral;
pub mod command;
pub mod event;
pub mod event_log;
pub mod exchange;
pub mod fixed;
pub mod funding;
pub mod genesis;
pub mod impact;
pub mod index;
pub mod instrument;
pub mod insurance;
pub mod kyc;
pub mod lending;
pub mod margin;
pub mod mark;
pub mod market;
pub mod market_command;
pub mod position;
pub mod position_command;
mod position_liquidation;
pub mod reject;
pub mod repayment;
pub mod risk_limits;
pub mod terms;
pub mod trading_command;
pub mod types;
pub mod view;

pub use account_command::AccountAction;
pub use coin::{Coin, CoinPrice, CoinSpec, CollateralTier, PoolSpec};
pub use command::{Action, Command, NewOrder, COMMAND_BYTES};
pub use digest::Digest;
pub use event::{Event, EventKind, EVENT_BYTES};
pub use event_log::EventLog;
pub use exchange::{Applied, Exchange, Fatal};
pub use funding::FundingSpec;
pub use genesis::{Genesis, GenesisError, LiquidationSpec, Listing, Pool};
pub use index::IndexMethod;
pub use instrument::{IndexSourceSpec, Instrument, InstrumentSpec, Kind, Tier, TierSpec};
pub use insurance::AdlSpec;
pub use kyc::AccountLevel;
pub use lending::{BorrowTier, Ladder, LendingSpec, RateCurve, Strain};
pub use lookout::{Glance, Lookout, AHEAD};
pub use mark::MarkSource;
pub use market_command::MarketAction;
pub use position_command::{ModeScope, PositionAction};
pub use record::DecodeError;
pub use reject::{Reject, Stage};
pub use snapshot::RestoreError;
pub use terms::{
    CreateType, OrderSetting, OrderSettings, ProductClass, SelfMatch, SlippageTolerance, StopKind, Terms,
    TpSlMode, TriggerBy, TriggerDirection,
};
pub use trading_command::{TermsAmendment, TradingAction, TradingStop};
pub use types::*;
pub use view::{
    AccountView, AdlAlertView, AdlPlaceView, BookLevel, CoinConservation, CoinView, Conservation,
    FundingView, LendingPoolView, OrderView, PoolView, PositionView, PriceView,
};

/// Bounds on memory and on the work of one command.
pub mod limits {
    pub use crate::coin::{COINS_MAX, COLLATERAL_TIERS_MAX};
    pub use crate::conditional::{
        CONDITIONAL_ORDERS_MAX, SPOT_CONDITIONAL_ORDERS_MAX, SPOT_TPSL_ORDERS_MAX, TRIGGERS_MAX,
    };
    pub use crate::entry::ACTIVE_ORDERS_MAX;
    pub use crate::exchange::MARKET_MS_MAX;
    pub use crate::funding::{INTERVAL_MS_MAX, SETTLEMENTS_MAX};
    pub use crate::genesis::POOLS_MAX;
    pub use crate::instrument::{
        BASIS_WINDOW_MS_MAX, INDEX_SOURCES_MAX, INSTRUMENTS_MAX, TICKS_MAX, TIERS_MAX,
    };
    pub use crate::link_ids::LINK_IDS_MAX;
    pub use crate::liquidation::{LADDER_STEPS_MAX, LIQUIDATIONS_MAX};
    pub use crate::takeover::ADL_COUNTERPARTIES_MAX;
    pub use crate::terms::{DISCONNECT_SECONDS, SLIPPAGE_RATIO_MAX, SLIPPAGE_RATIO_MIN, SLIPPAGE_TICKS_MAX};
    pub use crate::tpsl::PARTIAL_PAIRS_MAX;
}

/// Bytes that one of each takes in the exchange's arrays; for measuring and for planning memory.
pub mod footprint {
    use crate::account::Account;
    use crate::purse::Purse;
    use crate::slot::{Slot, SlotDetail};

    /// A position with its orders' sums, as every command on it reads it.
    pub const SLOT_BYTES: usize = size_of::<Slot>();
    /// The rarely read part of the same.
    pub const SLOT_DETAIL_BYTES: usize = size_of::<SlotDetail>();
    /// What a position's profit goes on to.
    pub const OWNER_BYTES: [usize; 2] = [size_of::<Purse>(), size_of::<Account>()];
}
