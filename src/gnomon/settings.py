"""Settings, read once at the edge: the environment and `gnomon.toml`. Only the command line and the doors read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from gnomon.errors import Invalid, nearest


class Settings(BaseSettings):
    """One frozen tree. Environment variables `GNOMON_*` win over the file `$GNOMON_HOME/gnomon.toml`.

    An empty variable counts as not set. `load` reads them with errors of our tree.
    """

    model_config = SettingsConfigDict(
        env_prefix="GNOMON_", env_ignore_empty=True, frozen=True, extra="forbid", validate_by_name=True
    )

    home: Path = Field(default=Path("~/.gnomon"), description="Everything written: database, datasets, caches.")
    database_url: str = Field(default="", description="Empty: SQLite under the home. `postgresql://…` moves it.")
    instruments: Path | None = Field(default=None, description="An instruments file that replaces the shipped one.")
    gateway_host: str = Field(default="127.0.0.1", description="Address the gateway binds to.")
    gateway_port: int = Field(
        default=8080,
        ge=0,
        le=65535,
        validation_alias=AliasChoices("GNOMON_GATEWAY_PORT", "API_PORT"),
        description="Port of the gateway (`API_PORT` is understood).",
    )
    gateway_requests_per_minute: int = Field(
        default=0, ge=0, description="Limit per client address on the public routes; 0 means none."
    )
    operator_token: str = Field(
        default="",
        description="Who changes jobs, schedules and sessions over HTTP shows it as a bearer token; empty: on the "
        "gateway only clients of its own machine may, on the venue it is in the file venue.token.",
        repr=False,
    )

    venue_host: str = Field(default="127.0.0.1", description="Address the venue binds to.")
    venue_port: int = Field(default=3001, ge=0, le=65535, description="Port of the venue; 0 takes a free one.")
    venue_url: str = Field(default="", description="Where clients reach it; empty: its host and port.")
    venue_ports: str = Field(
        default="", description="First and last of the ports that sessions are given, one each: 3001-3020; empty: none."
    )
    secret_key: str = Field(
        default="",
        repr=False,
        description="What secrets of bots are sealed under, 32 characters or more; empty: the file secret.key.",
    )

    executor_id: str = Field(default="worker-0", min_length=1, description="The stable name of this worker's slot.")
    sqlite_fast: bool = Field(
        default=False, description="Jobs' SQLite commits survive a crash of the process, perhaps not of the machine."
    )
    schedules: Path | None = Field(default=None, description="A schedules file that replaces the shipped one.")
    schedule_profile: str = Field(default="", description="`after-close` moves forecasts to right after the bar.")

    sources: str = Field(
        default="binance,binance-dumps,yahoo,fred,alphavantage",
        description="Comma list of the sources that may be asked, `ccxt:kraken` too; `none` for none.",
    )
    source_urls: dict[str, str] = Field(default={}, description="Other addresses of sources, by name: a mirror.")
    alphavantage_key: str = Field(
        default="", repr=False, description="The key of Alpha Vantage; without it, no such source."
    )
    calendar: dict[str, Any] = Field(default={}, description="The provider of the economic calendar; empty: none.")
    calendar_token: str = Field(default="", repr=False, description="The token of that provider.")

    @classmethod
    def load(cls) -> Settings:
        """The settings of this process; `Invalid` names the setting, the value received and where to mend it."""
        try:
            return cls()
        except ValidationError as error:
            raise _invalid([_problem(one) for one in error.errors(include_url=False)]) from None
        except SettingsError as error:
            raise Invalid(str(error), hint="a table is written as JSON in the environment") from None
        except (OSError, ValueError) as error:  # not TOML, not UTF-8, not readable
            raise Invalid(
                f"gnomon.toml cannot be read: {error}", hint="mend or remove the file gnomon.toml under GNOMON_HOME"
            ) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(env_settings().get("home", "~/.gnomon")).expanduser()
        toml = TomlConfigSettingsSource(settings_cls, toml_file=home / "gnomon.toml")
        return init_settings, env_settings, toml

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources that may be asked."""
        names = tuple(part.strip() for part in self.sources.split(",") if part.strip())
        return () if names == ("none",) else names

    @property
    def venue_address(self) -> str:
        """The URL of the venue, without a slash at its end."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.venue_host, self.venue_host)
        return (self.venue_url or f"http://{host}:{self.venue_port}").rstrip("/")

    @property
    def session_ports(self) -> tuple[int, ...]:
        """The ports that sessions are given, but for the venue's own."""
        if not self.venue_ports:
            return ()
        first, _, last = self.venue_ports.partition("-")
        if not (first.isdigit() and (last or first).isdigit()) or not 0 < int(first) <= int(last or first) < 1 << 16:
            raise Invalid(f"setting venue_ports: {self.venue_ports!r}", hint="first and last port, e.g. 3001-3020")
        return tuple(one for one in range(int(first), int(last or first) + 1) if one != self.venue_port)

    @property
    def root(self) -> Path:
        """The home as a path of this machine."""
        return self.home.expanduser()

    @property
    def url(self) -> str:
        """The database: the one that was set, or SQLite under the home."""
        return self.database_url or f"sqlite:///{self.root / 'gnomon.db'}"


def _problem(error: Any) -> dict[str, str]:
    """What is wrong with one setting: its name, what was received, what was expected."""
    name = str(error["loc"][0])
    lowered = name.lower().removeprefix("gnomon_")
    setting = "gateway_port" if name == "API_PORT" else lowered if lowered in Settings.model_fields else name
    return {"setting": setting, "received": repr(error["input"]), "expected": error["msg"]}


def _invalid(problems: list[dict[str, str]]) -> Invalid:
    first = problems[0]
    name = first["setting"]
    if name in Settings.model_fields:
        message = f"setting {name}: {first['expected'].lower()}, received {first['received']}"
        hint = f"set GNOMON_{name.upper()} in the environment or {name} in gnomon.toml under GNOMON_HOME"
    else:
        close = nearest(name, Settings.model_fields)
        message = f"gnomon.toml has no setting {name!r}"
        hint = f"did you mean {', '.join(close)}?" if close else f"settings: {', '.join(Settings.model_fields)}"
    return Invalid(message, hint=hint, detail={"problems": problems})
