"""Settings: one frozen tree, the environment before the file, and errors that say what to mend."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from gnomon.errors import Invalid
from gnomon.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, and no other setting in the environment."""
    for name in os.environ:
        if name.startswith("GNOMON_") or name == "API_PORT":
            monkeypatch.delenv(name)
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path))
    return tmp_path


def write(home: Path, text: str) -> None:
    (home / "gnomon.toml").write_text(text, encoding="utf-8")


def test_an_empty_home_gives_the_defaults(home: Path) -> None:
    settings = Settings.load()
    assert settings.root == home
    assert settings.url == f"sqlite:///{home / 'gnomon.db'}"
    assert (settings.gateway_host, settings.gateway_port, settings.gateway_requests_per_minute) == (
        "127.0.0.1",
        8080,
        0,
    )
    assert settings.instruments is None


def test_without_a_home_everything_lies_under_the_users_folder(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GNOMON_HOME")
    monkeypatch.setenv("HOME", str(home))
    write(home, "gateway_port = 1")  # not the file of ~/.gnomon: not read
    assert Settings.load().root == home / ".gnomon"
    assert Settings.load().gateway_port == 8080


def test_a_home_may_begin_with_a_tilde(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GNOMON_HOME", "~/elsewhere")
    assert Settings.load().root == home / "elsewhere"


def test_every_setting_can_stand_in_the_file_under_its_own_name(home: Path) -> None:
    write(
        home,
        'database_url = "postgresql://db/gnomon"\ninstruments = "mine.toml"\ngateway_host = "::"\n'
        "gateway_port = 9000\ngateway_requests_per_minute = 60\n",
    )
    settings = Settings.load()
    assert settings.url == "postgresql://db/gnomon"
    assert settings.instruments == Path("mine.toml")
    assert (settings.gateway_host, settings.gateway_port, settings.gateway_requests_per_minute) == ("::", 9000, 60)


TABLES = ["source_urls", "calendar"]


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_joined_name_by_name_and_the_environment_wins(
    home: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    write(home, f'[{name}]\na = "from-file"\nb = "from-file"')
    assert getattr(Settings.load(), name) == {"a": "from-file", "b": "from-file"}
    monkeypatch.setenv(f"GNOMON_{name.upper()}", '{"b": "from-environment"}')
    assert getattr(Settings.load(), name) == {"a": "from-file", "b": "from-environment"}


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in ("home", *TABLES)])
def test_the_environment_wins_over_the_file(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind = Settings.model_fields[name].annotation
    values = {int: ("1111", "2222"), bool: ("False", "True")}
    in_file, in_environment = values.get(kind, ("from-file", "from-environment"))
    write(home, f"{name} = {in_file.lower()}" if kind in values else f'{name} = "{in_file}"')
    assert str(getattr(Settings.load(), name)) == in_file
    monkeypatch.setenv(f"GNOMON_{name.upper()}", in_environment)
    assert str(getattr(Settings.load(), name)) == in_environment


@pytest.mark.usefixtures("home")
def test_the_seeds_name_of_the_port_is_understood_and_ours_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "7000")
    assert Settings.load().gateway_port == 7000
    monkeypatch.setenv("GNOMON_GATEWAY_PORT", "7001")
    assert Settings.load().gateway_port == 7001


@pytest.mark.usefixtures("home")
def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_GATEWAY_PORT", "")
    monkeypatch.setenv("GNOMON_INSTRUMENTS", "")
    assert Settings.load().gateway_port == 8080
    assert Settings.load().instruments is None


@pytest.mark.usefixtures("home")
def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings.load().gateway_port = 1  # type: ignore[misc]  # the assignment is what is refused


@pytest.mark.parametrize(
    ("variable", "value", "setting"),
    [
        ("GNOMON_GATEWAY_PORT", "eighty", "gateway_port"),
        ("GNOMON_GATEWAY_PORT", "65536", "gateway_port"),
        ("API_PORT", "-1", "gateway_port"),
        ("GNOMON_GATEWAY_REQUESTS_PER_MINUTE", "-1", "gateway_requests_per_minute"),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_bad_value_is_named_with_what_was_received(
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    setting: str,
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Invalid) as refused:
        Settings.load()
    assert f"setting {setting}: " in refused.value.message
    assert repr(value) in refused.value.message
    assert f"GNOMON_{setting.upper()}" in refused.value.hint


def test_all_bad_values_stand_in_the_detail(home: Path) -> None:
    write(home, 'gateway_port = "x"\ngateway_requests_per_minute = -5\n')
    with pytest.raises(Invalid) as refused:
        Settings.load()
    problems = refused.value.detail["problems"]
    assert [one["setting"] for one in problems] == ["gateway_port", "gateway_requests_per_minute"]
    assert [one["received"] for one in problems] == ["'x'", "-5"]


def test_a_misspelt_setting_is_refused_with_the_nearest_name(home: Path) -> None:
    write(home, 'databse_url = "sqlite://"')
    with pytest.raises(Invalid, match="no setting 'databse_url'") as refused:
        Settings.load()
    assert "database_url" in refused.value.hint


def test_a_setting_like_no_other_is_refused_with_all_names(home: Path) -> None:
    write(home, "zzz = 1")
    with pytest.raises(Invalid) as refused:
        Settings.load()
    assert all(name in refused.value.hint for name in Settings.model_fields)


@pytest.mark.parametrize("content", [b"gateway_port = ", b"\xff\xfe", b"[gateway"])
def test_a_file_that_is_not_toml_is_refused(home: Path, content: bytes) -> None:
    (home / "gnomon.toml").write_bytes(content)
    with pytest.raises(Invalid, match=r"gnomon\.toml cannot be read") as refused:
        Settings.load()
    assert "GNOMON_HOME" in refused.value.hint
