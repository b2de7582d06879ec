"""A report as people read it: a table for the terminal, and a page of Markdown with the plots."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.load import verdict

PLOTS = {
    "admission.png": "Who came, and what was accepted and refused",
    "wait.png": "What was promised of the wait, and what came",
    "latency.png": "How soon answers, facts and previews came",
    "parts.png": "Processor and memory of each part",
}


def _spread(found: Mapping[str, Any]) -> str:
    if not found["count"]:
        return f"{0:>8}{'–':>10}{'–':>10}{'–':>10}{'–':>10}"
    return f"{found['count']:>8}" + "".join(
        f"{found[name]:>10,.1f}" for name in ("p50", "p95", "p99", "max")
    )


def table(told: Mapping[str, Any]) -> Iterator[str]:
    asked, machine = told["asked"], told["machine"]
    limit = "" if asked["url"] else f", T2V_MAX_WAIT_SECONDS {asked['max_wait']}"
    yield (
        f"{asked['shape']}: {asked['users']} users at the most, {asked['minutes']:g} min, seed "
        f"{asked['seed']}{limit}; {told['began']}"
    )
    yield (
        f"{machine['architecture']}, {machine['cores']} CPU cores, no GPU, "
        f"{machine['memory_gb']:g} GB, Python {machine['python']}; load average "
        f"{machine['load_before']} before and {machine['load_after']} after, the run's own work "
        f"in it; ended by {told['stopped_by']}"
    )
    yield from _admission(told)
    yield f"\n  {'':<34}{'n':>8}{'p50':>10}{'p95':>10}{'p99':>10}{'max':>10}"
    for name, unit, found in _spreads(told):
        yield f"  {f'{name}, {unit}':<34}{_spread(found)}"
    yield from _parts(told)
    yield ""
    yield from verdict.lines(verdict.judge(told))


def _admission(told: Mapping[str, Any]) -> Iterator[str]:
    admission, jobs, live = told["admission"], told["jobs"], told["live"]
    why = ", ".join(f"{code} {count}" for code, count in admission["by_code"].items())
    yield (
        f"\n  submits: {admission['accepted']} accepted, {admission['refused']} refused"
        f"{f' ({why})' if why else ''}, {admission['broken']} broken"
    )
    states = ", ".join(f"{count} {state}" for state, count in jobs["by_state"].items())
    yield f"  jobs: {states or 'none'}; {len(jobs['lost'])} lost, {jobs['tried_again']} tried again"
    for manner, found in told["come_back"].items():
        yield (
            f"  {manner}: {found['wishes_refused']} wishes refused, came again "
            f"{found['came_again']} times, let in {found['accepted_then']}, gave up "
            f"{found['gave_up']}"
        )
    sockets = ", ".join(f"{count} {what}" for what, count in live["sockets"].items())
    yield f"  sockets: {sockets}"
    errors = told["errors"]
    yield f"  requests: {errors['failed']} of 5xx, {errors['no_answer']} without an answer"


def _spreads(told: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    admission, wait, live = told["admission"], told["wait"], told["live"]
    yield "submit, accepted", "ms", admission["accepted_ms"]
    yield "submit, refused", "ms", admission["refused_ms"]
    yield "Retry-After", "s", admission["retry_after_seconds"]
    yield "wait in the queue", "s", wait["waited_seconds"]
    yield "wait less what was promised", "s", wait["wait_late_seconds"]
    yield "wait off what was promised", "s", wait["wait_off_seconds"]
    yield "from submit to video", "s", wait["done_after_seconds"]
    yield "video off what was promised", "s", wait["done_off_seconds"]
    yield "fact, commit to viewer", "ms", live["fact_ms"]
    yield "preview, worker to viewer", "ms", live["preview_ms"]
    for name, found in told["requests"].items():
        yield name, "ms", found["ms"]


def _parts(told: Mapping[str, Any]) -> Iterator[str]:
    if not told["parts"]:
        return
    heads = ("CPU %", "most", "MB first", "MB last", "MB most")
    yield f"\n  {'':<34}" + "".join(f"{head:>10}" for head in heads)
    keys = ("cpu_mean", "cpu_max", "memory_first_mb", "memory_last_mb", "memory_max_mb")
    for name, found in told["parts"].items():
        yield f"  {name:<34}" + "".join(f"{found[key]:>10,.1f}" for key in keys)
    most = told["services"]
    yield (
        f"  at the most: {most['queued_max']} queued jobs, {most['connections_max']} connections "
        f"to Postgres, {most['redis_mb_max']} MB in Redis, {most['disk_mb_max']} MB of files"
    )


def written(told: Mapping[str, Any]) -> str:
    """report.md."""
    head = f"# Load: {told['asked']['shape']}, seed {told['asked']['seed']}"
    rows = [
        f"| {'yes' if goal.held else 'NO'} | {'hard' if goal.hard else ''} | {goal.sentence} | "
        f"{'–' if goal.value is None else f'{goal.value:,.4g}'} | "
        f"{'≥' if goal.at_least else '≤'} {goal.limit:g} |"
        for goal in verdict.judge(told)
    ]
    goals = "\n".join(["| kept | | goal | came to | limit |", "|---|---|---|---|---|", *rows])
    shown = "\n\n".join(f"## {words}\n\n![{words}]({name})" for name, words in PLOTS.items())
    numbers = "\n".join(table(told))
    return f"{head}\n\n{goals}\n\n{shown}\n\n## Numbers\n\n```\n{numbers}\n```\n"
