"""manage.py models: what is offered, what lies here, how it gets here, and its preview map."""

import importlib
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gpu_worker import lock, models_file
from gpu_worker.download import ModelsError, download
from gpu_worker.engine import RenderError
from gpu_worker.manifest import faults
from jobs import offer
from jobs.catalog import ModelEntry, PreviewMap


class Command(BaseCommand):
    help = "Lists, checks, downloads and locks the models of the models file; fits their previews."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        verbs.add_parser("list", help="every model, and whether it can be rendered here")
        check = verbs.add_parser("check", help="hashes the files of one model, or of all here")
        check.add_argument("name", nargs="?")
        fetch = verbs.add_parser("download", help="fetches a model; goes on after a break")
        fetch.add_argument("name")
        pin = verbs.add_parser("lock", help="writes all hashes of a model into the models file")
        pin.add_argument("name")
        pin.add_argument("--revision", default="", help="a commit of the hub's repository")
        fit = verbs.add_parser(
            "fit-preview", help="fits a model's latents to colours, for previews"
        )
        fit.add_argument("name")
        fit.add_argument("--clips", type=int, default=48, help="every fourth is only for the error")
        fit.add_argument("--seed", type=int, default=0)
        fit.add_argument("--videos", type=Path, help="a folder of MP4s, as true clips")
        fit.add_argument("--write", action="store_true", help="put the map into the models file")

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options["verb"]
        try:
            if verb == "list":
                self._list()
            elif verb == "check":
                self._check(options["name"])
            elif verb == "download":
                self._download(_find(options["name"]))
            elif verb == "fit-preview":
                self._fit_preview(_find(options["name"]), options)
            else:
                self._lock(_find(options["name"]), options["revision"])
        except (ModelsError, RenderError) as error:
            raise CommandError(f"{error} [{error.code}]") from error
        except (OSError, ValueError) as error:
            raise CommandError(f"{error} [{type(error).__name__}]") from error

    def _list(self) -> None:
        offered = offer.configured()
        rows = [("NAME", "TITLE", "OFFERED", "HERE", "FILES", "GPU MEMORY", "LICENCE")]
        rows += [
            (
                entry.name,
                entry.title,
                "yes" if entry.name in offered else "no",
                _state(entry),
                f"{entry.size / 1e9:.2f} GB",
                _memory(entry),
                entry.licence,
            )
            for entry in offer.known().values()
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    def _check(self, name: str | None) -> None:
        entries = [_find(name)] if name else [e for e in offer.known().values() if _is_here(e)]
        found = 0
        for entry in entries:
            with _bar(entry, "checking") as bar:
                # What was hashed before is hashed again: disks forget, and somebody asks.
                wrong = list(faults(entry, _folder(entry), progress=bar.update, remember=False))
            for fault in wrong:
                self.stdout.write(f"{entry.name}: {fault} [{fault.code}]")
            if not wrong:
                self.stdout.write(f"{entry.name}: {len(entry.files)} files, all as pinned")
            found += len(wrong)
        if found:
            sys.exit(1)

    def _download(self, entry: ModelEntry) -> None:
        folder = _folder(entry)
        with _bar(entry, "fetching") as bar:
            try:
                download(entry, folder, progress=bar.update)
            except KeyboardInterrupt:
                bar.close()
                raise CommandError(
                    "Stopped. The same command goes on where this one ended.", returncode=130
                ) from None
        for fault in faults(entry, folder):
            raise fault
        self.stdout.write(f"{entry.name} is ready in {folder}")

    def _lock(self, entry: ModelEntry, revision: str) -> None:
        models = Path(settings.T2V_MODELS_FILE)
        commit = None
        if entry.hub is None:
            if revision:
                raise CommandError(f"{entry.name} is a local folder; it has no revisions.")
            with _bar(entry, "hashing") as bar:
                files = lock.lock_folder(entry, _folder(entry), progress=bar.update)
        else:
            commit, files = lock.lock_hub(entry, entry.hub, revision or entry.hub.revision)
        lock.write(models, entry.name, revision=commit, files=files)
        self.stdout.write(f"{entry.name}: {len(files)} files pinned in {models}")

    def _fit_preview(self, entry: ModelEntry, options: dict[str, Any]) -> None:
        # Torch takes seconds to import, and the other verbs need none.
        fitting = cast(_Fitting, importlib.import_module("gpu_worker.colour_fit"))
        with tqdm(total=options["clips"], unit="clip", desc=entry.name, disable=None) as bar:
            colours = fitting.fit_model(
                entry,
                Path(settings.T2V_ROOT),
                threads=settings.T2V_TORCH_THREADS,
                count=options["clips"],
                seed=options["seed"],
                videos=options["videos"],
                tick=bar.update,
            )
        self.stdout.write(models_file.format_preview(entry.name, colours))
        if options["write"]:
            path = Path(settings.T2V_MODELS_FILE)
            models_file.write_preview(path, entry.name, colours)
            self.stdout.write(f"{entry.name}: its map stands in {path}")


class _Fitting(Protocol):
    def fit_model(
        self,
        entry: ModelEntry,
        root: Path,
        *,
        threads: int,
        count: int,
        seed: int,
        videos: Path | None,
        tick: Callable[[], object],
    ) -> PreviewMap: ...


def _find(name: str) -> ModelEntry:
    entries = offer.known()
    if name not in entries:
        raise CommandError(f"There is no model {name!r}; the models file has {', '.join(entries)}.")
    return entries[name]


def _folder(entry: ModelEntry) -> Path:
    return Path(settings.T2V_ROOT) / entry.source


def _is_here(entry: ModelEntry) -> bool:
    return _folder(entry).is_dir()


def _state(entry: ModelEntry) -> str:
    """Hashes small models; of large ones only what was hashed before is not hashed again."""
    if not entry.locked:
        return "not locked"
    folder = _folder(entry)
    if not folder.is_dir():
        return "not downloaded" if entry.hub else "missing"
    if folder.with_name(f"{folder.name}.part").is_dir():
        return "half downloaded"
    return "damaged" if any(True for _ in faults(entry, folder)) else "ready"


def _memory(entry: ModelEntry) -> str:
    if entry.memory is None:
        return "unknown"
    usual = entry.defaults
    return f"{entry.memory.peak_gib(usual.width, usual.height, usual.frames):.1f} GiB"


def _bar(entry: ModelEntry, verb: str) -> "tqdm[Any]":
    """Over the model's bytes; nothing where no terminal shows it."""
    description = f"{verb} {entry.name}"
    return tqdm(total=entry.size, desc=description, unit="B", unit_scale=True, disable=None)
