"""The Celery application: knocks, and the life of GPU processes. Never carries work.

Why each setting: docs/decisions/002-celery-is-a-doorbell.md.
"""

import os

from celery import Celery
from celery.signals import after_setup_logger, after_setup_task_logger

from t2v_site import logs

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2v_site.settings")

app = Celery("t2v")
app.config_from_object("django.conf:settings", namespace="CELERY")

# Of its own loggers, those that it gives a format of its own.
after_setup_logger.connect(logs.of_our_own("multiprocessing"), weak=False)
after_setup_task_logger.connect(logs.of_our_own("celery.task"), weak=False)
