"""Settings, read once at the edge from the environment and `gnomon.toml`. Only the command line and the doors import this."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource


class Settings(BaseSettings):
    """One frozen tree. Environment variables `GNOMON_*` win over the file `$GNOMON_HOME/gnomon.toml`."""

    model_config = SettingsConfigDict(env_prefix="GNOMON_", frozen=True, extra="ignore")

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

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(env_settings()["home"] if "home" in env_settings() else "~/.gnomon").expanduser()
        toml = TomlConfigSettingsSource(settings_cls, toml_file=home / "gnomon.toml")
        return init_settings, env_settings, toml

    @property
    def root(self) -> Path:
        return self.home.expanduser()

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.root / 'gnomon.db'}"
