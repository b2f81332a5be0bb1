//! Events as the exchange writes them: packed one behind the other, the clocks once per command. A record of 128 bytes
//! or an [`Event`] of as many is what a reader makes of them; the hot path writes a fifth of that.
//!
//! In words of 64 bits. A command that caused events begins with a zero, the number of its first event, `market_ms` and
//! `wall_us`. An event is a word with its code in the lowest byte and its narrow fields above, a second such word where
//! they need it, then the fields of 64 bits, then the link id where there is one.

use crate::event::{Event, EventKind};
use crate::types::LinkId;

/// Bits of the first word that hold the event's code.
pub(crate) const CODE_BITS: u32 = 7;
/// Bits of the first word before its fields: the code, and whether a link id follows.
pub(crate) const HEAD_BITS: u32 = CODE_BITS + 1;
/// Words of the smallest buffer that holds any.
const ROOM_MIN: usize = 64;
const LINK_WORDS: usize = LinkId::LENGTH_MAX.div_ceil(8) + 1;

/// A field as part of a word, or as a whole one.
pub(crate) trait Packed: Sized {
    /// Bits it takes; 64 for a word of its own, 0 for the link id.
    const BITS: u32;
    /// Its bits.
    fn to_bits(&self) -> u64;
    /// The value of bits that `to_bits` gave.
    fn from_bits(bits: u64) -> Option<Self>;
    /// The link id, if it is one that is not empty.
    #[inline]
    fn link_id(&self) -> Option<&LinkId> {
        None
    }
    /// The value of a link id.
    #[inline]
    fn from_link_id(_: LinkId) -> Option<Self> {
        None
    }
}

macro_rules! packed_numbers {
    ($($type:ty => $to:expr, $from:expr;)+) => {$(
        impl Packed for $type {
            const BITS: u32 = <$type>::BITS;
            #[inline]
            fn to_bits(&self) -> u64 { $to(*self) }
            #[inline]
            fn from_bits(bits: u64) -> Option<Self> { $from(bits) }
        }
    )+};
}
packed_numbers! {
    u8 => u64::from, |bits| u8::try_from(bits).ok();
    u16 => u64::from, |bits| u16::try_from(bits).ok();
    u32 => u64::from, |bits| u32::try_from(bits).ok();
    u64 => std::convert::identity, Some;
    i64 => i64::cast_unsigned, |bits: u64| Some(bits.cast_signed());
}

impl Packed for bool {
    const BITS: u32 = 1;
    #[inline]
    fn to_bits(&self) -> u64 {
        u64::from(*self)
    }
    #[inline]
    fn from_bits(bits: u64) -> Option<Self> {
        Some(bits == 1)
    }
}

impl Packed for LinkId {
    const BITS: u32 = 0;
    #[inline]
    fn to_bits(&self) -> u64 {
        0
    }
    #[inline]
    fn from_bits(_: u64) -> Option<Self> {
        Some(Self::NONE)
    }
    #[inline]
    fn link_id(&self) -> Option<&LinkId> {
        (!self.is_empty()).then_some(self)
    }
    #[inline]
    fn from_link_id(link_id: LinkId) -> Option<Self> {
        Some(link_id)
    }
}

/// Where the next field of so many bits begins, if the last one ended at a bit: none straddles two words.
#[inline(always)]
#[expect(clippy::inline_always, reason = "so that positions become constants")]
pub(crate) const fn place(end: u32, bits: u32) -> u32 {
    if end % 64 + bits > 64 {
        end.next_multiple_of(64)
    } else {
        end
    }
}

/// Words of an event with its narrow fields ending at a bit and so many wide ones.
pub(crate) const fn words(narrow_end: u32, wide: usize) -> usize {
    narrow_end.div_ceil(64) as usize + wide
}

/// Reads an event's fields in the order of their declaration; every position is known when it is compiled.
pub(crate) struct Fields<'a, const N: usize> {
    words: &'a [u64; N],
    bit: u32,
    wide: usize,
    link_id: LinkId,
}

impl<'a, const N: usize> Fields<'a, N> {
    /// The fields of the event that the words begin with; its shape gives how many words it has and where wide
    /// fields begin.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that positions become constants")]
    pub(crate) fn new(log: &'a [u64], wide_from: usize) -> Option<Self> {
        let words = log.first_chunk()?;
        let link_id = match words[0] >> CODE_BITS & 1 {
            0 => LinkId::NONE,
            _ => link_id_of(log.get(N..N + LINK_WORDS)?)?,
        };
        Some(Self { words, bit: HEAD_BITS, wide: wide_from, link_id })
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "so that positions become constants")]
    pub(crate) fn take<T: Packed>(&mut self) -> Option<T> {
        if T::BITS == 0 {
            return T::from_link_id(self.link_id);
        }
        if T::BITS == 64 {
            self.wide += 1;
            return T::from_bits(self.words[self.wide - 1]);
        }
        let bit = place(self.bit, T::BITS);
        self.bit = bit + T::BITS;
        T::from_bits(self.words[bit as usize / 64] >> (bit % 64) & !(u64::MAX << T::BITS))
    }

    /// Words that the event took, and its link id.
    pub(crate) fn length(&self) -> usize {
        N + if self.link_id.is_empty() { 0 } else { LINK_WORDS }
    }
}

