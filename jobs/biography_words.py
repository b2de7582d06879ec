"""A job's life (jobs/biography.py) as lines for a terminal. Pure: no I/O."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from jobs.story import Line

_LEFT_OUT_OF_THE_SPEC = ("prompt", "model")


def lines(life: dict[str, Any], story: Sequence[Line]) -> list[str]:
    """life: as biography.life_of gives it. story: its events, by story.tell."""
    parts = (_head(life), _history(life, story), _attempts(life), _things(life))
    return [_printable(line) for part in parts for line in part]


def _printable(line: str) -> str:
    """No text of a caller moves the cursor or turns the line."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in line
    )


def _head(life: dict[str, Any]) -> Iterator[str]:
    job, request = life["job"], life["request"]
    error = f": {job['error_code']}, {job['error_message']}" if job["error_code"] else ""
    yield f"Job {job['id']} is {job['state']}{error}"
    yield f"  of {job['owner']} in {job['workspace']}, pool {job['pool']}"
    by = life["submitted_by_request"]
    yield f"  submitted {_moment(job['created_at'])}" + (f" by request {by}" if by else "")
    if life["trace"]:
        yield f"  trace {life['trace']}"
    spec = request["spec"]
    values = [f"{name} {spec[name]}" for name in spec if name not in _LEFT_OUT_OF_THE_SPEC]
    yield f"  {spec.get('model', 'no model')}: {', '.join(values)}"
    if request["prompt"] is None:
        yield f"  its prompt has {request['prompt_characters']} characters (--prompt shows it)"
    else:
        yield f"  prompt: {request['prompt']}"
    for name, words in (("retry_of", "another try of"),):
        if request[name]:
            yield f"  {words} {request[name]}"
    if life["retried_as"]:
        yield f"  tried again as {life['retried_as']}"
    if job["deleted_at"]:
        yield f"  deleted {_moment(job['deleted_at'])}"
    if job["cancel_requested_at"]:
        yield f"  cancel requested {_moment(job['cancel_requested_at'])}"
    if life["waits"]:
        yield f"  waits: {life['waits']['title']}. {life['waits']['why']}"


def _history(life: dict[str, Any], story: Sequence[Line]) -> Iterator[str]:
    yield ""
    yield "History (UTC, and the time since the line before)"
    before: Line | None = None
    for line in story:
        if before is not None and line.seq != before.seq + 1:
            yield f"  … {line.seq - before.seq - 1} more …"
        gap = "" if before is None else _gap((line.at - before.at).total_seconds())
        state = f" · {line.came_to}" if line.came_to else ""
        yield f"  {line.at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + f" {gap:>12}  {line.words}{state}"
        if line.advice:
            yield f"  {'':36}  {line.advice}"
        before = line


def _attempts(life: dict[str, Any]) -> Iterator[str]:
    if life["attempts"]:
        yield ""
        yield "Attempts"
    for each in life["attempts"]:
        took = ""
        if each["ended_at"]:
            began, ended = (datetime.fromisoformat(each[at]) for at in ("started_at", "ended_at"))
            took = f" after {_gap((ended - began).total_seconds())[1:]}"
        error = f": {each['error_code']}, {each['error_message']}" if each["error_code"] else ""
        yield f"  {each['number']}  {each['worker']}  {each['outcome']}{took}{error}"
        if each["fingerprint"]:
            facts = [f"{name} {value}" for name, value in sorted(each["fingerprint"].items())]
            yield f"     on {', '.join(facts)}"


def _things(life: dict[str, Any]) -> Iterator[str]:
    saved, preview = life["checkpoint"], life["last_preview"]
    if saved:
        yield ""
        yield (
            f"Checkpoint: step {saved['step']} of attempt {saved['attempt']}, "
            f"{saved['bytes']} bytes, written {_moment(saved['written_at'])}"
        )
    if preview:
        yield f"Last preview: step {preview['step']} of {preview['steps']}, kept"
    if life["files"]:
        yield ""
        yield "Files"
    for file in life["files"]:
        yield f"  {file['name']}  {file['bytes']} bytes  {file['sha256'][:16]}…"
    if life["deliveries"]:
        yield ""
        yield "Webhooks"
    for each in life["deliveries"]:
        last = each["last_error"] or each["last_status"] or "not sent yet"
        yield f"  {each['id']}  {each['kind']}  {each['state']}, tries {each['tries']} ({last})"
    if life["audit"]:
        yield ""
        yield "Audit"
    for entry in life["audit"]:
        by = f" by {entry['actor']}" if entry["actor"] else ""
        request = f" request {entry['request']}" if entry["request"] else ""
        yield f"  {_moment(entry['at'])}  {entry['verb']}{by} ({entry['via']}){request}"


def _moment(at: str) -> str:
    return f"{datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S}"


def _gap(seconds: float) -> str:
    if seconds < 60:
        return f"+{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"+{hours} h {minutes} min" if hours else f"+{minutes} min {rest} s"
