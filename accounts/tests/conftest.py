"""A team: alice's workspace, and two who may be let into it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from accounts.models import Membership, User, Workspace
from accounts.roles import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    alice: User  # owns the workspace
    bob: User
    charlie: User
    workspace: Workspace
    join: Callable[[User, Role], None]

    def row(self, user: User) -> Membership:
        """Where they are in alice's workspace."""
        return Membership.objects.get(workspace=self.workspace, user=user)


@pytest.fixture
def team(
    alice: User,
    bob: User,
    charlie: User,
    workspace: Workspace,
    join: Callable[[User, Role], None],
) -> Team:
    return Team(alice=alice, bob=bob, charlie=charlie, workspace=workspace, join=join)
