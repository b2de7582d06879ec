"""What the pages of workspaces ask for."""

import re
from collections.abc import Iterable
from typing import Any

from django import forms

from accounts.actions import MAX_NAME
from accounts.models import Membership, Workspace
from accounts.roles import Role

MOST_AT_ONCE = 20  # addresses: each is a mail that the page waits for

WORDS = {
    Role.VIEWER: "sees the videos",
    Role.CREATOR: "makes videos as well",
    Role.MANAGER: "manages members and everybody’s videos as well",
    Role.OWNER: "may do everything here",
}


def roles_to_give(*, manages: bool, owns: bool) -> list[Role]:
    """Lowest first; none for those who only look."""
    return [role for role in Role if owns or (manages and role is not Role.OWNER)]


class NameForm(forms.Form):
    name = forms.CharField(
        max_length=MAX_NAME, error_messages={"required": "Say how it shall be called."}
    )


def addresses_in(text: str) -> list[str]:
    """As people paste them: one on a line, with commas, or as Dana <dana@example.com>. Pure.

    What is no address stays in, for its refusal to say so; names beside addresses go.
    """
    words = [word.strip("<>()\"'") for word in re.split(r"[\s,;]+", text)]
    if "<" in text:
        words = [word for word in words if "@" in word]
    return list(dict.fromkeys(word.lower() for word in words if word))


class InviteForm(forms.Form):
    email = forms.CharField(
        max_length=300 * MOST_AT_ONCE,
        label="E-mail addresses",
        error_messages={"required": "Say whom to invite."},
    )
    role = forms.ChoiceField(choices=[], label="As", initial=Role.CREATOR.value)

    def __init__(self, roles: list[Role], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        role = self.fields["role"]
        assert isinstance(role, forms.ChoiceField)
        role.choices = [(each.value, each.value.title()) for each in roles]

    def clean_email(self) -> list[str]:
        found = addresses_in(self.cleaned_data["email"])
        if len(found) > MOST_AT_ONCE:
            raise forms.ValidationError(
                f"These are {len(found)} addresses; invite at most {MOST_AT_ONCE} at once."
            )
        return found

    def keep(self, addresses: Iterable[str]) -> None:
        """What the field shows when the form comes back."""
        self.data = {**self.data.dict(), "email": "\n".join(addresses)}  # type: ignore[attr-defined]


class _Address(forms.ModelChoiceField):  # type: ignore[type-arg]  # not generic when it runs
    def label_from_instance(self, row: Any) -> str:
        return str(row.user.shown_as)


class TransferForm(forms.Form):
    """To whom; at most 500 to choose from."""

    member = _Address(queryset=Membership.objects.none(), empty_label=None, label="To")

    def __init__(self, workspace: Workspace, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = Membership.objects.filter(workspace=workspace, user__is_active=True)
        others = others.exclude(role=Role.OWNER)
        member = self.fields["member"]
        assert isinstance(member, forms.ModelChoiceField)
        member.queryset = others.select_related("user").order_by("user__email")
