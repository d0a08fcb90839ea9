"""Checkpoints from the Hub or from a folder: whole and as published, or not at all, with a reason."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.forecast.kronos.checkpoints import saved, tiny_model
from tests.forecast.kronos.hub_server import Hub, hub_server
from tests.processes import put_down

from gnomon.errors import Invalid, NotFound, Refused, Unavailable
from gnomon.forecast.kronos.config import PUBLISHED, Checkpoint
from gnomon.forecast.kronos.hub import fetch, take, with_tokenizers
from gnomon.forecast.kronos.shelf import FILES, fetched, folder_of, held, home, sha256_of
from gnomon.forecast.kronos.weights import load_model


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path / "home"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


@pytest.fixture
def tiny(tmp_path: Path) -> Checkpoint:
    """A checkpoint as published; its files lie in `published`."""
    return saved(tmp_path / "published", tiny_model(), "Tiny")


@pytest.fixture
def serving(hub: Hub, tiny: Checkpoint, tmp_path: Path) -> Hub:
    hub.serve(tiny, tmp_path / "published")
    return hub


def everything_kept() -> set[str]:
    """All files under the home, but for locks."""
    return {str(one.relative_to(home())) for one in home().rglob("*") if one.is_file() and one.name != ".lock"}


def whole(checkpoint: Checkpoint) -> set[str]:
    return {f"{checkpoint.name}/{checkpoint.revision}/{name}" for name in FILES}


# --- from the Hub -----------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_fetched_at_its_revision_and_nothing_else_is_kept(serving, tiny, tmp_path):
    found = fetch(tiny)
    assert (found.state, found.faults, found.folder) == ("ok", (), folder_of(tiny))
    assert found.nbytes == sum((tmp_path / "published" / name).stat().st_size for name in FILES)
    assert everything_kept() == whole(tiny)
    assert {path.split("/")[4] for path in serving.asked("HEAD")} == {tiny.revision}
    assert load_model(fetched(tiny)).known_as == tiny


def test_what_is_here_is_not_fetched_again(serving, tiny):
    fetch(tiny)
    asked = len(serving.requests)
    assert fetch(tiny).state == "ok"
    assert len(serving.requests) == asked


@pytest.mark.usefixtures("serving")
def test_a_damaged_file_is_fetched_again(tiny):
    folder = fetch(tiny).folder
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    broken = held(tiny)
    assert broken.state == "damaged"
    assert "model.safetensors" in broken.faults[0]
    assert fetch(tiny).state == "ok"
    assert everything_kept() == whole(tiny)


def test_a_connection_that_breaks_is_taken_up_where_it_broke(serving, tiny, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # what is kept of a broken answer
    serving.drops = 2
    assert fetch(tiny).state == "ok"
    ranges = [asked for method, path, asked in serving.requests if method == "GET" and path.startswith("/cdn/")]
    size = (folder_of(tiny) / "model.safetensors").stat().st_size
    first = size // 2 // 1000 * 1000
    second = first + (size - first) // 2 // 1000 * 1000
    assert ranges == ["", f"bytes={first}-", f"bytes={second}-"]


def test_a_truncated_body_is_refused_and_nothing_is_kept(serving, tiny):
    serving.short = True
    with pytest.raises(Unavailable, match="could not be downloaded") as caught:
        fetch(tiny)
    assert "should be of size" in caught.value.message
    assert "--from" in caught.value.hint
    assert everything_kept() == set()
    serving.short = False
    assert fetch(tiny).state == "ok"


@pytest.mark.usefixtures("serving")
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_hash_is_refused_and_nothing_is_kept(tiny, tmp_path, name):
    with (tmp_path / "published" / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(Invalid, match=f"what came is not Tiny at revision {tiny.revision}: {name}") as caught:
        fetch(tiny)
    assert len(caught.value.detail["differences"]) == 1
    assert sha256_of(tmp_path / "published" / name) in caught.value.message
    assert everything_kept() == set()


@pytest.mark.usefixtures("serving")
def test_every_file_of_another_hash_is_named(tiny, tmp_path):
    for name in FILES:
        (tmp_path / "published" / name).write_bytes(b"{}")
    with pytest.raises(Invalid) as caught:
        fetch(tiny)
    assert [said.split(":")[0] for said in caught.value.detail["differences"]] == list(FILES)


@pytest.mark.usefixtures("serving")
def test_a_download_that_fails_leaves_what_was_there(tiny, tmp_path):
    folder = fetch(tiny).folder
    (folder / "config.json").write_bytes(b"{}")
    before = {one.name: one.read_bytes() for one in folder.iterdir()}
    (tmp_path / "published" / "model.safetensors").write_bytes(b"other")
    with pytest.raises(Invalid):
        fetch(tiny)
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == before


@pytest.mark.usefixtures("serving")
def test_a_config_whose_hash_is_not_known_is_compared_by_its_sizes(tiny):
    unknown = replace(tiny, config_sha256="")
    assert fetch(unknown).state == "ok"
    shutil.rmtree(home())
    other = replace(tiny, config_sha256="", config=replace(tiny.config, n_layers=3, ffn_dropout_p=0.3))
    with pytest.raises(Invalid, match=r"config.json: n_layers is 2, expected 3") as caught:
        fetch(other)
    assert len(caught.value.detail["differences"]) == 1  # dropout changes no forecast
    assert everything_kept() == set()


@pytest.mark.usefixtures("serving")
def test_what_the_hub_does_not_have_is_not_found(tiny, tmp_path):
    with pytest.raises(NotFound, match=r"has no tests/Tiny/config\.json at 0000"):
        fetch(replace(tiny, revision="0" * 40))
    with pytest.raises((NotFound, Refused), match=r"tests/Else/config\.json"):
        fetch(replace(tiny, hf_id="tests/Else"))
    (tmp_path / "published" / "model.safetensors").unlink()
    with pytest.raises(NotFound, match=r"has no tests/Tiny/model.safetensors"):
        fetch(tiny)
    assert everything_kept() == set()


def test_a_hub_that_asks_for_a_token_is_shown_the_one_of_the_environment(serving, tiny, monkeypatch):
    serving.token = "hf_secret"
    with pytest.raises(Refused, match="401") as caught:
        fetch(tiny)
    assert "HF_TOKEN" in caught.value.hint
    assert everything_kept() == set()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(Refused, match="401") as caught:
        fetch(tiny)
    assert "hf_wrong" not in f"{caught.value.message} {caught.value.hint} {caught.value.detail}"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert fetch(tiny).state == "ok"


def test_a_hub_that_is_not_well_is_not_available(serving, tiny, monkeypatch):
    serving.status = 503
    monkeypatch.setattr(time, "sleep", lambda _: None)  # the library waits half a minute between its tries
    with pytest.raises(Unavailable, match="status 503"):
        fetch(tiny)
    assert everything_kept() == set()


def test_many_at_once_download_once(serving, tiny):
    with ThreadPoolExecutor(4) as pool:
        assert {one.state for one in pool.map(fetch, [tiny] * 4)} == {"ok"}
    assert len([path for path in serving.asked("GET") if path.startswith("/cdn/")]) == 1
    assert everything_kept() == whole(tiny)


FETCH = """
import pickle, sys
from gnomon.forecast.kronos.hub import fetch
fetch(pickle.loads(bytes.fromhex(sys.argv[1])))
"""


def test_a_killed_download_leaves_nothing_that_is_taken_for_a_checkpoint(serving, tiny):
    import pickle

    serving.stall_s = 60
    process = subprocess.Popen([sys.executable, "-c", FETCH, pickle.dumps(tiny).hex()], env=os.environ.copy())
    try:
        deadline = time.monotonic() + 600
        while not any(path.startswith("/cdn/") for path in serving.asked("GET")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        put_down(process)
    assert held(tiny).state == "absent"
    with pytest.raises(Unavailable, match="not on this machine"):
        fetched(tiny)
    serving.stall_s = 0
    assert fetch(tiny).state == "ok"
    assert everything_kept() == whole(tiny)


def test_without_the_client_the_extra_is_named(tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(Unavailable, match="huggingface_hub is not installed") as caught:
        fetch(tiny)
    assert caught.value.hint == "pip install 'gnomon[kronos]'"


# --- from a folder ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", [".", "Tiny", "tests/Tiny", "Tiny/{}", "models--tests--Tiny/snapshots/{}"])
def test_files_copied_by_hand_are_taken(tiny, tmp_path, within):
    source = tmp_path / "copied" / within.format(tiny.revision)
    shutil.copytree(tmp_path / "published", source)
    (source / "README.md").write_text("not one of ours")
    assert take(tiny, tmp_path / "copied").state == "ok"
    assert everything_kept() == whole(tiny)
    assert sorted(one.name for one in source.iterdir()) == ["README.md", *FILES]  # copied, not moved


def test_copied_files_are_held_against_what_was_published(tiny, tmp_path):
    (tmp_path / "published" / "config.json").write_bytes(b"{}")
    with pytest.raises(Invalid, match=r"the files in .* are not Tiny at revision") as caught:
        take(tiny, tmp_path / "published")
    assert str(tmp_path / "published" / "Tiny") in caught.value.hint
    shutil.copytree(tmp_path / "published", tmp_path / "many" / "Tiny")
    with pytest.raises(Invalid, match="what came is not Tiny"):
        take(tiny, tmp_path / "many")
    assert everything_kept() == set()


def test_a_whole_checkpoint_in_a_home_that_nobody_may_write_is_left_alone(tiny, tmp_path):
    take(tiny, tmp_path / "published")
    (home() / "Tiny" / ".lock").unlink()
    (home() / "Tiny" / ".lock").mkdir()  # as good as no right to write, for root too
    assert take(tiny, tmp_path / "published").state == "ok"
    (folder_of(tiny) / "config.json").unlink()
    with pytest.raises(Unavailable, match="cannot be written"):
        take(tiny, tmp_path / "published")


def test_a_folder_that_lacks_a_file_is_told_so(tiny, tmp_path):
    (tmp_path / "published" / "model.safetensors").unlink()
    with pytest.raises(NotFound, match=r"no Tiny in .*: model.safetensors missing"):
        take(tiny, tmp_path / "published")
    with pytest.raises(NotFound, match="missing"):
        take(tiny, tmp_path / "nowhere")


def test_a_home_that_cannot_be_written_is_said(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path / "file"))
    with pytest.raises(Unavailable, match="cannot be written"):
        take(tiny, tmp_path / "published")


# --- which ------------------------------------------------------------------------------------------------------------


def test_a_model_brings_its_tokenizer_once_and_first():
    names = ("Kronos-small", "Kronos-base", "Kronos-mini")
    found = [one.name for one in with_tokenizers(PUBLISHED[name] for name in names)]
    assert found == ["Kronos-Tokenizer-base", "Kronos-small", "Kronos-base", "Kronos-Tokenizer-2k", "Kronos-mini"]


def test_an_empty_home_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("GNOMON_HOME", "")
    assert home() == Path("~/.gnomon/weights").expanduser()


@pytest.mark.parametrize("one", PUBLISHED.values(), ids=PUBLISHED)
def test_what_is_published_is_pinned(one):
    for text, length in ((one.revision, 40), (one.weights_sha256, 64), (one.config_sha256 or "0" * 64, 64)):
        assert len(text) == length
        assert set(text) <= set("0123456789abcdef")
    assert one.hf_id == f"NeoQuasar/{one.name}"
    assert not one.tokenizer or PUBLISHED[one.tokenizer].context_bars >= one.context_bars
