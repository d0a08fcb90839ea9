"""Bars in, paths out: the golden forecasts, the reference package, and what a caller may rely on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.forecast.kronos.conftest import Golden, bars, networks

from gnomon.errors import Exhausted, Invalid, Unavailable
from gnomon.forecast.kronos import kronos as kronos_module
from gnomon.forecast.kronos import load_kronos
from gnomon.forecast.kronos.bars import Normalised, series_of
from gnomon.forecast.kronos.generate import Prompt, decode, draw
from gnomon.forecast.kronos.kronos import Kronos, Sampling, device_of
from gnomon.forecast.kronos.packed import PackedDecoder, PackedModel
from gnomon.forecast.kronos.sampling import ReferenceLuck
from gnomon.forecast.kronos.window import Rules

CASES = (
    *("greedy_a", "greedy_b", "greedy_c", "greedy_d", "greedy_batch", "greedy_novol", "greedy_noamt"),
    *("sample_a", "sample_b", "sample_batch"),
)

Frames = Callable[..., tuple[pd.DataFrame, pd.DatetimeIndex]]


# --- golden ----------------------------------------------------------------------------------------------------------


def of_case(golden: Golden, name: str) -> tuple[dict[str, Any], list[pd.DataFrame], list[pd.Series]]:
    case = golden.meta["cases"][name]
    past, ahead = case["lookback"], case["pred_len"]
    whole = [golden.frame(row, past + ahead, case.get("columns")) for row in case["rows"]]
    return case, [one.iloc[:past] for one in whole], [one["timestamps"].iloc[past:] for one in whole]


@pytest.mark.parametrize("name", CASES)
def test_the_golden_bars_give_the_golden_forecasts(golden: Golden, name: str) -> None:
    case, frames, future = of_case(golden, name)
    kronos = load_kronos(golden.folder / "model", golden.folder / "tokenizer", golden.meta["max_context"])
    paths = kronos.sample(
        frames,
        future,
        samples=case["sample_count"],
        top_k=case["top_k"],
        top_p=case["top_p"],
        temperature=case["T"],
        seed=case.get("torch_seed") or 0,
        seed_order="reference",
    )
    for at, (frame, times) in enumerate(zip(frames, future, strict=True)):
        normalised = Normalised.of(series_of(frame, times).bars)
        assert np.array_equal(normalised.x, golden.arrays[f"{name}.x_norm"][at])
        wanted = golden.arrays[f"{name}.forecast"][at]
        allowed = 1e-5 * (normalised.std + 1e-5) + 1e-6 * np.abs(wanted)
        assert (np.abs(paths[at].mean(0) - wanted) <= allowed).all()


@pytest.mark.parametrize("name", CASES)
def test_every_golden_token_and_path_is_equal(golden: Golden, name: str) -> None:
    case, frames, future = of_case(golden, name)
    model, tokenizer = (
        one
        for kronos in [load_kronos(golden.folder / "model", golden.folder / "tokenizer", golden.meta["max_context"])]
        for one in (kronos._model, kronos._tokenizer)
    )
    rows = golden["input.stamps"]
    past, ahead = case["lookback"], case["pred_len"]
    prompts = []
    with torch.inference_mode():
        for at, row in enumerate(case["rows"]):
            s1, s2 = tokenizer.encode(golden[f"{name}.x_norm"][at].unsqueeze(0))
            assert torch.equal(s1[0], golden[f"{name}.ctx_s1"][at])
            assert torch.equal(s2[0], golden[f"{name}.ctx_s2"][at])
            prompts.append(Prompt(s1[0], s2[0], rows[row : row + past + ahead]))
        filters = {"temperature": case["T"], "top_k": case["top_k"], "top_p": case["top_p"]}
        rules = Rules(ahead, golden.meta["max_context"], **filters)
        luck = ReferenceLuck(case.get("torch_seed") or 0, len(prompts) * case["sample_count"])
        s1, s2 = draw(PackedModel(model, "float32"), prompts, case["sample_count"], rules, luck)
        assert torch.equal(s1, golden[f"{name}.gen_s1"])
        assert torch.equal(s2, golden[f"{name}.gen_s2"])
        decoder = PackedDecoder(tokenizer)
        for at, prompt in enumerate(prompts):
            found = decode(decoder, prompt, s1[at], s2[at], golden.meta["max_context"])
            assert torch.allclose(found, golden[f"{name}.paths_norm"][at], atol=1e-5)
    assert len(frames) == len(future)


# --- the reference package -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference() -> Any:
    return pytest.importorskip("kronos_finance._vendor.kronos_model.kronos", reason="the reference is a test's extra")


def theirs(
    reference: Any, model: Any, tokenizer: Any, table: pd.DataFrame, past: int, context: int, **options: Any
) -> Any:
    """The reference's forecast with our weights: the mean of its paths."""
    of_model = reference.Kronos(**asdict(model.config))
    of_model.load_state_dict(model.state_dict())
    of_tokenizer = reference.KronosTokenizer(**asdict(tokenizer.config))
    of_tokenizer.load_state_dict(tokenizer.state_dict())
    predictor = reference.KronosPredictor(of_model.eval(), of_tokenizer.eval(), device="cpu", max_context=context)
    times = pd.Series(table.index)
    torch.manual_seed(options.pop("seed"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks pandas for what pandas will drop
        found = predictor.predict(
            table.iloc[:past],
            times.iloc[:past],
            times.iloc[past:],
            pred_len=len(table) - past,
            sample_count=options.pop("samples"),
            T=options.pop("temperature", 1.0),
            verbose=False,
            **{"top_k": 0, "top_p": 1.0} | options,
        )
    return found[["open", "high", "low", "close", "volume", "amount"]].to_numpy()


def assert_as_near_as_floats_are(found: Any, wanted: Any, past: pd.DataFrame) -> None:
    """Within rounding in normalised units, and within that of prices: another token would move a bar by far more."""
    scale = Normalised.of(past.to_numpy()).std
    assert (np.abs(found - wanted) <= 1e-4 * (scale + 1e-5) + 1e-6 * np.abs(wanted)).all()


@pytest.mark.slow
@settings(
    deadline=None, max_examples=12, derandomize=True
)  # two float32 sums may differ in a sign once in a long while
@given(
    heads=st.sampled_from([1, 2, 4]),
    width=st.sampled_from([16, 32]),
    layers=st.integers(1, 3),
    bits=st.integers(2, 6),
    group=st.sampled_from([1, 2]),
    past=st.integers(4, 40),
    ahead=st.integers(1, 8),
    context=st.sampled_from([16, 24, 64]),
    samples=st.integers(1, 3),
    filters=st.sampled_from([{"top_p": 0.9}, {"top_p": 0.6}, {"top_k": 3}, {"temperature": 0.7}, {}]),
    learn_te=st.booleans(),
    seed=st.integers(0, 1_000),
)
def test_whatever_the_sizes_the_forecast_is_that_of_the_reference(reference: Any, **given_: Any) -> None:
    bits = {"s1_bits": given_["bits"], "s2_bits": given_["bits"]}
    sizes = {"d_model": given_["width"], "n_heads": given_["heads"], "n_layers": given_["layers"]}
    model, tokenizer = networks(
        given_["seed"],
        model=bits | sizes | {"learn_te": given_["learn_te"]},
        tokenizer=bits | {"group_size": given_["group"]},
    )
    past, context = given_["past"], given_["context"]
    table = bars(past + given_["ahead"], given_["seed"])
    options = {"samples": given_["samples"], "seed": given_["seed"], "top_p": 1.0} | given_["filters"]
    paths = Kronos(model, tokenizer, max_context=context).sample(
        table.iloc[:past], table.index[past:], seed_order="reference", **options
    )
    wanted = theirs(reference, model, tokenizer, table, past, context, **options)
    assert_as_near_as_floats_are(paths.mean(0), wanted, table.iloc[:past])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "past", "ahead", "context", "samples"),
    [
        ("mini", 120, 8, 512, 3),
        ("mini", 128, 5, 128, 2),
        ("small", 60, 6, 512, 2),
        ("small", 70, 5, 64, 1),
    ],
)
def test_at_true_sizes_the_forecast_is_that_of_the_reference(
    reference: Any, size: str, past: int, ahead: int, context: int, samples: int
) -> None:
    from gnomon.forecast.kronos.config import PUBLISHED
    from gnomon.forecast.kronos.model import KronosModel
    from gnomon.forecast.kronos.tokenizer import KronosTokenizer

    known = PUBLISHED[f"Kronos-{size}"]
    torch.manual_seed(3)
    model: Any = KronosModel(known.config).eval()
    tokenizer: Any = KronosTokenizer(PUBLISHED[known.tokenizer].config).eval()
    table = bars(past + ahead, 4)
    options: dict[str, Any] = {"samples": samples, "seed": 9, "top_p": 0.9}
    kronos = Kronos(model, tokenizer, max_context=context)
    paths = kronos.sample(table.iloc[:past], table.index[past:], seed_order="reference", **options)
    wanted = theirs(reference, model, tokenizer, table, past, context, **options)
    assert_as_near_as_floats_are(paths.mean(0), wanted, table.iloc[:past])


