//! What may be asked of the exchange, and its fixed-size record. Commands are imperative and may be refused.
//!
//! Record, 160 bytes, little-endian; unused bytes are zero:
//!
//! | bytes | field | | bytes | field |
//! |---|---|---|---|---|
//! | 0 | kind | | 16..24 | `market_ms` |
//! | 1 | side | | 24..32 | `wall_us` |
//! | 2 | order type | | 32..40 | `order_id`, or leverage of a tier |
//! | 3 | time in force | | 40..48 | price, amount, limit, lower rate or time |
//! | 4 | flags: 1 reduce-only, 2 price given, 4 qty given, 8 instrument given | | 48..56 | qty, maintenance or upper rate |
//! | 5 | length of the link id | | 56..92 | link id |
//! | 6..8 | instrument or coin | | 92 | position index |
//! | 8..12 | account | | 93..160 | an order's terms, or zero |
//! | 12..16 | leverage, source, number of a tier, minutes | | | |

use serde::{Deserialize, Serialize};

use crate::account_command::{self, AccountAction};
use crate::market_command::{self, MarketAction};
use crate::position_command::{self, PositionAction};
use crate::record::{DecodeError, Reader, Writer};
use crate::terms::Terms;
use crate::trading_command::{self, TradingAction};
use crate::types::{
    AccountId, CoinId, InstrumentId, LinkId, Money, OrderId, OrderType, PositionIndex, Price, Qty, Side,
    TimeInForce,
};

/// Size of a command record.
pub const COMMAND_BYTES: usize = 160;

/// A command with the two clocks it was stamped with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Market time in milliseconds; never goes backwards.
    pub market_ms: i64,
    /// Wall time in microseconds; stamped onto events, decides nothing.
    pub wall_us: i64,
    /// What is asked.
    pub action: Action,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Opens an account.
    CreateAccount {
        /// The new account.
        account: AccountId,
    },
    /// Puts money into a wallet.
    Deposit {
        /// Whose wallet; an insurance pool may be fed too.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
    },
    /// Takes money out of a wallet.
    Withdraw {
        /// Whose wallet.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
    },
    /// Places an order.
    PlaceOrder(NewOrder),
    /// Changes a resting order's price, total quantity, or both.
    AmendOrder {
        /// Owner.
        account: AccountId,
        /// Order.
        order_id: OrderId,
        /// New price, if it changes.
        price: Option<Price>,
        /// New total quantity (filled part included), if it changes.
        qty: Option<Qty>,
    },
    /// Cancels an order.
    CancelOrder {
        /// Owner.
        account: AccountId,
        /// Order.
        order_id: OrderId,
    },
    /// Cancels all orders of an account, in one instrument or everywhere.
    CancelAll {
        /// Owner.
        account: AccountId,
        /// Only this instrument.
        instrument: Option<InstrumentId>,
    },
    /// Sets an account's leverage in an instrument.
    SetLeverage {
        /// Account.
        account: AccountId,
        /// Instrument.
        instrument: InstrumentId,
        /// Hundredths: 10x is 1000.
        leverage: u32,
    },
    /// Updates one component of an index.
    SetIndexSource {
        /// Instrument.
        instrument: InstrumentId,
        /// Position of the component in the instrument's list.
        source: u32,
        /// Its price.
        price: Price,
    },
    /// Reports the price of a coin in USD.
    SetCoinPrice {
        /// Coin.
        coin: CoinId,
        /// Its price.
        price: Price,
    },
    /// How an account holds its positions.
    Position(PositionAction),
    /// How an instrument is priced, funded and limited.
    Market(MarketAction),
    /// Lets market time pass: samples, staleness, mark prices, funding, coming risk limits, liquidations.
    AdvanceTime,
    /// Orders beyond placing, changing and cancelling.
    Trading(TradingAction),
    /// An account's money or standing.
    Account(AccountAction),
}

/// A new order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrder {
    /// Owner.
    pub account: AccountId,
    /// Instrument.
    pub instrument: InstrumentId,
    /// Which of the account's positions it is for.
    pub position_index: PositionIndex,
    /// Buy or sell.
    pub side: Side,
    /// Limit or market.
    pub order_type: OrderType,
    /// A market order is always immediate-or-cancel, whatever stands here.
    pub time_in_force: TimeInForce,
    /// Quantity.
    pub qty: Qty,
    /// Limit price; ignored for market orders.
    pub price: Price,
    /// Never opens or grows a position.
    pub reduce_only: bool,
    /// The client's own identifier.
    pub link_id: LinkId,
    /// What few orders ask for.
    pub terms: Terms,
}

