"""download: a job's files."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from t2v_cli.download import Remote, is_there, save
from t2v_cli.failures import Code, Failure
from t2v_cli.options import Desk, command
from t2v_cli.site import Site, job_path

VIDEO = "video.mp4"


def register(app: typer.Typer) -> None:
    @command(app, "download")
    def download(
        desk: Desk,
        *,
        jobs: Annotated[list[str], typer.Argument(metavar="ID…", show_default=False)],
        output: Annotated[
            Path | None,
            typer.Option("--output", "-o", help="The file; with several jobs a folder (ID.mp4)."),
        ] = None,
        name: Annotated[
            str, typer.Option(help="Which file: video.mp4, poster.png, sprite.jpg, strip.jpg.")
        ] = VIDEO,
        force: Annotated[
            bool, typer.Option("--force", help="Overwrite another file of that name.")
        ] = False,
    ) -> None:
        """Fetch videos. A download that broke goes on where it was; each file is checked."""
        site = desk.site(long=True)
        saved = []
        for job in jobs:
            target = _target(job, name, output, many=len(jobs) > 1)
            save_video(desk, site, job, target, name=name, force=force)
            saved.append({"id": job, "file": str(target)})
            if not desk.screen.as_json:
                desk.screen.say(target)
        if desk.screen.as_json:
            desk.screen.document({"files": saved})


def _target(job: str, name: str, output: Path | None, *, many: bool) -> Path:
    own = f"{job}{Path(name).suffix}" if name == VIDEO else f"{job}-{name}"
    if output is None:
        return Path(own)
    return output / own if many or output.is_dir() else output


def save_video(
    desk: Desk,
    site: Site,
    job: str,
    target: Path,
    *,
    name: str = VIDEO,
    force: bool = False,
    live: bool = True,
) -> None:
    """Raises Failure. live: with a bar, where a person looks on and nothing else draws."""
    find = partial(_found, site, job, name)
    remote = find()
    if is_there(remote, target):
        return
    if target.exists() and not force:
        raise Failure(
            f"{target} is there already and is another file.", Code.USAGE, advice="--force, or -o."
        )
    if not (live and desk.screen.live):
        save(site, find, target, progress=lambda _: None)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=desk.screen.err,
    ) as progress:
        task = progress.add_task(job[-12:], total=remote.size)
        save(site, find, target, progress=lambda have: progress.update(task, completed=have))


def _found(site: Site, job: str, name: str) -> Remote:
    told: Any = site.get(job_path(job, "/artifacts"))
    files = told["artifacts"] if isinstance(told, dict) else told
    for file in files:
        if file["name"] == name:
            return Remote.of(file)
    if not files:
        state = site.get(job_path(job))["state"]
        raise Failure(
            f"Job {job} has no files: it is {state}.",
            Code.NOT_FOUND,
            advice=f"t2v watch {job}" if state in {"queued", "running"} else "",
        )
    names = ", ".join(file["name"] for file in files)
    raise Failure(f"Job {job} has no {name}; it has {names}.", Code.NOT_FOUND)