# --- what a caller may rely on ---------------------------------------------------------------------------------------


def test_a_frame_gives_paths_and_a_list_gives_a_list(tiny: Kronos, frames: Frames) -> None:
    past, future = frames(30, 6)
    one = tiny.sample(past, future, samples=4, seed=1)
    assert one.shape == (4, 6, 6)
    assert one.dtype == np.float32
    (same,) = tiny.sample([past], [future], samples=4, seed=1)
    assert np.array_equal(one, same)
    assert tiny.sample([], []) == []


def test_a_call_gives_the_same_bytes_twice_and_a_seed_other_paths(tiny: Kronos, frames: Frames) -> None:
    past, future = frames(30, 6)
    first, again = (tiny.sample(past, future, samples=4, seed=1) for _ in range(2))
    assert first.tobytes() == again.tobytes()
    assert not np.array_equal(first, tiny.sample(past, future, samples=4, seed=2))


def test_more_samples_begin_with_the_fewer_and_a_longer_horizon_with_the_shorter(tiny: Kronos, frames: Frames) -> None:
    past, future = frames(20, 12)
    few, many = (tiny.sample(past, future, samples=count, seed=1) for count in (3, 9))
    assert np.allclose(few, many[:3], rtol=1e-5)
    short = tiny.sample(past, future[:5], samples=3, seed=1)
    assert np.allclose(short, few[:, :5], rtol=1e-5)


