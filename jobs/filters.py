"""Which jobs a list holds, by what a query says of them."""

from datetime import UTC, datetime
from typing import Any, ClassVar

import django_filters
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Exists, OuterRef, Q
from django.http import QueryDict
from django_filters.fields import IsoDateTimeField

from accounts import workspaces
from accounts.models import User, Workspace
from accounts.roles import Permission
from jobs.access import listed_jobs, may
from jobs.errors import BadFields
from jobs.lifecycle import State
from jobs.models import Favourite, Job, JobQuerySet, JobRequest, JobTag
from jobs.spec import EXACT
from jobs.tag_name import key_of

SEVERAL = ("state", "model", "quality", "tag")  # repeated, or divided by commas
ELSEWHERE = ("workspace", "mine", "favourite")  # listed
PAGING = ("limit", "cursor", "ordering")  # jobs/cursors.py
MOST_VALUES = 20  # of one name


class MomentField(IsoDateTimeField):  # type: ignore[misc]  # django-filter has no types
    """In UTC: Postgres takes no offset of 16 hours or more, and Python does."""

    def to_python(self, value: Any) -> datetime | None:
        found: datetime | None = super().to_python(value)
        try:
            return found and found.astimezone(UTC)
        except OverflowError:  # before the year 1, or after 9999: as good as the first or the last
            assert found is not None
            return (datetime.min if found.year == 1 else datetime.max).replace(tzinfo=UTC)


class MomentFilter(django_filters.IsoDateTimeFilter):  # type: ignore[misc]
    field_class = MomentField


class JobFilter(django_filters.FilterSet):  # type: ignore[misc]  # it has no types
    state = django_filters.MultipleChoiceFilter(
        choices=[(state.value, state.value) for state in State], method="by_state"
    )
    model = django_filters.CharFilter(method="by_model", max_length=100)
    quality = django_filters.CharFilter(method="by_quality", max_length=100)
    search = django_filters.CharFilter(method="by_words", max_length=200)
    tag = django_filters.CharFilter(method="by_tag", max_length=200)
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Job
        fields: ClassVar[list[str]] = []

    def by_state(self, jobs: JobQuerySet, _: str, value: list[str]) -> JobQuerySet:
        """As one IN, by which Postgres knows the partial indexes again."""
        return jobs.filter(state__in=sorted(value)) if value else jobs

    def by_model(self, jobs: JobQuerySet, _: str, __: str) -> JobQuerySet:
        return jobs.filter(request__spec__model__in=self._values("model"))

    def by_quality(self, jobs: JobQuerySet, _: str, __: str) -> JobQuerySet:
        wanted = Q(request__spec__quality__in=self._values("quality"))
        if EXACT in self._values("quality"):  # also from before there were qualities
            wanted |= Q(request__spec__quality__isnull=True)
        return jobs.filter(wanted)

    def by_words(self, jobs: JobQuerySet, _: str, value: str) -> JobQuerySet:
        """Whole words in any order; "two words" and -without as in a web search.

        The vector is written as in the index jobs_prompt_words.
        """
        words = SearchQuery(value, config="simple", search_type="websearch")
        asked = JobRequest.objects.alias(words=SearchVector("prompt", config="simple"))
        return jobs.filter(pk__in=asked.filter(words=words).values("job"))

    def by_tag(self, jobs: JobQuerySet, _: str, __: str) -> JobQuerySet:
        """All of them, however they are spelled."""
        for key in {key_of(name) for name in self._values("tag")}:
            jobs = jobs.filter(Exists(JobTag.objects.filter(job=OuterRef("pk"), tag__key=key)))
        return jobs

    def _values(self, name: str) -> list[str]:
        assert isinstance(self.data, QueryDict)
        return self.data.getlist(name)


def listed(user: User, query: QueryDict) -> JobQuerySet:
    """The jobs of one workspace: the one that is named, else the one they work in.

    Of these with mine=true their own alone, with favourite=true their favourites. Operators name
    any. Raises BadFields and NoWorkspace.
    """
    slug, bad = query.get("workspace"), {}
    for name in ("mine", "favourite"):
        if query.get(name, "false") not in {"true", "false"}:
            bad[name] = "Use true or false."
    if bad:
        raise BadFields(bad)
    if slug is not None and may(user, Permission.SEE) and "\0" not in slug:
        found = Workspace.objects.filter(slug=slug).values_list("pk", flat=True).first()
        jobs = Job.objects.filter(workspace=found).kept() if found else Job.objects.none()
    else:
        jobs = listed_jobs(user, workspaces.chosen(user, slug))
    if query.get("favourite") == "true":
        jobs = jobs.filter(Exists(Favourite.objects.filter(job=OuterRef("pk"), user=user)))
    return jobs.filter(owner=user) if query.get("mine") == "true" else jobs


def chosen(jobs: JobQuerySet, query: QueryDict) -> JobQuerySet:
    """Raises BadFields for a name that no list knows, and for a value that is none."""
    bad = {
        name: "A list knows no such parameter."
        for name in query
        if name not in JobFilter.base_filters and name not in (*ELSEWHERE, *PAGING)
    }
    given = query.copy()
    for name in SEVERAL:
        values = [part for text in query.getlist(name) for part in text.split(",")]
        given.setlist(name, [part.strip() for part in values if part.strip()])
        if len(given.getlist(name)) > MOST_VALUES:
            bad[name] = f"At most {MOST_VALUES} values."
        if any("\x00" in part for part in given.getlist(name)):
            bad[name] = "A value holds a NUL character."
    wanted = JobFilter(given, queryset=jobs)
    for name, sentences in wanted.errors.items():
        bad.setdefault(str(name), " ".join(map(str, sentences)))
    if bad:
        raise BadFields(bad)
    found = wanted.qs
    assert isinstance(found, JobQuerySet)
    return found
