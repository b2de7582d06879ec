"""Jobs in workspaces: where they are made, which are listed, who is shown what, who is told."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts import actions as accounts
from accounts import workspaces
from accounts.errors import WorkspaceInUse
from accounts.models import ApiToken, Membership, User, Workspace
from accounts.roles import Role, Scope
from conftest import video_of
from jobs import actions, offer
from jobs.actions import Claim
from jobs.errors import Forbidden
from jobs.models import Job
from jobs.webhooks import deliveries, endpoints
from jobs.webhooks.models import Delivery, DeliveryState

pytestmark = pytest.mark.django_db
Join = Callable[[User, Role], None]
PROMPT = {"prompt": "a red circle moving right"}


def _make(owner: User, workspace: int | None = None) -> Job:
    blank = dict.fromkeys(("model", "size", "frames", "steps", "guidance", "seed"))
    spec = offer.make_spec(prompt=PROMPT["prompt"], **blank)
    return actions.submit(owner=owner, spec=spec, workspace=workspace)


def _fresh(user: User) -> User:
    """As the next request has them."""
    return User.objects.get(pk=user.pk)


@pytest.fixture
def bobs(bob: User) -> Workspace:
    """His own, from before he joined alice's."""
    return workspaces.current(bob)


def test_a_list_holds_one_workspace_of_ones_own_or_ones_own_jobs_in_it(
    alice: User, bob: User, bobs: Workspace, join: Join, client: Client
) -> None:
    alone = _make(bob)
    join(bob, Role.CREATOR)
    mates, his = _make(alice), _make(bob)
    here = workspaces.current(alice).slug
    client.force_login(bob)

    def listed(query: str) -> Any:
        answer = client.get(f"/api/v1/jobs?{query}")
        body = answer.json()
        if answer.status_code != 200:
            return (answer.status_code, body["fields"])
        return [job["id"] for job in body["results"]]

    for query, expected in {
        "": [his, mates],
        f"workspace={here}": [his, mates],
        "mine=true": [his],
        "mine=false&state=queued": [his, mates],
        f"workspace={bobs.slug}": [alone],
        f"workspace={bobs.slug}&mine=true": [alone],
    }.items():
        assert listed(query) == [str(job.pk) for job in expected], query
    assert listed("mine=perhaps")[0] == 400
    charlies = workspaces.current(User.objects.create_user("charlie@example.com")).slug
    absent, foreign = listed("workspace=no-such"), listed(f"workspace={charlies}")
    assert absent == foreign == (400, {"workspace": absent[1]["workspace"]})
    assert listed("workspace=%00")[0] == 400
    shown = client.get(f"/api/v1/jobs/{mates.pk}").json()
    assert (shown["workspace"], shown["owner"]) == (here, "alice@example.com")
    page = client.get("/v1/videos", headers=_bearer(bob, bobs)).json()
    assert [each["id"] for each in page["data"]] == [f"video_{alone.pk.hex}"]


def _bearer(user: User, workspace: Workspace | None = None, *scopes: Scope) -> dict[str, str]:
    """Of a token that is good in that workspace alone."""
    wanted = scopes or (Scope.JOBS_READ, Scope.JOBS_WRITE)
    _, token = accounts.issue_token(_fresh(user), name="x", scopes=wanted, workspace=workspace)
    return {"Authorization": f"Bearer {token}"}


def test_an_operator_lists_any_workspace_by_its_name(
    alice: User, olga: User, workspace: Workspace
) -> None:
    job = _make(alice)
    for scopes, count in ((tuple(Scope), 1), ((Scope.JOBS_READ,), None)):
        client = Client(headers=_bearer(olga, None, *scopes))
        answer = client.get(f"/api/v1/jobs?workspace={workspace.slug}")
        if count is None:
            assert answer.status_code == 400
        else:
            assert [each["id"] for each in answer.json()["results"]] == [str(job.pk)]


@pytest.mark.parametrize("address", ["/api/v1/jobs", "/api/v1/jobs/batch", "remix"])
def test_a_job_is_made_where_the_request_says(
    address: str, alice: User, bob: User, bobs: Workspace, join: Join
) -> None:
    join(bob, Role.CREATOR)
    here = workspaces.current(alice)
    old = _make(bob)
    charlies = workspaces.current(User.objects.create_user("charlie@example.com"))
    body: dict[str, Any] = {"jobs": [PROMPT]} if address.endswith("batch") else {**PROMPT}
    where = f"/api/v1/jobs/{old.pk}/remix" if address == "remix" else address

    def post(workspace: str | None, token: Workspace | None = None) -> tuple[int, str]:
        given = body | ({} if workspace is None else {"workspace": workspace})
        client = Client(headers=_bearer(bob, token))
        answer = client.post(where, given, "application/json")
        made = answer.json()
        if answer.status_code != 201:
            return answer.status_code, made["code"]
        job = Job.objects.get(pk=(made["jobs"][0] if "jobs" in made else made)["id"])
        return 201, job.workspace.slug

    assert post(None) == (201, here.slug)
    assert post(bobs.slug) == (201, bobs.slug)
    assert post(None, here) == (201, here.slug)
    for foreign in (charlies.slug, "no-such"):
        assert post(foreign) == (400, "bad_request")
    assert post(bobs.slug, here) == (400, "bad_request")
    Membership.objects.filter(user=bob, workspace=here).update(role=Role.VIEWER)
    assert post(here.slug) == (403, "forbidden")
    with pytest.raises(Forbidden):
        _make(_fresh(bob))


