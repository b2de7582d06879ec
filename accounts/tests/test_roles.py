"""The table of roles, whole: who may do what, with which token."""

import pytest

from accounts.roles import (
    IN_WORKSPACE,
    ON_JOBS,
    OWN,
    TABLE,
    Permission,
    Role,
    Scope,
    SiteRole,
    allows,
    roles_with,
)

VERBS = ON_JOBS - {Permission.SEE}
READ, WRITE, ADMIN = Scope.JOBS_READ, Scope.JOBS_WRITE, Scope.ADMIN


def test_each_role_may_do_what_those_below_it_may() -> None:
    for lower, higher in zip(list(Role), list(Role)[1:], strict=False):
        assert lower.rank < higher.rank
        assert TABLE[lower] < TABLE[higher]
        assert OWN[lower] <= OWN[higher] | TABLE[higher]


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (None, set()),
        (Role.VIEWER, {"see"}),
        (Role.CREATOR, {"see", "submit"}),
        (
            Role.MANAGER,
            {
                *("see", "submit", "cancel", "delete", "retry", "tag"),
                *("see_audit", "manage_members"),
            },
        ),
        (
            Role.OWNER,
            {
                *("see", "submit", "cancel", "delete", "retry", "tag"),
                *("see_audit", "manage_members", "edit_workspace"),
            },
        ),
    ],
)
def test_what_a_role_may_with_others_things(role: Role | None, may: set[str]) -> None:
    assert {each for each in Permission if allows(each, site=SiteRole.MEMBER, role=role)} == may


def test_only_who_makes_videos_may_end_their_own() -> None:
    for verb in VERBS:
        allowed = [r for r in Role if allows(verb, site=SiteRole.MEMBER, role=r, owns=True)]
        assert allowed == [Role.CREATOR, Role.MANAGER, Role.OWNER]
        assert not allows(verb, site=SiteRole.MEMBER, role=None, owns=True), "who left has lost it"


def test_operators_keep_the_service_running_and_administrators_see_to_people() -> None:
    operator = {each for each in Permission if allows(each, site=SiteRole.OPERATOR, role=None)}
    administrator = {
        each for each in Permission if allows(each, site=SiteRole.ADMINISTRATOR, role=None)
    }
    assert operator == ON_JOBS | {Permission.OPERATE}
    assert administrator == operator | IN_WORKSPACE | {Permission.ADMINISTER}


@pytest.mark.parametrize(
    ("scopes", "may"),
    [
        ({READ}, {"see"}),
        ({READ, WRITE}, {"see", "submit", "own cancel"}),
        ({ADMIN}, {"manage_members"}),
        ({READ, WRITE, ADMIN}, {"see", "submit", "own cancel", "cancel", "manage_members"}),
    ],
)
def test_a_token_takes_away_what_it_is_not_for(scopes: set[Scope], may: set[str]) -> None:
    site = SiteRole.MEMBER
    asked = {
        "see": allows(Permission.SEE, site=site, role=Role.OWNER, scopes=scopes),
        "submit": allows(Permission.SUBMIT, site=site, role=Role.OWNER, scopes=scopes),
        "own cancel": allows(
            Permission.CANCEL, site=site, role=Role.OWNER, owns=True, scopes=scopes
        ),
        "cancel": allows(Permission.CANCEL, site=site, role=Role.OWNER, scopes=scopes),
        "manage_members": allows(
            Permission.MANAGE_MEMBERS, site=site, role=Role.OWNER, scopes=scopes
        ),
    }
    assert {name for name, allowed in asked.items() if allowed} == may
    everywhere = [allows(p, site=SiteRole.OPERATOR, role=None, scopes=scopes) for p in ON_JOBS]
    assert all(everywhere) == (scopes == {READ, WRITE, ADMIN})


def test_roles_with_a_permission_are_those_that_the_table_allows() -> None:
    for permission in Permission:
        for owns in (False, True):
            roles = roles_with(permission, owns=owns, scopes=set(Scope))
            for role in Role:
                assert (role in roles) == allows(
                    permission, site=SiteRole.MEMBER, role=role, owns=owns
                )
