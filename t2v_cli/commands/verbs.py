"""What one does to jobs that are there: cancel, delete, restore, retry, remix."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from t2v_cli.commands.jobs import IDS, ONE
from t2v_cli.failures import Code, Failure
from t2v_cli.options import Desk, command
from t2v_cli.site import Site, job_path


def register(app: typer.Typer) -> None:
    @command(app, "cancel")
    def cancel(desk: Desk, *, jobs: IDS) -> None:
        """Cancel jobs: a waiting one at once, a running one after its step."""
        _each(desk, jobs, lambda site, job: site.post(job_path(job, "/cancel")))

    @command(app, "delete")
    def delete(
        desk: Desk,
        *,
        jobs: IDS,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    ) -> None:
        """Delete jobs with their files, for a while t2v restore brings them back."""
        if not yes:
            if not desk.screen.live:
                raise Failure("Nobody can be asked.", Code.USAGE, advice="Say --yes.")
            typer.confirm(f"Delete {len(jobs)} job(s) with their files?", abort=True, err=True)
        _each(desk, jobs, _delete)

    @command(app, "restore")
    def restore(desk: Desk, *, jobs: IDS) -> None:
        """Bring deleted jobs back, as long as their files are there."""
        _each(desk, jobs, lambda site, job: site.post(job_path(job, "/restore")))

    @command(app, "retry")
    def retry(desk: Desk, *, jobs: IDS) -> None:
        """Try jobs again that were parked, cancelled or expired: as new jobs."""
        _each(desk, jobs, lambda site, job: site.post(job_path(job, "/retry")))

    @command(app, "remix")
    def remix(
        desk: Desk,
        *,
        job: ONE,
        prompt: Annotated[str | None, typer.Option(help="Another prompt.")] = None,
        size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT.")] = None,
        frames: Annotated[int | None, typer.Option()] = None,
        steps: Annotated[int | None, typer.Option()] = None,
        guidance: Annotated[float | None, typer.Option()] = None,
        seed: Annotated[int | None, typer.Option()] = None,
        quality: Annotated[str | None, typer.Option()] = None,
    ) -> None:
        """A new job from an old one's recipe, with what is said here changed."""
        changes = {
            "prompt": prompt,
            "size": size,
            "frames": frames,
            "steps": steps,
            "guidance": guidance,
            "seed": seed,
            "quality": quality,
        }
        body = {name: value for name, value in changes.items() if value is not None}
        made = desk.site().post(job_path(job, "/remix"), body)
        if desk.screen.as_json:
            desk.screen.document(made)
        else:
            desk.screen.say(made["id"])


def _delete(site: Site, job: str) -> None:
    try:
        site.ask("DELETE", job_path(job))
    except Failure as failure:
        # Its first try may have done it, and only the answer was lost.
        if failure.problem != "not_found" or not failure.repeated:
            raise


def _each(desk: Desk, jobs: list[str], act: Callable[[Site, str], Any]) -> None:
    """Each in turn, whatever became of the one before; the first failure says the exit code."""
    site = desk.site()
    done: list[Any] = []
    codes: list[Code] = []
    for job in jobs:
        try:
            answer = act(site, job)
        except Failure as failure:
            desk.screen.tell(f"{job}:")
            desk.screen.failure(failure)
            codes.append(failure.code)
            if failure.code is Code.UNREACHABLE:
                break  # the next one would wait as long for nothing
            continue
        done.append(answer if isinstance(answer, dict) else {"id": job})
        if not desk.screen.as_json:
            desk.screen.say(f"{done[-1]['id']} {done[-1].get('state', 'deleted')}")
    if desk.screen.as_json:
        desk.screen.document({"jobs": done})
    if codes:
        raise typer.Exit(codes[0])
