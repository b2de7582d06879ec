"""Celery's door: a knock wakes this child's runner; starting, draining and ending a child.

The parent imports this file too, so it stays free of torch: the runner is loaded in the child.
"""

import gc
import importlib
import logging
import os
import signal
from typing import TYPE_CHECKING, Any

import billiard
from celery import shared_task
from celery.signals import (
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_shutting_down,
)
from django.conf import settings

from gpu_worker.pulse import Pulse, Watch
from jobs import tracing
from jobs.dispatch import KNOCK
from jobs.metrics import instruments, server
from jobs.signs import Sign

if TYPE_CHECKING:
    from gpu_worker.runner import Runner

logger = logging.getLogger(__name__)

STOP_SECONDS = 25.0  # a drain gets this long to reach the end of a step
FLUSH_SECONDS = 1.0  # and the last spans this long to reach the traces' collector

_child: "list[Runner]" = []  # the runner of this process, once it is a child


@shared_task(name=KNOCK, ignore_result=True)
def knock() -> None:
    """There may be something to do. Takes no argument: a forged knock can only wake."""
    for runner in _child:
        runner.serve_knock()


@worker_process_init.connect
def _start_child(**_: Any) -> None:
    instruments.start()
    gc.disable()  # torch and diffusers make a million lasting objects: 1.3 of 8.5 s less
    try:
        tracing.start("worker")
        runner: Runner = importlib.import_module("gpu_worker.runner").start()
    except Exception:
        # A child that cannot render would only be replaced by another one: end the worker, loudly.
        logger.exception("this worker cannot start")
        os.kill(os.getppid(), signal.SIGTERM)
        raise
    gc.freeze()
    gc.enable()
    _child.append(runner)
    signal.signal(signal.SIGTERM, lambda *_: runner.drain())
    sign = Sign(settings.T2V_VAR, "worker")
    Pulse(
        settings.T2V_VAR / "workers",
        on_orphaned=_end_orphan,
        on_beat=lambda: sign.show(runner.hindrance()),
    ).start()


def _end_orphan() -> None:
    """The parent was killed: what this child holds need not wait for its lease to run out."""
    for runner in _child:
        runner.drain()
        runner.join(STOP_SECONDS)
    os._exit(70)


@worker_init.connect
def _watch_children(**_: Any) -> None:
    server.start()
    Watch(settings.T2V_VAR / "workers", _children).start()


def _children() -> list[int]:
    return [process.pid for process in billiard.active_children() if process.pid is not None]


@worker_process_shutdown.connect
def _end_child(**_: Any) -> None:
    for runner in _child:
        runner.drain()
        if not runner.join(STOP_SECONDS):
            logger.error("the render did not stop in %.0f s; its lease will run out", STOP_SECONDS)
    tracing.flush(FLUSH_SECONDS)


@worker_shutting_down.connect
def _drain_children(**_: Any) -> None:
    """In the parent, at SIGTERM: children give their job back after the step at hand."""
    for pid in _children():
        os.kill(pid, signal.SIGTERM)
