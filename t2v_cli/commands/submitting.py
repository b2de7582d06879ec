"""submit: one job or many, and if wished all the way to the files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO
from uuid import uuid4

import typer

from t2v_cli import batch, watch
from t2v_cli.commands.files import save_video
from t2v_cli.commands.jobs import expected
from t2v_cli.failures import Code, Failure
from t2v_cli.options import Desk, command
from t2v_cli.site import Site, file_stem

SPEC = "What is rendered (left out: the model's usual)"


def register(app: typer.Typer) -> None:
    @command(app, "submit")
    def submit(
        desk: Desk,
        *,
        prompt: Annotated[
            str | None, typer.Argument(help="What the video should show.", show_default=False)
        ] = None,
        file: Annotated[
            str | None,
            typer.Option(
                "--file",
                "-f",
                help="Many jobs: a prompt in each line, or an object of JSON as the API takes "
                "it; - is standard input.",
            ),
        ] = None,
        model: Annotated[str | None, typer.Option(rich_help_panel=SPEC)] = None,
        size: Annotated[
            str | None, typer.Option(help="WIDTHxHEIGHT, like 64x64.", rich_help_panel=SPEC)
        ] = None,
        frames: Annotated[int | None, typer.Option(rich_help_panel=SPEC)] = None,
        steps: Annotated[int | None, typer.Option(rich_help_panel=SPEC)] = None,
        guidance: Annotated[float | None, typer.Option(rich_help_panel=SPEC)] = None,
        seed: Annotated[
            int | None, typer.Option(help="Left out: one is drawn.", rich_help_panel=SPEC)
        ] = None,
        quality: Annotated[str | None, typer.Option(rich_help_panel=SPEC)] = None,
        start_within: Annotated[
            int | None,
            typer.Option(
                min=1,
                help="Seconds in which a worker must have begun, or the job expires.",
                rich_help_panel=SPEC,
            ),
        ] = None,
        wait: Annotated[
            bool, typer.Option("--wait", "-w", help="Watch until the end: exit 1 if it is sad.")
        ] = False,
        download: Annotated[
            Path | None,
            typer.Option(help="Wait, and put each video into this folder as ID.mp4."),
        ] = None,
        idempotency_key: Annotated[
            str | None,
            typer.Option(
                help="The same key twice within a day makes the same jobs once. "
                "Without it each run has one of its own.",
            ),
        ] = None,
    ) -> None:
        """Ask for a video, or for many, and print the ids."""
        spec = {
            "model": model,
            "size": size,
            "frames": frames,
            "steps": steps,
            "guidance": guidance,
            "seed": seed,
            "quality": quality,
            "start_within_seconds": start_within,
        }
        given = {name: value for name, value in spec.items() if value is not None}
        key = _key(idempotency_key)
        site = desk.site()
        if (prompt is None) == (file is None):
            raise Failure("Give a prompt, or --file.", Code.USAGE, advice="t2v submit --help")
        if prompt is not None:
            with _repeatable(desk, key):
                made = [site.post("/api/v1/jobs", {"prompt": prompt, **given}, key=key)]
        else:
            assert file is not None
            with _opened(file) as (text, name):
                wishes = batch.read(text, name, given)
            made = _submit_all(desk, site, wishes, name=name, key=key)
        _tell_made(desk, made, many=file is not None, waits=wait or download is not None)
        if wait or download is not None:
            _see_through(desk, made, download, many=file is not None)


def _key(given: str | None) -> str:
    """Room is left for the number of a part, in the 255 characters that the API takes."""
    if given is not None and not (
        1 <= len(given) <= 200 and given.isascii() and given.isprintable() and " " not in given
    ):
        raise Failure(
            "The idempotency key is not accepted.",
            Code.USAGE,
            advice="Use 1 to 200 ASCII signs, no spaces.",
        )
    return given or str(uuid4())


@contextmanager
def _opened(file: str) -> Iterator[tuple[TextIO, str]]:
    if file == "-":
        yield sys.stdin, "standard input"
        return
    try:
        with Path(file).open(encoding="utf-8") as text:
            yield text, file
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.", Code.USAGE) from error


@contextmanager
def _repeatable(desk: Desk, key: str) -> Iterator[None]:
    """Whoever did not hear an answer is told how to find out without making anything twice."""
    again = f"The same command with --idempotency-key {key} goes on, and makes nothing twice."
    try:
        yield
    except Failure as failure:
        if failure.code in {Code.UNREACHABLE, Code.LIMITED}:
            failure.advice = f"{failure.advice} {again}".strip()
        raise
    except KeyboardInterrupt:
        desk.screen.tell(f"Interrupted. {again}")
        raise


def _submit_all(
    desk: Desk, site: Site, wishes: list[batch.Wish], *, name: str, key: str
) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    try:
        for number, part in enumerate(batch.parts(wishes), 1):
            body = {"jobs": [wish.body for wish in part]}
            try:
                with _repeatable(desk, key):
                    made += site.post("/api/v1/jobs/batch", body, key=f"{key}-{number}")["jobs"]
            except Failure as failure:
                raise batch.at_lines(failure, part, name) from failure
            if len(wishes) > batch.MOST_AT_ONCE:
                desk.screen.tell(f"{len(made)} of {len(wishes)} jobs are submitted.")
    except (Failure, KeyboardInterrupt):
        if made:
            desk.screen.tell(
                f"{len(made)} jobs were made, those up to line {wishes[len(made) - 1].line}. "
                f"Mended, the same command with --idempotency-key {key} makes the others."
            )
            _tell_made(desk, made, many=True, waits=False)
        raise
    return made


def _tell_made(desk: Desk, made: list[dict[str, Any]], *, many: bool, waits: bool) -> None:
    if desk.screen.as_json:
        if not waits:
            desk.screen.document({"jobs": made} if many else made[0])
        return
    for job in made:
        desk.screen.say(job["id"])
    if not waits and desk.screen.live and len(made) == 1:
        if ready := expected(made[0]):
            desk.screen.tell(f"Ready {ready}.")
        desk.screen.tell(f"See it form: t2v watch {made[0]['id']}")


def _see_through(
    desk: Desk, made: list[dict[str, Any]], folder: Path | None, *, many: bool
) -> None:
    site = desk.site(long=True)
    saved: dict[str, Path] = {}

    def _ended(job: dict[str, Any]) -> None:
        if folder is not None and job["state"] == "succeeded":
            target = folder / f"{file_stem(job['id'])}.mp4"
            save_video(desk, site, job["id"], target, live=False)
            saved[job["id"]] = target

    ends = watch.until_all_end(
        desk.screen, site, [job["id"] for job in made], ended=_ended, aside=True
    )
    told = [ends[job["id"]] for job in made]
    for job in told:
        if job["id"] in saved:
            job["file"] = str(saved[job["id"]])
    if desk.screen.as_json:
        desk.screen.document({"jobs": told} if many else told[0])
    else:
        for path in saved.values():
            desk.screen.say(path)
    if any(job["state"] != "succeeded" for job in told):
        raise typer.Exit(Code.JOB)
