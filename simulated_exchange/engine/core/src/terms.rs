//! What an order may ask for beyond side, quantity and price, and what an account may set for all its orders. Words only:
//! plain data and its place in the command record; no behaviour of the exchange.

use serde::{Deserialize, Serialize};

use crate::record::{DecodeError, Reader, Writer};
use crate::types::{wire_enum, Price};

wire_enum! {
    /// What happens when an order would meet one of the same trader. The incoming order decides; a resting order's word is
    /// not asked.
    #[derive(Default)]
    SelfMatch {
        /// They trade.
        #[default]
        Allow = 0,
        /// The resting order is cancelled.
        CancelMaker = 1,
        /// The incoming order is cancelled.
        CancelTaker = 2,
        /// Both are cancelled.
        CancelBoth = 3,
    }
}

wire_enum! {
    /// The price that sets an order off.
    #[derive(Default)]
    TriggerBy {
        /// Last traded price; the mark before the first trade.
        #[default]
        LastPrice = 0,
        /// Mark price.
        MarkPrice = 1,
        /// Index price.
        IndexPrice = 2,
    }
}

wire_enum! {
    /// From where the price must reach an order's trigger.
    #[derive(Default)]
    TriggerDirection {
        /// From wherever it stands when the order comes.
        #[default]
        Either = 0,
        /// From below.
        Rise = 1,
        /// From above.
        Fall = 2,
    }
}

wire_enum! {
    /// What kind of order waits, or waited, for a price.
    #[derive(Default)]
    StopKind {
        /// None: an order that did not wait.
        #[default]
        Plain = 0,
        /// A conditional order.
        Stop = 1,
        /// Takes the profit of a whole position.
        TakeProfit = 2,
        /// Stops the loss of a whole position.
        StopLoss = 3,
        /// Takes the profit of a part.
        PartialTakeProfit = 4,
        /// Stops the loss of a part.
        PartialStopLoss = 5,
        /// Follows the price of a whole position.
        TrailingStop = 6,
        /// Spot: a take-profit or stop-loss that holds what it pays with.
        SpotTpSl = 7,
    }
}

wire_enum! {
    /// Who made an order, and why.
    #[derive(Default)]
    CreateType {
        /// Its owner.
        #[default]
        User = 0,
        /// Its owner, to close the whole position.
        Closing = 1,
        /// The take-profit of a position.
        TakeProfit = 2,
        /// The stop-loss of a position.
        StopLoss = 3,
        /// The take-profit of a part of a position.
        PartialTakeProfit = 4,
        /// The stop-loss of a part of a position.
        PartialStopLoss = 5,
        /// The trailing stop of a position.
        TrailingStop = 6,
        /// The venue, to reduce a position that is being liquidated.
        Liquidation = 7,
    }
}

impl StopKind {
    /// True for what ends a position and goes when it is gone.
    pub const fn is_exit(self) -> bool {
        !matches!(self, Self::Plain | Self::Stop | Self::SpotTpSl)
    }

    /// True for what holds coins while it waits.
    pub const fn holds(self) -> bool {
        matches!(self, Self::SpotTpSl)
    }

    /// True for what has a quantity of its own and may have a counterpart.
    pub const fn is_partial(self) -> bool {
        matches!(self, Self::PartialTakeProfit | Self::PartialStopLoss)
    }

    /// Who makes orders of the kind.
    pub const fn create_type(self) -> CreateType {
        match self {
            Self::Plain | Self::Stop | Self::SpotTpSl => CreateType::User,
            Self::TakeProfit => CreateType::TakeProfit,
            Self::StopLoss => CreateType::StopLoss,
            Self::PartialTakeProfit => CreateType::PartialTakeProfit,
            Self::PartialStopLoss => CreateType::PartialStopLoss,
            Self::TrailingStop => CreateType::TrailingStop,
        }
    }
}

wire_enum! {
    /// How much of a position its take-profit and stop-loss close.
    #[derive(Default)]
    TpSlMode {
        /// All of it, whatever it is then, at the market.
        #[default]
        Full = 0,
        /// A part, at the market or at a limit; there may be several.
        Partial = 1,
    }
}

wire_enum! {
    /// What is traded, as far as an account's settings tell it apart.
    ProductClass {
        /// Perpetual and expiry contracts.
        Contracts = 0,
        /// Coins themselves.
        Spot = 1,
    }
}

/// How far beyond the best price a market order may fill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SlippageTolerance {
    /// As far as the price band.
    #[default]
    None,
    /// This many ticks: 1 to [`SLIPPAGE_TICKS_MAX`].
    Ticks(u32),
    /// This part of the best price, in `10^-8`: [`SLIPPAGE_RATIO_MIN`] to [`SLIPPAGE_RATIO_MAX`].
    Ratio(u32),
}