fn link_words(link_id: &LinkId) -> [u64; LINK_WORDS] {
    let mut words = [link_id.as_bytes().len() as u64; LINK_WORDS];
    for (word, bytes) in words[1..].iter_mut().zip(link_id.padded().chunks(8)) {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        *word = u64::from_le_bytes(padded);
    }
    words
}

fn link_id_of(words: &[u64]) -> Option<LinkId> {
    let (length, words) = words.split_first()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    LinkId::from_bytes(bytes.get(..usize::try_from(*length).ok()?)?)
}

/// What events are written to.
pub(crate) trait Sink {
    /// Appends words.
    fn write<const N: usize>(&mut self, words: [u64; N]);

    /// Appends an event.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "where the kind is known, only its own fields are packed")]
    fn push(&mut self, kind: &EventKind)
    where
        Self: Sized,
    {
        if let Some(link_id) = kind.pack(self) {
            self.write(link_words(link_id));
        }
    }
}

/// Room for so many words in a log: where the kinds of events are known, so are the places of their words, and nothing is
/// left to check. What does not fit is dropped (rooms are sized by tests); only `end` leaves the rest in the log.
pub(crate) struct Sheet<'a, const ROOM: usize> {
    words: &'a mut [u64; ROOM],
    used: usize,
    count: usize,
    log_used: &'a mut usize,
    log_count: &'a mut usize,
}

impl<const ROOM: usize> Sheet<'_, ROOM> {
    /// Appends an event.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "where the kind is known, only its own fields are packed")]
    pub(crate) fn tell(&mut self, kind: &EventKind) {
        self.count += 1;
        self.push(kind);
    }

    /// Leaves everything in the log; returns how many events there are.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "two additions")]
    pub(crate) fn end(self) -> u64 {
        *self.log_used += self.used;
        *self.log_count += self.count;
        self.count as u64
    }
}

impl<const ROOM: usize> Sink for Sheet<'_, ROOM> {
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few stores, where their places are known")]
    fn write<const N: usize>(&mut self, words: [u64; N]) {
        let room = self.words.get_mut(self.used..).and_then(<[u64]>::first_chunk_mut);
        debug_assert!(room.is_some(), "a sheet overflows");
        if let Some(room) = room {
            *room = words;
            self.used += N;
        }
    }
}

/// A buffer of events.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    /// What is written, and behind it leftovers.
    words: Vec<u64>,
    /// How many words are written.
    used: usize,
    count: usize,
}

/// Where a command begins in a log, and how many events there were before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    words: usize,
    count: usize,
}

impl EventLog {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty one with room for so many events as they mostly are.
    pub fn with_capacity(events: usize) -> Self {
        Self { words: vec![0; events * 6], ..Self::default() }
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True without events.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Words that it has memory for.
    pub fn room(&self) -> usize {
        self.words.len()
    }

    /// Forgets every event and keeps the memory.
    pub fn clear(&mut self) {
        (self.used, self.count) = (0, 0);
    }

    /// The events, oldest first.
    pub fn iter(&self) -> Iter<'_> {
        Iter { words: &self.words[..self.used], left: self.count, sequence: 0, market_ms: 0, wall_us: 0 }
    }

    /// Begins a command whose first event will have a number.
    #[inline]
    pub(crate) fn begin(&mut self, sequence: u64, market_ms: i64, wall_us: i64) -> Begun {
        let begun = Begun { words: self.used, count: self.count };
        self.write([0, sequence, market_ms.cast_unsigned(), wall_us.cast_unsigned()]);
        begun
    }

    /// Ends a command; one without events leaves nothing. Returns how many events it caused.
    #[inline]
    pub(crate) fn end(&mut self, begun: Begun) -> u64 {
        if self.count == begun.count {
            self.used = begun.words;
        }
        (self.count - begun.count) as u64
    }

    /// Appends an event of the command begun last.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "where the kind is known, only its own fields are packed")]
    pub(crate) fn tell(&mut self, kind: &EventKind) {
        self.count += 1;
        self.push(kind);
    }

