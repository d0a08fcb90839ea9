"""Kronos behind the port: what the port asks of everybody is in `test_conformance`; here is what is its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.forecast.kronos.checkpoints import installed, saved, tiny_forecaster, tiny_model, tiny_tokenizer

from gnomon.errors import Invalid, Unavailable
from gnomon.forecast.forecast import LEVELS
from gnomon.forecast.kronos import forecaster as module
from gnomon.forecast.kronos.bars import Series
from gnomon.forecast.kronos.forecaster import ONE_PATH, STILL, KronosForecaster, field_quantiles
from gnomon.forecast.kronos.kronos import Drawn, Kronos, Sampling
from gnomon.forecast.kronos.repair import repair
from gnomon.forecast.kronos.shelf import folder_of
from gnomon.forecast.kronos.weights import load_kronos, save
from gnomon.store.blocks import PointBars, closes

HORIZON = 6


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("GNOMON_HOME", str(tmp_path / "home"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture
def kronos(folder) -> KronosForecaster:
    return tiny_forecaster(folder, context_bars=64, samples=12)


def drawn_of(kronos: KronosForecaster, folder: Path, context, seed: int = 0, *, lookback: int) -> np.ndarray:
    """The same paths by the Python face alone, uncorrected."""
    bare = load_kronos(folder / "model", folder / "tokenizer", 64)
    key = kronos._series(context, HORIZON).key
    series = Series(
        context.bars[-lookback:], context.local_ns[-lookback - context.horizon :][: lookback + HORIZON], key
    )
    sampling = Sampling(kronos.samples, 1.0, 0, 1.0)
    return bare.draw([series], sampling, seed)[0].paths.astype(np.float64)


def naive_quantile(values: np.ndarray, level: float) -> float:
    """The order statistic at rank (n + 1)·level, linear between two."""
    ordered, rank = sorted(values.tolist()), (len(values) + 1) * level
    if rank <= 1:
        return ordered[0]
    if rank >= len(values):
        return ordered[-1]
    below = int(rank)
    return ordered[below - 1] + (rank - below) * (ordered[below] - ordered[below - 1])


def test_a_forecast_is_the_paths_of_the_model_repaired_and_their_order_statistics(kronos, folder, make_context):
    context = make_context(100, HORIZON)
    (forecast,) = kronos.predict([context], HORIZON, seed=3)
    raw = drawn_of(kronos, folder, context, 3, lookback=64 - HORIZON + 1)
    paths, corrections = repair(raw, context.tick)
    assert forecast.paths is not None
    assert np.array_equal(forecast.paths, paths)
    assert (forecast.n_paths, forecast.paths.shape, forecast.paths.dtype) == (12, (12, HORIZON, 6), np.float64)
    assert forecast.params["corrections"] == corrections.document()
    assert forecast.warnings == (corrections.sentence(),)
    for step in range(HORIZON):
        found = paths[:, step, 3]
        for column, level in enumerate(LEVELS):
            assert forecast.quantiles[step, column] == pytest.approx(naive_quantile(found, level), rel=1e-12)
        ties = float(np.mean(found == context.base_price))
        assert forecast.p_up[step] == pytest.approx(np.mean(found > context.base_price) + ties / 2)


def test_only_the_newest_bars_are_read(kronos, make_context):
    context = make_context(100, HORIZON)
    lookback = kronos.lookback(HORIZON)
    assert lookback == 64 - HORIZON + 1
    first = 100 - lookback
    older = context.bars.copy()
    older[:first] *= 3.0
    (forecast,) = kronos.predict([context], HORIZON)
    (again,) = kronos.predict([replace(context, bars=older)], HORIZON)
    assert forecast.quantiles.tobytes() == again.quantiles.tobytes()
    assert forecast.params["lookback_used_bars"] == lookback
    newer = context.bars.copy()
    newer[first] *= 1.5
    (other,) = kronos.predict([replace(context, bars=newer)], HORIZON)
    assert forecast.quantiles.tobytes() != other.quantiles.tobytes()


def test_wall_clocks_are_those_of_the_context(kronos, make_context):
    """Five hours on another clock move the calendar that the model reads, and nothing else."""
    context = make_context(100, HORIZON)
    moved = replace(context, local_ns=context.local_ns + 5 * 3_600_000_000_000)
    one, other = (kronos.predict([each], HORIZON)[0].quantiles for each in (context, moved))
    assert one.tobytes() != other.tobytes()


def test_a_long_horizon_keeps_fifty_bars(kronos, make_context):
    assert kronos.lookback(64) == 50
    (forecast,) = kronos.predict([make_context(100, 64)], 64)
    assert forecast.params["lookback_used_bars"] == 50
    with pytest.raises(Invalid, match="horizon of 65 bars"):
        kronos.predict([make_context(100, 65)], 65)


def test_a_look_back_of_ones_own_slides(folder, make_context):
    kronos = tiny_forecaster(folder, context_bars=64, samples=4, lookback_bars=90)
    (forecast,) = kronos.predict([make_context(100, HORIZON)], HORIZON)
    assert forecast.params["lookback_used_bars"] == 90
    with pytest.raises(Invalid, match="a look-back of 10 bars"):
        tiny_forecaster(folder, lookback_bars=10)


# --- identity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"samples": 13},
        {"temperature": 0.9},
        {"top_k": 5},
        {"top_p": 0.9},
        {"window": "rolling"},
        {"window": "capped"},
        {"precision": "bfloat16"},
        {"lookback_bars": 60},
    ],
    ids=str,
)
def test_whatever_changes_the_numbers_changes_the_version(kronos, changed):
    assert replace(kronos, **changed).version != kronos.version


def test_other_weights_tokens_or_context_are_another_version(tmp_path):
    one, other = (saved(tmp_path / name, tiny_model(seed), name) for seed, name in enumerate("ab"))
    first, second = (saved(tmp_path / name, tiny_tokenizer(seed), name) for seed, name in enumerate("cd"))
    made = [
        KronosForecaster("k", one, first),
        KronosForecaster("k", other, first),
        KronosForecaster("k", one, second),
        KronosForecaster("k", replace(one, context_bars=1024), first),
    ]
    assert len({each.version for each in made}) == 4


def test_names_places_and_devices_make_no_other_version(kronos, tmp_path, folder):
    import shutil

    shutil.copytree(folder, tmp_path / "moved")
    moved = tiny_forecaster(tmp_path / "moved", "another", context_bars=64, samples=12, device="auto", licence="MIT")
    assert moved.version == kronos.version
    assert moved.traits.licence == "MIT"


def test_params_say_all_that_matters(tmp_path, make_context):
    model, tokenizer = installed(tmp_path, context_bars=64)
    kronos = KronosForecaster("kronos-tiny", model, tokenizer, samples=2, device="cpu")
    (forecast,) = kronos.predict([make_context(60, 2)], 2)
    assert forecast.params == kronos.parameters | {
        "device": "cpu",
        "hf_id": model.hf_id,
        "revision": model.revision,
        "tokenizer": tokenizer.hf_id,
        "tokenizer_revision": tokenizer.revision,
        "lookback_used_bars": 60,
        "corrections": forecast.params["corrections"],
    }
    assert kronos.parameters["weights_sha256"] == model.weights_sha256
    assert forecast.version == kronos.version


def test_a_forecaster_travels_to_another_process(kronos, make_context):
    again = pickle.loads(pickle.dumps(kronos))
    assert again == kronos
    context = make_context(60, 2)
    one, other = (each.predict([context], 2)[0] for each in (kronos, again))
    assert one.quantiles.tobytes() == other.quantiles.tobytes()


# --- what is wrong with a forecast ------------------------------------------------------------------------------------


class Draws:
    """A loaded Kronos that draws what it is told to."""

    device = "cpu"

    def __init__(self, paths: np.ndarray, *notes: str) -> None:
        self.drawn = Drawn(paths.astype(np.float32), notes)

    def draw(self, series, _sampling, _seed) -> list[Drawn]:
        return [self.drawn] * len(series)


def with_paths(kronos: KronosForecaster, monkeypatch, paths: np.ndarray, *notes: str) -> KronosForecaster:
    monkeypatch.setattr(module, "_shared", lambda *_: Draws(paths, *notes))
    return kronos


def test_notes_of_the_memory_are_warnings(kronos, monkeypatch, make_context):
    paths = np.full((12, HORIZON, 6), 900.0)
    context = make_context(100, HORIZON)
    (forecast,) = with_paths(kronos, monkeypatch, paths, "drawn on the CPU").predict([context], HORIZON)
    assert forecast.warnings == ("drawn on the CPU",)
    assert forecast.params["corrections"] == dict.fromkeys(("prices", "highs", "lows", "volumes", "amounts"), 0)


def test_paths_below_zero_become_prices(kronos, monkeypatch, make_context):
    paths = np.full((12, HORIZON, 6), 5.0)
    paths[:7, :, :4] = -1.0
    (forecast,) = with_paths(kronos, monkeypatch, paths).predict([make_context(100, HORIZON, tick=0.01)], HORIZON)
    assert forecast.quantiles.min() == 0.01
    assert forecast.params["corrections"]["prices"] == 7 * HORIZON * 4


def test_a_floor_lies_far_below_the_price(kronos, monkeypatch, make_context):
    """Old adjusted prices may be smaller than today's tick."""
    context = make_context(closes=[0.004 + 1e-5 * (at % 7) for at in range(100)], horizon=HORIZON, tick=0.01)
    (forecast,) = with_paths(kronos, monkeypatch, np.full((12, HORIZON, 6), 0.004)).predict([context], HORIZON)
    assert forecast.params["corrections"]["prices"] == 0


