"""Of the pages of the settings: the ways between them, and a few words."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django import template
from django.urls import reverse

from accounts import agents, audit_list, audit_verbs, workspaces
from accounts.models import User, Workspace
from accounts.places import Place

register = template.Library()


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    words: str
    url: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    words: str
    links: list[Link]
    about: str = ""  # the workspace's name


@register.filter
def verb_words(verb: str) -> str:
    """What an entry of the audit log says was done; empty for a verb of a release to come."""
    return audit_verbs.VERBS.get(verb, "")


@register.filter
def agent_words(user_agent: str) -> str:
    return agents.agent_words(user_agent)


@register.inclusion_tag("settings/_nav.html", takes_context=True)
def settings_nav(context: dict[str, Any]) -> dict[str, list[Group]]:
    """With the current one marked. A page about a workspace has it as shown; others tell of the
    one that its viewer works in."""
    request = context["request"]
    match = request.resolver_match
    at = match.url_name or ""
    at = "security" if request.path.startswith("/accounts/") else at
    user: User = request.user
    groups = [Group(words="Personal", links=list(_personal(at)))]
    current: Place | None = context["here"].current
    shown: Workspace | Place | None = context.get("shown") or current
    whole = "All workspaces" if user.memberships else "Workspaces"
    everywhere = Link(words=whole, url=reverse("workspaces"), current=at == "workspaces")
    if shown is None:
        groups.append(Group(words="Workspace", links=[everywhere]))
    else:
        usual = current is not None and current.slug == shown.slug
        query = "" if usual else f"?workspace={shown.slug}"
        links = [*_of_workspace(at, shown, user, query), everywhere]
        groups.append(Group(words="Workspace", about=shown.name, links=links))
    return {"groups": groups}


def _personal(at: str) -> Iterable[Link]:
    for words, name in (
        ("Profile", "profile"),
        ("Security", "security"),
        ("Notifications", "notifications"),
        ("Tokens", "tokens"),
        ("Webhooks", "webhooks"),
    ):
        current = at.startswith("webhook") if name == "webhooks" else at == name
        yield Link(words=words, url=reverse(name), current=current)


def _of_workspace(at: str, shown: Workspace | Place, user: User, query: str) -> Iterable[Link]:
    slug = shown.slug
    yield Link(words="General", url=reverse("workspace", args=[slug]), current=at == "workspace")
    yield Link(words="Members", url=reverse("members", args=[slug]), current=at == "members")
    usage = reverse("usage") + query
    yield Link(words="Usage and quotas", url=usage, current=at == "usage")
    if _reads_audit(shown, user):
        yield Link(words="Audit", url=reverse("audit") + query, current=at == "audit")


def _reads_audit(shown: Workspace | Place, user: User) -> bool:
    if audit_list.may_read_site(user):
        return True
    row = shown.pk if isinstance(shown, Workspace) else workspaces.current_id(user)
    return audit_list.may_read(user, row)
