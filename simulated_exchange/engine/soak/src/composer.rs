//! Commands out of choices. It knows the layout of a record and not what the kinds mean: a field is set, and kept when
//! the record still decodes. So every kind of command comes up, those included that are new.

use exchange_core::{
    AccountAction, AccountId, AccountLevel, Action, COMMAND_BYTES, Command, Event, EventKind, OrderId, SCALE,
};

use crate::entropy::Entropy;

/// Users' accounts that take part.
pub const ACCOUNTS: u32 = 6;
const FIRST_ACCOUNT: u32 = 1000;
const PLACE_ORDER: u8 = 4;
const AMEND_ORDER: u8 = 5;
const CANCEL_ORDER: u8 = 6;
const SET_INDEX: u8 = 9;
/// Amendments, cancellations, leverage, index prices, time, coin prices.
const FREQUENT: [u8; 12] = [5, 5, 6, 6, 7, 8, 9, 9, 9, 10, 10, 11];
const FLAGS_AT: usize = 4;
const LINK_LENGTH_AT: usize = 5;
const LINK_AT: usize = 56;
/// Fields of one byte: where, and how often in 256 they are other than zero.
const BYTES_AT: [(usize, u8); 15] = [
    (1, 128),
    (2, 64),
    (3, 90),
    (92, 40),
    (93, 30),
    (94, 30),
    (95, 30),
    (99, 20),
    (100, 60),
    (101, 60),
    (110, 20),
    (111, 20),
    (112, 60),
    (113, 40),
    (147, 20),
];
/// Fields of eight bytes: number, price and quantity; then trigger price, take-profit, stop-loss and their limits.
const WORDS_AT: [usize; 8] = [32, 40, 48, 102, 115, 131, 123, 139];
/// Fields from here on are seldom set: most commands do without.
const SELDOM_FROM: usize = 92;
const TICK: i64 = SCALE / 10;
const LOT: i64 = SCALE / 1000;
const PRICES: [i64; 3] = [50_000, 2_000, 50_000];
const PAUSES_MS: [i64; 16] =
    [0, 0, 0, 0, 0, 0, 1, 1, 10, 100, 500, 1_000, 2_000, 60_000, 3_600_000, 30_000_000];

/// Makes commands.
#[derive(Clone, Debug)]
pub struct Composer {
    kinds: Vec<u8>,
    instruments: u8,
    now_ms: i64,
    last_order: u64,
    /// Live orders and their owners, the latest last.
    live: Vec<(AccountId, OrderId)>,
}

impl Composer {
    /// Commands for a venue that lists so many instruments.
    #[must_use]
    pub fn new(instruments: usize) -> Self {
        let blank = |kind: &u8| {
            let mut record = [0; COMMAND_BYTES];
            record[0] = *kind;
            Command::decode(&record).is_ok()
        };
        let kinds = (0..=u8::MAX).filter(blank).collect();
        let instruments = u8::try_from(instruments).unwrap_or(u8::MAX).max(1);
        Self { kinds, instruments, now_ms: 0, last_order: 0, live: Vec::new() }
    }

    /// Every kind of command it makes.
    #[must_use]
    pub fn kinds(&self) -> &[u8] {
        &self.kinds
    }

    /// Notes what became of orders, so that later commands may be about them.
    pub fn note(&mut self, events: &[Event]) {
        for event in events {
            match event.kind {
                EventKind::OrderAccepted { account, order_id, .. } => {
                    self.last_order = self.last_order.max(order_id.0);
                    self.live.push((account, order_id));
                }
                EventKind::OrderCancelled { order_id, .. } => self.forget(order_id),
                EventKind::Fill { order_id, leaves, .. } if leaves.0 == 0 => self.forget(order_id),
                _ => {}
            }
        }
    }

    fn forget(&mut self, order: OrderId) {
        self.live.retain(|(_, live)| *live != order);
    }

    /// The next command.
    pub fn compose(&mut self, entropy: &mut impl Entropy) -> Command {
        let (choice, among) = (entropy.byte(), usize::from(entropy.byte()));
        let kind = match choice {
            // who is no longer known to the venue is refused everything: it gets to know him again
            0..8 => return self.verify(among),
            8..120 => PLACE_ORDER,
            120..220 => FREQUENT[among % FREQUENT.len()],
            _ => self.kinds[among % self.kinds.len()],
        };
        let mut record = [0_u8; COMMAND_BYTES];
        record[0] = kind;
        let pause = entropy.byte();
        let market_ms = match pause {
            255 => odd(entropy),
            _ => self.now_ms + PAUSES_MS[usize::from(pause) % PAUSES_MS.len()],
        };
        if pause != 255 {
            self.now_ms = market_ms;
        }
        record[16..24].copy_from_slice(&market_ms.to_le_bytes());
        record[24..32].copy_from_slice(&market_ms.to_le_bytes());
        let (flags, fewer) = (entropy.byte(), entropy.byte());
        let flags = if kind == PLACE_ORDER { flags & fewer & fewer.rotate_left(3) } else { flags };
        for bit in 0..8 {
            try_change(&mut record, |record| record[FLAGS_AT] |= flags & 1 << bit);
        }
        self.fill(&mut record, entropy);
        if kind == PLACE_ORDER && entropy.byte() < 32 {
            link(&mut record, entropy.byte());
        }
        // The blank record of a known kind decodes, and every change was kept only if it still did.
        Command::decode(&record).unwrap_or(Command { market_ms, wall_us: 0, action: Action::AdvanceTime })
    }

