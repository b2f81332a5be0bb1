//! What an account is and wants: sub-accounts, level, coins it uses as collateral, habits; and the dispatch of the
//! commands about an account's money.

use crate::account_command::AccountAction;
use crate::event::EventKind;
use crate::exchange::Exchange;
use crate::kyc::AccountLevel;
use crate::reject::Reject;
use crate::transfers::Place;
use crate::types::{AccountId, CoinId, FIRST_USER_ACCOUNT};

impl Exchange {
    /// Performs a command about an account's money or standing.
    pub(crate) fn perform_account(&mut self, action: &AccountAction) -> Result<(), Reject> {
        match *action {
            AccountAction::CreateSubAccount { account, main } => self.create_sub_account(account, main),
            AccountAction::Borrow { account, coin, amount } => self.borrow(account, coin, amount),
            AccountAction::Repay { account, coin, amount, convert } => {
                self.repay(account, coin, amount, convert)
            }
            AccountAction::Supply { account, coin, amount } => self.supply(account, coin, amount),
            AccountAction::Redeem { account, coin, amount } => self.redeem(account, coin, amount),
            AccountAction::Transfer { from, to, coin, amount, from_wallet, to_wallet } => {
                let (from, to) =
                    (Place { account: from, wallet: from_wallet }, Place { account: to, wallet: to_wallet });
                self.transfer(from, to, coin, amount)
            }
            AccountAction::SetCollateral { account, coin, enabled } => {
                self.set_collateral(account, coin, enabled)
            }
            AccountAction::SetVenueCollateral { coin, enabled } => self.set_venue_collateral(coin, enabled),
            AccountAction::SetAutoRepay { account, enabled } => self.set_auto_repay(account, enabled),
            AccountAction::SetAccountLevel { account, level } => self.set_account_level(account, level),
        }
    }

    /// Position of a user's account whose level opens the venue's products.
    #[inline]
    pub(crate) fn verified(&self, account: AccountId) -> Result<u32, Reject> {
        let owner = self.user(account)?;
        self.profiles.level(owner).opens_products().then_some(owner).ok_or(Reject::AccountNotVerified)
    }

    fn create_sub_account(&mut self, account: AccountId, main: AccountId) -> Result<(), Reject> {
        let parent = self.user(main)?;
        if self.profiles.main(parent) != parent {
            return Err(Reject::IsSubAccount);
        }
        if account.0 < FIRST_USER_ACCOUNT {
            return Err(Reject::AccountReserved);
        }
        if self.ledger.find(account.0).is_some() {
            return Err(Reject::AccountExists);
        }
        let child = self.ledger.open(account.0).ok_or(Reject::AccountReserved)?;
        self.profiles.adopt(parent, child);
        self.emit(EventKind::AccountCreated { account });
        self.emit(EventKind::SubAccountCreated { account, main });
        Ok(())
    }

    fn set_account_level(&mut self, account: AccountId, level: AccountLevel) -> Result<(), Reject> {
        let owner = self.user(account)?;
        if self.profiles.main(owner) != owner {
            return Err(Reject::IsSubAccount);
        }
        if self.profiles.level(owner) == level {
            return Err(Reject::SettingUnchanged);
        }
        self.profiles.set_level(owner, level);
        self.emit(EventKind::AccountLevelChanged { account, level });
        Ok(())
    }

    fn set_auto_repay(&mut self, account: AccountId, enabled: bool) -> Result<(), Reject> {
        let owner = self.user(account)?;
        if self.profiles.repays_itself(owner) == enabled {
            return Err(Reject::SettingUnchanged);
        }
        self.profiles.set_auto_repay(owner, enabled);
        self.emit(EventKind::AutoRepayChanged { account, enabled });
        Ok(())
    }

    /// Switching off is refused when what is required would not be covered any more.
    fn set_collateral(&mut self, account: AccountId, coin: CoinId, enabled: bool) -> Result<(), Reject> {
        let owner = self.user(account)?;
        let at = self.known_coin(coin)?;
        if !self.ledger.coins()[at].spec.can_switch {
            return Err(Reject::CollateralFixed);
        }
        let purse = self.ledger.find_purse(owner, coin);
        if purse.is_none_or(|purse| self.ledger.purse(purse).is_collateral) == enabled {
            return Err(Reject::SettingUnchanged);
        }
        if !enabled && self.worth_after(owner, coin, |held| held.is_collateral = false).available() < 0 {
            return Err(Reject::InsufficientBalance);
        }
        let purse = self.ledger.purse_for(owner, coin);
        self.ledger.change_purse(purse, |held| held.is_collateral = enabled);
        self.emit(EventKind::CollateralChanged { account, coin, enabled });
        self.touch(owner);
        Ok(())
    }

    /// The venue's own switch asks nobody: whoever is not covered any more is liquidated.
    fn set_venue_collateral(&mut self, coin: CoinId, enabled: bool) -> Result<(), Reject> {
        let at = self.known_coin(coin)?;
        let spec = &self.ledger.coins()[at].spec;
        if !spec.can_switch {
            return Err(Reject::CollateralFixed);
        }
        if spec.is_collateral == enabled {
            return Err(Reject::SettingUnchanged);
        }
        self.ledger.set_venue_collateral(coin, enabled);
        self.emit(EventKind::CollateralChanged { account: AccountId(0), coin, enabled });
        for holder in self.ledger.holders(coin) {
            self.touch(holder);
        }
        Ok(())
    }
}
