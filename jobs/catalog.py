"""A models file (deploy/models.toml) as data: each model's limits, defaults, words and files.

The site reads it for its forms; the worker reads the same file and finds the code by the family.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from jobs.qualities import EXACT, Quality, parse_qualities
from jobs.spec import Limits, RenderSpec

TOKEN_SIDE = 16  # pixels a token stands for, in each direction: 8 of the VAE, 2 of the patch
TOKEN_FRAMES = 6  # frames a token stands for; the first one stands for one frame
LATENT_CHANNELS = 12  # of Mochi's VAE: rows of a preview map
INPUTS = frozenset({"image"})  # what a model may take beside a prompt

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    width: int  # pixels
    height: int  # pixels
    frames: int
    steps: int
    guidance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """Where a model's files come from: one commit of one repository, never a branch."""

    repo: str  # owner/name
    revision: str  # 40 hexadecimal digits; empty until `manage.py models lock` pinned one
    variant: str = ""  # of the weights, where the repository has several: bf16


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    path: str  # below the model's folder
    size: int  # bytes
    sha256: str  # hexadecimal; empty: not known yet, so nobody can load the model
    hub_path: str  # in the repository; another than path where a variant loses its tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a render takes on the GPU, in GiB, fitted to measurements or derived."""

    weights_gib: float  # all of the model
    text_encoder_gib: float  # the part of weights_gib that may leave the GPU after the prompt
    gib_per_thousand_tokens: float  # while denoising, with guidance (two clips in one batch)
    gib_per_megapixel: float  # untiled decode, for a million of width · height · frames
    measured: str  # how, and on what

    def denoise_gib(self, width: int, height: int, frames: int) -> float:
        """Activations alone; sizes in pixels."""
        latents = (frames - 1) // TOKEN_FRAMES + 1
        tokens = latents * (height / TOKEN_SIDE) * (width / TOKEN_SIDE)
        return self.gib_per_thousand_tokens * tokens / 1000

    def decode_gib(self, width: int, height: int, frames: int) -> float:
        """Activations alone; sizes in pixels."""
        return self.gib_per_megapixel * width * height * frames / 1e6

    def peak_gib(self, width: int, height: int, frames: int) -> float:
        """The whole render's: weights and the larger of its two halves."""
        clip = (width, height, frames)
        return self.weights_gib + max(self.denoise_gib(*clip), self.decode_gib(*clip))


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewMap:
    """VAE-normalised latents to RGB in [-1, 1]: latent · matrix + bias, a latent at a time."""

    matrix: tuple[tuple[float, float, float], ...]  # one row for each of 12 channels
    bias: tuple[float, float, float]
    error: float | None  # mean absolute, in levels of 256, against true decodes; None: unknown
    origin: str  # who fitted it, and how


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    name: str
    title: str
    family: str  # which file of gpu_worker renders it
    pipeline: str  # the diffusers class that model_index.json must name: MochiPipeline
    source: str  # folder, relative to the project's root or absolute; empty: among the downloads
    hub: Hub | None  # None: the files came with the folder
    files: tuple[ModelFile, ...]
    licence: str
    dtype: str  # of the weights while rendering: float32, bfloat16
    fps: int  # frames a second
    max_sequence_length: int  # tokens of the prompt that the model reads
    understands: str  # for people: what a prompt may say
    examples: tuple[str, ...]
    limits: Limits
    defaults: Defaults
    memory: Memory | None = None  # None: unknown, so nothing is predicted
    preview: PreviewMap | None = None  # None: previews are true decodes
    attention: str = "auto"  # auto: the best exact backend of the machine
    compile: bool = False
    offered: bool = True  # False: only where T2V_MODELS names it
    qualities: tuple[Quality, ...] = (EXACT,)  # the exact one is always the first
    words: tuple[tuple[str, tuple[str, ...]], ...] = ()  # (part of a prompt, what it may be)
    inputs: tuple[str, ...] = ()  # of INPUTS
    in_short: str = ""  # for people: what it understands, in a line

    def usual(self, prompt: str, *, seed: int) -> RenderSpec:
        """A render with the model's defaults."""
        return RenderSpec(
            model=self.name,
            prompt=prompt,
            width=self.defaults.width,
            height=self.defaults.height,
            frames=self.defaults.frames,
            fps=self.fps,
            steps=self.defaults.steps,
            guidance=self.defaults.guidance,
            seed=seed,
        )

    @property
    def qualities_digest(self) -> str:
        """Of every cache's options, which a recipe only names: 16 hexadecimal digits."""
        told = [(each.name, each.cache, sorted(each.options.items())) for each in self.qualities]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def quality(self, name: str) -> Quality:
        """Raises KeyError for a quality that the model does not offer."""
        return {quality.name: quality for quality in self.qualities}[name]

    @property
    def locked(self) -> bool:
        """Whether every byte is known beforehand; what is not is never loaded."""
        pinned = self.hub is None or bool(self.hub.revision)
        return pinned and bool(self.files) and all(file.sha256 for file in self.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def digest(self) -> str:
        """Of all weights: SHA-256 over the manifest's sorted lines; empty until locked."""
        if not self.locked:
            return ""
        lines = sorted(f"{file.sha256} {file.size} {file.path}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def parse(text: str) -> dict[str, ModelEntry]:
    """Entries by name, in the file's order. Nonsense raises ValueError that says where."""
    return {name: _entry(name, values) for name, values in tomllib.loads(text).items()}


def parse_files(text: str) -> tuple[ModelFile, ...]:
    """Of lines "sha256 size path [< path in the repository]", "-" for a hash not known.

    Raises ValueError for anything else, for a path twice, and for one that leaves the folder.
    """
    files = tuple(_file(line) for line in text.splitlines() if line.strip())
    seen: set[str] = set()
    for file in files:
        # Two names that a file system may take for one would overwrite each other.
        if file.path.lower() in seen:
            raise ValueError(f"{file.path} stands twice among the files")
        seen.add(file.path.lower())
    return files


def format_files(files: Iterable[ModelFile]) -> str:
    """The inverse of parse_files."""
    return "".join(
        f"{file.sha256 or '-'} {file.size} {file.path}"
        + (f" < {file.hub_path}" if file.hub_path != file.path else "")
        + "\n"
        for file in files
    )


def _file(line: str) -> ModelFile:
    words = line.split()
    if len(words) not in {3, 5} or words[3:4] not in ([], ["<"]):
        raise ValueError(f"{line.strip()!r} is not: sha256 size path [< path in the repository]")
    sha256, size, path, hub_path = words[0], words[1], words[2], words[-1]
    if sha256 != "-" and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError(f"the hash of {path} is not 64 lower-case hexadecimal digits, or -")
    if not size.isascii() or not size.isdecimal():
        raise ValueError(f"the size of {path} is {size!r}, not a number of bytes")
    for name in (path, hub_path):
        # PurePosixPath folds "a//b" and "a/./b", so that only the plain spelling passes.
        if str(PurePosixPath(name)) != name or name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"{name!r} is not a plain path below the model's folder")
        if "\\" in name or ":" in name:
            raise ValueError(f"{name!r} holds a backslash or a colon")
    return ModelFile(
        path=path, size=int(size), sha256="" if sha256 == "-" else sha256, hub_path=hub_path
    )


def _made(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    """A dataclass of exactly these values."""
    unknown = sorted(set(values) - {field.name for field in fields(kind)})  # type: ignore[arg-type]
    if unknown:
        raise ValueError(f"{where}: unknown key {', '.join(unknown)}")
    try:
        return kind(**values)
    except TypeError as error:  # a key is missing; the message names it
        raise ValueError(f"{where}: {str(error).partition(' ')[2]}") from error


def _entry(name: str, values: Mapping[str, Any]) -> ModelEntry:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) or not isinstance(values, dict):
        raise ValueError(f"[{name}] is no table, or its name cannot be a folder's")
    known: dict[str, Any] = {"source": "", "files": "", "examples": []} | values
    try:
        known["qualities"] = parse_qualities(known.get("qualities", {}))
        names = tuple(quality.name for quality in known["qualities"])
        known["limits"] = _limits({**known.get("limits", {}), "qualities": names})
        known["words"] = _words(known.get("words", {}))
        known["inputs"] = _inputs(known.get("inputs", []))
        known["defaults"] = _made(Defaults, known.get("defaults", {}), "defaults")
        known["hub"] = _hub(known["hub"]) if "hub" in known else None
        known["files"] = parse_files(known["files"])
        known["examples"] = tuple(known["examples"])
        if "memory" in known:
            known["memory"] = _made(Memory, known["memory"], "memory")
        if "preview" in known:
            known["preview"] = _preview(known["preview"])
        entry = _made(ModelEntry, known | {"name": name}, "entry")
        if not entry.source and entry.hub is None:
            raise ValueError("it has neither a source nor a hub, so nobody can find its files")
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"[{name}] {error}") from error
    return entry


