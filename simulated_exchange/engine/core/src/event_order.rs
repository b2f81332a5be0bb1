//! Events about orders beyond their acceptance, change and end. They are declared here and become part of `event`.

/// Declares the other events and these.
macro_rules! with_order_events {
    ($($others:tt)*) => {
        with_market_events! {
            $($others)*
            /// What an accepted order asks for beyond the plain, or asks for now; told only of orders that do. One with a trigger
            /// price waits until it is triggered.
            OrderConditions = 50 {
                /// Order.
                order_id: OrderId,
                /// Owner.
                account: AccountId,
                /// Instrument.
                instrument: InstrumentId,
                /// What kind of order waits for a price.
                kind: StopKind,
                /// The price it waits for; 0 for none.
                trigger_price: Price,
                /// The price that is compared.
                trigger_by: TriggerBy,
                /// From where it must come.
                trigger_direction: TriggerDirection,
                /// Only ever closes, and may cancel others to do so.
                close_on_trigger: bool,
                /// How far a trailing stop lets the price come back; 0 for others.
                trailing_stop: Price,
                /// The other one of a pair of take-profit and stop-loss; 0 for none.
                partner: OrderId,
                /// Self-match prevention.
                self_match: SelfMatch,
                /// Slippage tolerance in ticks; 0 for none.
                slippage_ticks: i64,
                /// Slippage tolerance as a part of the best price, in `10^-8`; 0 for none.
                slippage_ratio: i64,
                /// How much of the position what follows closes.
                tpsl_mode: TpSlMode,
                /// Take-profit that comes with it; 0 for none.
                take_profit: Price,
                /// The price that is compared with it.
                take_profit_by: TriggerBy,
                /// Its limit; 0 for the market.
                take_profit_limit: Price,
                /// Stop-loss that comes with it; 0 for none.
                stop_loss: Price,
                /// The price that is compared with it.
                stop_loss_by: TriggerBy,
                /// Its limit; 0 for the market.
                stop_loss_limit: Price,
            }
            /// A waiting order's price was reached. What follows tells whether it filled, rested or was cancelled.
            OrderTriggered = 51 {
                /// Order.
                order_id: OrderId,
                /// Owner.
                account: AccountId,
                /// Instrument.
                instrument: InstrumentId,
                /// The price that reached it.
                price: Price,
            }
            /// What ends a whole position changed. Each is an order of its own as well.
            TradingStopChanged = 52 {
                /// Account.
                account: AccountId,
                /// Instrument.
                instrument: InstrumentId,
                /// Which of the account's positions.
                position_index: PositionIndex,
                /// Take-profit; 0 for none.
                take_profit: Price,
                /// Stop-loss; 0 for none.
                stop_loss: Price,
                /// Distance of the trailing stop; 0 for none.
                trailing_stop: Price,
                /// Price at which the trailing stop is armed; 0 for at once.
                active_price: Price,
            }
            /// An account's settings for its orders changed.
            OrderSettingsChanged = 53 {
                /// Account.
                account: AccountId,
                /// The group of accounts that count as one trader; 0 for none.
                smp_group: i64,
                /// Disconnect window of contracts in seconds; 0 for never.
                contracts_disconnect_s: i64,
                /// Disconnect window of spot in seconds; 0 for never.
                spot_disconnect_s: i64,
                /// Limits of contracts beyond the price band are moved to its edge.
                contracts_move_to_band: bool,
                /// Limits of spot orders beyond the price band are moved to its edge.
                spot_moves_to_band: bool,
            }
            /// What an accepted order of spot asks for; told, before its other conditions, only of orders that do.
            SpotConditions = 54 {
                /// Order.
                order_id: OrderId,
                /// Owner.
                account: AccountId,
                /// Instrument.
                instrument: InstrumentId,
                /// Borrows what it cannot pay.
                is_leveraged: bool,
                /// What a market buy is to spend, in the quote coin; 0 for one of so many of the base coin.
                spend: Qty,
            }
        }
    };
}
pub(crate) use with_order_events;