def test_the_studio_shows_what_mates_make_and_offers_what_one_may_do_to_it(
    alice: User, bob: User, bobs: Workspace, join: Join, client: Client
) -> None:
    join(bob, Role.CREATOR)
    job = _make(alice)
    client.force_login(bob)

    def offers(path: str) -> tuple[bool, bool]:
        """Whether alice is named, and whether her video can be cancelled."""
        page = client.get(path).content.decode()
        return "by alice@example.com" in page, "data-forbidden" not in page

    for path in ("/", f"/jobs/{job.pk}/"):
        assert offers(path) == (True, False)
        assert client.post(f"/jobs/{job.pk}/cancel").status_code == 403
    Membership.objects.filter(user=bob).update(role=Role.MANAGER)
    for path in ("/", f"/jobs/{job.pk}/"):
        assert offers(path) == (True, True)
    Membership.objects.filter(user=bob).update(role=Role.VIEWER)
    page = client.get("/").content.decode()
    assert "viewers make no videos there" in page
    accounts.switch_workspace(bob, bobs)
    assert "by alice@example.com" not in client.get("/").content.decode()
    assert f"in {workspaces.current(alice).name}" in client.get(
        f"/jobs/{job.pk}/"
    ).content.decode().replace("&#x27;", "'")


def test_the_form_makes_a_video_in_the_workspace_that_it_was_opened_in(
    alice: User, bob: User, bobs: Workspace, join: Join, client: Client
) -> None:
    join(bob, Role.CREATOR)
    client.force_login(bob)
    page = client.get("/").content.decode()
    opened_in = workspaces.current(alice)
    assert f'name="workspace" value="{opened_in.slug}"' in page
    accounts.switch_workspace(bob, bobs)  # in another window
    usual = client.get("/").context["form"]
    values = {name: field.initial for name, field in usual.fields.items() if field.initial}
    values |= {"prompt": PROMPT["prompt"], "idempotency_key": "k", "workspace": opened_in.slug}
    answer = client.post("/", values)
    assert answer.status_code == 302, answer.context["form"].errors
    assert Job.objects.get().workspace == opened_in


def test_webhooks_of_somebody_who_was_removed_hear_nothing_more(
    alice: User, bob: User, join: Join, claim: Callable[..., Claim]
) -> None:
    join(bob, Role.CREATOR)
    place = workspaces.current(alice)
    endpoints.create(bob, url="https://example.com/x", events=["job.succeeded"])
    for _ in range(2):
        _make(bob)
    early, late = claim(), claim()
    actions.succeed(early, [video_of(early)])  # its delivery waits
    assert deliveries.any_due()
    member = Membership.objects.get(user=bob, workspace=place).pk
    accounts.remove(alice, workspace=place.pk, member=member)
    actions.succeed(late, [video_of(late)])
    told = Delivery.objects.get()
    assert told.job_id == early.job
    endpoints.create(alice, url="https://example.com/y", events=["job.succeeded"])
    _make(alice)
    hers = claim()
    actions.succeed(hers, [video_of(hers)])
    taken = deliveries.claim()
    assert taken is not None
    assert taken.owner == alice.pk  # at once, past what was dropped
    told.refresh_from_db()
    assert (told.state, told.last_error) == (DeliveryState.EXHAUSTED, deliveries.NOT_YOURS)


def test_a_key_is_of_the_workspace_that_a_token_is_good_in(
    alice: User, bob: User, bobs: Workspace, join: Join
) -> None:
    join(bob, Role.CREATOR)
    for place in (bobs, workspaces.current(alice)):
        client = Client(headers=_bearer(bob, place) | {"Idempotency-Key": "k"})
        made = [client.post("/api/v1/jobs", PROMPT, "application/json").json() for _ in range(2)]
        assert made[0] == made[1]
        assert made[0]["workspace"] == place.slug


def test_webhooks_are_nothing_for_a_token_of_one_workspace(
    alice: User, workspace: Workspace
) -> None:
    endpoints.create(alice, url="https://example.com/x", events=["job.succeeded"])
    client = Client(headers=_bearer(alice, workspace))
    assert client.get("/api/v1/webhooks").json()["results"] == []
    body = {"url": "https://example.com/y", "events": ["job.succeeded"]}
    answer = client.post("/api/v1/webhooks", body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_only_a_workspace_without_jobs_is_deleted_and_takes_its_tokens_along(
    alice: User, workspace: Workspace, submit: Callable[..., Job]
) -> None:
    actions.cancel(submit().pk)
    with pytest.raises(WorkspaceInUse):
        accounts.delete_workspace(alice, workspace=workspace.pk)
    empty = accounts.create_workspace(alice, "Empty")
    accounts.issue_token(_fresh(alice), name="x", scopes=["jobs:read"], workspace=empty)
    accounts.delete_workspace(alice, workspace=empty.pk)
    assert not ApiToken.objects.exists()
    assert workspaces.current(_fresh(alice)) == workspace
