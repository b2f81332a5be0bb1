"""The dashboard's server: routes, pages from templates, live news.

Belongs here: which address shows what. Does not belong here: who may see it (`access`), what is read
(`desk`), how it is worded (`views`).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import jinja2
import structlog
from aiohttp import web

from relay.dashboard import money_views, pictures, venue_views, views
from relay.dashboard.access import HEADERS, Gate
from relay.dashboard.desk import Desk
from relay.dashboard.static_files import static_file
from relay.errors import TryAgain
from relay.protocol.plans import PlansTold
from relay.reporting.over_time import trend_words
from relay.reporting.timeline import clock, timeline
from relay.store import MarketSample, RowFilter, StoreError, StorePlace, VenueFact, span_start
from relay.watching import Watching

__all__ = ["Dashboard"]

SPANS = {"1h": 3_600_000, "24h": 86_400_000, "7d": 7 * 86_400_000, "30d": 30 * 86_400_000, "all": 0}
SPAN = "24h"
SIGNALS_SHOWN_MAX = 100
SAMPLES_SHOWN_MAX = 2_000
OPEN_PAGES_MAX = 500
SYMBOLS_SHOWN_MAX = 12  # in one picture
VENUE_SPAN_MS_MAX = 30 * 86_400_000
BEAT_SECONDS = 15.0
TEXT_LENGTH_MAX = 200
ERROR_WORDS = {404: "There is no such page", 421: "Not the name of this server", 503: "Not just now"}

_SYMBOL = re.compile(r"\A[A-Za-z0-9/:._-]{1,64}\Z")
_log = structlog.get_logger("relay.dashboard")


class Dashboard:
    """One running server; `url` brings a browser in."""

    def __init__(
        self,
        place: StorePlace,
        watching: Watching,
        token: str,
        *,
        public_metrics: bool,
        plans: Callable[[str], PlansTold | None] = lambda _leader: None,
    ) -> None:
        """`plans` tells a leader's stagger plans."""
        self._plans = plans
        self._desk = Desk(place)
        self._watching = watching
        self._token = token
        self._public_metrics = public_metrics
        self._streams: set[asyncio.Task[Any]] = set()
        self._runner: web.AppRunner | None = None
        self._templates = jinja2.Environment(
            loader=jinja2.PackageLoader("relay.dashboard"), autoescape=True, undefined=jinja2.StrictUndefined
        )
        self._templates.filters["short"] = views.short
        self.address = ""

    @property
    def url(self) -> str:
        """Where it is, token included."""
        return f"{self.address}/?token={self._token}"

    async def start(self, host: str, port: int) -> None:
        """Listen. Raises `TryAgain` where the address is taken."""
        gate = Gate(self._token, host)
        app = web.Application(middlewares=[self._answer, gate.middleware], client_max_size=16 * 1024)
        app.add_routes(
            [
                web.get("/", self._overview),
                web.get("/login", self._login),
                web.post("/login", gate.login),
                web.get("/leaders/{id}", self._leader),
                web.get("/followers/{id}", self._follower),
                web.get("/signals", self._signals),
                web.get("/signals/{id}", self._signal),
                web.get("/symbols/{name:.+}", self._symbol),
                web.get("/alarms", self._alarms),
                web.get("/venue", self._venue),
                web.get("/events", self._events),
                web.get("/metrics", self._metrics),
                web.get("/static/{name}", static_file),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise TryAgain(f"dashboard: {host}:{port}: {error.strerror}") from None
        bound = self._runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        self.address = f"http://{shown}:{bound[1]}"

    async def stop(self) -> None:
        """Close every page's stream and the server, for good."""
        for task in list(self._streams):
            task.cancel()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()
            await self._desk.close()

    # -- pages ----------------------------------------------------------------------------------------------

    async def _overview(self, request: web.Request) -> web.Response:
        where = self._where(request)
        figures = await self._desk.ask(("figures", where), lambda store: store.figures(where))
        statuses = await self._desk.ask("statuses", lambda store: store.last_statuses())
        now_ms = _now_ms()
        followers = views.follower_rows(figures, statuses, now_ms)
        watch = self._watching.watch
        ages = {name: watch.beat_age_ms(name, now_ms) for name, _ in watch.leaders()}
        leaders = views.leader_rows(figures, ages, views.risks(figures, statuses))
        return self._page(
            request,
            "overview.html.j2",
            tiles=views.tiles(figures, len(leaders)),
            answers=views.answers(followers),
            leaders=leaders,
            followers=followers,
            alarms=views.alarm_rows(((alarm, None) for alarm in self._watching.standing), now_ms),
            **views.kept_out(figures),
            pictures=[pictures.parts_picture(followers), pictures.legs_picture(followers)],
        )

    async def _leader(self, request: web.Request) -> web.Response:
        name = await self._known(request, "leader")
        where = self._where(request, leader_id=name)
        figures = await self._desk.ask(("steps", where), lambda store: store.figures(where, in_steps=True))
        rows = await self._recent(where)
        statuses = await self._desk.ask("statuses", lambda store: store.last_statuses())
        followers = views.follower_rows(figures, [s for s in statuses if s.leader_id == name], _now_ms())
        risk, told = views.risks(figures, statuses).get(name), self._plans(name)
        trend = figures.trend.document()
        return self._page(
            request,
            "leader.html.j2",
            name=name,
            planned_for=told.followers if told else 0,
            plans=views.plan_rows(told),
            followers=followers,
            money=money_views.money_rows(followers),
            risk=views.risk_row(risk) if risk else None,
            timeline=timeline(rows),
            trend=trend_words(trend),
            pictures=[
                pictures.slippage_picture(rows),
                pictures.trend_picture(trend),
                pictures.parts_picture(followers),
            ],
        )

    async def _follower(self, request: web.Request) -> web.Response:
        name = await self._known(request, "follower")
        where = self._where(request, follower_id=name)
        figures = await self._desk.ask(("steps", where), lambda store: store.figures(where, in_steps=True))
        rows = await self._recent(where, words_max=SAMPLES_SHOWN_MAX)
        statuses = await self._desk.ask("statuses", lambda store: store.last_statuses())
        own = [status for status in statuses if status.follower_id == name]
        found = [row for row in views.follower_rows(figures, own, _now_ms()) if row["id"] == name]
        items = [item for each in timeline(rows) for item in each["verdicts"]]
        spoken = [status for status in rows.statuses if status.follower_id == name]
        trend = figures.trend.document()
        return self._page(
            request,
            "follower.html.j2",
            name=name,
            row=found[0] if found else None,
            money=money_views.money_tiles(found[0]) if found else [],
            explained=money_views.explained_rows(found[0]) if found else [],
            legs=views.leg_rows(found[0]) if found else [],
            verdicts=[item for item in items if item["follower"] == name],
            trend=trend_words(trend),
            pictures=[
                pictures.slippage_picture(rows, [name]),
                pictures.trend_picture(trend),
                pictures.parts_picture(found),
                pictures.legs_picture(found),
                pictures.statuses_picture(spoken),
            ],
        )

    async def _signals(self, request: web.Request) -> web.Response:
        rows = await self._recent(self._where(request))
        shown = timeline(rows)
        missed = [
            (signal, item)
            for signal in shown
            for item in signal["verdicts"]
            if item["verdict"] not in views.COPIED
        ]
        show = "missed" if request.query.get("show") == "missed" else "all"
        return self._page(request, "signals.html.j2", timeline=shown, missed=missed, show=show, pictures=[])

    async def _signal(self, request: web.Request) -> web.Response:
        name = request.match_info["id"][:TEXT_LENGTH_MAX]
        rows = await self._desk.ask(("signal", name), lambda store: store.read_signal(name))
        if rows is None:
            raise web.HTTPNotFound(text=f"No signal is called {name!r}.")
        [signal] = timeline(rows)
        published = rows.signals[0].signal
        return self._page(request, "signal.html.j2", signal=signal, published=published, pictures=[])

    async def _symbol(self, request: web.Request) -> web.Response:
        name = await self._known(request, "symbol", "name")
        where = self._where(request, symbol=name)
        rows = await self._recent(where)
        since_ms = min((each.signal.sealed_ms for each in rows.signals), default=where.since_ms)
        shown = pictures.prices_picture(await self._samples(name, since_ms), rows)
        return self._page(request, "symbol.html.j2", name=name, timeline=timeline(rows), pictures=shown)

    async def _alarms(self, request: web.Request) -> web.Response:
        history = await self._desk.ask("alarms", lambda store: store.alarms())
        now_ms = _now_ms()
        standing = {(alarm.rule, alarm.subject) for alarm in self._watching.standing}
        over = [(alarm, until) for alarm, until in history if until is not None or alarm.key not in standing]
        return self._page(
            request,
            "alarms.html.j2",
            alarms=views.alarm_rows(((alarm, None) for alarm in self._watching.standing), now_ms),
            history=views.alarm_rows(over, now_ms),
            pictures=[],
        )

    async def _venue(self, request: web.Request) -> web.Response:
        where = self._where(request)
        figures = await self._desk.ask(("figures", where), lambda store: store.figures(where))
        statuses = await self._desk.ask("statuses", lambda store: store.last_statuses())
        names = await self._desk.ask("names", lambda store: store.names())
        now_ms = _now_ms()
        since_ms = max(where.since_ms, now_ms - VENUE_SPAN_MS_MAX)
        kinds = ("fund", "adl", "borrow_rate")
        funds, contracts, rates = [await self._facts(kind, since_ms) for kind in kinds]
        traded = names["symbol"][:SYMBOLS_SHOWN_MAX]
        samples = {symbol: await self._samples(symbol, since_ms) for symbol in traded}
        heard_ms = max((found[-1].wall_ms for found in samples.values() if found), default=None)
        return self._page(
            request,
            "venue.html.j2",
            gaps=views.gap_tiles(figures),
            risks={name: views.risk_row(risk) for name, risk in views.risks(figures, statuses).items()},
            symbols=names["symbol"],
            heard=views.ago(heard_ms, now_ms) if heard_ms is not None else None,
            contracts=venue_views.contract_rows(contracts, names["symbol"]),
            funds=venue_views.fund_rows(funds),
            rates=venue_views.borrow_rows(rates, names["symbol"]),
            pictures=[
                venue_views.gap_picture(samples),
                venue_views.history_picture("funds", funds, "%", now_ms),
                venue_views.history_picture("rates", rates, "% a year", now_ms),
            ],
        )

    async def _login(self, request: web.Request) -> web.Response:
        return self._page(request, "login.html.j2", wrong="wrong" in request.query, pictures=[])

    # -- not pages ------------------------------------------------------------------------------------------

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """News as server-sent events: what kind, nothing else; a page loads itself again."""
        if len(self._streams) >= OPEN_PAGES_MAX:
            raise web.HTTPServiceUnavailable(text="Too many pages are open.\n")
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream", **HEADERS})
        await answer.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        try:
            with self._watching.page() as news:
                await answer.write(b"retry: 1000\n\n")
                while True:
                    try:
                        async with asyncio.timeout(BEAT_SECONDS):
                            kind = (await news.get()).kind
                    except TimeoutError:
                        await answer.write(b": still here\n\n")
                        continue
                    while not news.empty():
                        news.get_nowait()
                    await answer.write(f"event: news\ndata: {kind}\n\n".encode())
        except (ConnectionResetError, asyncio.CancelledError):
            pass
        finally:
            self._streams.discard(task)
        return answer

    async def _metrics(self, _request: web.Request) -> web.Response:
        page = self._watching.metrics.page()
        return web.Response(body=page, headers={"Content-Type": self._watching.metrics.content_type})

    # -- parts ----------------------------------------------------------------------------------------------

    async def _recent(self, where: RowFilter, words_max: int = 0) -> Any:
        return await self._desk.ask(
            ("rows", where, words_max), lambda store: store.read_rows(where, SIGNALS_SHOWN_MAX, words_max)
        )

    async def _samples(self, symbol: str, since_ms: int) -> list[MarketSample]:
        """Prices of a span, thinned to what a picture can show."""
        now_ms = _now_ms()
        return await self._desk.ask(
            ("samples", symbol, since_ms // 1000),
            lambda store: store.read_samples(symbol, since_ms, now_ms, SAMPLES_SHOWN_MAX),
        )

    async def _facts(self, kind: str, since_ms: int) -> list[VenueFact]:
        return await self._desk.ask(
            ("facts", kind, since_ms // 1000), lambda store: store.read_venue_facts(kind, since_ms)
        )

    async def _known(self, request: web.Request, kind: str, part: str = "id") -> str:
        name = request.match_info[part][:TEXT_LENGTH_MAX]
        names = await self._desk.ask("names", lambda store: store.names())
        if name not in names[kind] or not _SYMBOL.match(name):
            raise web.HTTPNotFound(text=f"No {kind} is called {name!r}.")
        return name

    def _where(
        self,
        request: web.Request,
        *,
        leader_id: str | None = None,
        follower_id: str | None = None,
        symbol: str | None = None,
    ) -> RowFilter:
        span = SPANS.get(request.query.get("since", SPAN), SPANS[SPAN])
        since_ms = 0 if span == 0 else span_start(_now_ms(), span)
        return RowFilter(since_ms, leader_id, follower_id, symbol)

    def _page(self, request: web.Request, template: str, **values: Any) -> web.Response:
        span = request.query.get("since", SPAN)
        text = self._templates.get_template(template).render(
            path=request.path,
            span=span if span in SPANS else SPAN,
            spans=list(SPANS),
            alarm_count=len(self._watching.standing),
            now=clock(_now_ms()),
            **values,
        )
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    @web.middleware
    async def _answer(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Headers on every answer; what goes wrong becomes a page that says so."""
        try:
            if request.path == "/metrics" and self._public_metrics:
                answer: web.StreamResponse = await self._metrics(request)
            else:
                answer = await handler(request)
        except web.HTTPRedirection as redirect:
            redirect.headers.update(HEADERS)
            raise
        except web.HTTPException as error:
            answer = self._error(request, error.status, (error.text or "").strip())
        except StoreError as error:
            _log.warning("store_unreadable", reason=str(error))
            answer = self._error(request, 503, "The drift store cannot be read just now. It is tried again.")
        if not answer.prepared:
            for name, value in HEADERS.items():
                answer.headers.setdefault(name, value)
        return answer

    def _error(self, request: web.Request, status: int, text: str) -> web.Response:
        if "text/html" not in request.headers.get("Accept", ""):
            return web.Response(status=status, text=f"{text}\n")
        what = ERROR_WORDS.get(status, "That did not work")
        page = self._page(request, "error.html.j2", status=status, what=what, said=text, pictures=[])
        page.set_status(status)
        return page


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
