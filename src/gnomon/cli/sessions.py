"""Verbs of sessions on the wire: session create, launch, pause, resume, step, seek, stop, pace, show, delete; sessions.

Creating writes into the database; everything after it is asked of the running venue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from gnomon.cli.verb import Json, app, opened, session, settings_of, verb
from gnomon.errors import GnomonError, Invalid, Unavailable
from gnomon.terminal import say, show, show_json

if TYPE_CHECKING:
    from gnomon.score.label import Standing
    from gnomon.settings import Settings
    from gnomon.store.bots import BotStore

PATIENCE_S: Final = 60.0
STEP_S: Final = 600.0
POLL_S: Final = 0.05
TOKEN_FILE: Final = "venue.token"

Name = Annotated[str, typer.Argument(metavar="ID", help="A session: its id, or the beginning of it.")]
Venue = Annotated[str, typer.Option("--venue", help="Default: GNOMON_VENUE_URL.")]
Faults = Annotated[list[str] | None, typer.Option("--faults", help="A plan of faults by name; may be repeated.")]


@session.command("create")
@verb
def create(
    spec: Annotated[Path, typer.Argument(help="A session as TOML.")],
    faults: Faults = None,
    as_json: Json = False,
) -> None:
    """Keep a session and make a bot with a key for each of its entries. The secrets are shown once."""
    from gnomon.jobs.sessions import create as create_session
    from gnomon.jobs.sessions import wired
    from gnomon.jobs.stage import stage_of
    from gnomon.sources.files.latencies import with_latencies
    from gnomon.wallclock import WallClock

    if not spec.is_file():
        raise Invalid(f"no session file {spec}", hint="see docs/sessions.md for one to begin with")
    settings, store, configured = opened()
    text, found = wired(with_latencies(spec.read_text(encoding="utf-8"), spec.parent), faults or ())
    stage = stage_of(store, configured, found)
    bots = bots_of(settings, store.engine)
    created = create_session(store, bots, text, found, stage, WallClock().now_ns(), settings.session_ports)
    base_url = address_of(settings, created.session.id, created.session.port)
    ws_url = "ws" + base_url.removeprefix("http")
    rows = [
        {"name": one.name, "bot": one.bot, "api_key": one.api_key, "api_secret": one.api_secret}
        for one in created.seats
    ]
    if as_json:
        show_json({"id": created.session.id, "base_url": base_url, "ws_url": ws_url, "bots": rows})
        return
    say(f"{created.session.id} is created; its bots connect to {base_url} and {ws_url}")
    for row in rows:
        say(f"  {row['name']}", f"    api key    {row['api_key']}", f"    api secret {row['api_secret']}")
    say(f"the secrets are not shown again; start it: gnomon session launch {created.session.id}")


@session.command("launch")
@verb
def launch(name: Name, venue: Venue = "", as_json: Json = False) -> None:
    """Start it, or start it again once it is over: new runs, the old ones stay."""
    _control("POST", name, "start", venue, as_json)


@session.command("pause")
@verb
def pause(name: Name, venue: Venue = "", as_json: Json = False) -> None:
    """Stop its clock; sockets stay open."""
    _control("POST", name, "pause", venue, as_json)


@session.command("resume")
@verb
def resume(name: Name, venue: Venue = "", as_json: Json = False) -> None:
    """Let its clock go on."""
    _control("POST", name, "resume", venue, as_json)


@session.command("stop")
@verb
def stop(name: Name, venue: Venue = "", as_json: Json = False) -> None:
    """End it here: its runs are kept as they stand."""
    _control("POST", name, "stop", venue, as_json)


@session.command("delete")
@verb
def delete(
    name: Name,
    with_runs: Annotated[bool, typer.Option("--with-runs", help="Its runs and their journals go too.")] = False,
    venue: Venue = "",
    as_json: Json = False,
) -> None:
    """A session that is not under way is gone; its bots and keys stay, bound to nothing."""
    settings = settings_of()
    query = "?with_runs=true" if with_runs else ""
    found = ask(settings, venue, "DELETE", f"sessions/{name}{query}")
    if as_json:
        show_json(found)
    else:
        say(f"{found['id']} is gone, with {len(found['runs'])} runs")


@session.command("step")
@verb
def step(
    name: Name,
    events: Annotated[int, typer.Option("--events", min=0, help="So many events; 1 where nothing is said.")] = 0,
    by: Annotated[str, typer.Option("--by", help="So much virtual time: 1m, 1h.")] = "",
    to: Annotated[str, typer.Option("--to", help="To this instant, UTC.")] = "",
    count: Annotated[int, typer.Option("--count", min=1, help="So many steps, one behind the other.")] = 1,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds that a step may take.")] = STEP_S,
    venue: Venue = "",
    as_json: Json = False,
) -> None:
    """While it is paused: on by events, by a time, or to an instant; answers once it is there and its bots are done."""
    given = {key: value for key, value in (("events", events), ("by", by), ("to", to)) if value} or {"events": 1}
    if count > 1 and to:
        raise Invalid("an instant is come to once", hint="--count goes with --events or --by")
    settings = settings_of()
    found: Any = None
    for _ in range(count):
        if found is not None and found["status"] != "paused":
            break  # the window's end
        found = _stepped(settings, venue, ask(settings, venue, "POST", f"sessions/{name}/step", given), timeout)
    _show(found, as_json)


@session.command("seek")
@verb
def seek(
    name: Name,
    to: Annotated[str, typer.Argument(help="An instant inside the window, UTC.")],
    mode: Annotated[str, typer.Option("--mode", help="fast: on at full pace; jump: new runs branch there.")] = "fast",
    venue: Venue = "",
    as_json: Json = False,
) -> None:
    """Go to a time. Back always branches: runs are never rewound."""
    _control("POST", name, "seek", venue, as_json, {"to": to, "mode": mode})


@session.command("pace")
@verb
def pace(
    name: Name,
    factor: Annotated[str, typer.Argument(metavar="PACE", help="lockstep, max, or virtual seconds a second.")],
    venue: Venue = "",
    as_json: Json = False,
) -> None:
    """Another speed."""
    _control("PATCH", name, "pace", venue, as_json, {"pace": factor})


@session.command("show")
@verb
def show_session(name: Name, venue: Venue = "", as_json: Json = False) -> None:
    """Where it stands: status, clock, flow, runs. Of a venue that is not running, what the database knows."""
    settings = settings_of()
    try:
        found = ask(settings, venue, "GET", f"sessions/{name}")
    except Unavailable:
        store = session_store(settings)
        kept = store.get(name)
        found = {**kept.row(), "clock": None, "flow": None, "runs": [one.row() for one in store.runs(kept.id)]}
    found["runs"] = _labelled(found["runs"])
    _show(found, as_json)


@app.command()
@verb
def sessions(
    status: Annotated[str, typer.Option("--status", help="Comma list: created, running, …; default: all.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """The sessions that are stored, the newest first."""
    from gnomon.cli.verb import names_of, one_of
    from gnomon.replay.session import Status
    from gnomon.terminal import sessions_table

    wanted = [Status(one_of(one, tuple(Status), "--status")) for one in names_of(status)]
    found = session_store(settings_of()).all(statuses=wanted, limit=limit)
    if as_json:
        show_json({"sessions": [one.row() for one in found]})
    elif found:
        show(sessions_table(found))
    else:
        say("no session is stored; `gnomon session create SPEC` makes one")


def _labelled(runs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The runs with their labels; one that is not over has none."""
    from gnomon.cli.replay import labels_of, replays_of

    replays = replays_of()
    stored = replays.runs.of([one["run"] for one in runs])
    standings = labels_of(replays).of(list(stored.values()))
    return [{**one, "label": standings[one["run"]].row() if one["run"] in standings else None} for one in runs]


