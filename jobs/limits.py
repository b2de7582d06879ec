"""Admission: what one person may have waiting."""

from django.conf import settings

from accounts.models import User
from jobs.errors import TooManyJobs
from jobs.models import Job


def admit(owner: User) -> None:
    """Raises TooManyJobs when the owner has as many unfinished jobs as one person may have.

    Inside submit's transaction: the lock on the owner's row lets one submit of theirs in at a time.
    """
    User.objects.select_for_update().only("pk").get(pk=owner.pk)
    unfinished = Job.objects.all().unfinished_of(owner)
    most = settings.T2V_MAX_UNFINISHED
    if unfinished[: most + 1].count() >= most:
        raise TooManyJobs(most)
