"""Checkpoints are read with suspicion: whatever is wrong is said, all of it, and nothing of a file is executed."""

from __future__ import annotations

import io
import json
import pickle
import re
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.forecast.kronos.checkpoints import installed, saved, tiny_model, tiny_tokenizer

from gnomon.errors import Invalid, NotFound, Unavailable
from gnomon.forecast.kronos.bars import Series
from gnomon.forecast.kronos.config import PUBLISHED, ModelConfig, TokenizerConfig, published
from gnomon.forecast.kronos.kronos import Kronos, Sampling
from gnomon.forecast.kronos.shelf import Found, fetched, find, folder_of, held, sha256_of
from gnomon.forecast.kronos.weights import load_kronos, load_model, load_tokenizer, save

WEIGHTS, CONFIG = "model.safetensors", "config.json"
LOADERS = {"model": load_model, "tokenizer": load_tokenizer}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path / "home"))


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Path]:
    """A model and its tokenizer, each in its folder."""
    folders = {"model": tmp_path / "model", "tokenizer": tmp_path / "tokenizer"}
    save(tiny_model(), folders["model"])
    save(tiny_tokenizer(), folders["tokenizer"])
    return folders


def refused(folder: Path, kind: str = "model") -> Invalid:
    with pytest.raises(Invalid) as caught:
        LOADERS[kind](folder)
    assert caught.value.hint
    assert str(folder) in caught.value.message
    return caught.value


def differences(folder: Path, kind: str = "model") -> set[str]:
    return set(refused(folder, kind).detail["differences"])


def change(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the tensors of a checkpoint."""
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def reheaded(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the header of a checkpoint and leave its bytes as they are."""
    payload = (folder / WEIGHTS).read_bytes()
    size = struct.unpack("<Q", payload[:8])[0]
    header = json.loads(payload[8 : 8 + size])
    edit(header)
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + payload[8 + size :])


# --- what fits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", LOADERS)
def test_what_is_saved_is_loaded_to_the_bit(kind, tmp_path):
    network = {"model": tiny_model, "tokenizer": tiny_tokenizer}[kind](5)
    sha256 = save(network, tmp_path / "one")
    loaded = LOADERS[kind](tmp_path / "one")
    assert loaded.sha256 == sha256 == sha256_of(tmp_path / "one" / WEIGHTS)
    assert loaded.network.config == network.config
    assert loaded.known_as is None
    state = loaded.network.state_dict()
    assert list(state) == list(network.state_dict())
    for name, one in network.state_dict().items():
        assert torch.equal(state[name], one), name
    assert not loaded.network.training
    assert save(loaded.network, tmp_path / "two") == sha256


def test_a_fixed_calendar_is_saved_and_loaded(tmp_path):
    save(tiny_model(learn_te=False), tmp_path)
    assert "time_emb.minute_embed.emb.weight" in load_file(tmp_path / WEIGHTS)
    assert load_model(tmp_path).network.config.learn_te is False


def test_a_checkpoint_holds_its_two_files_and_nothing_else(pair):
    for folder in pair.values():
        assert sorted(one.name for one in folder.iterdir()) == [CONFIG, WEIGHTS]
    header = (pair["model"] / WEIGHTS).read_bytes()[8:80]
    assert header.startswith(b'{"__metadata__":{"format":"pt"}')


def test_a_checkpoint_saved_over_another_forgets_its_tokenizer(tmp_path):
    save(tiny_model(), tmp_path, tokenizer_sha256="0" * 64)
    assert (tmp_path / "gnomon.json").is_file()
    save(tiny_model(), tmp_path)
    assert not (tmp_path / "gnomon.json").exists()


def test_the_golden_checkpoints_load(shared):
    folder = shared / "golden" / "kronos"
    if not folder.is_dir():
        pytest.skip("needs the golden vectors of Kronos")
    assert isinstance(load_kronos(folder / "model", folder / "tokenizer", 32), Kronos)


# --- weights that do not fit ------------------------------------------------------------------------------------------


