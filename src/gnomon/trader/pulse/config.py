"""Config: what a runtime is told, from defaults, a file, the environment and flags, each over the one before.

Sections and keys are those of the table in `docs/pulse.md`. Old spellings are read; obsolete keys are ignored with a
warning; an unknown key is an error that names the nearest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gnomon.errors import Invalid, NotFound, Refused, nearest

PREFIX: Final = "GNOMON_PULSE_"
OBSOLETE: Final = ("session_id", "bot_id_hint", "auto_start_session", "stop_on_session_end", "session_poll_seconds")
IGNORED: Final = "is obsolete and ignored: a bot's key says which session it trades in"
SECTIONS: Final = ("run", "broker", "telemetry", "logging", "credentials")
TELEMETRY_ALIASES: Final = ("chronos", "platform")
ADAPTERS: Final = {
    "gnomon_venue": "gnomon_venue",
    "chronos_simulator": "gnomon_venue",
    "krono_simulator": "gnomon_venue",
    "binance_spot": "binance_spot",
    "binance": "binance_spot",
}
STREAMS: Final = {"kline": "kline", "klines": "kline", "aggTrade": "aggTrade", "agg_trade": "aggTrade",
                  "aggtrade": "aggTrade"}  # fmt: skip
REAL_MONEY: Final = ("binance.com", "binance.us", "binance.je", "binance.th", "binance.vision", "binancefuture.com",
                     "bybit.com", "okx.com", "coinbase.com", "kraken.com", "kucoin.com", "mexc.com", "gate.io",
                     "bitget.com")  # fmt: skip
"""Hosts, and whatever ends in one of them, where orders may cost money."""

_YES: Final = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class Run:
    """Where to trade, with what, and how patient to be."""

    base_url: str = "http://localhost:3001"
    ws_url: str = "ws://localhost:3001"
    symbol: str = "BTCUSDT"
    stream_mode: str = "kline"
    interval: str = "1m"
    api_key: str = field(default="", repr=False)
    api_secret: str = field(default="", repr=False)
    recv_window_ms: int = 5000
    ws_timeout_seconds: float = 35.0
    ws_reconnect_max_seconds: float = 30.0
    health_host: str = "127.0.0.1"
    health_port: int = 9109
    queue_maxsize: int = 4096
    queue_offer_timeout_seconds: float = 0.25
    pending_poll_seconds: float = 1.0
    lockstep: str = "auto"
    concurrency: str = "serial"
    cancel_on_stop: bool = False


@dataclass(frozen=True, slots=True)
class Broker:
    adapter: str = "gnomon_venue"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Reports of the runtime's own health to the platform."""

    enabled: bool = False
    ingest_path: str = "/api/v1/live/telemetry"
    publish_interval_seconds: float = 2.0
    timeout_seconds: float = 8.0


