"""The arms of benchmarks/checkpoints.py."""

import json
import os
import platform
import statistics
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from django.conf import settings

from accounts.models import User
from benchmarks.arms import Row, interleave, print_rows, rows_of
from benchmarks.stage import RESULTS, ROOT
from gpu_worker import mochi
from gpu_worker.keeper import QueueKeeper
from gpu_worker.scratch import Scratch
from jobs import actions, offer
from jobs.actions import Claim


class Counted(QueueKeeper):
    """Counts what it stored, and what that cost its own thread."""

    stored = 0
    seconds = 0.0  # CPU

    def _store(self, state: Any) -> float:
        began = time.thread_time()
        waited = super()._store(state)
        Counted.stored += 1
        Counted.seconds += time.thread_time() - began
        return waited


def _claim(steps: int) -> Claim:
    blank = dict.fromkeys(("model", "size", "frames", "guidance", "seed"))
    spec = offer.make_spec(prompt="a red circle moving right", steps=steps, **blank)
    owner = User.objects.create(email="alice@example.com")
    actions.submit(owner=owner, spec=spec)
    claim = actions.claim(worker="bench/1", pool=settings.T2V_POOL)
    assert claim is not None
    return claim


def _take(model: Any, claim: Claim, scratch: Scratch, min_seconds: float | None) -> Any:
    """(ms, ms of CPU) of one step, and how many checkpoints were stored."""
    state = model.begin(claim.spec)
    before = Counted.stored
    with ExitStack() as stack:
        keeper = None
        if min_seconds is not None:
            keeper = Counted(claim, model, scratch, min_seconds=min_seconds)
            stack.enter_context(keeper)
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(state.steps):
            state = model.step(state)
            if keeper is not None and state.resumable:
                keeper.offer(state)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return wall / state.steps * 1000, cpu / state.steps * 1000, Counted.stored - before


def main(*, rounds: int, steps: int, write: bool) -> None:
    torch.set_num_threads(1)
    entry = offer.models()["nano"]
    model = mochi.load(entry, ROOT / entry.source, threads=1)
    claim, scratch = _claim(steps), Scratch()
    often = "as often as it may"
    usual = f"every {settings.T2V_CHECKPOINT_SECONDS} s"
    take = partial(_take, model, claim, scratch)
    try:
        arms = {
            "no keeper": partial(take, None),
            usual: partial(take, float(settings.T2V_CHECKPOINT_SECONDS)),
            often: partial(take, 0.0),
        }
        found = interleave(arms, rounds)
    finally:
        scratch.close()
    rows: list[Row] = []
    for place, unit in ((0, " ms"), (1, " ms CPU")):
        values = {name: [taken[place] for taken in takes] for name, takes in found.items()}
        rows += rows_of(
            values,
            "no keeper",
            label="one step",
            goals={usual: "<= 1.01", often: "<= 1.01"},
            best=min,
            unit=unit,
        )
    print_rows("what checkpoints cost", rows)
    each = Counted.seconds / max(Counted.stored, 1)
    counts = {name: statistics.mean(taken[2] for taken in takes) for name, takes in found.items()}
    print(f"\n{each * 1000:.1f} ms of CPU for one checkpoint; stored in an arm:")
    for name, count in counts.items():
        print(f"  {name:<24}{count:6.1f}")
    if write:
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
            "rounds": rounds,
            "steps_an_arm": steps,
            "checkpoint_cpu_seconds": each,
            "checkpoints_an_arm": counts,
            "rows": [row.as_dict() for row in rows],
        }
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "checkpoints.json").write_text(json.dumps(result, indent=1) + "\n")
