"""Edits the models file: one table of one model, and not one other byte of it."""

import dataclasses
import json
import os
import re
from pathlib import Path

from gpu_worker.download import ModelsError
from jobs import catalog
from jobs.catalog import PreviewMap


def replace(models: Path, text: str) -> None:
    """In one move: a reader finds the old file or the new one. Raises OSError."""
    draft = models.with_name(f".{models.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(models.stat().st_mode & 0o777)
    draft.replace(models)


def write_preview(models: Path, name: str, colours: PreviewMap) -> None:
    """Puts the map into [name.preview].

    Raises ModelsError when the file cannot be edited so; it is unchanged then. Raises OSError.
    """
    text = models.read_text(encoding="utf-8")
    before, new = catalog.parse(text), with_preview(text, name, colours)
    try:
        after = catalog.parse(new)
    except ValueError:
        after = {}
    if (
        after.pop(name, None) != dataclasses.replace(before.pop(name), preview=colours)
        or after != before
    ):
        raise ModelsError(
            "models_file_odd",
            f"The table [{name}.preview] could not be edited: write its head on a line of its own, "
            "and below it nothing that begins a line with [ or # but tables and comments.",
        )
    replace(models, new)


def with_preview(text: str, name: str, colours: PreviewMap) -> str:
    """The models file's text with this map; a model that has none yet gets it as its last table."""
    table = format_preview(name, colours)
    key = rf'(?:{re.escape(name)}|"{re.escape(name)}")'
    heads = list(re.finditer(rf"^\[{key}(?:\.([^\]\n]+))?\][^\n]*\n", text, re.M))
    if not heads:
        raise ModelsError("models_file_odd", f"The models file has no line [{name}].")
    there = [head for head in heads if head[1] == "preview"]
    head = there[0] if there else heads[-1]
    after = re.compile(r"^\[", re.M).search(text, head.end())
    lines = text[head.end() : after.start() if after else len(text)].splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()  # blank lines and comments before the next table are that one's
    end = head.end() + len("".join(lines))
    if not there:
        return f"{text[:end]}\n{table}{text[end:]}"
    return text[: head.start()] + table + text[end:]


def format_preview(name: str, colours: PreviewMap) -> str:
    rows = "".join(f"  {_row(row)},\n" for row in colours.matrix)
    error = "" if colours.error is None else f"error = {colours.error}\n"
    return (
        f"[{name}.preview]\n"
        f"origin = {json.dumps(colours.origin, ensure_ascii=False)}\n"
        f"{error}"
        f"matrix = [\n{rows}]\n"
        f"bias = {_row(colours.bias)}\n"
    )


def _row(values: tuple[float, float, float]) -> str:
    return f"[{', '.join(f'{value:.4f}' for value in values)}]"