def test_ties_count_half(kronos, monkeypatch, make_context):
    context = make_context(closes=[2.0 + (at % 3) for at in range(100)], horizon=HORIZON)
    paths = np.full((12, HORIZON, 6), context.base_price)
    paths[:3] += 1.0
    (forecast,) = with_paths(kronos, monkeypatch, paths).predict([context], HORIZON)
    assert forecast.p_up.tolist() == [0.25 + 0.75 / 2] * HORIZON


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_paths_that_are_no_numbers_refuse_the_call_by_name(kronos, monkeypatch, make_context, value):
    paths = np.full((12, HORIZON, 6), 900.0)
    paths[3, 2, 4] = value
    with pytest.raises(Invalid, match="test:S0 1h"):
        with_paths(kronos, monkeypatch, paths).predict([make_context(100, HORIZON)], HORIZON)


def test_one_path_and_still_closes_are_told(folder, make_context):
    kronos = tiny_forecaster(folder, context_bars=64, samples=1)
    (forecast,) = kronos.predict([make_context(closes=[2.5] * 100, horizon=HORIZON, tick=0.01)], HORIZON)
    assert {ONE_PATH, STILL} <= set(forecast.warnings)
    assert np.allclose(forecast.quantiles, 2.5, atol=1e-3)


# --- weights ----------------------------------------------------------------------------------------------------------