impl NewOrder {
    /// A plain good-till-cancelled limit order.
    pub const fn limit(
        account: AccountId,
        instrument: InstrumentId,
        side: Side,
        qty: Qty,
        price: Price,
    ) -> Self {
        Self {
            account,
            instrument,
            position_index: PositionIndex::OneWay,
            side,
            order_type: OrderType::Limit,
            time_in_force: TimeInForce::GoodTillCancel,
            qty,
            price,
            reduce_only: false,
            link_id: LinkId::NONE,
            terms: Terms::NONE,
        }
    }

    /// True when it closes whatever is held: no quantity, reduce-only, close-on-trigger.
    #[inline]
    pub fn closes_all(&self) -> bool {
        self.qty == Qty(0) && self.reduce_only && self.terms.close_on_trigger
    }

    /// What a market buy of spot is to spend, in its quote coin; 0 for one of so many of the base coin.
    #[inline]
    pub fn spend(&self) -> Qty {
        if self.terms.in_quote {
            self.qty
        } else {
            Qty(0)
        }
    }

    /// A plain market order.
    pub const fn market(account: AccountId, instrument: InstrumentId, side: Side, qty: Qty) -> Self {
        Self {
            order_type: OrderType::Market,
            time_in_force: TimeInForce::ImmediateOrCancel,
            ..Self::limit(account, instrument, side, qty, Price(0))
        }
    }
}

pub(crate) const PLACE_ORDER: u8 = 4;
pub(crate) const AMEND_ORDER: u8 = 5;
pub(crate) const CANCEL_ORDER: u8 = 6;
/// Where the clocks begin.
const MARKET_MS_AT: usize = 16;
/// Where the order, or what else is counted in so many bits, begins.
const ORDER_ID_AT: usize = 32;
/// Where the link id begins.
const LINK_ID_AT: usize = 56;
/// Where the position index stands; terms follow it to the end.
const POSITION_INDEX_AT: usize = LINK_ID_AT + LinkId::LENGTH_MAX;

const REDUCE_ONLY: u8 = 1;
pub(crate) const HAS_PRICE: u8 = 2;
pub(crate) const HAS_QTY: u8 = 4;
pub(crate) const HAS_INSTRUMENT: u8 = 8;

/// A record's fields before they are given a meaning.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Fields {
    pub(crate) kind: u8,
    pub(crate) side: u8,
    pub(crate) order_type: u8,
    pub(crate) time_in_force: u8,
    pub(crate) flags: u8,
    pub(crate) instrument: u16,
    pub(crate) account: u32,
    pub(crate) number: u32,
    pub(crate) order_id: u64,
    pub(crate) price: i64,
    pub(crate) qty: i64,
    pub(crate) position_index: u8,
}

impl Command {
    /// The command as a record.
    pub fn encode(&self) -> [u8; COMMAND_BYTES] {
        let fields = self.action.fields();
        let (link_id, terms) = self.action.extras();
        let length = u8::try_from(link_id.as_bytes().len()).unwrap_or(0);
        let mut writer = Writer::new();
        writer.u8(fields.kind).u8(fields.side).u8(fields.order_type).u8(fields.time_in_force);
        writer.u8(fields.flags).u8(length).u16(fields.instrument).u32(fields.account).u32(fields.number);
        writer.i64(self.market_ms).i64(self.wall_us).u64(fields.order_id);
        writer.i64(fields.price).i64(fields.qty).raw(link_id.padded()).u8(fields.position_index);
        terms.put(&mut writer);
        writer.finish()
    }

    /// Reads a record; every byte must make sense, so that decoding and encoding are inverse.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record: &[u8; COMMAND_BYTES] = bytes.try_into().map_err(|_| DecodeError::Length)?;
        let (fields, length) = Fields::of(record)?;
        let (link, terms) = (&record[LINK_ID_AT..POSITION_INDEX_AT], &record[POSITION_INDEX_AT + 1..]);
        // Most records have neither, and to look for a byte that is set takes a fraction of reading them.
        if length == 0 && is_zero(link) && is_zero(terms) {
            fields.command(record, LinkId::NONE, Terms::NONE)
        } else {
            fields.command_with(record, length)
        }
    }
}

