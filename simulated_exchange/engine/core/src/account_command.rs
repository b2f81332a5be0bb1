//! Commands about an account's money and standing, numbers 40 to 59, and how they lie in a command record. What they
//! do stands in `borrowing`, `supply`, `transfers` and `standing`.

use crate::command::Fields;
use crate::kyc::AccountLevel;
use crate::record::DecodeError;
use crate::types::{AccountId, CoinId, Money, Wallet};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountAction {
    /// Opens an account under another one, whose level and limits it shares.
    CreateSubAccount {
        /// The new account.
        account: AccountId,
        /// Its main account.
        main: AccountId,
    },
    /// Borrows cash from a coin's pool.
    Borrow {
        /// Borrower.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
    },
    /// Repays a loan by hand.
    Repay {
        /// Borrower.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much at most; 0 is everything.
        amount: Money,
        /// Other coins may be sold for it.
        convert: bool,
    },
    /// Lends to a coin's pool, out of the funding wallet.
    Supply {
        /// Supplier.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
    },
    /// Takes back what was lent to a pool, into the funding wallet.
    Redeem {
        /// Supplier.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much; 0 is everything.
        amount: Money,
    },
    /// Moves money between the wallets of an account, or of a main account and its sub-accounts.
    Transfer {
        /// From whom.
        from: AccountId,
        /// To whom.
        to: AccountId,
        /// Coin.
        coin: CoinId,
        /// How much.
        amount: Money,
        /// Out of which wallet.
        from_wallet: Wallet,
        /// Into which wallet.
        to_wallet: Wallet,
    },
    /// An account begins or ends to use a coin as collateral.
    SetCollateral {
        /// Account.
        account: AccountId,
        /// Coin.
        coin: CoinId,
        /// It does from now on.
        enabled: bool,
    },
    /// The venue begins or ends to take a coin as collateral from anyone.
    SetVenueCollateral {
        /// Coin.
        coin: CoinId,
        /// It does from now on.
        enabled: bool,
    },
    /// Switches repayment by selling other coins at every full and half hour.
    SetAutoRepay {
        /// Account.
        account: AccountId,
        /// On from now on.
        enabled: bool,
    },
    /// Sets how well the venue knows an account's owner.
    SetAccountLevel {
        /// A main account.
        account: AccountId,
        /// Level.
        level: AccountLevel,
    },
}

/// Numbers of these commands.
pub(crate) const KINDS: std::ops::RangeInclusive<u8> = 40..=59;

const YES: u8 = 1;

impl AccountAction {
    /// The fields of its record.
    pub(crate) fn fields(&self) -> Fields {
        let fields = |kind: u8, account: AccountId| Fields { kind, account: account.0, ..Fields::default() };
        let of_coin = |kind: u8, account: AccountId, coin: CoinId, amount: Money| Fields {
            instrument: coin.0,
            price: amount.0,
            ..fields(kind, account)
        };
        let flagged =
            |enabled: bool, fields: Fields| Fields { flags: if enabled { YES } else { 0 }, ..fields };
        match *self {
            Self::CreateSubAccount { account, main } => Fields { number: main.0, ..fields(40, account) },
            Self::Borrow { account, coin, amount } => of_coin(41, account, coin, amount),
            Self::Repay { account, coin, amount, convert } => {
                flagged(convert, of_coin(42, account, coin, amount))
            }
            Self::Supply { account, coin, amount } => of_coin(43, account, coin, amount),
            Self::Redeem { account, coin, amount } => of_coin(44, account, coin, amount),
            Self::Transfer { from, to, coin, amount, from_wallet, to_wallet } => Fields {
                number: to.0,
                side: from_wallet.to_wire(),
                order_type: to_wallet.to_wire(),
                ..of_coin(45, from, coin, amount)
            },
            Self::SetCollateral { account, coin, enabled } => {
                flagged(enabled, of_coin(46, account, coin, Money(0)))
            }
            Self::SetVenueCollateral { coin, enabled } => {
                flagged(enabled, of_coin(47, AccountId(0), coin, Money(0)))
            }
            Self::SetAutoRepay { account, enabled } => flagged(enabled, fields(48, account)),
            Self::SetAccountLevel { account, level } => {
                Fields { side: level.to_wire(), ..fields(49, account) }
            }
        }
    }

    /// The command of a record's fields.
    pub(crate) fn from_fields(fields: &Fields) -> Result<Self, DecodeError> {
        let (account, coin) = (AccountId(fields.account), CoinId(fields.instrument));
        let (amount, enabled) = (Money(fields.price), fields.flags & YES != 0);
        let wallet = |byte: u8| Wallet::from_wire(byte).ok_or(DecodeError::Field);
        Ok(match fields.kind {
            40 => Self::CreateSubAccount { account, main: AccountId(fields.number) },
            41 => Self::Borrow { account, coin, amount },
            42 => Self::Repay { account, coin, amount, convert: enabled },
            43 => Self::Supply { account, coin, amount },
            44 => Self::Redeem { account, coin, amount },
            45 => Self::Transfer {
                from: account,
                to: AccountId(fields.number),
                coin,
                amount,
                from_wallet: wallet(fields.side)?,
                to_wallet: wallet(fields.order_type)?,
            },
            46 => Self::SetCollateral { account, coin, enabled },
            47 => Self::SetVenueCollateral { coin, enabled },
            48 => Self::SetAutoRepay { account, enabled },
            49 => Self::SetAccountLevel {
                account,
                level: AccountLevel::from_wire(fields.side).ok_or(DecodeError::Field)?,
            },
            _ => return Err(DecodeError::Kind),
        })
    }
}