def test_weights_that_are_not_here_are_unavailable_with_the_command(tmp_path, make_context):
    model, tokenizer = installed(tmp_path)
    kronos = KronosForecaster("kronos-tiny", model, tokenizer)
    for one in (tokenizer, model):
        (folder_of(one) / "config.json").unlink()
        with pytest.raises(Unavailable, match=f"the weights of {one.name} are not on this machine") as caught:
            kronos.predict([make_context(60, 2)], 2)
        assert caught.value.hint == f"gnomon weights fetch {one.name}"


def test_weights_of_another_hash_are_refused(tmp_path, make_context):
    model, tokenizer = installed(tmp_path, seed=5)
    save(tiny_model(77), folder_of(model))
    with pytest.raises(Invalid, match="is not the file of"):
        KronosForecaster("kronos-tiny", model, tokenizer).predict([make_context(60, 2)], 2)


def test_weights_are_read_once_whoever_asks(tmp_path, monkeypatch, make_context):
    import gnomon.forecast.kronos.weights as weights

    model, tokenizer = installed(tmp_path, context_bars=64, seed=6)
    reads = []
    original = weights.load_kronos
    monkeypatch.setattr(weights, "load_kronos", lambda *given, **more: reads.append(1) or original(*given, **more))
    context = make_context(60, 2)
    names = [f"kronos-{number % 2}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda name: KronosForecaster(name, model, tokenizer, samples=2).predict([context], 2), names)
        )
    assert reads == [1]
    assert len({answer[0].quantiles.tobytes() for answer in answers[::2]}) == 1
    assert isinstance(module._shared(*KronosForecaster("k", model, tokenizer)._found(), 64, "cpu", "float32"), Kronos)


