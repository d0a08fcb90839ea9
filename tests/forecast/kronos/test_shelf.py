"""Where checkpoints lie, and whether they are those published. `test_hub` fetches them, `test_weights` loads them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gnomon.errors import Invalid, Unavailable
from gnomon.forecast.kronos.config import Checkpoint, ModelConfig
from gnomon.forecast.kronos.shelf import (
    Found,
    faults_of,
    fetched,
    find,
    folder_of,
    held,
    home,
    object_in,
    of_folder,
    read_config,
    sha256_of,
)

WEIGHTS = b"any bytes: nothing here opens them"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path / "home"))


@pytest.fixture
def lying() -> Checkpoint:
    """A checkpoint whose two files lie where they are fetched to."""
    text = json.dumps(ModelConfig().document()).encode()
    sha = [hashlib.sha256(one).hexdigest() for one in (WEIGHTS, text)]
    one = Checkpoint("Tiny", "tests/Tiny", "0" * 40, ModelConfig(), *sha)
    folder_of(one).mkdir(parents=True)
    (folder_of(one) / "config.json").write_bytes(text)
    (folder_of(one) / "model.safetensors").write_bytes(WEIGHTS)
    return one


def test_a_whole_checkpoint_is_ok_and_found(lying, tmp_path):
    found = held(lying)
    assert (found.state, found.faults) == ("ok", ())
    assert found.folder == tmp_path / "home" / "weights" / "Tiny" / lying.revision
    assert found.nbytes == sum(one.stat().st_size for one in found.folder.iterdir())
    assert found.row()["state"] == "ok"
    assert fetched(lying) == Found(found.folder, lying)
    assert sha256_of(found.folder / "model.safetensors") == lying.weights_sha256


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_that_is_not_there_or_is_another_is_a_fault(lying, name):
    path = folder_of(lying) / name
    path.write_bytes(b"{}")
    assert held(lying).state == "damaged"
    assert faults_of(folder_of(lying), lying)[0].startswith(f"{name}: 2 bytes of SHA-256 44136fa355b3678a")
    path.unlink()
    assert held(lying).faults == (f"{name} is missing",)
    with pytest.raises(Unavailable) as caught:
        fetched(lying)
    assert caught.value.hint == "gnomon weights fetch Tiny"


def test_what_was_never_fetched_is_absent(lying):
    other = replace(lying, revision="1" * 40)
    assert (held(other).state, held(other).nbytes) == ("absent", 0)


def test_a_config_of_unknown_hash_is_held_against_its_sizes(lying):
    unknown = replace(lying, config_sha256="")
    assert faults_of(folder_of(lying), unknown) == ()
    document = ModelConfig().document() | {"n_layers": 5, "d_model": 512, "ffn_dropout_p": 0.5}
    (folder_of(lying) / "config.json").write_text(json.dumps(document))
    assert set(faults_of(folder_of(lying), unknown)) == {
        "config.json: n_layers is 5, expected 4",
        "config.json: d_model is 512, expected 256",
    }
    (folder_of(lying) / "config.json").write_text("{}")
    assert "n_layers is missing" in faults_of(folder_of(lying), unknown)[0]


def test_a_folder_of_ones_own_is_known_by_its_hash(lying):
    one = of_folder(folder_of(lying), ModelConfig, "mine", 300)
    assert (one.weights_sha256, one.config_sha256) == (lying.weights_sha256, lying.config_sha256)
    assert (one.name, one.hf_id, one.context_bars, one.config) == ("mine", "", 300, ModelConfig())
    (folder_of(lying) / "model.safetensors").unlink()
    with pytest.raises(Unavailable, match=r"model\.safetensors is not there"):
        of_folder(folder_of(lying), ModelConfig, "mine", 300)
    (folder_of(lying) / "config.json").unlink()
    with pytest.raises(Unavailable, match=r"config\.json"):
        read_config(folder_of(lying))


def test_a_home_is_that_of_the_environment(monkeypatch, tmp_path):
    assert home() == tmp_path / "home" / "weights"
    monkeypatch.delenv("GNOMON_HOME")
    assert home() == Path("~/.gnomon/weights").expanduser()
    monkeypatch.setenv("GNOMON_HOME", "~/elsewhere")
    assert home() == Path("~/elsewhere/weights").expanduser()


def test_a_name_that_is_neither_folder_nor_published_is_unavailable(tmp_path):
    with pytest.raises(Unavailable, match="no checkpoint in nowhere") as caught:
        find("nowhere")
    assert "Kronos-small" in caught.value.hint
    assert find(tmp_path) == Found(tmp_path)


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b'"x"', b"{", b'{"a": 1, "a": 2}', b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(text):
    with pytest.raises(Invalid, match="this file"):
        object_in(text, "this file")
