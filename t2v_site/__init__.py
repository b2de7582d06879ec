"""Composition only: settings, addresses, and the processes of the system."""

from t2v_site.celery import app as celery_app

__all__ = ["celery_app"]