WITHOUT_TORCH = """
import sys
sys.modules[sys.argv[1]] = None
from gnomon.errors import Unavailable
from gnomon.forecast.catalog import forecaster
from gnomon.forecast.kronos import forecaster as module
try:
    module._device("auto")
except Unavailable as error:
    print(error.message, "|", error.hint)
print(sorted(set(sys.modules) & {"safetensors", "huggingface_hub", "pandas", "gnomon.forecast.kronos.kronos"}))
"""


@pytest.mark.parametrize("name", ["torch", "safetensors"])
def test_without_the_extra_it_is_named(name):
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, name], capture_output=True, text=True, check=False, timeout=600
    )
    first, second = result.stdout.splitlines()
    assert first == f"{name} is not installed | pip install 'gnomon[kronos]'", result.stderr
    assert second in ("[]", "['safetensors']")


def test_the_catalog_loads_no_torch():
    ask = "import sys, gnomon.forecast.catalog; print('torch' in sys.modules, 'safetensors' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True, timeout=600)
    assert result.stdout.split() == ["False", "False"]


# --- fields, and what the store keeps ---------------------------------------------------------------------------------


def test_quantiles_per_field_are_order_statistics_of_the_paths(kronos, make_context):
    (forecast,) = kronos.predict([make_context(100, HORIZON)], HORIZON)
    fields = field_quantiles(forecast)
    assert fields.shape == (HORIZON, 6, len(LEVELS))
    assert np.array_equal(fields[:, 3], forecast.quantiles)
    assert forecast.paths is not None
    for step in range(HORIZON):
        for column in range(6):
            for at, level in enumerate(LEVELS):
                expected = naive_quantile(forecast.paths[:, step, column], level)
                assert fields[step, column, at] == pytest.approx(expected, rel=1e-12)
    narrow = field_quantiles(forecast, (0.1, 0.9))
    assert np.array_equal(narrow, fields[..., [LEVELS.index(0.1), LEVELS.index(0.9)]])
    for levels in ((), (0.0,), (0.5, 1.0)):
        with pytest.raises(Invalid, match="levels"):
            field_quantiles(forecast, levels)
    for paths in (None, forecast.paths[:, :, 3]):
        with pytest.raises(Invalid, match="drew no paths of all six fields"):
            field_quantiles(replace(forecast, paths=paths))


def test_a_daily_forecast_has_point_bars_and_an_hourly_one_has_none(kronos, make_context):
    (daily,) = kronos.predict([make_context(100, 40, timeframe="1d")], 40)
    bars = PointBars.of(daily)
    assert bars is not None
    assert daily.paths is not None
    assert bars.step.tolist() == list(range(1, 31))
    median = np.median(daily.paths[:, :30, :5], axis=0)
    assert np.array_equal(bars.fields, median)  # medians of possible bars are possible: nothing is left to mend
    assert np.array_equal(closes(daily.paths), daily.paths[:, :, 3])
    (hourly,) = kronos.predict([make_context(100, HORIZON)], HORIZON)
    assert PointBars.of(hourly) is None
