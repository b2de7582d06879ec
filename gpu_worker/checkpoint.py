"""A render between two steps as one safetensors file: from it, it goes on bit for bit.

A file holds the state's tensors, and in its metadata the spec, the step, and the fingerprint of the
machine that it was computed on. No code is ever loaded from one.
"""

import base64
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gpu_worker.engine import Model, RenderError, RenderState, Sprite
from gpu_worker.sheets import Preview
from jobs import telling
from jobs.spec import RenderSpec

logger = logging.getLogger(__name__)

SCHEMA = "1"
MEMORY = "memory"  # in a fingerprint: measures against too little of it, which change no step
COST_SHARE = 0.01  # of the time at most goes into it: of a processor, beside the render's
MIN_SECONDS = 5.0  # between two files, however cheap they are


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What a file holds."""

    spec: RenderSpec
    step: int
    fingerprint: dict[str, str]  # of the machine and the model that it was written on
    tensors: Mapping[str, Any]
    previews: tuple[Preview, ...] = ()  # of the steps so far, for the strip

    def differences(self, fingerprint: Mapping[str, str]) -> list[str]:
        """Names in which a machine differs, so that the same bits cannot be promised."""
        names = (self.fingerprint.keys() | fingerprint.keys()) - {MEMORY}
        return sorted(name for name in names if self.fingerprint.get(name) != fingerprint.get(name))


def write(
    path: Path,
    model: Model[Any],
    state: RenderState,
    spec: RenderSpec,
    previews: Sequence[Preview] = (),
) -> float:
    """Replaces path in one move; a kill leaves the earlier file whole. Raises OSError.

    Returns the processor's seconds that went into waiting for the device: CUDA spins, and the copy
    stands behind the step that was launched before it.
    """
    part = path.with_name(f"{path.name}.part")
    began = time.thread_time()
    tensors = {name: tensor.cpu().contiguous() for name, tensor in model.to_tensors(state).items()}
    waited = time.thread_time() - began
    metadata = {
        "schema": SCHEMA,
        "spec": json.dumps(spec.as_dict()),
        "step": str(state.step),
        "fingerprint": json.dumps(model.fingerprint()),
        # At most 24 of 30 KB. Not tensors: the version before takes only those that it knows.
        "previews": json.dumps([_packed(preview) for preview in previews]),
    }
    try:
        with part.open("wb") as file:
            file.write(save(tensors, metadata))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return waited


def read(path: Path) -> Checkpoint:
    """Raises RenderError when it is no checkpoint of this version."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("schema") != SCHEMA:
                raise _unreadable(path)
            return Checkpoint(
                spec=RenderSpec.from_dict(json.loads(metadata["spec"])),
                step=int(metadata["step"]),
                fingerprint=json.loads(metadata["fingerprint"]),
                tensors={name: file.get_tensor(name) for name in file.keys()},  # noqa: SIM118
                previews=tuple(map(_unpacked, json.loads(metadata.get("previews", "[]")))),
            )
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path) from error


def _packed(preview: Preview) -> dict[str, Any]:
    sprite = preview.sprite
    return {
        "step": preview.step,
        "frames": sprite.frames,
        "tile_width": sprite.tile_width,
        "tile_height": sprite.tile_height,
        "codec": sprite.codec,
        "image": base64.b64encode(sprite.image).decode(),
    }


def _unpacked(packed: dict[str, Any]) -> Preview:
    """Raises KeyError, TypeError or ValueError when it is none."""
    values = dict(packed)
    step, image = int(values.pop("step")), base64.b64decode(values.pop("image"), validate=True)
    return Preview(step=step, sprite=Sprite(image=image, **values))


def _unreadable(path: Path) -> RenderError:
    return RenderError(
        "bad_checkpoint",
        f"{path.name} is no checkpoint that this version can go on from.",
        permanent=False,  # from step 0 it may well work
    )


class NotKept(Exception):
    """A checkpoint could not be stored: it costs the way back, not the render."""


class Keeper:
    """Stores the newest state that was offered, in a thread of its own, as often as it may cost.

    Of two states that wait the newer one is stored. `flush` ends with the last one stored, `close`
    without.
    """

    def __init__(
        self,
        store: Callable[[RenderState], float],
        *,
        min_seconds: float,
        flush_seconds: float | None = None,
    ) -> None:
        """store returns what write returns, and raises NotKept. min_seconds: between two;
        flush_seconds: a flush takes at most."""
        self._store, self._min_seconds, self._flush_seconds = store, min_seconds, flush_seconds
        self._newest: RenderState | None = None
        self._stored: RenderState | None = None
        self._due_from = time.monotonic() + min_seconds
        self._due = threading.Event()
        self._stop = self._closed = False
        self._thread = telling.thread(self._run, name="checkpoint")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def offer(self, state: RenderState) -> None:
        """After a step from which it is possible to go on. Costs the render nothing."""
        self._newest = state
        if time.monotonic() >= self._due_from and not self._due.is_set():
            self._due.set()

    def flush(self) -> None:
        """The last offered state is stored afterwards; nothing can be offered any more."""
        self._stop = True
        self._due.set()
        self._thread.join(self._flush_seconds)

    def close(self) -> None:
        """No other state is stored; returns at once, one that is being stored comes to its end."""
        self._closed = self._stop = True
        self._newest = None
        self._due.set()

    def _run(self) -> None:
        ending = False
        while not ending and not self._closed:
            self._due.wait()
            ending = self._stop
            state = self._newest
            if state is not None and state is not self._stored:
                self._try(state)
            self._due.clear()
            if self._stop and not ending:
                self._due.set()

    def _try(self, state: RenderState) -> None:
        began = time.thread_time()  # waiting for a store or a disk costs the render nothing
        waited = 0.0
        try:
            waited = self._store(state)
        except NotKept as error:
            logger.warning("no checkpoint at step %d (%s)", state.step, error)
        except Exception:
            # A GPU that broke says so to the render as well; this thread has to outlive it.
            logger.exception("no checkpoint at step %d", state.step)
        else:
            self._stored = state
        cost = time.thread_time() - began - waited
        self._due_from = time.monotonic() + max(self._min_seconds, cost / COST_SHARE)


class FileKeeper(Keeper):
    """To one file, replaced each time."""

    def __init__(self, path: Path, model: Model[Any], spec: RenderSpec) -> None:
        super().__init__(self._write, min_seconds=MIN_SECONDS)
        self._path, self._model, self._spec = path, model, spec

    def _write(self, state: RenderState) -> float:
        try:
            return write(self._path, self._model, state, self._spec)
        except OSError as error:
            raise NotKept(str(error.strerror)) from error