@dataclass(frozen=True, slots=True)
class Logging:
    enabled: bool = False
    directory: str = "./logs"
    file_name: str = "pulse-runtime.log"
    max_bytes: int = 10_485_760
    backup_count: int = 8
    level: str = "INFO"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where the key comes from: the configuration, the environment, or a sealed file of its own."""

    provider: str = "inline"
    venue: str = ""
    path: str = ""
    save_to_keyring: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """Everything, checked. `strategy` are the free parameters."""

    strategy_name: str
    strategy: Mapping[str, Any] = field(default_factory=dict)
    strategy_paths: tuple[str, ...] = ()
    run: Run = Run()
    broker: Broker = Broker()
    telemetry: Telemetry = Telemetry()
    logging: Logging = Logging()
    credentials: Credentials = Credentials()
    warnings: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """As it is in force; the key and its secret are left out."""
        found: dict[str, Any] = {"strategy_name": self.strategy_name, "strategy": dict(self.strategy),
                                 "strategy_paths": list(self.strategy_paths)}  # fmt: skip
        for name in SECTIONS:
            section = getattr(self, name)
            found[name] = {one.name: getattr(section, one.name) for one in fields(section) if one.repr}
        return found


_KINDS: Final[Mapping[str, type[Any]]] = {
    "run": Run,
    "broker": Broker,
    "telemetry": Telemetry,
    "logging": Logging,
    "credentials": Credentials,
}
_TOP: Final = ("strategy_name", "strategy", "strategy_paths", *SECTIONS)
_MANIFEST: Final = ("id", "display_name", "description", "entrypoint", "strategy_name", "default_strategy",
                    "default_run", "default_broker", "default_chronos", "default_telemetry", "default_logging",
                    "default_credentials", "strategy_paths", "include_source_dir")  # fmt: skip
_PRESET: Final = ("id", "display_name", "description", *_TOP, *TELEMETRY_ALIASES)


def load(
    path: Path | None,
    environment: Mapping[str, str],
    flags: Sequence[str] = (),
    *,
    means_it: bool = False,
    needs_key: bool = True,
) -> Config:
    """The configuration in force. `flags` are `section.key=value`, or `key=value` for a key of `run`.

    Raises `NotFound` for a file that is not there, `Invalid` for what cannot be read or has no such key, `Refused` for
    the host of a real-money exchange without `means_it`.
    """
    warnings: list[str] = []
    layers: list[Mapping[str, Any]] = []
    if path is not None:
        written = read_document(path)
        if path.name == "manifest.json" or "manifest" in written:
            layers += _from_manifest(path, written)
            written = {name: value for name, value in written.items() if name not in ("manifest", "preset")}
        if path.name != "manifest.json":
            layers.append(_anchored(written, path.parent))
    layers += [_from_environment(environment), _from_flags(flags)]
    merged: dict[str, Any] = {}
    for layer in layers:
        merged = deep_merged(merged, _spelled(layer, warnings))
    config = _built(merged, tuple(dict.fromkeys(warnings)))
    config = _with_credentials(config, environment, path)
    _check(config, means_it, needs_key)
    return config


def read_document(path: Path) -> dict[str, Any]:
    """A JSON or TOML file, by its ending; by its text where it has another."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise NotFound(f"no configuration at {path}", hint="--config FILE, as JSON or TOML") from error
    try:
        if path.suffix == ".json" or text.lstrip().startswith("{"):
            found = json.loads(text)
        else:
            found = tomllib.loads(text)
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise Invalid(f"{path} cannot be read: {error}", hint="JSON or TOML") from None
    if not isinstance(found, dict):
        raise Invalid(f"{path} holds no sections", hint='{"strategy_name": …, "run": {…}}')
    return found


def deep_merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Maps key by key, anything else as a whole."""
    found = dict(under)
    for name, value in over.items():
        before = found.get(name)
        found[name] = (
            deep_merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
        )
    return found


# --- layers ---------------------------------------------------------------------------------------------------------


def _from_manifest(path: Path, written: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The defaults of a manifest, then its preset. A file names one by `manifest` (a path) and `preset` (a name)."""
    where = path if path.name == "manifest.json" else (path.parent / str(written["manifest"]))
    where = where / "manifest.json" if where.is_dir() else where
    manifest = read_document(where)
    _known(manifest, (*_MANIFEST, "preset"), f"{where.name}: ")
    name = manifest.get("strategy_name") or manifest.get("entrypoint")
    paths = [str((where.parent / one).resolve()) for one in manifest.get("strategy_paths", [])]
    if manifest.get("include_source_dir", True):
        paths.append(str(where.parent.resolve()))
    layer: dict[str, Any] = {"strategy_name": name, "strategy_paths": paths} if name else {"strategy_paths": paths}
    for key, value in manifest.items():
        if key.startswith("default_"):
            section = key.removeprefix("default_")
            layer["telemetry" if section in TELEMETRY_ALIASES else section] = value
    layers: list[Mapping[str, Any]] = [layer]
    preset = written.get("preset") or manifest.get("preset")
    if preset:
        file = where.parent / "presets" / f"{preset}.json"
        if not file.is_file():
            known = sorted(one.stem for one in (where.parent / "presets").glob("*.json"))
            raise NotFound(f"no preset {preset!r}", hint=_near(str(preset), known), detail={"presets": known})
        found = read_document(file)
        _known(found, _PRESET, f"{file.name}: ")
        layers.append({key: value for key, value in found.items() if key not in ("id", "display_name", "description")})
    return layers


def presets_of(folder: Path) -> list[str]:
    """The names of a manifest's presets."""
    return sorted(one.stem for one in (folder / "presets").glob("*.json"))


