"""One leader while his publisher runs: his account on one side, his stream on the other, his door beside.

Belongs here: which step becomes which message, what a call at the door does. Does not belong here: what is
started in which order (`relay.publishing`), any rule of the parts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec
import structlog
from nacl.signing import SigningKey

from relay.core.account import Account, Fill, WalletEvent
from relay.core.positions import dump_positions
from relay.core.signals import SignalTerms, build_account_change, build_signal, build_snapshot
from relay.door import BODY_BYTES_MAX, Handler
from relay.errors import Failed, TryAgain
from relay.external import ExternalAccount, ExternalStep, StopsMoved, digest_of, dump_account, read_step
from relay.feed import LeaderFeed
from relay.group import Group, GroupStore
from relay.keys import begin_rotation, finish_rotation, saved_links
from relay.nats_bus import Bus, BusError
from relay.outbox import STEP_FACT, Outbox
from relay.protocol.codec import decimal_text, decode_strictly
from relay.protocol.messages import Identifier, Notice, StaggerPlan, Text, Unsigned
from relay.protocol.venues import venue_name
from relay.publisher import Publisher
from relay.sampling import Sampler
from relay.settings import PublishSettings
from relay.spreading import Spreader
from relay.venue import Venue

__all__ = ["Leading"]

EPOCHS_SHOWN_MAX = 100
_log = structlog.get_logger(__name__)


class _Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `pause`, `resume`, `notice`, `revoke`."""

    text: Text = ""
    recommended_leverage: Unsigned | None = None


