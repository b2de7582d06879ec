"""Which jobs a job came from, and which came from it: of each at most a dozen, by four queries."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q

from accounts.models import User
from jobs.access import visible_jobs
from jobs.models import Artifact, Job, JobRequest
from jobs.serializers import file_url

SHOWN = 12
LOOKED_AT = 100  # of what was made from one job; which of them somebody may see is asked then
POSTER = "poster.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kin:
    job: Job
    how: str  # what it is to the other
    poster_url: str | None


def kin_of(job: Job, user: User) -> list[Kin]:
    """Those that the user may see: where it came from, then what was made of it, newest first."""
    how = _related(job)
    if not how:
        return []
    seen = visible_jobs(user).with_request().filter(pk__in=list(how)).newest_first()
    jobs = sorted(seen, key=lambda each: how[each.pk][0])[:SHOWN]  # stable: the newest stay first
    posters = Artifact.objects.filter(job__in=[each.pk for each in jobs], name=POSTER)
    urls = {poster.job_id: file_url(poster) for poster in posters}
    return [Kin(job=each, how=how[each.pk][1], poster_url=urls.get(each.pk)) for each in jobs]


def _related(job: Job) -> dict[UUID, tuple[int, str]]:
    """Rank and words by job."""
    asked = job.request
    how: dict[UUID, tuple[int, str]] = {}
    made = JobRequest.objects.filter(Q(retry_of=job) | Q(remix_of=job))
    for key, retry_of in made.values_list("pk", "retry_of")[:LOOKED_AT]:
        how[key] = (2, "Tried again as") if retry_of == job.pk else (3, "Variation")
    if asked.remix_of_id is not None:
        how[asked.remix_of_id] = (1, "Made from")
    if asked.retry_of_id is not None:
        how[asked.retry_of_id] = (0, "Another try of")
    return how