def test_frames_of_unequal_length_give_what_each_gives_alone_in_any_order(tiny: Kronos, frames: Frames) -> None:
    given_ = [frames(length, 6, seed) for seed, length in enumerate((40, 12, 60, 25, 48))]
    together = tiny.sample([one for one, _ in given_], [one for _, one in given_], samples=3, seed=5)
    for (past, future), paths in zip(given_, together, strict=True):
        alone = tiny.sample(past, future, samples=3, seed=5)
        scale = np.abs(alone).mean((0, 1))
        assert (np.abs(alone - paths) <= 1e-4 * scale).all()


@pytest.mark.parametrize("window", ["exact", "capped", "rolling"])
def test_a_call_in_pieces_gives_what_it_gives_at_once(frames: Frames, window: Any) -> None:
    whole, pieces = (Kronos(*networks(), max_context=32, budget_bytes=size) for size in (1 << 30, 40_000))
    given_ = [frames(length, 6, seed) for seed, length in enumerate((40, 12, 28))]
    call = {"samples": 5, "seed": 5, "window": window}
    answers = [
        one.sample([past for past, _ in given_], [future for _, future in given_], **call) for one in (whole, pieces)
    ]
    for one, other in zip(*answers, strict=True):
        assert (np.abs(one - other) <= 1e-4 * np.abs(one).mean((0, 1))).all()


def test_nothing_of_the_future_bars_but_their_times_is_read(tiny: Kronos, frames: Frames) -> None:
    past, future = frames(30, 6)
    later = tiny.sample(past, future + pd.Timedelta(hours=5), samples=3, seed=1)
    assert not np.array_equal(later, tiny.sample(past, future, samples=3, seed=1))
    assert np.array_equal(later[:, 0], tiny.sample(past, future, samples=3, seed=1)[:, 0])  # stamps are those of inputs


