"""Reads Dockerfiles, and does what their steps say in a folder, for where no daemon runs.

Known: FROM, ARG, ENV, WORKDIR, COPY, RUN; what else there is describes the image. Each stage gets a
folder that stands for its root. `pip` is one of ours (wheels.py): it puts in place what a real one
would install, from the wheels that the tests run with.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from fnmatch import translate
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Folders of the images that steps name; all others are the base's.
OURS = re.compile(r"(?<![\w.:/-])/(?=(opt/t2v|app|build|var/lib/t2v)\b)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    word: str
    rest: str  # without its line's breaks


@dataclass(slots=True, kw_only=True)
class Stage:
    name: str
    base: str  # an image, or another stage
    steps: list[Step] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [step.rest for step in self.steps if step.word == word]


def read(path: Path) -> list[Stage]:
    stages: list[Stage] = []
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            stages.append(Stage(name=name, base=base))
        elif word:
            stages[-1].steps.append(Step(word=word, rest=rest.strip()))
    return stages


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps this file out; the last line that fits decides."""
    out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        wanted = line.removeprefix("!")
        pattern = re.compile(translate(wanted.removeprefix("**/")))
        parts = path.split("/")
        above = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        names = parts if wanted.startswith("**/") else above
        if any(pattern.fullmatch(name) for name in names):
            out = not line.startswith("!")
    return out


def context() -> list[str]:
    """The files that a build is given: tracked or new, and not kept out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if not ignored(name)]


class Build:
    """What the steps of one Dockerfile have made so far."""

    def __init__(self, folder: Path, *, downloads: bool = False) -> None:
        """downloads: with the real pip, which takes minutes and the registry's word."""
        self._folder, self._files = folder, context()
        self._tools = folder / "tools"
        self._tools.mkdir(parents=True)
        (self._tools / "python").symlink_to(Path(sys._base_executable))  # type: ignore[attr-defined]
        module = "pip" if downloads else "tests.deploy.wheels"
        pip = f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m {module} "$@"\n'
        (self._tools / "pip").write_text(pip, encoding="utf-8")
        (self._tools / "pip").chmod(0o755)

    def root(self, stage: str) -> Path:
        return self._folder / stage

    def make(self, stages: list[Stage]) -> None:
        for stage in stages:
            root = self.root(stage.name)
            if any(stage.base == other.name for other in stages):
                shutil.copytree(self.root(stage.base), root, symlinks=True)
            root.mkdir(exist_ok=True)
            place, arguments = root, dict[str, str]()
            for step in stage.steps:
                match step.word:
                    case "WORKDIR":
                        place = root / step.rest.lstrip("/")
                        place.mkdir(parents=True, exist_ok=True)
                    case "ARG":
                        name, _, value = step.rest.partition("=")
                        arguments[name] = value
                    case "COPY":
                        self._copy(step.rest, root, place)
                    case "RUN":
                        self._run(step.rest, root, place, arguments)

    def _copy(self, rest: str, root: Path, place: Path) -> None:
        *sources, target = shlex.split(rest)
        goal = root / target.lstrip("/") if target.startswith("/") else place / target
        if sources[0].startswith("--from="):
            for source in sources[1:]:
                there = self.root(sources[0].removeprefix("--from=")) / source.lstrip("/")
                goal.parent.mkdir(parents=True, exist_ok=True)
                goal.symlink_to(there)
            return
        for source in sources:
            found = [f for f in self._files if f == source or f.startswith(f"{source}/")]
            assert found, f"COPY {source}: .dockerignore leaves nothing of it"
            for file in found:
                inside = Path(file).relative_to(source) if file != source else Path()
                end = goal / Path(source).name if target.endswith("/") else goal / inside
                end.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / file, end)

    def _run(self, rest: str, root: Path, place: Path, arguments: dict[str, str]) -> None:
        if rest.startswith("useradd "):
            return  # needs root, and makes nothing that a later step reads
        clean = {name: text for name, text in os.environ.items() if not name.startswith("T2V_")}
        clean.pop("DJANGO_SETTINGS_MODULE", None)
        done = subprocess.run(
            ["/bin/sh", "-c", OURS.sub(f"{root}/", rest)],
            cwd=place,
            env=clean | arguments | {"PATH": f"{self._tools}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=1800,
        )
        assert done.returncode == 0, f"RUN {rest}\n{done.stdout}{done.stderr}"


def main() -> None:
    """make images-dry: the steps of both, as a daemon would take them."""
    for name in ("site", "worker"):
        with tempfile.TemporaryDirectory(prefix=f"t2v-{name}-") as folder:
            build, began = Build(Path(folder), downloads=True), time.monotonic()
            build.make(read(ROOT / f"deploy/{name}.Dockerfile"))
            size = sum(
                path.lstat().st_size
                for path in Path(folder).rglob("*")
                if "code/opt" not in str(path)
            )
            seconds = time.monotonic() - began
            sys.stdout.write(f"{name}: {seconds:.0f} s, {size / 1e6:.0f} MB beside its base\n")


if __name__ == "__main__":
    main()