# --- asking the venue -----------------------------------------------------------------------------------------------


def _control(
    method: str,
    name: str,
    action: str,
    venue: str,
    as_json: bool,
    body: Mapping[str, Any] | None = None,
) -> None:
    _show(ask(settings_of(), venue, method, f"sessions/{name}/{action}", body), as_json)


def _stepped(settings: Settings, venue: str, found: Any, timeout_s: float) -> Any:
    """The session once its step is over: a bot may take its time. `Unavailable` where it takes longer than that."""
    import time

    until = time.monotonic() + timeout_s
    while found["stepping"]:
        if time.monotonic() >= until:
            flow = found["flow"] or {}
            raise Unavailable(
                f"the step is not over after {timeout_s:g} s: {_flow_words(flow)}",
                hint=f"it goes on by itself; gnomon session show {found['id']} says how far it is",
                detail={"session": found["id"], "flow": flow},
            )
        time.sleep(POLL_S)
        found = ask(settings, venue, "GET", f"sessions/{found['id']}")
    return found


def ask(settings: Settings, venue: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """What the venue answers below `/sim/v1`, as the operator. Its refusals are raised as errors of the tree."""
    import httpx

    address = (venue or settings.venue_address).rstrip("/")
    headers = {"Authorization": f"Bearer {token_of(settings)}"}
    try:
        answer = httpx.request(
            method, f"{address}/sim/v1/{path}", json=body, headers=headers, timeout=PATIENCE_S, trust_env=False
        )
        document = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(
            f"no venue answers at {address}: {error}",
            hint="`gnomon serve venue` starts one; GNOMON_VENUE_URL or --venue says where it is",
        ) from None
    if answer.is_success:
        return document
    raise _error_of(document)


def _error_of(document: Any) -> GnomonError:
    """The error of the tree whose document this is; a narrower name of it stays with its detail."""
    said = document if isinstance(document, Mapping) else {}
    code, detail = str(said.get("error", "")), dict(said.get("detail") or {})
    kinds = {kind.code: kind for kind in GnomonError.__subclasses__()}
    kind = kinds.get(_NARROWER.get(code, code), GnomonError)
    message = str(said.get("message") or "the venue refused, and did not say why")
    return kind(message, hint=str(said.get("hint", "")), detail={"error": code, **detail})


_NARROWER: Final = {
    "illegal_transition": "conflict",
    "bot_busy": "conflict",
    "has_runs": "conflict",
    "session_disabled": "refused",
    "bot_disabled": "refused",
    "unauthenticated": "refused",
}


def token_of(settings: Settings) -> str:
    """The operator's token: the setting, or the file in the home, which is made where there is none."""
    if settings.operator_token:
        return settings.operator_token
    from gnomon.store.private import private_text

    return private_text(settings.root / TOKEN_FILE)


def address_of(settings: Settings, session_id: str, port: int) -> str:
    """Where the bots of a session connect: its own port, or the venue's with the session before every path, so that
    public market data, which carries no key, is that of this session."""
    if not port:
        return f"{settings.venue_address}/s/{session_id}"
    from urllib.parse import urlsplit

    parts = urlsplit(settings.venue_address)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{port}"


def bots_of(settings: Settings, engine: Any) -> BotStore:
    """The bots of a database, with the seal of their secrets."""
    from gnomon.store.bots import BotStore
    from gnomon.store.seal import seal_at

    return BotStore(engine, seal_at(settings.root, settings.secret_key))


def standing_of(row: Mapping[str, Any]) -> Standing:
    """The label that a row tells of."""
    from gnomon.score.label import Label, Standing

    return Standing(**{**row, "label": Label(row["label"])})


def session_store(settings: Settings) -> Any:
    from gnomon.store.sessions import SessionStore
    from gnomon.store.store import Store

    return SessionStore(Store.open(settings.url, settings.root / "datasets").engine)


def _flow_words(flow: Mapping[str, Any]) -> str:
    who = f" {flow['who']}" if flow.get("who") else ""
    return f"{str(flow.get('state', 'unknown')).replace('_', ' ')}{who}"


def _show(found: Any, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    stands, flow = found.get("clock") or {}, found.get("flow") or {}
    words = [f"{found['id']} {found['name']}: {found['status']}"]
    if found.get("reason"):
        words.append(f"({found['reason']})")
    if "now" in stands:
        from gnomon.clock import iso

        words.append(f"at {iso(int(stands['now']))}, pace {found['pace']}")
    if flow:
        words.append(f"- {_flow_words(flow)}")
    say(" ".join(words))
    for run in found.get("runs") or ():
        why = f" ({run['reason']})" if run["reason"] else ""
        label = f", {standing_of(run['label']).words}" if run.get("label") else ""
        say(f"  {run['run']} {run['entry']}: {run['status']}{why}{label}")
