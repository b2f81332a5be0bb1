//! Position mode: whether an account has one position in an instrument, or a long and a short one side by side.
//!
//! The slot of the only position carries the mode. A leg of a hedge has a slot of its own, made when it is first used,
//! with the leverage of the other until its own is set. Orders against a leg's direction only ever reduce it, so a leg
//! never turns.

use crate::command::NewOrder;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::position_command::ModeScope;
use crate::reject::Reject;
use crate::types::{AccountId, InstrumentId, PositionIndex, PositionMode, Side};

impl PositionIndex {
    /// The side that opens this leg of a hedge; nothing for the only position.
    pub(crate) const fn opened_by(self) -> Option<Side> {
        match self {
            Self::OneWay => None,
            Self::HedgeBuy => Some(Side::Buy),
            Self::HedgeSell => Some(Side::Sell),
        }
    }
}

impl Exchange {
    /// Position mode of an account in an instrument.
    pub(crate) fn position_mode_of(&self, owner: u32, instrument: usize) -> PositionMode {
        let slot = self.ledger.find_slot(owner, instrument, PositionIndex::OneWay);
        let is_hedged = slot.is_some_and(|slot| self.ledger.slot(slot).is_hedged);
        if is_hedged {
            PositionMode::Hedge
        } else {
            PositionMode::OneWay
        }
    }

    /// An order for a leg of a hedge: refused without that mode; what goes against the leg only reduces it.
    #[cold]
    pub(crate) fn for_leg(&self, order: &NewOrder) -> Result<NewOrder, Reject> {
        let (owner, instrument) = (self.user(order.account)?, self.listed(order.instrument)?);
        self.fits_mode(owner, instrument, order.position_index)?;
        let goes_against = order.position_index.opened_by() != Some(order.side);
        Ok(NewOrder { reduce_only: order.reduce_only || goes_against, ..*order })
    }

    /// Refuses an index of the other position mode.
    pub(crate) fn fits_mode(
        &self,
        owner: u32,
        instrument: usize,
        index: PositionIndex,
    ) -> Result<(), Reject> {
        let is_hedged = self.position_mode_of(owner, instrument) == PositionMode::Hedge;
        if is_hedged == (index == PositionIndex::OneWay) {
            return Err(Reject::PositionIndexMismatch);
        }
        Ok(())
    }

    /// Sets the mode in one instrument, or in all that settle in a coin; only without positions and orders there.
    pub(crate) fn set_position_mode(
        &mut self,
        account: AccountId,
        scope: ModeScope,
        mode: PositionMode,
    ) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let instruments: Vec<usize> = match scope {
            ModeScope::Instrument(instrument) => vec![self.listed(instrument)?],
            ModeScope::Coin(coin) => {
                self.known_coin(coin)?;
                let settles = |index: &usize| self.instruments[*index].settle == coin;
                (0..self.instruments.len()).filter(settles).collect()
            }
        };
        let is_contract = |index: &usize| self.instruments[*index].is_contract();
        let contracts: Vec<usize> = instruments.into_iter().filter(is_contract).collect();
        let changing = |index: &usize| self.position_mode_of(owner, *index) != mode;
        let changing: Vec<usize> = contracts.iter().copied().filter(changing).collect();
        if contracts.is_empty() {
            return Err(Reject::NotAContract);
        }
        if changing.is_empty() {
            return Err(Reject::PositionModeUnchanged);
        }
        if changing.iter().any(|index| self.is_in_use(owner, *index)) {
            return Err(Reject::PositionModeInUse);
        }
        for index in changing {
            self.change_position_mode(owner, index, mode);
            let instrument = InstrumentId(u16::try_from(index).unwrap_or(u16::MAX));
            self.emit(EventKind::PositionModeChanged { account, instrument, mode });
        }
        Ok(())
    }

    /// True with a position or an order of the account in the instrument.
    fn is_in_use(&self, owner: u32, instrument: usize) -> bool {
        PositionIndex::ALL.iter().any(|index| {
            let found = self.ledger.find_slot(owner, instrument, *index);
            let waits = found.is_some_and(|slot| self.triggers.of(slot).next().is_some());
            let slot = found.map(|slot| self.ledger.slot(slot));
            waits || slot.is_some_and(|slot| slot.position.lots != 0 || slot.orders.count != 0)
        })
    }

    fn change_position_mode(&mut self, owner: u32, instrument: usize, mode: PositionMode) {
        let listed = &self.instruments[instrument];
        let only = self.ledger.slot_for(owner, instrument, PositionIndex::OneWay, listed);
        let leverage = self.ledger.slot(only).leverage;
        self.ledger.slot_mut(only).is_hedged = mode == PositionMode::Hedge;
        for index in [PositionIndex::HedgeBuy, PositionIndex::HedgeSell] {
            if let Some(leg) = self.ledger.find_slot(owner, instrument, index) {
                self.ledger.slot_mut(leg).leverage = leverage;
            }
        }
    }
}
