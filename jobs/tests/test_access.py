"""The door to jobs: one table, whether it is asked of one job or of all.

Who is answered how at which address is in tests/access/.
"""

from collections.abc import Callable, Iterator
from itertools import chain, combinations, product

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import IntegrityError, transaction
from django.test import Client

from accounts import workspaces
from accounts.actions import open_workspace
from accounts.models import Membership, User, Workspace
from accounts.roles import ON_JOBS, Role, Scope, SiteRole
from jobs import actions, offer
from jobs.access import jobs_for, may_do
from jobs.models import Job
from jobs.moves import record_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def jobs(alice: User, bob: User) -> list[Job]:
    """In alice's workspace and in bob's, in each one of hers and one of his."""
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    spec = offer.make_spec(prompt="a red circle moving right", **blank)
    theirs = [workspaces.current_id(user) for user in (alice, bob)]
    for user, where in zip((bob, alice), theirs, strict=True):
        Membership.objects.create(user=user, workspace_id=where, role=Role.CREATOR)
        user.__dict__.pop("memberships")
    return [
        actions.submit(owner=owner, spec=spec, workspace=where)
        for where in theirs
        for owner in (alice, bob)
    ]


def _in_every_position(somebody: User, first: int, second: int) -> Iterator[User]:
    """Whatever they are on the site and in two workspaces, and whatever their token is for."""
    scopes = list(chain.from_iterable(combinations(Scope, count) for count in range(4)))
    roles = [None, *Role]
    for site, one, two, held in product(SiteRole, roles, roles[::2], scopes):
        user = User(pk=somebody.pk, role=site)
        user.scopes = frozenset(held)
        user.__dict__["memberships"] = {
            where: role for where, role in ((first, one), (second, two)) if role is not None
        }
        yield user


def test_a_list_holds_exactly_those_that_the_table_allows_one_by_one(
    jobs: list[Job], alice: User
) -> None:
    asked = 0
    for user in _in_every_position(alice, jobs[0].workspace_id, jobs[2].workspace_id):
        for permission in ON_JOBS:
            listed = set(jobs_for(user, permission).values_list("pk", flat=True))
            allowed = {job.pk for job in jobs if may_do(user, permission, job)}
            assert listed == allowed, (user.role, user.memberships, user.scopes, permission)
            asked += bool(listed)
    assert asked > 500


def test_who_is_nobody_or_whose_account_is_closed_may_do_nothing(
    jobs: list[Job], alice: User
) -> None:
    alice.is_active = False
    for user in (alice, AnonymousUser()):
        for permission in ON_JOBS:
            assert not jobs_for(user, permission).exists()
            assert not any(may_do(user, permission, job) for job in jobs)


def test_mates_see_each_others_jobs_and_end_them_as_far_as_their_role_goes(
    bob: User, join: Callable[[User, Role], None], submit: Callable[..., Job], client: Client
) -> None:
    join(bob, Role.VIEWER)
    client.force_login(bob)
    job = submit()
    address = f"/api/v1/jobs/{job.pk}"
    assert [each["id"] for each in client.get("/api/v1/jobs").json()["results"]] == [str(job.pk)]
    assert client.get(address).status_code == 200
    for role, cancels, submits in (
        (Role.VIEWER, 403, 403),
        (Role.CREATOR, 403, 201),
        (Role.MANAGER, 200, 201),
    ):
        Membership.objects.filter(user=bob, workspace=job.workspace_id).update(role=role)
        asked = client.post("/api/v1/jobs", {"prompt": "a"}, content_type="application/json")
        assert asked.status_code == submits
        assert client.post(f"{address}/cancel").status_code == cancels
        assert client.post(f"/jobs/{job.pk}/cancel").status_code == {403: 403, 200: 302}[cancels]
    made = Job.objects.get(owner=bob, state="queued", pk=asked.json()["id"])
    assert made.workspace_id == job.workspace_id


def test_a_job_of_a_release_that_knew_no_workspaces_gets_its_owners_first(
    alice: User, workspace: Workspace
) -> None:
    job = Job(owner=alice)
    job.save(force_insert=True)
    record_of(job, "submitted")
    saved = Job.objects.filter(pk=job.pk)
    assert saved.get().workspace == workspace
    with pytest.raises(IntegrityError, match="never change"), transaction.atomic():
        saved.update(workspace=open_workspace(alice, "another"))


def test_who_came_by_a_release_that_knew_no_workspaces_gets_one_with_their_first_job(
    alice: User,
) -> None:
    Membership.objects.all().delete()
    job = Job(owner=alice)
    job.save(force_insert=True)
    record_of(job, "submitted")
    job.refresh_from_db()
    mine = Membership.objects.get(user=alice)
    assert (mine.workspace_id, mine.role) == (job.workspace_id, Role.OWNER)
