"""Published checkpoints brought to this machine: from the Hub at a pinned revision, or from a folder of copied files.

Whichever way they come, their SHA-256 is checked, and a checkpoint is there whole or not at all.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gnomon.errors import GnomonError, Invalid, NotFound, Refused, Unavailable
from gnomon.forecast.kronos.config import PUBLISHED, Checkpoint
from gnomon.forecast.kronos.shelf import FILES, Held, faults_of, folder_of, held, home

ENDPOINT: Final = "https://huggingface.co"

Bring = Callable[[Checkpoint, Path], None]
"""Puts the files of a checkpoint into a folder."""


def with_tokenizers(checkpoints: Iterable[Checkpoint], known: Iterable[Checkpoint] = ()) -> list[Checkpoint]:
    """Checkpoints, each model after its tokenizer, none twice."""
    by_name = {one.name: one for one in (*PUBLISHED.values(), *known)}
    found: dict[str, Checkpoint] = {}
    for one in checkpoints:
        for each in (by_name[one.tokenizer], one) if one.tokenizer else (one,):
            found.setdefault(each.name, each)
    return list(found.values())


def fetch(checkpoint: Checkpoint) -> Held:
    """Download a checkpoint, unless it is here. `HF_ENDPOINT` names another Hub, `HF_TOKEN` who asks.

    Raises `NotFound` where the Hub has no such file, `Refused` where it asks for another token, `Unavailable` where it
    cannot be reached or breaks off, `Invalid` where what came is not what was published.
    """
    return _put(checkpoint, _download)


def take(checkpoint: Checkpoint, source: Path) -> Held:
    """Copy a checkpoint from a folder, or from one of its name in it; with the checks of a download."""
    return _put(checkpoint, lambda one, folder: _copy(one, source, folder))


def _put(checkpoint: Checkpoint, bring: Bring) -> Held:
    if (before := held(checkpoint)).state == "ok":
        return before  # a home that only others may write will do
    with _alone(checkpoint):
        if (before := held(checkpoint)).state == "ok":
            return before
        staging = home() / checkpoint.name / ".part"
        shutil.rmtree(staging, ignore_errors=True)  # what a killed process left
        staging.mkdir(parents=True)
        try:
            bring(checkpoint, staging)
            faults = faults_of(staging, checkpoint)
            if faults:
                raise Invalid(
                    f"what came is not {checkpoint.name} at revision {checkpoint.revision}: {'; '.join(faults)}",
                    hint="nothing was kept; try again, or from another place (--from FOLDER)",
                    detail={"differences": list(faults)},
                )
            _publish(checkpoint, staging)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return held(checkpoint)


def _publish(checkpoint: Checkpoint, staging: Path) -> None:
    """The two files and nothing else, in place at once."""
    whole = staging / "whole"
    whole.mkdir()
    for name in FILES:
        moved = (staging / name).replace(whole / name)
        with moved.open("rb") as file:
            os.fsync(file.fileno())
    folder = folder_of(checkpoint)
    if folder.exists():  # damaged: it makes room first
        folder.replace(staging / "damaged")
    whole.replace(folder)


@contextmanager
def _alone(checkpoint: Checkpoint) -> Iterator[None]:
    """One process at a time brings a checkpoint; the others find it there."""
    folder = home() / checkpoint.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed
            yield
    except OSError as error:
        raise Unavailable(
            f"{folder} cannot be written: {error}", hint="GNOMON_HOME names where weights are kept"
        ) from None


# --- from a folder ----------------------------------------------------------------------------------------------------


def _copy(checkpoint: Checkpoint, source: Path, folder: Path) -> None:
    source = source.expanduser()
    place = next((one for one in _places(checkpoint, source) if all((one / name).is_file() for name in FILES)), None)
    if place is None:
        missing = ", ".join(name for name in FILES if not (source / name).is_file())
        raise NotFound(
            f"no {checkpoint.name} in {source}: {missing or 'both files'} missing",
            hint=f"a folder with {' and '.join(FILES)}, or one that holds such a folder named {checkpoint.name}",
        )
    for name in FILES:
        try:
            shutil.copyfile(place / name, folder / name)
        except OSError as error:
            raise Unavailable(f"{place / name} could not be copied: {error}", hint="mend it and try again") from None
    if place == source and (faults := faults_of(folder, checkpoint)):
        raise Invalid(
            f"the files in {source} are not {checkpoint.name} at revision {checkpoint.revision}: {'; '.join(faults)}",
            hint=f"for several checkpoints, a folder of its name each: {source / checkpoint.name}",
            detail={"differences": list(faults)},
        )


def _places(checkpoint: Checkpoint, source: Path) -> tuple[Path, ...]:
    """By name, by Hub id, as in another home, as in a cache of the Hub's client, and the folder itself."""
    cached = f"models--{checkpoint.hf_id.replace('/', '--')}"
    return (
        source / checkpoint.name,
        source / checkpoint.hf_id,
        source / checkpoint.name / checkpoint.revision,
        source / cached / "snapshots" / checkpoint.revision,
        source,
    )


# --- from the Hub -----------------------------------------------------------------------------------------------------


def _download(checkpoint: Checkpoint, folder: Path) -> None:
    try:
        from huggingface_hub import hf_hub_download
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed", hint="pip install 'gnomon[kronos]'") from None
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or ENDPOINT
    for name in FILES:
        try:
            hf_hub_download(checkpoint.hf_id, name, revision=checkpoint.revision, local_dir=folder, endpoint=endpoint)
        except (OSError, ValueError) as error:
            raise _explained(error, f"{checkpoint.hf_id}/{name} at {checkpoint.revision}", endpoint) from None


def _explained(error: Exception, what: str, endpoint: str) -> GnomonError:
    """An error of the Hub's client as one of our tree."""
    status = _status(error)
    if status in (401, 403):
        return Refused(
            f"{endpoint} does not give {what} to us ({status})",
            hint="set HF_TOKEN to a token that may read it; a repository that is not there is answered the same way",
        )
    if status == 404:
        return NotFound(f"{endpoint} has no {what}", hint="HF_ENDPOINT may name a mirror that lacks it")
    said = f"status {status}" if status else (str(error).strip().splitlines() or [type(error).__name__])[0]
    return Unavailable(
        f"{what} could not be downloaded from {endpoint}: {said}",
        hint="try again; or copy the files here by other means and use --from FOLDER",
    )


def _status(error: BaseException | None) -> int | None:
    """The status that the Hub answered with, in the error or in those it came of."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return int(response.status_code)
        error = error.__cause__ or error.__context__
    return None