/// Largest slippage tolerance in ticks.
pub const SLIPPAGE_TICKS_MAX: u32 = 10_000;
/// Smallest slippage tolerance in `10^-8`: 0.01 %.
pub const SLIPPAGE_RATIO_MIN: u32 = 10_000;
/// Largest slippage tolerance in `10^-8`: 10 %.
pub const SLIPPAGE_RATIO_MAX: u32 = 10_000_000;

/// What few orders ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Self-match prevention.
    pub self_match: SelfMatch,
    /// How far a market order may slip.
    pub slippage: SlippageTolerance,
    /// Price at which it comes into force; 0 for at once.
    pub trigger_price: Price,
    /// The price that is compared.
    pub trigger_by: TriggerBy,
    /// From where.
    pub trigger_direction: TriggerDirection,
    /// Only ever closes, and may cancel other orders of its owner to do so. With no quantity it closes everything.
    pub close_on_trigger: bool,
    /// Spot: what the account has too little of is borrowed.
    pub is_leveraged: bool,
    /// Spot market buy: the quantity is what is spent of the quote coin.
    pub in_quote: bool,
    /// How much of the position the two below close.
    pub tpsl_mode: TpSlMode,
    /// Price at which profit is taken of what the order opened; 0 for never.
    pub take_profit: Price,
    /// The price that is compared with it.
    pub take_profit_by: TriggerBy,
    /// Limit at which profit is taken; 0 for the market.
    pub take_profit_limit: Price,
    /// Price at which the loss of what the order opened is stopped; 0 for never.
    pub stop_loss: Price,
    /// The price that is compared with it.
    pub stop_loss_by: TriggerBy,
    /// Limit at which the loss is stopped; 0 for the market.
    pub stop_loss_limit: Price,
    /// Spot: waits as a take-profit or stop-loss, which holds what it pays with.
    pub holds: bool,
}

impl Terms {
    /// A plain order's.
    pub const NONE: Self = Self {
        self_match: SelfMatch::Allow,
        slippage: SlippageTolerance::None,
        trigger_price: Price(0),
        trigger_by: TriggerBy::LastPrice,
        trigger_direction: TriggerDirection::Either,
        close_on_trigger: false,
        is_leveraged: false,
        in_quote: false,
        tpsl_mode: TpSlMode::Full,
        take_profit: Price(0),
        take_profit_by: TriggerBy::LastPrice,
        take_profit_limit: Price(0),
        stop_loss: Price(0),
        stop_loss_by: TriggerBy::LastPrice,
        stop_loss_limit: Price(0),
        holds: false,
    };

    /// True when nothing is asked for.
    #[inline]
    pub fn is_none(&self) -> bool {
        // every order is asked: all at once, since every choice is 0 where none was made
        let prices = [
            self.trigger_price,
            self.take_profit,
            self.take_profit_limit,
            self.stop_loss,
            self.stop_loss_limit,
        ];
        let choices = [
            self.self_match.to_wire(),
            self.trigger_by.to_wire(),
            self.trigger_direction.to_wire(),
            u8::from(self.close_on_trigger),
            u8::from(self.is_leveraged),
            u8::from(self.in_quote),
            self.tpsl_mode.to_wire(),
            self.take_profit_by.to_wire(),
            self.stop_loss_by.to_wire(),
            u8::from(self.holds),
        ];
        let price = prices.iter().fold(0, |any, price| any | price.0);
        let choice = choices.iter().fold(0, |any, choice| any | choice);
        price == 0 && choice == 0 && self.slippage == SlippageTolerance::None
    }

    /// True when something is asked for that only spot orders can have.
    #[inline]
    pub fn are_for_spot(&self) -> bool {
        self.is_leveraged || self.in_quote || self.holds
    }

    /// True when the order is to wait for a price.
    #[inline]
    pub fn waits(&self) -> bool {
        self.trigger_price != Price(0)
    }

    /// True when a take-profit or a stop-loss comes with the order.
    #[inline]
    pub fn has_exits(&self) -> bool {
        self.take_profit.0 | self.stop_loss.0 != 0
    }

    /// The same without what only counts until it is triggered, or once it has filled.
    #[must_use]
    pub fn without_exits(self) -> Self {
        Self {
            self_match: self.self_match,
            slippage: self.slippage,
            trigger_price: self.trigger_price,
            trigger_by: self.trigger_by,
            trigger_direction: self.trigger_direction,
            close_on_trigger: self.close_on_trigger,
            is_leveraged: self.is_leveraged,
            in_quote: self.in_quote,
            ..Self::NONE
        }
    }

