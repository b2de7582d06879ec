"""manage.py render "PROMPT" -o clip.mp4: the worker's own loop at a shell, without queue or site.

Ctrl-C, and every kill, leave a checkpoint beside the clip; --resume goes on from it.
"""

import signal
import sys
import threading
from argparse import ArgumentParser
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from gpu_worker import checkpoint, loop, registry
from gpu_worker.checkpoint import FileKeeper
from gpu_worker.encode import encode_video
from gpu_worker.engine import Model, RenderError, RenderState, Sprite
from jobs import offer
from jobs.errors import BadSpec
from jobs.spec import RenderSpec

INTERRUPTED = 130  # the shell's exit code for Ctrl-C


class _Bar:
    """A progress bar on standard error; none where that is no terminal."""

    def __init__(self, spec: RenderSpec, *, done: int) -> None:
        self._steps = tqdm(total=spec.steps, initial=done, unit="step", desc=spec.model)
        self._frames = spec.frames

    def progress(
        self, phase: str, *, step: int, steps: int, seconds_left: float | None = None
    ) -> None:
        self._steps.update(step - self._steps.n)
        if phase == "decoding":
            self._steps.set_description("decoding")

    def preview(self, sprite: Sprite, *, step: int, steps: int) -> None:
        raise NotImplementedError("a shell shows no previews")

    def close(self) -> None:
        self._steps.close()


class Command(BaseCommand):
    help = "Renders one prompt into an MP4 with the worker's own loop; no queue, no site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("prompt", nargs="?", help="what the video should show")
        parser.add_argument("-o", "--output", type=Path, help="the MP4 to write")
        parser.add_argument("--model", help="a name of `manage.py models list`")
        parser.add_argument("--size", help="WIDTHxHEIGHT in pixels")
        parser.add_argument("--frames", type=int)
        parser.add_argument("--steps", type=int, help="denoising steps")
        parser.add_argument("--guidance", type=float)
        parser.add_argument("--seed", type=int, help="left out, one is drawn and printed")
        parser.add_argument("--quality", help="exact, or a step cache that the model offers")
        parser.add_argument("--resume", type=Path, metavar="CHECKPOINT")
        parser.add_argument(
            "--approximate",
            action="store_true",
            help="resume although this machine differs from the one that began",
        )
        parser.add_argument("--force", action="store_true", help="replace an existing output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._handle(options)
        except RenderError as error:
            raise CommandError(f"{error} [{error.code}]") from error
        except BadSpec as error:
            told = "; ".join(f"{name}: {message}" for name, message in error.fields.items())
            raise CommandError(f"{told} [{error.code}]") from error

    def _handle(self, options: dict[str, Any]) -> None:
        saved = None if options["resume"] is None else checkpoint.read(options["resume"])
        spec = _spec(options) if saved is None else _saved_spec(saved.spec, options)
        output = _output(options)
        # The same file is written again: what was resumed once can be resumed twice.
        kept: Path = options["resume"] or output.with_name(f"{output.name}.checkpoint")
        model = registry.load_model(
            offer.find(spec.model, among=offer.known()),
            settings.T2V_ROOT,
            threads=settings.T2V_TORCH_THREADS,
        )
        start: RenderState | None = None
        comment = f"recipe {spec.digest()}"
        if saved is not None:
            differing = saved.differences(model.fingerprint())
            if differing and not options["approximate"]:
                raise CommandError(
                    f"This machine differs from the one that began ({', '.join(differing)}): "
                    "the clip would differ in its bits. --approximate goes on all the same."
                )
            if differing:
                comment += f", resumed approximately at step {saved.step}"
            start = model.from_tensors(spec, saved.tensors, saved.step)
        self._render(model, spec, start=start, output=output, kept=kept, comment=comment)
        kept.unlink(missing_ok=True)
        self.stdout.write(str(output))

    def _render(
        self,
        model: Model[Any],
        spec: RenderSpec,
        *,
        start: RenderState | None,
        output: Path,
        kept: Path,
        comment: str,
    ) -> None:
        draining = threading.Event()

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            draining.set()
            signal.signal(signal.SIGINT, signal.default_int_handler)  # twice means at once

        before = signal.signal(signal.SIGINT, interrupt)
        self.stderr.write(f"{spec.model}: {spec.prompt!r}, seed {spec.seed}")
        bar = _Bar(spec, done=0 if start is None else start.step)
        keeper = FileKeeper(kept, model, spec)
        frames = loop.render(
            model,
            spec,
            lease=loop.NoLease(),
            draining=draining,
            reporter=bar,
            tail_seconds=0.0,
            start=start,
            keeper=keeper,
            previews=False,
        )
        try:
            encode_video(
                frames,
                output,
                fps=spec.fps,
                frame_count=spec.frames,
                metadata={"comment": comment, "title": spec.prompt},
            )
        except loop.Drained:
            bar.close()
            self.stderr.write(f"Stopped. Go on with: manage.py render --resume {kept} -o {output}")
            sys.exit(INTERRUPTED)
        finally:
            bar.close()
            keeper.flush()
            signal.signal(signal.SIGINT, before)


def _spec(options: dict[str, Any]) -> RenderSpec:
    if not options["prompt"]:
        raise CommandError("Say what the video should show, or name a checkpoint with --resume.")
    return offer.make_spec(
        model=options["model"],
        prompt=options["prompt"],
        size=_size(options["size"]),
        frames=options["frames"],
        steps=options["steps"],
        guidance=options["guidance"],
        seed=options["seed"],
        quality=options["quality"],
        among=offer.known(),
    )


def _saved_spec(spec: RenderSpec, options: dict[str, Any]) -> RenderSpec:
    given = ("prompt", "model", "size", "frames", "steps", "guidance", "seed", "quality")
    if named := [name for name in given if options[name] is not None]:
        raise CommandError(f"A checkpoint brings its own {', '.join(named)}; leave them out.")
    return spec


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise CommandError("Write the size as WIDTHxHEIGHT, like 64x64.")
    return int(width), int(height)


def _output(options: dict[str, Any]) -> Path:
    output: Path | None = options["output"]
    if output is None and options["resume"] is not None:
        output = options["resume"].with_name(options["resume"].name.removesuffix(".checkpoint"))
        if output == options["resume"]:
            output = None
    if output is None:
        raise CommandError("Name the MP4 to write with -o.")
    if output.exists() and not options["force"]:
        raise CommandError(f"{output} exists already; --force replaces it.")
    if not output.parent.is_dir():
        raise CommandError(f"There is no folder {output.parent}.")
    return output
