"""The sweep's counting, for tests that need all of it done."""

import time

from django.db.models import Max

from jobs.metrics import tallies
from jobs.models import DeliveryTry, JobEvent, TallyMark

DEADLINE_SECONDS = 60.0


def count_all() -> int:
    """Rounds until everything is counted: Postgres may be analysing a table at this moment."""
    until = time.monotonic() + DEADLINE_SECONDS
    counted = tallies.count()
    while not _is_done():
        assert time.monotonic() < until, "a transaction is under way that does not end"
        counted += tallies.count()
    return counted


def _is_done() -> bool:
    marks = dict(TallyMark.objects.values_list("table", "counted_to"))
    newest = {
        model._meta.db_table: model._default_manager.aggregate(last=Max("pk"))["last"] or 0
        for model in (JobEvent, DeliveryTry)
    }
    return all(marks[table] >= last for table, last in newest.items())
