"""One step of a small clip, as every render goes, before a worker takes its first job.

What would fail every job, a GPU that computes nonsense or a library that does not fit, then costs
nobody's attempts. Nothing is stored, and no later render has other bits for it.
"""

import time
from collections.abc import Callable
from typing import Any

from gpu_worker.engine import Model, RenderError
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

CODE = "self_test"


def small(entry: ModelEntry) -> RenderSpec:
    """The smallest clip that the model makes, of the fewest steps.

    Of a compiled model the usual one: the first shape it sees is the one that it is compiled for.
    """
    limits, usual = entry.limits, entry.usual("a red circle", seed=0)
    if entry.compile:
        return usual
    width, height = min(limits.sizes, key=lambda size: size[0] * size[1])
    return RenderSpec(
        model=entry.name,
        prompt=usual.prompt,
        width=width,
        height=height,
        frames=min(limits.frames),
        fps=entry.fps,
        steps=limits.min_steps,
        guidance=usual.guidance,
        seed=usual.seed,
    )


def run(
    model: Model[Any], entry: ModelEntry, *, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Begin, one step, preview, decode; the seconds that it took.

    Raises RenderError, this test's own or the model's.
    """
    spec, began = small(entry), clock()
    state = model.step(model.begin(spec))
    for name, tensor in model.to_tensors(state).items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise _failed(f"a step ended in numbers that are not finite ({name})")
    if not model.preview(state).image:
        raise _failed("the preview is empty")
    shapes, levels = set(), set()
    count = 0
    for frame in model.decode(state):
        count += 1
        shapes.add(tuple(frame.shape))
        levels |= {int(frame.min()), int(frame.max())}
    if (count, shapes) != (spec.frames, {(spec.height, spec.width, 3)}):
        raise _failed(f"{count} frames came, of {sorted(shapes)}")
    if len(levels) == 1:  # numbers that are not finite become one colour
        raise _failed("the clip is of a single colour")
    return clock() - began


def _failed(why: str) -> RenderError:
    return RenderError(CODE, f"{why}.", permanent=False)
