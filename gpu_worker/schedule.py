"""Mochi's linear-quadratic noise schedule."""

from gpu_worker.engine import RenderError

THRESHOLD_NOISE = 0.025  # pipeline_mochi.py: how far the schedule's linear half goes


def sigma_schedule(steps: int) -> list[float]:
    """Noise levels from 1.0 down: steps values, the final 0.0 not among them.

    The first half falls linearly by THRESHOLD_NOISE in all, the rest quadratically.
    Raises RenderError when steps < 2: the linear half would have no step.
    Source: diffusers 0.42.1, pipeline_mochi.py, linear_quadratic_schedule.
    """
    if steps < 2:
        raise RenderError("bad_steps", "Mochi needs at least 2 steps.", permanent=True)
    linear_steps = steps // 2
    quadratic_steps = steps - linear_steps
    gap = linear_steps - THRESHOLD_NOISE * steps
    quadratic = gap / (linear_steps * quadratic_steps**2)
    linear = THRESHOLD_NOISE / linear_steps - 2 * gap / (quadratic_steps**2)
    constant = quadratic * (linear_steps**2)
    falls = [index * THRESHOLD_NOISE / linear_steps for index in range(linear_steps)]
    falls += [
        quadratic * (index**2) + linear * index + constant for index in range(linear_steps, steps)
    ]
    return [1.0 - fall for fall in falls]
