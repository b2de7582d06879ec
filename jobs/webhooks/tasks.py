"""Celery's door: a knock wakes the lanes of this process. Loaded by the worker of the queue web
alone (`celery worker -Q web -I jobs.webhooks.tasks`), which starts no child and loads no model.
"""

from typing import Any

from celery import shared_task
from celery.signals import worker_init, worker_shutting_down
from django.conf import settings

from jobs.dispatch import DELIVER
from jobs.signs import Sign
from jobs.webhooks.sender import Sender

STOP_SECONDS = 2.0  # for what is under way at the end; the rest is sent again by the next process

_sign = Sign(settings.T2V_VAR, "sender")
_sender = Sender(on_look=_sign.show)


@shared_task(name=DELIVER, ignore_result=True)
def deliver() -> None:
    """There may be something to send. Takes no argument: a forged knock can only wake."""
    _sender.wake()


@worker_init.connect
def _start(**_: Any) -> None:
    _sender.start()


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    _sender.stop()
    _sender.join(STOP_SECONDS)
    _sign.take_away()