/// The fields of a record, whatever they say.
#[inline(always)]
#[expect(clippy::inline_always, reason = "few of them are looked at")]
pub(crate) fn glanced(record: &[u8]) -> Option<Fields> {
    Fields::of(record.try_into().ok()?).ok().map(|(fields, _)| fields)
}

/// Without an early end, so that many bytes are looked at in one step.
#[inline]
fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |any, byte| any | byte) == 0
}

impl Action {
    /// What only some records hold.
    #[inline]
    fn extras(&self) -> (LinkId, Terms) {
        match self {
            Self::PlaceOrder(order) => (order.link_id, order.terms),
            Self::Trading(action) => (LinkId::NONE, action.terms()),
            _ => (LinkId::NONE, Terms::NONE),
        }
    }

    /// Whether this is all that a record's link id and terms say.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Fields::exactly`")]
    fn holds(&self, link_id: &LinkId, terms: &Terms) -> bool {
        match self {
            Self::PlaceOrder(_) => true,
            Self::Trading(action) => link_id.is_empty() && action.terms() == *terms,
            _ => link_id.is_empty() && terms.is_none(),
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Fields::exactly`")]
    fn fields(&self) -> Fields {
        let fields = |kind: u8, account: AccountId| Fields { kind, account: account.0, ..Fields::default() };
        match *self {
            Self::CreateAccount { account } => fields(1, account),
            Self::Deposit { account, coin, amount } => {
                Fields { instrument: coin.0, price: amount.0, ..fields(2, account) }
            }
            Self::Withdraw { account, coin, amount } => {
                Fields { instrument: coin.0, price: amount.0, ..fields(3, account) }
            }
            Self::PlaceOrder(order) => Fields {
                side: order.side.to_wire(),
                order_type: order.order_type.to_wire(),
                time_in_force: order.time_in_force.to_wire(),
                flags: if order.reduce_only { REDUCE_ONLY } else { 0 },
                instrument: order.instrument.0,
                position_index: order.position_index.to_wire(),
                price: order.price.0,
                qty: order.qty.0,
                ..fields(PLACE_ORDER, order.account)
            },
            Self::AmendOrder { account, order_id, price, qty } => Fields {
                flags: price.map_or(0, |_| HAS_PRICE) | qty.map_or(0, |_| HAS_QTY),
                order_id: order_id.0,
                price: price.map_or(0, |price| price.0),
                qty: qty.map_or(0, |qty| qty.0),
                ..fields(AMEND_ORDER, account)
            },
            Self::CancelOrder { account, order_id } => {
                Fields { order_id: order_id.0, ..fields(CANCEL_ORDER, account) }
            }
            Self::CancelAll { account, instrument } => Fields {
                flags: instrument.map_or(0, |_| HAS_INSTRUMENT),
                instrument: instrument.map_or(0, |instrument| instrument.0),
                ..fields(7, account)
            },
            Self::SetLeverage { account, instrument, leverage } => {
                Fields { instrument: instrument.0, number: leverage, ..fields(8, account) }
            }
            Self::SetIndexSource { instrument, source, price } => {
                Fields { instrument: instrument.0, number: source, price: price.0, ..fields(9, AccountId(0)) }
            }
            Self::AdvanceTime => fields(10, AccountId(0)),
            Self::Position(action) => action.fields(),
            Self::Market(action) => action.fields(),
            Self::SetCoinPrice { coin, price } => {
                Fields { instrument: coin.0, price: price.0, ..fields(11, AccountId(0)) }
            }
            Self::Trading(action) => action.fields(),
            Self::Account(action) => action.fields(),
        }
    }
}

impl Fields {
    /// The fields of a record, and the length of its link id.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Fields::exactly`")]
    fn of(record: &[u8; COMMAND_BYTES]) -> Result<(Self, u8), DecodeError> {
        let mut reader = Reader::new(record);
        let (kind, side, order_type) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let (time_in_force, flags, length) = (reader.u8()?, reader.u8()?, reader.u8()?);
        let (instrument, account, number) = (reader.u16()?, reader.u32()?, reader.u32()?);
        let mut reader = Reader::new(&record[ORDER_ID_AT..]);
        let (order_id, price, qty) = (reader.u64()?, reader.i64()?, reader.i64()?);
        let position_index = record[POSITION_INDEX_AT];
        let fields = Self {
            kind,
            side,
            order_type,
            time_in_force,
            flags,
            instrument,
            account,
            number,
            order_id,
            price,
            qty,
            position_index,
        };
        Ok((fields, length))
    }

    /// The command of a record that has these fields; what is frequent comes first.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Fields::exactly`")]
    fn command(
        &self,
        record: &[u8; COMMAND_BYTES],
        link_id: LinkId,
        terms: Terms,
    ) -> Result<Command, DecodeError> {
        let account = AccountId(self.account);
        let order_id = OrderId(self.order_id);
        let given = |flag: u8| self.flags & flag != 0;
        let exactly = |action| self.exactly(record, action, &link_id, &terms);
        match self.kind {
            PLACE_ORDER => exactly(Action::PlaceOrder(NewOrder {
                account,
                instrument: InstrumentId(self.instrument),
                position_index: PositionIndex::from_wire(self.position_index).ok_or(DecodeError::Field)?,
                side: Side::from_wire(self.side).ok_or(DecodeError::Field)?,
                order_type: OrderType::from_wire(self.order_type).ok_or(DecodeError::Field)?,
                time_in_force: TimeInForce::from_wire(self.time_in_force).ok_or(DecodeError::Field)?,
                qty: Qty(self.qty),
                price: Price(self.price),
                reduce_only: given(REDUCE_ONLY),
                link_id,
                terms,
            })),
            AMEND_ORDER => exactly(Action::AmendOrder {
                account,
                order_id,
                price: given(HAS_PRICE).then_some(Price(self.price)),
                qty: given(HAS_QTY).then_some(Qty(self.qty)),
            }),
            CANCEL_ORDER => exactly(Action::CancelOrder { account, order_id }),
            _ => self.rare(record, &link_id, &terms),
        }
    }

    /// The same of a record that has a link id, or terms.
    #[cold]
    fn command_with(&self, record: &[u8; COMMAND_BYTES], length: u8) -> Result<Command, DecodeError> {
        let link_id = Reader::new(&record[LINK_ID_AT..]).raw()?;
        let link_id = LinkId::from_padded(usize::from(length), &link_id)?;
        self.command(record, link_id, Terms::take(&record[POSITION_INDEX_AT + 1..])?)
    }

    #[cold]
    fn rare(
        &self,
        record: &[u8; COMMAND_BYTES],
        link_id: &LinkId,
        terms: &Terms,
    ) -> Result<Command, DecodeError> {
        let account = AccountId(self.account);
        let instrument = InstrumentId(self.instrument);
        let amount = Money(self.price);
        let price = Price(self.price);
        let action = match self.kind {
            1 => Action::CreateAccount { account },
            2 => Action::Deposit { account, coin: CoinId(self.instrument), amount },
            3 => Action::Withdraw { account, coin: CoinId(self.instrument), amount },
            7 => Action::CancelAll {
                account,
                instrument: (self.flags & HAS_INSTRUMENT != 0).then_some(instrument),
            },
            8 => Action::SetLeverage { account, instrument, leverage: self.number },
            9 => Action::SetIndexSource { instrument, source: self.number, price },
            10 => Action::AdvanceTime,
            11 => Action::SetCoinPrice { coin: CoinId(self.instrument), price },
            kind if position_command::KINDS.contains(&kind) => {
                Action::Position(PositionAction::from_fields(self)?)
            }
            kind if trading_command::KINDS.contains(&kind) => {
                Action::Trading(TradingAction::from_fields(self, terms)?)
            }
            kind if account_command::KINDS.contains(&kind) => {
                Action::Account(AccountAction::from_fields(self)?)
            }
            kind if market_command::KINDS.contains(&kind) => Action::Market(MarketAction::from_fields(self)?),
            _ => return Err(DecodeError::Kind),
        };
        self.exactly(record, action, link_id, terms)
    }

    /// The command, if the record says nothing but it. Inlined where the action is made, so that all that remains is to
    /// look whether the fields are zero that this kind does not use.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "what is said above")]
    fn exactly(
        &self,
        record: &[u8; COMMAND_BYTES],
        action: Action,
        link_id: &LinkId,
        terms: &Terms,
    ) -> Result<Command, DecodeError> {
        if action.fields() != *self || !action.holds(link_id, terms) {
            return Err(DecodeError::Padding);
        }
        let mut clocks = Reader::new(&record[MARKET_MS_AT..]);
        Ok(Command { market_ms: clocks.i64()?, wall_us: clocks.i64()?, action })
    }
}
