"""What the apps above hear of accounts."""

from typing import Any

from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import Signal

from accounts import session_store
from accounts.actions.workspaces import open_workspace
from accounts.models import ApiToken, Membership, User

# Sent after the commit with user=<primary key>: a session or a token ended, or a role, a password
# or an account changed. Changes by QuerySet.update() are not told; who lives on them looks now and
# then.
rights_changed = Signal()

_HARMLESS = {"last_login", "workspace"}  # written at every sign-in, and when they turn to another


def connect() -> None:
    user_logged_in.connect(session_store.begin)
    post_save.connect(_user_saved, sender=User)
    post_save.connect(_membership_changed, sender=Membership)
    post_delete.connect(_membership_changed, sender=Membership)
    post_delete.connect(_user_deleted, sender=User)
    post_delete.connect(_session_ended, sender=Session)
    post_delete.connect(_token_ended, sender=ApiToken)


def _user_saved(instance: User, created: bool, update_fields: Any, **_: Any) -> None:
    if created:  # whoever made it, and however: nobody is without a place to work in
        if settings.T2V_OWN_WORKSPACES:
            open_workspace(instance, f"{instance.email.partition('@')[0]}'s workspace"[:80])
    elif not (update_fields and set(update_fields) <= _HARMLESS):
        _tell(instance.pk)


def _membership_changed(instance: Membership, **_: Any) -> None:
    _tell(instance.user_id)


def _user_deleted(instance: User, **_: Any) -> None:
    _tell(instance.pk)


def _session_ended(instance: Session, **_: Any) -> None:
    user = instance.get_decoded().get("_auth_user_id")
    if user is not None:
        _tell(int(user))


def _token_ended(instance: ApiToken, **_: Any) -> None:
    _tell(instance.user_id)


def _tell(user: int) -> None:
    transaction.on_commit(lambda: rights_changed.send(User, user=user))
