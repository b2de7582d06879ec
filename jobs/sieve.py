"""Which of all jobs an operator looks at: of a pool, a workspace, a person, a model."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from django import forms

from accounts.console import owners_named
from accounts.models import Workspace
from jobs import offer
from jobs.models import JobQuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Sieve:
    """None lets everything through."""

    pool: str | None = None
    workspace: int | None = None  # its id
    owner: int | None = None  # the user's id
    model: str | None = None

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) is not None for each in fields(self))

    def of(self, jobs: JobQuerySet) -> JobQuerySet:
        wanted = {
            "pool": self.pool,
            "workspace": self.workspace,
            "owner": self.owner,
            "request__spec__model": self.model,
        }
        return jobs.filter(**{name: value for name, value in wanted.items() if value is not None})

    def condition(self, row: str) -> str:
        """The same in SQL, of a row of jobs_job under that name; its values are those of values."""
        own = {"pool": "pool", "workspace": "workspace_id", "owner": "owner_id"}
        parts = [
            f"{row}.{column} = %({name})s"
            for name, column in own.items()
            if getattr(self, name) is not None
        ]
        if self.model is not None:
            parts.append(
                f"EXISTS (SELECT FROM jobs_jobrequest AS asked WHERE asked.job_id = {row}.id "
                "AND asked.spec->>'model' = %(model)s)"
            )
        return " AND ".join(parts) or "true"

    @property
    def values(self) -> dict[str, str | int | None]:
        return {each.name: getattr(self, each.name) for each in fields(self)}


class SieveForm(forms.Form):
    """What the address of the page says of it; whoever is not found is said at their field."""

    pool = forms.CharField(required=False, max_length=50)
    model = forms.CharField(required=False, max_length=100)
    workspace = forms.CharField(required=False, max_length=50)
    owner = forms.CharField(required=False, max_length=254)

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__(given, auto_id="only-%s")
        for name, hint in (("workspace", "its short name"), ("owner", "an email address")):
            self.fields[name].widget.attrs = {"placeholder": hint, "autocomplete": "off"}

    def clean_workspace(self) -> int | None:
        slug = self.cleaned_data["workspace"]
        if not slug:
            return None
        found: int | None
        found = Workspace.objects.filter(slug=slug).values_list("pk", flat=True).first()
        if found is None:
            raise forms.ValidationError("There is no workspace of this short name.")
        return found

    def clean_owner(self) -> int | None:
        email = self.cleaned_data["owner"]
        if not email:
            return None
        found = owners_named(email)
        if not found:
            raise forms.ValidationError("Nobody here has this address.")
        return found[0]

    @property
    def sieve(self) -> Sieve:
        """Without what is wrong."""
        self.is_valid()
        return Sieve(
            **{each.name: self.cleaned_data.get(each.name) or None for each in fields(Sieve)}
        )

    @property
    def query(self) -> str:
        """What is chosen, to go on in an address."""
        return urlencode({name: self.data[name] for name in self.fields if self.data.get(name)})

    @property
    def models(self) -> list[str]:
        return list(offer.configured())
