"""The Celery application: knocks, and the life of GPU processes. Never carries work.

Why each setting: docs/decisions/002-celery-is-a-doorbell.md.
"""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2v_site.settings")

app = Celery("t2v")
app.config_from_object("django.conf:settings", namespace="CELERY")