def test_missing_unknown_misshapen_and_mistyped_tensors_are_all_listed(pair):
    def edit(tensors: dict[str, Any]) -> None:
        del tensors["norm.weight"], tensors["head.proj_s1.bias"]
        tensors["more.weight"] = torch.zeros(2)
        tensors["head.proj_s2.weight"] = torch.zeros(16, 15)
        tensors["embedding.emb_s1.weight"] = tensors["embedding.emb_s1.weight"].half()

    change(pair["model"], edit)
    assert differences(pair["model"]) == {
        "norm.weight is missing",
        "head.proj_s1.bias is missing",
        "more.weight is unknown",
        "head.proj_s2.weight has shape [16, 15], expected [16, 16]",
        "embedding.emb_s1.weight has type F16, expected float32",
    }


def test_a_long_list_is_cut_in_the_message_and_whole_in_the_detail(pair):
    change(pair["model"], lambda tensors: [tensors.pop(name) for name in list(tensors)[:30]])
    error = refused(pair["model"])
    assert len(error.detail["differences"]) == 30
    assert "; and 22 more" in error.message


@pytest.mark.parametrize("kind", LOADERS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_weights_of_another_type_are_refused(pair, kind, dtype):
    change(
        pair[kind],
        lambda tensors: tensors.update(
            {name: one.to(getattr(torch, dtype)) for name, one in tensors.items() if one.is_floating_point()}
        ),
    )
    said = differences(pair[kind], kind)
    assert len(said) == len([one for one in load_file(pair[kind] / WEIGHTS).values() if one.is_floating_point()])
    assert all("expected float32" in one for one in said)


def test_the_files_of_a_model_and_of_a_tokenizer_are_told_apart(pair):
    shutil.copy(pair["tokenizer"] / WEIGHTS, pair["model"] / WEIGHTS)
    said = differences(pair["model"])
    assert "norm.weight is missing" in said
    assert "quant_embed.weight is unknown" in said
    assert "d_in is unknown" in refused(pair["tokenizer"]).message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_no_numbers_are_all_named(pair, value):
    def edit(tensors: dict[str, Any]) -> None:
        for name in ("norm.weight", "head.proj_s1.bias"):
            tensors[name][3] = value

    change(pair["model"], edit)
    assert differences(pair["model"]) == {
        "norm.weight holds values that are no finite numbers",
        "head.proj_s1.bias holds values that are no finite numbers",
    }


def test_constants_that_are_others_are_named(pair):
    change(pair["model"], lambda tensors: tensors["transformer.0.self_attn.rotary.inv_freq"].mul_(1.5))
    change(pair["tokenizer"], lambda tensors: tensors["tokenizer.bsq.basis"].add_(1))
    expected = "transformer.0.self_attn.rotary.inv_freq is not the constant that belongs there"
    assert differences(pair["model"]) == {expected}
    assert differences(pair["tokenizer"], "tokenizer") == {"tokenizer.bsq.basis is not the constant that belongs there"}


# --- files that lie ---------------------------------------------------------------------------------------------------


def test_a_truncated_file_is_refused_wherever_it_ends(pair):
    payload = (pair["model"] / WEIGHTS).read_bytes()
    size = struct.unpack("<Q", payload[:8])[0]
    for length in (0, 1, 7, 8, 9, 8 + size // 2, 8 + size, 9 + size, len(payload) // 2, len(payload) - 1):
        (pair["model"] / WEIGHTS).write_bytes(payload[:length])
        assert "is truncated" in refused(pair["model"]).message, length


def test_bytes_after_the_end_are_refused(pair):
    with (pair["model"] / WEIGHTS).open("ab") as file:
        file.write(b"more")
    assert differences(pair["model"]) == {"4 bytes follow the last tensor"}


def test_a_header_that_lies_about_sizes_is_refused_with_every_lie(pair):
    def edit(header: dict[str, Any]) -> None:
        header["norm.weight"]["shape"] = [17]
        header["head.proj_s1.bias"]["data_offsets"][0] += 4

    reheaded(pair["model"], edit)
    assert differences(pair["model"]) == {
        "norm.weight has 64 bytes, F32 of [17] needs 68",
        "head.proj_s1.bias has 60 bytes, F32 of [16] needs 64",
    }


def test_tensors_that_share_bytes_are_refused(pair):
    reheaded(pair["model"], lambda header: header["norm.weight"].update(header["head.proj_s1.bias"]))
    error = refused(pair["model"])
    assert "is not true of the file" in error.message
    assert any(
        "norm.weight begins at byte" in one or "was to be its first" in one for one in error.detail["differences"]
    )


@pytest.mark.parametrize(
    "said",
    [
        None,
        7,
        [],
        {},
        {"dtype": "F32", "shape": [16]},
        {"dtype": "F32", "shape": 16, "data_offsets": [0, 64]},
        {"dtype": "F32", "shape": [16], "data_offsets": ["0", "64"]},
        {"dtype": "F32", "shape": [16], "data_offsets": [0, 64, 128]},
        {"dtype": "F32", "shape": [-16], "data_offsets": [0, 64]},
        {"dtype": "F32", "shape": [16], "data_offsets": [-64, 0]},
        {"dtype": "F32", "shape": [16.0], "data_offsets": [0, 64]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 64]},
        {"dtype": 5, "shape": [16], "data_offsets": [0, 64]},
    ],
)
def test_a_header_that_says_nonsense_is_refused(pair, said):
    reheaded(pair["model"], lambda header: header.update({"norm.weight": said}))
    assert "is no safetensors file: its header says" in refused(pair["model"]).message


@pytest.mark.parametrize(
    "text, said",
    [
        (b"not json", "is no JSON"),
        (b"[]", "holds no object"),
        (b"\xff\xfe", "is no JSON"),
        (b'{"a": {"dtype": "F32"}, "a": 1}', "stands there twice"),
        (b"[" * 200_000, "is no JSON"),
    ],
)
def test_a_header_that_is_no_object_is_refused(pair, text, said):
    (pair["model"] / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text)
    assert said in refused(pair["model"]).message


def test_a_header_of_any_length_that_a_file_claims_is_refused(pair):
    for size in (100_000_001, 2**63, 2**64 - 1):
        (pair["model"] / WEIGHTS).write_bytes(struct.pack("<Q", size) + b"x" * 100)
        assert "is no safetensors file" in refused(pair["model"]).message


def test_a_file_damaged_anywhere_is_refused_or_is_another(pair):
    """A bit flipped in the header is refused; flipped in a weight it makes other weights, of another SHA-256."""
    payload = (pair["model"] / WEIGHTS).read_bytes()
    before = load_model(pair["model"]).sha256
    for at in np.random.default_rng(0).integers(0, len(payload), 60):
        broken = bytearray(payload)
        broken[at] ^= 1 << (at % 8)
        (pair["model"] / WEIGHTS).write_bytes(bytes(broken))
        try:
            loaded = load_model(pair["model"])
        except Invalid:
            continue
        assert loaded.sha256 != before


# --- pickles ----------------------------------------------------------------------------------------------------------


class Exploit:
    """Unpickling it creates a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("form", ["protocol 2", "protocol 3", "protocol 4", "protocol 5", "protocol 0", "zip", "torch"])
def test_nothing_of_a_pickle_is_executed_whatever_its_name(pair, tmp_path, form):
    marker = tmp_path / "executed"
    path = pair["model"] / WEIGHTS
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Exploit(marker)))
    elif form == "torch":
        torch.save({"norm.weight": Exploit(marker)}, path)
    else:
        path.write_bytes(pickle.dumps(Exploit(marker), protocol=int(form[-1])))
    error = refused(pair["model"])
    assert not marker.exists()
    if form != "protocol 0":
        assert "is a pickle, not safetensors; it was not opened" in error.message
    stolen = io.BytesIO(path.read_bytes())
    if form.startswith("protocol"):
        pickle.load(stolen)
        assert marker.exists()  # so it would have been


def test_a_pickle_beside_is_named_and_not_opened(pair, tmp_path):
    (pair["model"] / WEIGHTS).unlink()
    marker = tmp_path / "executed"
    (pair["model"] / "pytorch_model.bin").write_bytes(pickle.dumps(Exploit(marker)))
    with pytest.raises(Unavailable, match=WEIGHTS) as caught:
        load_model(pair["model"])
    assert "pytorch_model.bin is a pickle and is never opened" in caught.value.hint
    assert not marker.exists()


# --- configs ----------------------------------------------------------------------------------------------------------


def reconfigured(folder: Path, **changed: Any) -> None:
    document = json.loads((folder / CONFIG).read_text()) | changed
    (folder / CONFIG).write_text(json.dumps({name: one for name, one in document.items() if one != "absent"}))


def test_every_fault_of_a_config_is_listed(pair):
    reconfigured(pair["model"], n_layers="absent", d_model="sixteen", learn_te=1, model_type="kronos", n_heads=2.0)
    message = refused(pair["model"]).message
    for said in (
        "n_layers is missing",
        "model_type is unknown",
        "d_model is 'sixteen', expected int",
        "learn_te is 1, expected bool",
        "n_heads is 2.0, expected int",
    ):
        assert said in message


@pytest.mark.parametrize("kind", LOADERS)
def test_every_key_of_a_config_is_wanted_and_typed(pair, kind, tmp_path):
    document = json.loads((pair[kind] / CONFIG).read_text())
    for name in document:
        for value, said in (("absent", f"{name} is missing"), ("text", f"{name} is 'text', expected")):
            folder = tmp_path / "copy"
            shutil.copytree(pair[kind], folder)
            reconfigured(folder, **{name: value})
            assert said in refused(folder, kind).message
            shutil.rmtree(folder)


@pytest.mark.parametrize(
    "kind, changed, said",
    [
        ("model", {"d_model": 0}, "d_model is 0, expected 1 to"),
        ("model", {"n_layers": 10**9}, "n_layers is 1000000000, expected 1 to 1024"),
        ("model", {"ff_dim": 10**12}, "ff_dim is 1000000000000, expected 1 to"),
        ("model", {"n_heads": 3}, "does not part into 3 even slices"),
        ("model", {"d_model": 20, "n_heads": 2}, "heads of the dependency layer"),
        ("model", {"s1_bits": 21}, "more than 2^20 tokens"),
        ("model", {"ffn_dropout_p": 1.5}, "ffn_dropout_p is 1.5"),
        ("model", {"ffn_dropout_p": float("nan")}, "ffn_dropout_p is nan"),
        ("tokenizer", {"d_in": 5}, "d_in is 5, the features of a bar are 6"),
        ("tokenizer", {"group_size": 3}, "does not divide the 8 bits"),
        ("tokenizer", {"n_enc_layers": 0}, "n_enc_layers is 0"),
        ("tokenizer", {"beta": float("inf")}, "beta is no finite number"),
    ],
)
def test_sizes_that_contradict_themselves_are_refused(pair, kind, changed, said):
    reconfigured(pair[kind], **changed)
    assert said in refused(pair[kind], kind).message


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"d_model": 1, "d_model": 2}'])
def test_a_config_that_is_no_object_is_refused(pair, text):
    (pair["model"] / CONFIG).write_text(text)
    assert re.search("is no JSON|holds no object", refused(pair["model"]).message)


def test_a_config_of_other_sizes_than_its_weights_is_refused(pair):
    reconfigured(pair["model"], n_layers=3, ff_dim=32)
    said = differences(pair["model"])
    assert "transformer.2.norm1.weight is missing" in said
    assert "transformer.0.ffn.w1.weight has shape [24, 16], expected [32, 16]" in said


def test_a_folder_that_lacks_a_file_says_which(pair, tmp_path):
    (pair["model"] / CONFIG).unlink()
    with pytest.raises(Unavailable, match=r"config\.json: No such file"):
        load_model(pair["model"])
    with pytest.raises(Unavailable, match="no checkpoint in") as caught:
        load_model(tmp_path / "nowhere")
    assert "Kronos-mini" in caught.value.hint


# --- which tokenizer --------------------------------------------------------------------------------------------------


def test_a_tokenizer_of_other_bits_is_refused(pair, tmp_path):
    save(tiny_tokenizer(s1_bits=5, s2_bits=5, group_size=5), tmp_path / "other")
    with pytest.raises(Invalid, match=r"a model of 4 \+ 4 bits with a tokenizer of 5 \+ 5"):
        load_kronos(pair["model"], tmp_path / "other")


def test_a_model_that_names_its_tokenizer_takes_no_other(tmp_path):
    sha256 = save(tiny_tokenizer(1), tmp_path / "right")
    save(tiny_tokenizer(2), tmp_path / "wrong")
    save(tiny_model(), tmp_path / "model", tokenizer_sha256=sha256)
    load_kronos(tmp_path / "model", tmp_path / "right")
    with pytest.raises(Invalid, match="is not the one of the model") as caught:
        load_kronos(tmp_path / "model", tmp_path / "wrong")
    assert caught.value.detail["expected_sha256"] == sha256


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tokenizer_sha256": 5}', '{"tokenizer_sha256": "short"}'])
def test_a_damaged_note_of_the_tokenizer_is_refused(pair, text):
    (pair["model"] / "gnomon.json").write_text(text)
    with pytest.raises(Invalid, match=r"gnomon\.json"):
        load_kronos(pair["model"], pair["tokenizer"])


def test_a_published_model_takes_the_tokenizer_of_its_hash_alone(pair, tmp_path, monkeypatch):
    right = saved(tmp_path / "right", tiny_tokenizer(1), "Right")
    wrong = saved(tmp_path / "wrong", tiny_tokenizer(2), "Wrong")
    model = saved(tmp_path / "published", tiny_model(), "Model", tokenizer="Right")
    for one in (right, wrong, model):
        monkeypatch.setitem(PUBLISHED, one.name, one)
    load_kronos(tmp_path / "published", tmp_path / "right")
    with pytest.raises(Invalid, match="is not the one of the model") as caught:
        load_kronos(tmp_path / "published", tmp_path / "wrong")
    assert "load Right" in caught.value.hint
    load_kronos(pair["model"], tmp_path / "right")  # the same bytes elsewhere are the same model
    with pytest.raises(Invalid):
        load_kronos(pair["model"], tmp_path / "wrong")


def test_a_model_of_a_published_size_takes_no_tokenizer_of_another_published_size(tmp_path, monkeypatch):
    """A fine-tuned one has no known hash, but its sizes tell whose it is."""
    right = saved(tmp_path / "right", tiny_tokenizer(), "Right")
    wrong = saved(tmp_path / "wrong", tiny_tokenizer(group_size=2), "Wrong")
    model = saved(tmp_path / "model", tiny_model(1), "Model", tokenizer="Right")
    for one in (right, wrong, model):
        monkeypatch.setitem(PUBLISHED, one.name, one)
    save(tiny_model(2), tmp_path / "tuned")
    load_kronos(tmp_path / "tuned", tmp_path / "right")
    with pytest.raises(Invalid, match="a model of the size of Model with Wrong"):
        load_kronos(tmp_path / "tuned", tmp_path / "wrong")


# --- by name ----------------------------------------------------------------------------------------------------------


def test_a_fetched_checkpoint_is_held_against_its_hash_when_it_is_loaded(tmp_path):
    model, tokenizer = installed(tmp_path)
    assert load_model(fetched(model)).known_as == model
    assert held(model).state == held(tokenizer).state == "ok"
    save(tiny_model(9), folder_of(model))
    with pytest.raises(Invalid, match="is not the file of") as caught:
        load_model(fetched(model))
    assert caught.value.hint == f"gnomon weights fetch {model.name}"
    assert held(model).state == "damaged"


@pytest.mark.parametrize("name", ["Kronos-mini", "NeoQuasar/Kronos-mini"])
def test_a_published_name_is_looked_for_at_its_pinned_revision(name, tmp_path):
    with pytest.raises(Unavailable, match="the weights of Kronos-mini are not on this machine") as caught:
        find(name)
    assert caught.value.hint == "gnomon weights fetch Kronos-mini"
    one = published(name)
    assert caught.value.detail == {"hf_id": one.hf_id, "revision": one.revision}
    folder = tmp_path / "home" / "weights" / "Kronos-mini" / one.revision
    save(tiny_model(), folder)
    assert find(name) == Found(folder, one)
    with pytest.raises(Invalid, match="is not the file of Kronos-mini"):
        load_model(name)


def test_a_folder_of_a_published_name_is_that_folder(tmp_path, monkeypatch):
    save(tiny_model(), tmp_path / "Kronos-mini")
    monkeypatch.chdir(tmp_path)
    assert find("Kronos-mini") == Found(Path("Kronos-mini"))


def test_an_unknown_published_name_is_answered_with_the_nearest():
    with pytest.raises(NotFound) as caught:
        published("Kronos-mni")
    assert "Kronos-mini" in caught.value.hint


@pytest.mark.parametrize("one", PUBLISHED.values(), ids=PUBLISHED)
def test_the_sizes_of_a_published_checkpoint_have_its_count_of_parameters(one):
    from gnomon.forecast.kronos.model import KronosModel
    from gnomon.forecast.kronos.tokenizer import KronosTokenizer

    assert one.config.faults() == []
    with torch.device("meta"):
        network = KronosModel(one.config) if isinstance(one.config, ModelConfig) else KronosTokenizer(one.config)
    assert sum(each.numel() for each in network.parameters()) == one.parameters
    assert type(one.config).of(one.config.document()) == one.config
    assert isinstance(one.config, TokenizerConfig) == (not one.tokenizer)


# --- to and from the reference ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> Any:
    return pytest.importorskip("kronos_finance._vendor.kronos_model.kronos", reason="the reference package, tests only")


def past_and_future(rows: int = 40, horizon: int = 6) -> tuple[Any, Any, Any]:
    import pandas as pd

    luck = np.random.default_rng(3)
    close = 50 * np.exp(np.cumsum(luck.normal(0, 0.01, rows)))
    frame = pd.DataFrame({"open": close * 0.999, "high": close * 1.01, "low": close * 0.99, "close": close})
    frame["volume"], frame["amount"] = luck.lognormal(3, 1, rows), luck.lognormal(7, 1, rows)
    times = pd.Series(pd.date_range("2024-02-27 20:00", periods=rows + horizon, freq="h"))
    return frame, times[:rows], times[rows:].reset_index(drop=True)


def greedy(kronos: Kronos) -> np.ndarray:
    frame, past, future = past_and_future()
    paths = kronos.sample(frame.set_index(past.to_numpy()), future, samples=1, top_k=1, seed=1)
    return paths[0]


def reference_greedy(reference: Any, model: Any, tokenizer: Any, max_context: int) -> np.ndarray:
    frame, past, future = past_and_future()
    predictor = reference.KronosPredictor(model.eval(), tokenizer.eval(), device="cpu", max_context=max_context)
    columns = ["open", "high", "low", "close", "volume", "amount"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reads calendars in ways that pandas will not know much longer
        said = predictor.predict(frame, past, future, len(future), top_k=1, top_p=1.0, sample_count=1, verbose=False)
    return said[columns].to_numpy()


@pytest.mark.parametrize("learn_te", [True, False])
def test_the_reference_loads_what_we_save_and_forecasts_the_same(reference, tmp_path, learn_te):
    save(tiny_model(3, learn_te=learn_te), tmp_path / "model", tokenizer_sha256="0" * 64)
    (tmp_path / "model" / "gnomon.json").unlink()
    save(tiny_tokenizer(4), tmp_path / "tokenizer")
    theirs = reference_greedy(
        reference,
        reference.Kronos.from_pretrained(str(tmp_path / "model")),
        reference.KronosTokenizer.from_pretrained(str(tmp_path / "tokenizer")),
        48,
    )
    ours = greedy(load_kronos(tmp_path / "model", tmp_path / "tokenizer", 48))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


def test_we_load_what_the_reference_saves_and_forecast_the_same(reference, tmp_path):
    torch.manual_seed(8)
    model = reference.Kronos(**tiny_model().config.document())
    tokenizer = reference.KronosTokenizer(**tiny_tokenizer().config.document())
    model.save_pretrained(str(tmp_path / "model"))
    tokenizer.save_pretrained(str(tmp_path / "tokenizer"))
    ours = greedy(load_kronos(tmp_path / "model", tmp_path / "tokenizer", 48))
    np.testing.assert_allclose(ours, reference_greedy(reference, model, tokenizer, 48), rtol=1e-5, atol=1e-4)


def test_one_file_serves_both_to_the_byte(reference, tmp_path):
    """What the reference loads of ours and saves again has the same tensors and the same config."""
    save(tiny_model(3), tmp_path / "ours")
    reference.Kronos.from_pretrained(str(tmp_path / "ours")).save_pretrained(str(tmp_path / "theirs"))
    ours, theirs = (load_file(tmp_path / name / WEIGHTS) for name in ("ours", "theirs"))
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert json.loads((tmp_path / "theirs" / CONFIG).read_text()) == json.loads(
        (tmp_path / "ours" / CONFIG).read_text()
    )


def test_a_series_drawn_from_a_saved_kronos_is_the_one_drawn_before(tmp_path):
    model, tokenizer = tiny_model(3), tiny_tokenizer(4)
    save(model, tmp_path / "model")
    save(tokenizer, tmp_path / "tokenizer")
    luck = np.random.default_rng(0)
    bars = np.abs(luck.normal(100, 1, (60, 6)))
    series = Series(bars, np.arange(70) * 3_600_000_000_000, "key")
    first, second = (
        one.draw([series], Sampling(samples=3), 1)[0].paths
        for one in (
            Kronos(model, tokenizer, max_context=48),
            load_kronos(tmp_path / "model", tmp_path / "tokenizer", 48),
        )
    )
    assert first.tobytes() == second.tobytes()