def test_a_tokenizer_without_blocks_decodes_too(frames: Frames) -> None:
    kronos = Kronos(*networks(tokenizer={"n_enc_layers": 1, "n_dec_layers": 1}), max_context=32)
    for samples in (1, 3):
        assert np.isfinite(kronos.sample(*frames(30, 6), samples=samples)).all()


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_lower_precision_moves_the_distribution_little(precision: Any, frames: Frames) -> None:
    """Not token-exact: the distribution of the next coarse token moves by less than a few percent in total."""
    model, _ = networks(2, model={"d_model": 64, "n_layers": 3, "ff_dim": 128})
    past = torch.randint(0, 32, (2, 40), generator=torch.Generator().manual_seed(0))
    stamps = torch.ones(40, 5, dtype=torch.long)
    found = []
    for one in ("float32", precision):
        packed = PackedModel(model, one)
        with torch.inference_mode():
            x = packed.embed(past[0], past[1], packed.calendar(stamps))
            context = packed.context(packed.stack.prefill(x, packed.stack.rotation(40)))
            found.append(torch.softmax(packed.coarse(context), -1))
    moved = 0.5 * (found[0] - found[1]).abs().sum(-1)
    assert 0 < float(moved.mean()) < 0.03
    kronos = Kronos(*networks(), max_context=48, precision=precision)
    paths = kronos.sample(*frames(30, 4), samples=3, seed=1)
    assert np.isfinite(paths).all()


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"samples": 0}, "samples 0"),
        ({"samples": 2.5}, "samples 2.5"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"top_k": -1}, "top_k -1"),
        ({"top_p": 1.5}, "top_p 1.5"),
        ({"window": "sliding"}, "window 'sliding'"),
        ({"seed_order": "theirs"}, "seed_order 'theirs'"),
    ],
)
def test_options_that_mean_nothing_are_refused(
    tiny: Kronos, frames: Frames, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(Invalid, match=said):
        tiny.sample(*frames(30, 6), **options)


def test_a_horizon_that_the_context_cannot_hold_is_refused(tiny: Kronos, frames: Frames) -> None:
    with pytest.raises(Invalid, match="a horizon of 49 bars with a context of 48"):
        tiny.sample(*frames(30, 49), samples=1)
    assert tiny.sample(*frames(30, 48), samples=1).shape == (1, 48, 6)


def test_unequal_horizons_and_unequal_lists_are_refused(tiny: Kronos, frames: Frames) -> None:
    (a, of_a), (b, of_b) = frames(30, 6), frames(20, 5)
    with pytest.raises(Invalid, match="horizons of 5, 6 bars in one call"):
        tiny.sample([a, b], [of_a, of_b])
    with pytest.raises(Invalid, match="2 frames and 1 lists of times"):
        tiny.sample([a, b], [of_a])


def test_a_tokenizer_of_other_tokens_is_refused() -> None:
    model, _ = networks()
    _, other = networks(model={}, tokenizer={"s1_bits": 6, "s2_bits": 4})
    with pytest.raises(Invalid, match=r"a model of 5 \+ 5 bits with a tokenizer of 6 \+ 4"):
        Kronos(model, other)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(Invalid, match="no device 'tpu-9'"):
        device_of("tpu-9")
    if not torch.cuda.is_available():
        with pytest.raises(Unavailable, match="no device 'cuda' on this machine"):
            Kronos(*networks(), device="cuda")


# --- memory ----------------------------------------------------------------------------------------------------------


def _on_cuda() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory")


def _on_the_cpu() -> None:
    torch.empty(1 << 50)  # the allocator's own error


@pytest.mark.parametrize("fail", [_on_cuda, _on_the_cpu])
def test_a_piece_that_does_not_fit_is_halved_until_it_does_and_the_answer_says_so(
    frames: Frames, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], None]
) -> None:
    """A device whose memory ends at six paths."""
    kronos = Kronos(*networks(), max_context=48)
    given_ = [series_of(*frames(30, 4, seed)) for seed in range(3)]
    whole = kronos.draw(given_, Sampling(4), 1)
    real = kronos_module.draw
    sizes: list[int] = []

    def limited(model: Any, prompts: Any, samples: int, *rest: Any) -> Any:
        if len(prompts) * samples > 6:
            fail()
        sizes.append(len(prompts) * samples)
        return real(model, prompts, samples, *rest)

    monkeypatch.setattr(kronos_module, "draw", limited)
    halved = kronos.draw(given_, Sampling(4), 1)
    assert sum(sizes) == 12
    assert max(sizes) <= 6
    for one, other in zip(whole, halved, strict=True):
        assert np.allclose(one.paths, other.paths, rtol=1e-4, atol=1e-4)
        assert one.notes == ()
        assert other.notes == ("memory ran out on cpu: drawn in smaller pieces",)


def test_another_error_of_pytorch_is_no_lack_of_memory(frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        return torch.zeros(2, 3) @ torch.zeros(2, 3)

    monkeypatch.setattr(kronos_module, "draw", broken)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        Kronos(*networks(), max_context=48).sample(*frames(30, 4), samples=3)


def test_the_reference_order_takes_series_of_one_length(tiny: Kronos, frames: Frames) -> None:
    (a, of_a), (b, of_b) = frames(20, 6), frames(30, 6)
    with pytest.raises(Invalid, match="the reference draws series of one length"):
        tiny.sample([a, b], [of_a, of_b], samples=1, seed_order="reference")


def test_memory_that_does_not_hold_one_path_is_said(frames: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    kronos = Kronos(*networks(), max_context=48)

    def never(*_: Any) -> Any:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(kronos_module, "draw", never)
    with pytest.raises(Exhausted, match="not enough memory for 1 paths of 4 bars"):
        kronos.sample(*frames(30, 4), samples=3)