def _limits(values: Mapping[str, Any]) -> Limits:
    sizes = tuple((width, height) for width, height in values.get("sizes", ()))
    lengths = tuple(values.get("frames", ()))
    return _made(Limits, {**values, "sizes": sizes, "frames": lengths}, "limits")


def _hub(values: Mapping[str, Any]) -> Hub:
    hub = _made(Hub, values, "hub")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", hub.repo, re.ASCII):
        raise ValueError(f"hub: {hub.repo!r} is not owner/name")
    if hub.revision and not re.fullmatch(r"[0-9a-f]{40}", hub.revision):
        raise ValueError(
            f"hub: {hub.revision!r} is no commit of 40 hexadecimal digits; a branch may move"
        )
    return hub


def _preview(values: Mapping[str, Any]) -> PreviewMap:
    matrix = tuple(tuple(float(factor) for factor in row) for row in values.get("matrix", ()))
    bias = tuple(float(shift) for shift in values.get("bias", ()))
    if len(matrix) != LATENT_CHANNELS or any(len(row) != 3 for row in (*matrix, bias)):
        raise ValueError(f"preview: it is not {LATENT_CHANNELS} rows of 3 numbers, and 3 of bias")
    return _made(PreviewMap, {"error": None, **values, "matrix": matrix, "bias": bias}, "preview")


def _words(values: Mapping[str, Any]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Raises ValueError that names the part whose words are no list of texts."""
    for part, words in values.items():
        if not isinstance(words, list) or not words or not all(isinstance(w, str) for w in words):
            raise ValueError(f"words: {part} is {words!r}, not a list of words")
    return tuple((part, tuple(words)) for part, words in values.items())


def _inputs(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or not set(map(str, values)) <= INPUTS:
        raise ValueError(f"inputs: {values!r} is no list of {', '.join(sorted(INPUTS))}")
    return tuple(values)


@cache
def load(path: Path) -> dict[str, ModelEntry]:
    """Entries of one file. Raises what parse raises, and OSError."""
    return parse(path.read_text(encoding="utf-8"))