    fn verify(&self, among: usize) -> Command {
        let account = FIRST_ACCOUNT + u32::try_from(among).unwrap_or(0) % ACCOUNTS;
        let action =
            AccountAction::SetAccountLevel { account: AccountId(account), level: AccountLevel::Business };
        Command { market_ms: self.now_ms, wall_us: self.now_ms, action: Action::Account(action) }
    }

    fn fill(&self, record: &mut [u8; COMMAND_BYTES], entropy: &mut impl Entropy) {
        let instrument =
            choose(entropy, &[(240, self.instruments), (14, self.instruments.saturating_add(1))]);
        set(record, 6, &u16::try_from(instrument).unwrap_or(u16::MAX).to_le_bytes());
        let account = match entropy.byte() {
            byte @ 0..250 => FIRST_ACCOUNT + u32::from(byte) % ACCOUNTS,
            byte => [0, 1, 3, 4, 100, u32::MAX][usize::from(byte - 250)],
        };
        let one = usize::from(entropy.byte());
        let is_about_one = matches!(record[0], AMEND_ORDER | CANCEL_ORDER) && one < 240;
        let about = self.live.get(one % self.live.len().max(1)).filter(|_| is_about_one);
        let account = about.map_or(account, |(owner, _)| owner.0);
        set(record, 8, &account.to_le_bytes());
        let number = match entropy.byte() {
            0..200 if record[0] == SET_INDEX => 0,
            byte @ 0..100 => u32::from(byte) % 4,
            byte @ 100..250 => u32::from(byte - 99) * 100,
            _ => u32::MAX,
        };
        set(record, 12, &number.to_le_bytes());
        for (at, chance) in BYTES_AT {
            let (byte, value) = (entropy.byte(), entropy.byte());
            if byte < chance {
                set(record, at, &[if value < 250 { 1 + value % 3 } else { value }]);
            }
        }
        for at in WORDS_AT {
            if at >= SELDOM_FROM && entropy.byte() >= 40 {
                continue;
            }
            let value = match at {
                32 => {
                    let any = self.order(entropy);
                    about.map_or(any, |(_, order)| i64::try_from(order.0).unwrap_or(any))
                }
                48 => quantity(entropy, instrument),
                _ => amount(entropy, instrument),
            };
            set(record, at, &value.to_le_bytes());
        }
    }

    fn order(&self, entropy: &mut impl Entropy) -> i64 {
        match entropy.byte() {
            255 => odd(entropy),
            back => i64::try_from(self.last_order).unwrap_or(0) - i64::from(back),
        }
    }
}

fn try_change(record: &mut [u8; COMMAND_BYTES], change: impl FnOnce(&mut [u8; COMMAND_BYTES])) {
    let before = *record;
    change(record);
    if Command::decode(record).is_err() {
        *record = before;
    }
}

fn set(record: &mut [u8; COMMAND_BYTES], at: usize, bytes: &[u8]) {
    try_change(record, |record| record[at..at + bytes.len()].copy_from_slice(bytes));
}

fn link(record: &mut [u8; COMMAND_BYTES], byte: u8) {
    try_change(record, |record| {
        record[LINK_LENGTH_AT] = 2;
        record[LINK_AT..LINK_AT + 2].copy_from_slice(&[b'a' + byte % 26, b'0' + byte % 10]);
    });
}

/// A number below a bound that is itself chosen by its weight; any number when no weight is hit.
fn choose(entropy: &mut impl Entropy, bounds: &[(u8, u8)]) -> u64 {
    let mut at = entropy.byte();
    for (weight, bound) in bounds {
        if at < *weight {
            return u64::from(at % bound);
        }
        at -= weight;
    }
    entropy.word()
}

fn odd(entropy: &mut impl Entropy) -> i64 {
    let any = i64::from_le_bytes(entropy.word().to_le_bytes());
    [0, -1, 1, i64::MAX, i64::MIN, SCALE, any, any >> 32][usize::from(entropy.byte()) % 8]
}

/// A price near the instrument's first one, an amount of money, or anything.
fn amount(entropy: &mut impl Entropy, instrument: u64) -> i64 {
    let first = PRICES[usize::try_from(instrument).unwrap_or(0) % PRICES.len()] * SCALE;
    let offset = i64::from(entropy.byte()) - 128;
    match entropy.byte() {
        0..120 => first + offset * TICK,
        120..190 => first + offset * first / 4_000,
        190..220 => first + offset * first / 400,
        220..250 => (offset + 129) * (offset + 129) * SCALE,
        _ => odd(entropy),
    }
}

/// A quantity in lots of the instrument, or anything.
fn quantity(entropy: &mut impl Entropy, instrument: u64) -> i64 {
    let lot = if instrument % 3 == 2 { SCALE } else { LOT * 10 };
    let lots = i64::from(entropy.byte()) + 1;
    match entropy.byte() {
        0..150 => lots * lot,
        150..210 => lots * lots * lot,
        210..250 => lots * lots * lots * lot,
        _ => odd(entropy),
    }
}