    /// Writes the terms into a record.
    #[inline]
    pub(crate) fn put<const N: usize>(&self, writer: &mut Writer<N>) {
        if self.is_none() {
            return;
        }
        let (kind, value) = match self.slippage {
            SlippageTolerance::None => (0, 0),
            SlippageTolerance::Ticks(ticks) => (1, ticks),
            SlippageTolerance::Ratio(ratio) => (2, ratio),
        };
        writer.u8(self.self_match.to_wire()).u8(kind).u32(value).flag(self.close_on_trigger);
        writer.u8(self.trigger_by.to_wire()).u8(self.trigger_direction.to_wire()).i64(self.trigger_price.0);
        writer.flag(self.is_leveraged).flag(self.in_quote).u8(self.tpsl_mode.to_wire());
        writer.u8(self.take_profit_by.to_wire()).u8(self.stop_loss_by.to_wire());
        writer.i64(self.take_profit.0).i64(self.take_profit_limit.0);
        writer.i64(self.stop_loss.0).i64(self.stop_loss_limit.0).flag(self.holds);
    }

    /// Reads the terms, which end the record.
    #[inline]
    pub(crate) fn take(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(Self::NONE);
        }
        let mut reader = Reader::new(bytes);
        let self_match = word(SelfMatch::from_wire(reader.u8()?))?;
        let slippage = match (reader.u8()?, reader.u32()?) {
            (0, 0) => SlippageTolerance::None,
            (1, ticks) => SlippageTolerance::Ticks(ticks),
            (2, ratio) => SlippageTolerance::Ratio(ratio),
            _ => return Err(DecodeError::Field),
        };
        let terms = Self {
            self_match,
            slippage,
            close_on_trigger: reader.flag()?,
            trigger_by: word(TriggerBy::from_wire(reader.u8()?))?,
            trigger_direction: word(TriggerDirection::from_wire(reader.u8()?))?,
            trigger_price: Price(reader.i64()?),
            is_leveraged: reader.flag()?,
            in_quote: reader.flag()?,
            tpsl_mode: word(TpSlMode::from_wire(reader.u8()?))?,
            take_profit_by: word(TriggerBy::from_wire(reader.u8()?))?,
            stop_loss_by: word(TriggerBy::from_wire(reader.u8()?))?,
            take_profit: Price(reader.i64()?),
            take_profit_limit: Price(reader.i64()?),
            stop_loss: Price(reader.i64()?),
            stop_loss_limit: Price(reader.i64()?),
            holds: reader.flag()?,
        };
        reader.end()?;
        Ok(terms)
    }
}

fn word<T>(known: Option<T>) -> Result<T, DecodeError> {
    known.ok_or(DecodeError::Field)
}

/// One setting of an account for its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderSetting {
    /// The group of accounts that count as one trader; 0 for none.
    SmpGroup(u32),
    /// Seconds after which the orders of a client that is gone are cancelled; 0 for never.
    DisconnectWindow(ProductClass, u32),
    /// A limit price beyond the price band is moved to its edge; otherwise the order is refused.
    MovesToBand(ProductClass, bool),
}

/// Shortest and longest disconnect window, in seconds.
pub const DISCONNECT_SECONDS: std::ops::RangeInclusive<u32> = 3..=300;

/// An account's settings for its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSettings {
    /// The group of accounts that count as one trader; 0 for none.
    pub smp_group: u32,
    /// Disconnect windows in seconds, by product class; 0 for never.
    pub disconnect_seconds: [u32; 2],
    /// Whether limits beyond the price band are moved to its edge, by product class.
    pub moves_to_band: [bool; 2],
}

impl Default for OrderSettings {
    /// No group, no window; contracts' orders are moved to the band, spot orders refused.
    fn default() -> Self {
        Self { smp_group: 0, disconnect_seconds: [0; 2], moves_to_band: [true, false] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_ask_for_a_single_thing_are_not_none() {
        let none = Terms::NONE;
        let asked = [
            Terms { self_match: SelfMatch::CancelMaker, ..none },
            Terms { slippage: SlippageTolerance::Ticks(1), ..none },
            Terms { slippage: SlippageTolerance::Ratio(SLIPPAGE_RATIO_MIN), ..none },
            Terms { trigger_price: Price(-1), ..none },
            Terms { trigger_by: TriggerBy::MarkPrice, ..none },
            Terms { trigger_direction: TriggerDirection::Rise, ..none },
            Terms { close_on_trigger: true, ..none },
            Terms { is_leveraged: true, ..none },
            Terms { in_quote: true, ..none },
            Terms { tpsl_mode: TpSlMode::Partial, ..none },
            Terms { take_profit: Price(1), ..none },
            Terms { take_profit_by: TriggerBy::IndexPrice, ..none },
            Terms { take_profit_limit: Price(1), ..none },
            Terms { stop_loss: Price(i64::MIN), ..none },
            Terms { stop_loss_by: TriggerBy::MarkPrice, ..none },
            Terms { stop_loss_limit: Price(1), ..none },
            Terms { holds: true, ..none },
        ];
        assert!(none.is_none());
        for terms in asked {
            assert!(!terms.is_none() && terms != none, "{terms:?}");
        }
    }
}
