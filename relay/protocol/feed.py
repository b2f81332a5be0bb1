"""One leader's feed as a reader sees it: every message once, in order, chained, or a reason why not.

Belongs here: a pure state machine. Bytes go in, events come out; the shell fetches gaps and stores the head.
Does not belong here: the bus, retries, clocks, what a follower does with a signal.

What is believed: nothing unsigned. A message that does not verify is dropped (`Rejected`), for anybody may
have put it there. A message that *does* verify and contradicts another one is the leader's own doing: the
reader locks and keeps both as evidence. Live, every message is verified by its own signature; a gap by its
newest signature and the chain behind it, and by every signature where the chain does not fit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from relay.protocol.codec import Message, decode_payload
from relay.protocol.errors import NoKey, ProtocolError, WrongLeader
from relay.protocol.events import (
    Accepted,
    Beat,
    FeedEvent,
    Locked,
    NeedGap,
    NeedKey,
    Rejected,
    Resumed,
    Unreadable,
)
from relay.protocol.groups import Place, group_epoch_of, open_payload
from relay.protocol.keyring import KeyRing
from relay.protocol.looks import is_start, links_in, misplaced, out_of_line
from relay.protocol.messages import Heartbeat, Notice
from relay.protocol.signing import (
    GENESIS_HASH,
    Envelope,
    PublicKey,
    open_chained,
    open_with,
)
from relay.protocol.subjects import check_identifier

__all__ = [
    "PENDING_MAX",
    "RECENT_MAX",
    "Accepted",
    "Beat",
    "FeedEvent",
    "FeedReader",
    "Locked",
    "NeedGap",
    "NeedKey",
    "Rejected",
    "Resumed",
    "Unreadable",
]

PENDING_MAX = 1024  # messages held while a gap before them is fetched; later ones are fetched again
GROUP_EPOCHS_MAX = 64  # whose keys are kept
RECENT_MAX = 256  # accepted messages kept to prove an equivocation with


class FeedReader:
    """Reads one leader's feed. See the module's text for what is believed.

    Args:
        leader_id: whose feed it is.
        verify_key: his pinned public key.
        last_seq: the last message already dealt with; 0 = none, the feed is read from its start;
            None = join now: the first verified message or heartbeat becomes the head.
        last_hash: chain hash of that message.
        last_epoch: its epoch; 0 with a `last_seq` above 0 = not known.
        is_member: sealed payloads wait for their key (`NeedKey`); otherwise they are `Unreadable` at once.
    """

    def __init__(
        self,
        leader_id: str,
        verify_key: PublicKey,
        last_seq: int | None = 0,
        last_hash: str = GENESIS_HASH,
        *,
        last_epoch: int = 0,
        is_member: bool = False,
    ) -> None:
        self.leader_id = check_identifier(leader_id)
        self.locked: Locked | None = None
        self.keys = KeyRing(self.leader_id, verify_key)
        self._joining = last_seq is None
        self._resuming = False
        self._last_seq = last_seq or 0
        self._last_hash = last_hash
        self._epoch: int | None = last_epoch if last_epoch or last_seq == 0 else None
        self._head_seq = self._last_seq  # highest seq known to exist
        self._asked_through = 0  # highest seq ever asked for with NeedGap
        self._pending: dict[int, tuple[Envelope, bytes]] = {}
        self._recent: OrderedDict[int, tuple[str, bytes]] = OrderedDict()
        self._is_member = is_member
        self._group_keys: dict[int, bytes | None] = {}  # None: we have none for this epoch
        self._group_roots: dict[int, tuple[str, int]] = {}
        self._asked_keys: set[int] = set()
        self._beat_place: tuple[int, int, int] = (0, 0, 0)
        self._beat: tuple[str, bytes] = ("", b"")  # the newest one believed: the head's hash, its frame

    @property
    def public_key(self) -> str:
        """The key that signs now: the pinned one, or what it has passed its word on to."""
        return self.keys.public_key

    @property
    def last_seq(self) -> int:
        """Seq of the head: the last message accepted."""
        return self._last_seq

    @property
    def last_hash(self) -> str:
        """Chain hash of the head."""
        return self._last_hash

    @property
    def last_epoch(self) -> int:
        """Epoch of the head; 0 where it is not known yet."""
        return self._epoch or 0

    @property
    def missing(self) -> NeedGap | None:
        """What is known to exist and was not received, first stretch of it; None when all is in order."""
        if self.locked or self._joining or self._head_seq <= self._last_seq:
            return None
        end = min(self._pending, default=self._head_seq + 1)
        if end == self._last_seq + 1:
            return None  # it is here and waits for its key
        return NeedGap(self._last_seq + 1, end - self._last_seq - 1)

    def receive(self, wire: bytes, stream_seq: int) -> list[FeedEvent]:
        """Take one message of the feed, live or fetched, in whatever order they come.

        `stream_seq` is where the broker says it stands. Returns what follows from it, oldest first;
        duplicates give an empty list. Never raises for any bytes.
        """
        if self.locked:
            return []
        try:
            envelope = open_with(wire, self.keys.choose, self.leader_id)
        except ProtocolError as error:
            return [Rejected(error.code, str(error))]
        if envelope.kind == "heartbeat" or envelope.seq < 1:
            return [Rejected("wrong_place", "a heartbeat has no place in the feed")]
        contradiction = self._contradiction(envelope.seq, envelope.chain_hash, wire)
        if contradiction:
            return [self._lock(contradiction)]
        if envelope.seq != stream_seq:
            return [Rejected("wrong_place", f"signed as seq {envelope.seq}, stored as {stream_seq}")]
        if self._joining:
            self._anchor(envelope.seq - 1, envelope.prev_hash, None)
        if envelope.seq <= self._last_seq:
            return []
        if not self._is_expected(envelope.seq):
            return self._place(envelope, wire)
        self._head_seq = max(self._head_seq, envelope.seq)
        events = self._accept(envelope, wire)
        return events if self._head_seq <= self._last_seq else [*events, *self._ask()]

    def receive_history(self, rows: Sequence[tuple[int, bytes]]) -> list[FeedEvent]:
        """Take (stream seq, frame) pairs that were fetched together; as `receive` for each, and quicker.

        A stretch that goes on from the head without a hole is verified by its newest signature and the walk
        back along `prev_hash`; every signature is checked where that does not fit.
        """
        chained = self._walk_back(rows)
        if chained is None:
            return [event for seq, wire in rows for event in self.receive(wire, seq)]
        events: list[FeedEvent] = []
        for envelope, (_, wire) in zip(chained, rows, strict=True):
            if self.locked:
                break
            is_next = self._is_expected(envelope.seq)
            waits = envelope.seq != self._last_seq + 1 or envelope.seq in self._pending
            contradiction = None if is_next else self._contradiction(envelope.seq, envelope.chain_hash, wire)
            if is_next:
                events.extend(self._accept(envelope, wire))
            elif contradiction:
                events.append(self._lock(contradiction))
            elif envelope.seq <= self._last_seq:
                continue  # it came live as well, and was accepted behind the one before
            elif waits or self._lacking_key(envelope, asks=False) is not None:
                self._pending[envelope.seq] = (envelope, wire)
                self._head_seq = max(self._head_seq, envelope.seq)
                events.extend(self._go_on())
            else:
                events.extend(self._accept(envelope, wire))
        self._head_seq = max(self._head_seq, self._last_seq)
        return events if self.locked else [*events, *self._go_on()]

    def _walk_back(self, rows: Sequence[tuple[int, bytes]]) -> list[Envelope] | None:
        """The envelopes of a stretch that its newest signature vouches for; None if it does not."""
        first = self._last_seq + 1
        if len(rows) < 2 or self.locked or self._joining or rows[0][0] != first:
            return None
        found: list[Envelope] = []
        try:
            seq, wire = rows[-1]
            envelope = open_with(wire, self.keys.choose, self.leader_id)
            for at in range(len(rows) - 1, -1, -1):
                if at < len(rows) - 1:
                    seq, wire = rows[at]
                    envelope = open_chained(wire, self.leader_id, envelope.prev_hash)
                if envelope.seq != seq or seq != first + at or envelope.kind == "heartbeat":
                    return None
                found.append(envelope)
        except ProtocolError:
            return None
        if envelope.prev_hash != self._last_hash:
            return None
        found.reverse()
        return found

    def beat(self, wire: bytes) -> list[FeedEvent]:
        """Take one heartbeat. Finds a gap even when the feed's last message is the lost one."""
        if self.locked:
            return []
        try:
            envelope = self._open_beat(wire)
            if envelope.kind != "heartbeat":
                return [Rejected("wrong_place", "only heartbeats are allowed here")]
            message = decode_payload("heartbeat", envelope.payload)
        except ProtocolError as error:
            return [Rejected(error.code, str(error))]
        assert isinstance(message, Heartbeat)
        if not self.keys.learn(message.keys):
            return [self._lock(self._forked_keys(wire))]
        if (message.head_seq, message.head_hash) != (envelope.seq, envelope.prev_hash):
            return [Rejected("malformed", "heartbeat: head differs between header and payload")]
        place = (envelope.epoch, envelope.seq, message.sent_ms)
        if place <= self._beat_place:
            return [Rejected("replayed", "heartbeat: not newer than the last one")]
        self._beat_place = place
        contradiction = self._contradiction(envelope.seq, envelope.prev_hash, wire)
        if contradiction:
            return [self._lock(contradiction)]
        self._beat = (envelope.prev_hash, wire)
        if self._joining:
            self._anchor(envelope.seq, envelope.prev_hash, envelope.epoch)
        self._head_seq = max(self._head_seq, envelope.seq)
        return [Beat(envelope, message), *self._ask()]

    def give_key(self, group_epoch: int, key: bytes | None) -> list[FeedEvent]:
        """Our key to a group epoch; None if we have none, and its messages are `Unreadable` then."""
        self._group_keys[group_epoch] = key
        while len(self._group_keys) > GROUP_EPOCHS_MAX:
            del self._group_keys[min(self._group_keys)]
        return [] if self.locked else self._go_on()

    def resume_at_snapshot(self) -> list[FeedEvent]:
        """The missing messages are older than the broker keeps: go on at the next verified snapshot."""
        if self.locked:
            return []
        self._resuming = True
        for seq in sorted(self._pending):
            envelope, wire = self._pending[seq]
            if envelope.kind == "snapshot":
                del self._pending[seq]
                return self._place(envelope, wire)
        return []

    def _is_expected(self, seq: int) -> bool:
        """The usual case: it follows from the head, nothing else is known of its place, nothing waits."""
        return seq == self._last_seq + 1 and not self._pending and not self._is_member

    def _place(self, envelope: Envelope, wire: bytes) -> list[FeedEvent]:
        events: list[FeedEvent] = []
        self._head_seq = max(self._head_seq, envelope.seq)
        if self._resuming and envelope.kind == "snapshot" and envelope.seq > self._last_seq + 1:
            lost_from = self._last_seq + 1
            self._anchor(envelope.seq - 1, envelope.prev_hash, None)
            events.append(Resumed(lost_from, envelope.seq - lost_from))
        if envelope.seq == self._last_seq + 1 or len(self._pending) < PENDING_MAX:
            self._pending[envelope.seq] = (envelope, wire)
        return [*events, *self._go_on()]

    def _go_on(self) -> list[FeedEvent]:
        """Accept what is next for as long as it is there and can be read."""
        events: list[FeedEvent] = []
        while not self.locked and self._last_seq + 1 in self._pending:
            lacking = self._lacking_key(self._pending[self._last_seq + 1][0])
            if lacking is not None:
                return [*events, *lacking]
            events.extend(self._accept(*self._pending.pop(self._last_seq + 1)))
        return events if self.locked else [*events, *self._ask()]

    def _lacking_key(self, envelope: Envelope, *, asks: bool = True) -> list[NeedKey] | None:
        """None if it can be read, or never will be; else what to ask for, once."""
        epoch = group_epoch_of(envelope.payload)
        if epoch is None or not self._is_member or epoch in self._group_keys:
            return None
        if not asks or epoch in self._asked_keys:
            return []
        self._asked_keys.add(epoch)
        return [NeedKey(epoch, *self._group_roots.get(epoch, ("", 0)))]

    def _payload_of(self, envelope: Envelope) -> bytes:
        """In clear. Raises a `ProtocolError` for what is sealed and not for us."""
        epoch = group_epoch_of(envelope.payload)
        if epoch is None:
            return envelope.payload
        key = self._group_keys.get(epoch)
        if key is None:
            raise NoKey(f"payload: sealed for group epoch {epoch}, to which we have no key")
        place = Place(envelope.leader_id, envelope.epoch, envelope.seq, envelope.kind)
        return open_payload(key, place, envelope.payload)

    def _accept(self, envelope: Envelope, wire: bytes) -> list[FeedEvent]:
        try:
            message: Message = decode_payload(envelope.kind, self._payload_of(envelope))
            problem = misplaced(envelope, message)
        except ProtocolError as error:
            problem = Unreadable(envelope, error.code, str(error))
        locked = self._broken(envelope, wire, started=problem is None and is_start(message))
        if locked:
            return [self._lock(locked)]
        self._resuming = False
        self._last_seq, self._last_hash, self._epoch = envelope.seq, envelope.chain_hash, envelope.epoch
        self._recent[envelope.seq] = (envelope.chain_hash, wire)
        if len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)
        events: list[FeedEvent] = [problem or Accepted(envelope, message)]
        if problem is None and isinstance(message, Notice):
            events.extend(self._change_keys(message, wire))
        return events

    def _change_keys(self, notice: Notice, wire: bytes) -> list[FeedEvent]:
        """What a notice, already believed, says about the leader's key or the group's."""
        if notice.notice == "group_epoch" and notice.group_epoch is not None:
            self._group_roots[notice.group_epoch] = (notice.keys_root or "", notice.keys_count or 0)
            while len(self._group_roots) > GROUP_EPOCHS_MAX:
                del self._group_roots[min(self._group_roots)]
        if notice.notice == "key_revoked":
            detail = "the leader has revoked his key: join him anew"
            return [self._lock(Locked("revoked", self._last_seq, detail, (wire,)))]
        if notice.notice == "key_rotation" and notice.link and not self.keys.learn([notice.link]):
            return [self._lock(self._forked_keys(wire))]
        return []

    def _forked_keys(self, wire: bytes) -> Locked:
        detail = "one key was passed on to two others"
        return Locked("equivocation", self._last_seq, detail, (wire,))

    def _open_beat(self, wire: bytes) -> Envelope:
        """Heartbeats stand at the head; after a rotation they are the new key's from the notice on."""
        try:
            return open_with(wire, lambda key_id, seq: self.keys.choose(key_id, seq + 1), self.leader_id)
        except WrongLeader:
            links = links_in(wire)
            if not links or not self.keys.learn(links):
                raise
            return open_with(wire, lambda key_id, seq: self.keys.choose(key_id, seq + 1), self.leader_id)

    def _broken(self, envelope: Envelope, wire: bytes, *, started: bool) -> Locked | None:
        found = out_of_line(envelope, self._last_hash, self._epoch, started=started)
        if found is None:
            return None
        before = self._recent.get(self._last_seq)
        return Locked(found[0], envelope.seq, found[1], (before[1], wire) if before else (wire,))

    def _contradiction(self, seq: int, chain_hash: str, wire: bytes) -> Locked | None:
        known: tuple[str, bytes] | None = self._recent.get(seq)
        if known is None and seq in self._pending:
            envelope, other = self._pending[seq]
            known = (envelope.chain_hash, other)
        if known is None and seq == self._last_seq and seq > 0 and not self._joining:
            known = (self._last_hash, self._beat[1] if self._beat[0] == self._last_hash else b"")
        if known is None or known[0] == chain_hash:
            return None
        evidence = (known[1], wire) if known[1] else (wire,)
        return Locked("equivocation", seq, f"two different messages are signed as seq {seq}", evidence)

    def _anchor(self, seq: int, chain_hash: str, epoch: int | None) -> None:
        self._joining = False
        self._last_seq, self._last_hash, self._epoch = seq, chain_hash, epoch
        self._head_seq = max(self._head_seq, seq)
        self._asked_through = max(self._asked_through, seq)
        self._recent.clear()
        self._pending = {key: value for key, value in self._pending.items() if key > seq}

    def _ask(self) -> list[NeedGap]:
        missing = self.missing
        if missing is None:
            return []
        start = max(missing.from_seq, self._asked_through + 1)
        end = missing.from_seq + missing.count - 1
        if end < start:
            return []
        self._asked_through = end
        return [NeedGap(start, end - start + 1)]

    def _lock(self, locked: Locked) -> Locked:
        self.locked = locked
        self._pending.clear()
        return locked