class _Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of `group-add`, `group-remove`."""

    member: Identifier


class Leading:
    """Account, publisher and door of one leader, tied together. `venue` None: he tells his steps himself."""

    def __init__(
        self,
        settings: PublishSettings,
        venue: Venue | None,
        outbox: Outbox,
        bus: Bus,
        signing_key: SigningKey,
    ) -> None:
        signals = settings.signals
        self._settings = settings
        self._outbox = outbox
        self._fixed = StaggerPlan(waves=signals.stagger.waves, spacing_ms=signals.stagger.spacing_ms)
        self.feed = None if venue is None else self._make_feed(venue)
        self.external: ExternalAccount | None = None
        self.resume()
        self._groups = GroupStore.open(_beside(settings.leader.outbox, ".group"))
        self.publisher = Publisher(
            leader_id=settings.leader.id,
            signing_key=signing_key,
            outbox=outbox,
            bus=bus,
            program_version=_program_version(),
            links=saved_links(settings.leader.signing_key_file),
            is_live=lambda: self.feed is None or self.feed.is_live,
            dump_state=self._state,
        )
        self.sampler = None if venue is None else Sampler(venue, signals.symbols)
        self.spreader = (
            Spreader(bus, settings.leader.id, self.sampler, self, signals.stagger.window_ms_max)
            if self.sampler is not None and signals.stagger.auto
            else None
        )
        self.group = Group(self._groups, bus, self.publisher, settings.leader.id)

    def resume(self) -> None:
        """Go on from what the outbox knows: told steps add up to the account of a leader without a venue."""
        if self.feed is None:
            symbols = tuple(self._settings.signals.symbols)
            self.external = ExternalAccount(self._outbox.state, symbols, self._tell_external)

    def close(self) -> None:
        """Let go of the group's file."""
        self._groups.close()

    @property
    def account(self) -> Account:
        """Where the leader is."""
        if self.feed is not None:
            return self.feed.account
        assert self.external is not None, "a leader has a venue or tells his steps himself"
        return self.external.account

    @property
    def has_account(self) -> bool:
        """Whether there is anything to make a snapshot of."""
        return self.external is None or self.external.has_equity

    def tell_state(self, account: Account) -> None:
        """Record a snapshot."""
        self.publisher.record(
            lambda _: build_snapshot(account, sealed_ms=_now_ms()), state=self._state(account)
        )

    def handlers(self) -> Mapping[str, Handler]:
        """What can be asked at the door."""
        return {
            "signal": self._take_step,
            "pause": self._pause,
            "resume": self._resume,
            "notice": self._notice,
            "rotate": self._rotate,
            "revoke": self._revoke,
            "status": self._status,
            "group": self._show_group,
            "group-create": self._create_group,
            "group-add": self._add_member,
            "group-remove": self._remove_member,
        }

    def _make_feed(self, venue: Venue) -> LeaderFeed:
        return LeaderFeed(
            venue,
            self._settings.signals.symbols,
            knows_fill=self._outbox.knows_fill,
            on_step=self._tell_step,
            on_event=self._tell_event,
            on_first=self._tell_first,
            on_correction=self.tell_state,
        )

    def _state(self, account: Account) -> str:
        return dump_positions(account.positions) if self.external is None else dump_account(account)

    def _tell_first(self, account: Account, happened: Sequence[Fill | WalletEvent], began_ms: int) -> None:
        """Record a snapshot and what it includes already: no later run tells of it."""
        self.publisher.record(
            lambda _: build_snapshot(account, sealed_ms=_now_ms()),
            fills=happened,
            state=self._state(account),
            began_ms=began_ms,
        )

    def _tell_event(self, event: WalletEvent, account: Account) -> None:
        record = self.publisher.record(
            lambda name: build_account_change(account, [event], signal_id=name, sealed_ms=_now_ms()),
            fills=[event],
        )
        _log.info("account_change", signal_id=record.message_id, cause=event.cause, amount=str(event.amount))

    def _terms(self, symbol: str) -> SignalTerms:
        plan = self.spreader.plan(symbol) if self.spreader else self._fixed
        venue = self._settings.venue
        return SignalTerms(
            self._settings.signals.expires_ms,
            plan,
            None if venue.is_external else venue_name(venue.exchange, venue.rest_url, sandbox=venue.sandbox),
            None if self.sampler is None else self.sampler.depth_usdt(symbol),
        )

    def _tell_external(self, step: ExternalStep, happened: Fill | StopsMoved, account: Account) -> None:
        facts = {STEP_FACT + step.id: digest_of(step)}
        if isinstance(happened, Fill):
            self._tell_step((happened,), account, facts)
            return
        self.publisher.record(
            lambda _: build_snapshot(account, sealed_ms=_now_ms()),
            fills=[happened],
            state=self._state(account),
            facts=facts,
        )

    def _tell_step(
        self, fills: tuple[Fill, ...], account: Account, facts: Mapping[str, str] | None = None
    ) -> None:
        terms = self._terms(fills[0].symbol)
        if self.spreader is not None:
            notional = sum((fill.qty * fill.price for fill in fills), Decimal(0))
            self.spreader.note_step(notional, account.equity_usdt)
        record = self.publisher.record(
            lambda name: build_signal(account, fills, signal_id=name, sealed_ms=_now_ms(), terms=terms),
            fills=fills,
            state=self._state(account),
            facts=facts,
        )
        first = fills[0]
        _log.info(
            "signal", signal_id=record.message_id, symbol=first.symbol, side=first.side, fills=len(fills)
        )

    async def _take_step(self, body: bytes) -> dict[str, Any]:
        step = read_step(body)
        if self.external is None:
            raise Failed(
                'step: this leader\'s venue is watched; only venue.exchange = "external" takes steps'
            )
        told_in = self._outbox.seq_of(step.id)
        if told_in is not None:
            known = self._outbox.fact(STEP_FACT + step.id)
            if known not in (None, digest_of(step)):
                raise Failed(f"step: {step.id} was told already (message {told_in}), and was another step")
        else:
            self.external.take(step)
        held = build_snapshot(self.account, sealed_ms=0).positions
        return {
            "told": told_in is None,
            "id": step.id,
            "seq": told_in or self._outbox.head.seq,
            "stored": await self.publisher.drain(),
            "positions": [msgspec.to_builtins(one) for one in held if one.symbol == step.symbol],
            "equity": decimal_text(self.account.equity_usdt),
        }

    async def _pause(self, body: bytes) -> dict[str, Any]:
        return self._set_paused(body, paused=True)

    async def _resume(self, body: bytes) -> dict[str, Any]:
        return self._set_paused(body, paused=False)

    def _set_paused(self, body: bytes, *, paused: bool) -> dict[str, Any]:
        words = _words(body)
        if self.publisher.is_paused == paused:
            return {"paused": paused, "seq": self._outbox.head.seq}
        return {"paused": paused, "seq": self.publisher.set_paused(paused, words.text).seq}

    async def _notice(self, body: bytes) -> dict[str, Any]:
        words, now_ms = _words(body), _now_ms()
        leverage = words.recommended_leverage and decimal_text(Decimal(words.recommended_leverage))
        if not words.text and not leverage:
            raise Failed("notice: a text or a recommended leverage is needed")
        record = self.publisher.record(
            lambda _: Notice(
                notice="terms", text=words.text, sealed_ms=now_ms, recommended_leverage=leverage or None
            )
        )
        return {"seq": record.seq}

    async def _rotate(self, _body: bytes) -> dict[str, Any]:
        path = self._settings.leader.signing_key_file
        record = self.publisher.rotate(begin_rotation(path))
        finish_rotation(path, self.publisher.links)
        return {"seq": record.seq, "public_key": self.publisher.public_key}

    async def _revoke(self, body: bytes) -> dict[str, Any]:
        record = self.publisher.revoke_key(_words(body).text)
        return {"seq": record.seq, "stored": await self.publisher.drain()}

    async def _show_group(self, _body: bytes) -> dict[str, Any]:
        epochs = [
            {"epoch": number, "began_ms": began_ms, "members": self._groups.readers(number)}
            for number, began_ms, _ in self._groups.epochs()[-EPOCHS_SHOWN_MAX:]
        ]
        return {"private": self.group.is_private, "epochs": epochs}

    async def _create_group(self, _body: bytes) -> dict[str, Any]:
        if self.group.is_private:
            raise Failed("group: this feed is private already")
        return await self._renewed()

    async def _add_member(self, body: bytes) -> dict[str, Any]:
        return await self._put(body, is_out=False)

    async def _remove_member(self, body: bytes) -> dict[str, Any]:
        return await self._put(body, is_out=True)

    async def _put(self, body: bytes, *, is_out: bool) -> dict[str, Any]:
        member = decode_strictly(body, _Member, BODY_BYTES_MAX, "call").member
        if not self.group.is_private:
            raise Failed("group: there is none; `relay group create` makes this feed private")
        if not self._groups.set_out(member, is_out=is_out):
            raise Failed(f"group: {member} was never a follower here")
        return await self._renewed()

    async def _renewed(self) -> dict[str, Any]:
        try:
            epoch, members = await self.group.renew(forced=True)
        except BusError as error:
            raise TryAgain(f"group: {error}") from None
        return {"epoch": epoch, "members": members, "seq": self._outbox.head.seq}

    async def _status(self, _body: bytes) -> dict[str, Any]:
        return {
            "leader": self._settings.leader.id,
            "public_key": self.publisher.public_key,
            "seq": self._outbox.head.seq,
            "unsent": self.publisher.unsent,
            "paused": self.publisher.is_paused,
            "live": self.feed is None or self.feed.is_live,
            "equity": decimal_text(self.account.equity_usdt),
            "stagger": self.spreader.shown() if self.spreader else None,
        }


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _words(body: bytes) -> _Words:
    return decode_strictly(body or b"{}", _Words, BODY_BYTES_MAX, "call")


def _program_version() -> str:
    try:
        return metadata.version("slipstream")
    except metadata.PackageNotFoundError:  # run from a source tree
        return "unknown"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
