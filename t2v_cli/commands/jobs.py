"""watch, list, get."""

from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import typer

from t2v_cli import watch as watching
from t2v_cli.failures import Code, Failure
from t2v_cli.options import Desk, command
from t2v_cli.site import Site, job_path

IDS = Annotated[list[str], typer.Argument(metavar="ID…", show_default=False)]
ONE = Annotated[str, typer.Argument(metavar="ID", show_default=False)]
MOST_WATCHED = 10_000
COLUMNS = ("id", "state", "created", "model", "prompt")


def register(app: typer.Typer) -> None:
    @command(app, "watch")
    def watch(desk: Desk, *, jobs: IDS) -> None:
        """See jobs form until each has ended. Ctrl-C stops the watching, not the jobs."""
        if len(jobs) > MOST_WATCHED:
            raise Failure(f"At most {MOST_WATCHED} jobs at once.", Code.USAGE)
        ends = watching.until_all_end(desk.screen, desk.site(long=True), jobs)
        if any(job["state"] != "succeeded" for job in ends.values()):
            raise typer.Exit(Code.JOB)

    @command(app, "list")
    def list_(
        desk: Desk,
        *,
        state: Annotated[
            list[str] | None, typer.Option(help="Of this state; may be repeated.")
        ] = None,
        model: Annotated[str | None, typer.Option(help="Of this model.")] = None,
        search: Annotated[str | None, typer.Option(help="With these words in the prompt.")] = None,
        created_after: Annotated[str | None, typer.Option(help="An ISO 8601 time.")] = None,
        created_before: Annotated[str | None, typer.Option(help="An ISO 8601 time.")] = None,
        ordering: Annotated[
            str | None,
            typer.Option(help="created_at or finished_at; with - before it, newest first."),
        ] = None,
        limit: Annotated[int, typer.Option(min=1, max=100, help="Jobs of a page.")] = 20,
        everything: Annotated[
            bool, typer.Option("--all", help="Page after page; with --json a line for each job.")
        ] = False,
    ) -> None:
        """Your jobs, the newest first."""
        wanted = {
            "state": ",".join(state) if state else None,
            "model": model,
            "search": search,
            "created_after": created_after,
            "created_before": created_before,
            "ordering": ordering,
            "limit": limit,
        }
        pages = _pages(desk.site(), {k: v for k, v in wanted.items() if v is not None})
        screen = desk.screen
        if not everything:
            page = next(pages)
            if screen.as_json:
                screen.document(page)
                return
            screen.rows(COLUMNS, map(_row, page["results"]))
            if page.get("next") and screen.live:
                screen.tell("There are more: --all, or a filter.")
            return
        for number, page in enumerate(pages):
            if screen.as_json:
                for job in page["results"]:
                    screen.line(job)
            else:
                screen.rows(COLUMNS, map(_row, page["results"]), head=number == 0)

    @command(app, "get")
    def get(desk: Desk, *, job: ONE) -> None:
        """One job as it stands."""
        site = desk.site()
        found = site.get(job_path(job))
        if desk.screen.as_json:
            desk.screen.document(found)
        else:
            desk.screen.facts(_facts(found, site))


def _pages(site: Site, wanted: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = site.get("/api/v1/jobs", wanted | ({"cursor": cursor} if cursor else {}))
        yield page
        following = page.get("next")
        if not following:
            return
        before = cursor
        # Only the place is taken: behind a proxy the address may not be the one that we use.
        (cursor,) = parse_qs(urlsplit(following).query).get("cursor", [following])
        if cursor == before:
            raise Failure("The list goes round in circles.", Code.UNREACHABLE)


def _row(job: dict[str, Any]) -> list[object]:
    created = str(job["created_at"])[:19].replace("T", " ")
    return [job["id"], job["state"], created, job["spec"]["model"], job["prompt"]]


def _facts(job: dict[str, Any], site: Site) -> list[tuple[str, object]]:
    spec = {name: value for name, value in job["spec"].items() if name != "prompt"}
    step = f"{job['step']} of {job['steps']}" if job["state"] == "running" else None
    pairs = [
        ("Job", job["id"]),
        ("State", job["state"]),
        ("Prompt", job["prompt"]),
        *((name.capitalize(), value) for name, value in spec.items()),
        ("Before it", job.get("place")),
        ("Step", step),
        ("Ready", expected(job)),
        ("Created", job["created_at"]),
        ("Started", job["started_at"]),
        ("Finished", job["finished_at"]),
        ("Cost", _cost(job)),
        ("Error", job["error_code"]),
        ("", job["error_message"]),
        ("Video", site.address + job["video_url"] if job["video_url"] else None),
    ]
    return [(name, value) for name, value in pairs if value not in {None, ""}]


def expected(job: dict[str, Any]) -> str:
    """When it will be there, as the site thinks; empty where it does not know."""
    estimate = job.get("estimate") or {}
    seconds = estimate.get("eta_seconds")
    return "" if seconds is None else f"in about {seconds:.0f} s"


def _cost(job: dict[str, Any]) -> str:
    cost = job.get("cost") or {}
    if cost.get("amount") is None:
        return ""
    return f"{cost['amount']} {cost['currency']}"