    /// Room for events of the command begun last; there always is.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Sheet`")]
    pub(crate) fn sheet<const ROOM: usize>(&mut self) -> Option<Sheet<'_, ROOM>> {
        if self.words.len() < self.used + ROOM {
            self.make_room(ROOM);
        }
        let words = self.words.get_mut(self.used..)?.first_chunk_mut()?;
        Some(Sheet { words, used: 0, count: 0, log_used: &mut self.used, log_count: &mut self.count })
    }

    /// The same for all of a command's events, one at least; the number of the first of them and the command's clocks come
    /// first.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "see `Sheet`")]
    pub(crate) fn command_sheet<const ROOM: usize>(
        &mut self,
        (sequence, market_ms, wall_us): (u64, i64, i64),
    ) -> Option<Sheet<'_, ROOM>> {
        let mut sheet = self.sheet()?;
        sheet.write([0, sequence, market_ms.cast_unsigned(), wall_us.cast_unsigned()]);
        Some(sheet)
    }

    /// Makes room for so many words, and for as much again as there is.
    #[cold]
    fn make_room(&mut self, words: usize) {
        let room = (2 * (self.used + words)).max(ROOM_MIN);
        self.words.resize(room, 0);
    }
}

impl Sink for EventLog {
    /// Nothing refers to the words, so that they go straight from where they are made to the buffer.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "a few stores, where their number is known")]
    fn write<const N: usize>(&mut self, words: [u64; N]) {
        if self.words.len() < self.used + N {
            self.make_room(N);
        }
        if let Some(room) = self.words.get_mut(self.used..).and_then(<[u64]>::first_chunk_mut) {
            *room = words;
            self.used += N;
        }
    }
}

impl<'a> IntoIterator for &'a EventLog {
    type Item = Event;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterator over the events of an [`EventLog`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    words: &'a [u64],
    left: usize,
    sequence: u64,
    market_ms: i64,
    wall_us: i64,
}

impl Iterator for Iter<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        if let [0, sequence, market_ms, wall_us, rest @ ..] = self.words {
            self.sequence = *sequence;
            (self.market_ms, self.wall_us) = (market_ms.cast_signed(), wall_us.cast_signed());
            self.words = rest;
        }
        let (kind, length) = EventKind::unpack(self.words)?;
        self.words = &self.words[length..];
        self.left -= 1;
        let Self { sequence, market_ms, wall_us, .. } = *self;
        self.sequence += 1;
        Some(Event { sequence, market_ms, wall_us, kind })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::CreateType;
    use crate::types::{
        AccountId, InstrumentId, OrderId, OrderType, PositionIndex, Price, Qty, Side, TimeInForce,
    };

    fn accepted(link_id: &str) -> EventKind {
        EventKind::OrderAccepted {
            order_id: OrderId(u64::MAX),
            account: AccountId(u32::MAX),
            instrument: InstrumentId(u16::MAX),
            position_index: PositionIndex::HedgeSell,
            side: Side::Sell,
            order_type: OrderType::Market,
            time_in_force: TimeInForce::PostOnly,
            price: Price(i64::MIN),
            qty: Qty(-1),
            reduce_only: true,
            link_id: LinkId::parse(link_id).unwrap(),
            create_type: CreateType::User,
        }
    }

    #[test]
    fn what_is_packed_comes_out_again_with_numbers_and_clocks() {
        let level = EventKind::BookChanged {
            instrument: InstrumentId(3),
            side: Side::Buy,
            price: Price(7),
            qty: Qty(0),
        };
        let longest = "abcdefghijklmnopqrstuvwxyz-0123456789"[..LinkId::LENGTH_MAX].to_owned();
        let mut log = EventLog::new();
        let begun = log.begin(5, -1, 2);
        for kind in [accepted(""), level, accepted(&longest), level] {
            log.tell(&kind);
        }
        assert_eq!(log.end(begun), 4);
        let begun = log.begin(9, 8, 8);
        assert_eq!(log.end(begun), 0);
        let begun = log.begin(9, i64::MAX, i64::MIN);
        log.tell(&accepted("x"));
        assert_eq!(log.end(begun), 1);
        let event = |sequence, (market_ms, wall_us), kind| Event { sequence, market_ms, wall_us, kind };
        let expected = [
            event(5, (-1, 2), accepted("")),
            event(6, (-1, 2), level),
            event(7, (-1, 2), accepted(&longest)),
            event(8, (-1, 2), level),
            event(9, (i64::MAX, i64::MIN), accepted("x")),
        ];
        assert_eq!(log.iter().collect::<Vec<_>>(), expected);
        assert_eq!(log.len(), expected.len());
        log.clear();
        assert!(log.is_empty() && log.iter().next().is_none());
    }
}
