"""A model's files from the hub: listed at one commit, fetched, hash-checked, then put in place.

huggingface_hub brings addresses, headers, tokens and errors. Its own hf_hub_download starts each
file anew after a break (it writes to a name of one process only), so the transfer is ours.
"""

import hashlib
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from httpx2 import TransportError
from huggingface_hub import HfApi, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # no __all__

from gpu_worker.manifest import PIPELINES, VOCABULARY, Progress, Verdicts, hash_file
from jobs.catalog import Hub, ModelEntry, ModelFile

TRIES = 5  # without a single new byte; a transfer that moves may break as often as it likes
PAUSE_SECONDS = 1.0  # before the second try; doubled for each further one
TIMEOUT_SECONDS = 30.0  # without an answer or a byte
SPARE_BYTES = 1 << 28  # that stay free on the disk
_WORDS = frozenset(
    {
        "added_tokens.json",
        "config.json",
        "scheduler_config.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
)
_WEIGHTS = re.compile(
    r"(?P<stem>model|diffusion_pytorch_model)(\.(?P<tag>[a-z0-9]+))?(?P<shard>-\d+-of-\d+)?"
    r"\.safetensors(?P<index>\.index(\.(?P<index_tag>[a-z0-9]+))?\.json)?"
)


class ModelsError(Exception):
    """Why a model was not fetched or locked; code stands in docs/reference/errors.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A file as the hub states it."""

    path: str  # in the repository
    size: int  # bytes
    sha256: str  # hexadecimal; empty for what lies in Git itself
    blob: str  # Git's own name for the content, hexadecimal


def choose(paths: Iterable[str], *, pipeline: str, variant: str) -> dict[str, str]:
    """Path in the model's folder → path in the repository, of what the pipeline loads.

    An allow-list: model_index.json and, in the pipeline's folders, configurations, tokenizers and
    safetensors. Of weights in several variants only the asked one is taken, where a folder has it,
    and loses its tag, so that the libraries find it without being told.
    """
    parts = PIPELINES.get(pipeline, {})
    chosen: dict[str, str] = {}
    weights: dict[str, dict[str, dict[str, str]]] = {}  # by folder, then by tag
    for path in sorted(paths):
        folder, _, name = path.rpartition("/")
        is_word = folder in parts and (name in _WORDS or path == VOCABULARY)
        if is_word or path == "model_index.json":
            chosen[path] = path
        elif folder in parts and (found := _WEIGHTS.fullmatch(name)):
            tag = found["tag"] or found["index_tag"] or ""
            plain = name if found["shard"] else f"{found['stem']}.safetensors"
            plain += ".index.json" if found["index"] else ""
            weights.setdefault(folder, {}).setdefault(tag, {})[f"{folder}/{plain}"] = path
    for tagged in weights.values():
        chosen |= tagged.get(variant) or tagged.get("", {})
    return dict(sorted(chosen.items()))


def list_hub(hub: Hub, revision: str, *, endpoint: str | None = None) -> tuple[str, list[Listed]]:
    """The commit that a revision names, and its files. Raises ModelsError."""
    with _said(f"{hub.repo} at {revision}"):
        info = HfApi(endpoint=endpoint).model_info(
            hub.repo, revision=revision, files_metadata=True, timeout=TIMEOUT_SECONDS
        )
    if not info.sha:
        raise ModelsError("hub_error", f"The hub names no commit for {hub.repo} at {revision}.")
    return info.sha, [
        Listed(
            path=file.rfilename,
            size=file.size or 0,
            sha256=file.lfs.sha256 if file.lfs else "",
            blob=file.blob_id or "",
        )
        for file in info.siblings or []
    ]


def read_small(hub: Hub, revision: str, file: Listed, *, endpoint: str | None = None) -> bytes:
    """A file that lies in Git, checked against Git's own hash of it. Raises ModelsError."""
    with _said(f"{file.path} of {hub.repo}"):
        url = hf_hub_url(hub.repo, file.path, revision=revision, endpoint=endpoint)
        response = get_session().get(url, headers=build_hf_headers(), timeout=TIMEOUT_SECONDS)
        hf_raise_for_status(response)
        content: bytes = response.content
    named = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    if len(content) != file.size or named.hexdigest() != file.blob:
        raise ModelsError(
            "model_digest_mismatch", f"{file.path} is not what the hub's listing says; try again."
        )
    return content


def download(
    entry: ModelEntry, folder: Path, *, progress: Progress, endpoint: str | None = None
) -> None:
    """Completes the folder. What is there already and right is kept; progress sums up to size.

    A file has its final name only once its hash was right; what is on its way lies beside the
    folder, in NAME.part, and is continued by the next call. Raises ModelsError and OSError.
    """
    if entry.hub is None:
        raise ModelsError("model_no_hub", f"{entry.name} comes with its folder; nothing to fetch.")
    if not entry.locked:
        raise ModelsError(
            "model_not_locked",
            f"Not all hashes of {entry.name} are pinned; first: manage.py models lock {entry.name}",
        )
    partial = folder.with_name(f"{folder.name}.part")
    known = Verdicts(folder, wanted=True)
    missing = [
        file
        for file in entry.files
        if not (folder / file.path).is_file()
        or not known.are_right(file, folder / file.path, progress)
    ]
    _refuse_full_disk(missing, partial)
    for file in missing:
        part = partial / file.path
        part.parent.mkdir(parents=True, exist_ok=True)
        url = hf_hub_url(
            entry.hub.repo, file.hub_path, revision=entry.hub.revision, endpoint=endpoint
        )
        with _said(f"{file.hub_path} of {entry.hub.repo}"):
            _fetch(url, part, file, progress)
        if part.stat().st_size != file.size or hash_file(part) != file.sha256:
            part.unlink()
            raise ModelsError(
                "model_digest_mismatch",
                f"{file.path} came with another content than the models file pins; it was deleted.",
            )
        final = folder / file.path
        final.parent.mkdir(parents=True, exist_ok=True)
        part.replace(final)
        known.note(file, final)
        known.save()
    if partial.is_dir():
        shutil.rmtree(partial)


def _fetch(url: str, part: Path, file: ModelFile, progress: Progress) -> None:
    """Appends what the part lacks. Raises TransportError after TRIES without a new byte."""
    if _bytes_in(part) > file.size:
        part.unlink()
    progress(_bytes_in(part))
    tries = 0
    while (before := _bytes_in(part)) < file.size:
        try:
            _append(url, part, progress)
        except TransportError:
            tries = 1 if _bytes_in(part) > before else tries + 1
            if tries == TRIES:
                raise
            time.sleep(PAUSE_SECONDS * 2 ** (tries - 1))
        else:
            return


def _append(url: str, part: Path, progress: Progress) -> None:
    """One request for the rest of the file."""
    have = _bytes_in(part)
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}  # ranges count plain bytes
    if have:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_SECONDS) as response:
        hf_raise_for_status(response)
        goes_on = have > 0 and response.status_code == 206
        if have and not goes_on:  # the server starts over
            progress(-have)
        with part.open("ab" if goes_on else "wb", buffering=0) as out:
            for chunk in response.iter_bytes():
                out.write(chunk)
                progress(len(chunk))


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refuse_full_disk(missing: list[ModelFile], partial: Path) -> None:
    needed = sum(file.size - _bytes_in(partial / file.path) for file in missing)
    home = next(folder for folder in partial.absolute().parents if folder.exists())
    free = shutil.disk_usage(home).free
    if missing and needed + SPARE_BYTES > free:
        raise ModelsError(
            "disk_full",
            f"{needed / 1e9:.1f} GB are to be fetched, and {free / 1e9:.1f} GB are free there; "
            "make room, or set T2V_MODELS_DIR to a folder on another disk.",
        )


@contextmanager
def _said(what: str) -> Iterator[None]:
    """The hub's errors as ours, with what to do."""
    try:
        yield
    except (RepositoryNotFoundError, RevisionNotFoundError, EntryNotFoundError) as error:
        gated = isinstance(error, GatedRepoError)
        raise ModelsError(
            "hub_refused" if gated else "hub_not_found",
            f"The hub asks for its terms to be accepted first: {what}."
            if gated
            else f"The hub has no {what}; a private repository needs HF_TOKEN.",
        ) from error
    except HfHubHTTPError as error:
        raise ModelsError(
            "hub_error", f"The hub answered {error.response.status_code} for {what}; try later."
        ) from error
    except OfflineModeIsEnabled as error:
        raise ModelsError("hub_unreachable", "HF_HUB_OFFLINE is set; unset it first.") from error
    except TransportError as error:
        raise ModelsError(
            "hub_unreachable",
            f"The hub cannot be reached or broke off ({type(error).__name__}): {what}. "
            "The same command goes on where this one ended.",
        ) from error