def _anchored(written: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    paths = written.get("strategy_paths", [])
    if isinstance(paths, str):
        paths = [paths]
    return {**written, "strategy_paths": [str((folder / one).resolve()) for one in paths]} if paths else written


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """`GNOMON_PULSE_RUN_SYMBOL`, `GNOMON_PULSE_STRATEGY_NAME`, and `GNOMON_PULSE_API_KEY`, `_API_SECRET`, `_SECRET`."""
    found: dict[str, Any] = {}
    short = {"API_KEY": "api_key", "API_SECRET": "api_secret", "SECRET": "api_secret"}
    for name, text in environment.items():
        if not name.startswith(PREFIX) or not text:
            continue
        rest = name.removeprefix(PREFIX)
        if rest in short:
            found.setdefault("run", {})[short[rest]] = text
            continue
        head, _, key = rest.lower().partition("_")
        if rest == "STRATEGY_NAME":
            found["strategy_name"] = text
        elif rest == "PASSPHRASE":
            continue
        elif rest == "STRATEGY_PATHS":
            found["strategy_paths"] = text.split(":")
        elif head in (*SECTIONS, "strategy", *TELEMETRY_ALIASES) and key:
            found.setdefault(head, {})[key] = _value(text) if head == "strategy" else text
        else:
            raise Invalid(f"no setting is called {name}", hint=f"{PREFIX}<SECTION>_<KEY>, e.g. {PREFIX}RUN_SYMBOL")
    return found


def _from_flags(flags: Iterable[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for flag in flags:
        name, is_given, text = flag.partition("=")
        if not is_given:
            raise Invalid(f"--set {flag}", hint="--set section.key=value")
        head, dot, key = name.strip().partition(".")
        if not dot:
            head, key = ("", head) if head in ("strategy_name", "strategy_paths") else ("run", head)
        if not head:
            found[key] = text.split(":") if key == "strategy_paths" else text
        else:
            found.setdefault(head, {})[key] = _value(text) if head == "strategy" else text
    return found


def _value(text: str) -> Any:
    """A parameter of a strategy: JSON where it is, else the text."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _spelled(layer: Mapping[str, Any], warnings: list[str]) -> dict[str, Any]:
    """With today's names: sections under their own, obsolete keys left out, `agg_trade` as `aggTrade`."""
    found: dict[str, Any] = {}
    for name, value in layer.items():
        section = "telemetry" if name in TELEMETRY_ALIASES else name
        if section in OBSOLETE:
            warnings.append(f"{name} {IGNORED}")
            continue
        _known([section], _TOP, "")
        if section in _KINDS:
            value = _section(section, value, warnings)
        elif section == "strategy" and not isinstance(value, Mapping):
            raise Invalid(f"strategy is {value!r}", hint="a map of parameters")
        is_more = isinstance(value, Mapping) and section in found
        found[section] = deep_merged(found[section], value) if is_more else value
    return found


def _section(section: str, value: Any, warnings: list[str]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{section} is {value!r}", hint="a map of its keys")
    names = [one.name for one in fields(_KINDS[section])]
    found = {}
    for key, one in value.items():
        if key in OBSOLETE:
            warnings.append(f"{section}.{key} {IGNORED}")
            continue
        _known([key], names, f"{section}.")
        found[key] = one
    return found


def _known(names: Iterable[str], known: Sequence[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise Invalid(f"unknown key {where}{name}", hint=_near(name, known), detail={"key": f"{where}{name}"})


def _near(name: str, known: Sequence[str]) -> str:
    close = nearest(name, known)
    return f"did you mean {', '.join(close)}?" if close else f"one of {', '.join(known)}"


# --- the whole ------------------------------------------------------------------------------------------------------


def _built(merged: Mapping[str, Any], warnings: tuple[str, ...]) -> Config:
    name = merged.get("strategy_name")
    if not isinstance(name, str) or not name:
        raise Invalid("no strategy_name", hint="a built-in name, or module:factory_or_class")
    sections = {
        section: kind(**{key: _typed(section, kind, key, value) for key, value in merged.get(section, {}).items()})
        for section, kind in _KINDS.items()
    }
    run: Run = sections["run"]
    run = replace(run, stream_mode=_chosen("run.stream_mode", run.stream_mode, STREAMS),
                  lockstep=_chosen("run.lockstep", run.lockstep.lower(), _LOCKSTEPS),
                  concurrency=_serial(run.concurrency))  # fmt: skip
    broker: Broker = sections["broker"]
    broker = replace(broker, adapter=_chosen("broker.adapter", broker.adapter, ADAPTERS))
    paths = merged.get("strategy_paths", ())
    return Config(
        name, dict(merged.get("strategy", {})), tuple(map(str, paths)), run, broker, sections["telemetry"],
        sections["logging"], sections["credentials"], warnings,
    )  # fmt: skip


_LOCKSTEPS: Final = {"auto": "auto", "true": "on", "on": "on", "1": "on", "yes": "on", "serial": "on", "false": "off",
                     "off": "off", "0": "off", "no": "off"}  # fmt: skip


def _serial(value: str) -> str:
    if value == "concurrent":
        why = "Pulse sends the requests of a wake at its end and waits for none of them: leave it serial"
        raise Invalid("run.concurrency is 'concurrent'", hint=why)
    return _chosen("run.concurrency", value, {"serial": "serial"})


def _chosen(name: str, value: str, choices: Mapping[str, str]) -> str:
    if value not in choices:
        raise Invalid(f"{name} is {value!r}", hint=_near(value, list(choices)))
    return choices[value]


def _typed(section: str, kind: type[Any], key: str, value: Any) -> Any:
    """The value as the type of its default."""
    default = next(one.default for one in fields(kind) if one.name == key)
    name = f"{section}.{key}"
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        if str(value).lower() in _YES:
            return _YES[str(value).lower()]
        raise Invalid(f"{name} is {value!r}", hint="true or false")
    if isinstance(default, int | float):
        try:
            number = type(default)(value)
        except (TypeError, ValueError):
            number = type(default)(-1)
        if isinstance(value, bool) or number < 0:
            raise Invalid(f"{name} is {value!r}", hint="a number, 0 or more")
        return number
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        raise Invalid(f"{name} is {value!r}", hint="a text")
    return str(value)


def _with_credentials(config: Config, environment: Mapping[str, str], path: Path | None) -> Config:
    how, run = config.credentials, config.run
    if how.provider == "inline":
        return config
    if how.provider == "env":
        head = f"{how.venue.upper()}_" if how.venue else PREFIX
        key = environment.get(f"{head}API_KEY", run.api_key)
        secret = environment.get(f"{head}API_SECRET", environment.get(f"{head}SECRET", run.api_secret))
        return replace(config, run=replace(run, api_key=key, api_secret=secret))
    if how.provider == "local_encrypted_file":
        key, secret = unsealed(_key_file(how, path), environment.get(f"{PREFIX}PASSPHRASE", ""), how.venue)
        return replace(config, run=replace(run, api_key=key, api_secret=secret))
    raise Invalid(f"credentials.provider is {how.provider!r}", hint="inline, env or local_encrypted_file")


def _key_file(how: Credentials, path: Path | None) -> Path:
    if not how.path:
        raise Invalid("credentials.path is missing", hint="a file that `seal` has written")
    return (path.parent if path is not None else Path()) / how.path


def seal(path: Path, key: str, secret: str, passphrase: str, venue: str = "", salt: bytes | None = None) -> None:
    """Write a key to a file of mode 600, encrypted under a passphrase (scrypt, Fernet)."""
    salt = salt or os.urandom(16)
    text = json.dumps({"api_key": key, "api_secret": secret, "venue": venue}).encode()
    token = _fernet(passphrase, salt).encrypt(text).decode()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"salt": salt.hex(), "token": token}, file)


def unsealed(path: Path, passphrase: str, venue: str = "") -> tuple[str, str]:
    """Key and secret of such a file; `Refused` for another passphrase."""
    from cryptography.fernet import InvalidToken

    found = read_document(path)
    try:
        text = _fernet(passphrase, bytes.fromhex(found["salt"])).decrypt(found["token"].encode())
    except (InvalidToken, KeyError, ValueError) as error:
        raise Refused(f"{path} does not open", hint=f"{PREFIX}PASSPHRASE, as it was sealed") from error
    said = json.loads(text)
    if venue and said["venue"] and said["venue"] != venue:
        raise Refused(f"{path} holds the key of {said['venue']}", hint=f"credentials.venue is {venue}")
    return said["api_key"], said["api_secret"]


def _fernet(passphrase: str, salt: bytes) -> Any:
    from cryptography.fernet import Fernet

    key = hashlib.scrypt(passphrase.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)
    return Fernet(base64.urlsafe_b64encode(key))


def _check(config: Config, means_it: bool, needs_key: bool) -> None:
    run = config.run
    for name, schemes in (("base_url", ("http", "https")), ("ws_url", ("ws", "wss"))):
        parts = urlsplit(getattr(run, name))
        if parts.scheme not in schemes or not parts.hostname:
            raise Invalid(f"run.{name} is {getattr(run, name)!r}", hint=f"{schemes[0]}://host:port")
        if is_real_money(parts.hostname) and not means_it:
            raise Refused(
                f"{parts.hostname} trades real money", hint="the simulator's venue, or --i-mean-it",
                detail={"host": parts.hostname},
            )  # fmt: skip
    if run.queue_maxsize < 1:
        raise Invalid("run.queue_maxsize is 0", hint="1 or more")
    if needs_key and not (run.api_key and run.api_secret):
        raise Missing("no API key", hint=f"run.api_key and run.api_secret, or {PREFIX}API_KEY and {PREFIX}API_SECRET")


def is_real_money(host: str) -> bool:
    return any(host == one or host.endswith(f".{one}") for one in REAL_MONEY)


class Missing(Invalid):
    """No key, or none that is whole: a runtime ends with 3, not with 2."""
