"""What a run is asked for, and the bounds that nothing can lift. Pure, but for files of secrets."""

import argparse
import ipaddress
import random
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

SHAPES = ("ramp", "burst", "soak")
MOST_USERS = 500  # of one Locust process: beyond them it is the bottleneck, not the site
MOST_MINUTES = 720.0
MOST_JOBS = 100_000
MOST_TOKENS = 50


class BadOptions(Exception):
    """What was asked for is none of a load run's business; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    shape: str  # of SHAPES
    seed: int
    users: int  # at the most at a time
    minutes: float  # of load; what is left in the queue comes on top
    jobs: int  # accepted ones, in all
    disk_mb: int  # that the site's data folder, or else our records, may grow to
    max_wait: int  # seconds, T2V_MAX_WAIT_SECONDS of an own site; 0: it refuses nobody
    url: str  # "": a site of its own
    token_file: Path | None
    out: Path | None
    keep: bool  # what was made on a site that was there before
    write: bool  # the table in benchmarks/results


def loopback(url: str) -> bool:
    """By what is written: a name that only the network can resolve is not believed."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse(argv: list[str]) -> Options:
    """Raises BadOptions, and SystemExit for what argparse refuses."""
    parser = argparse.ArgumentParser(prog="make load LOAD='…'", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="ramp")
    parser.add_argument("--seed", type=int, default=None, help="drawn, and printed, without it")
    parser.add_argument("--users", type=int, default=20, help="at the most at a time")
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--jobs", type=int, default=2000, help="accepted ones, in all")
    parser.add_argument("--disk-mb", type=int, default=2000)
    parser.add_argument(
        "--max-wait", type=int, default=10, help="T2V_MAX_WAIT_SECONDS of the site that it starts"
    )
    parser.add_argument("--url", default="", help="a site that runs; without it one is started")
    parser.add_argument("--token-file", type=Path, help="API tokens for --url, one a line")
    parser.add_argument(
        "--not-loopback",
        action="store_true",
        help="yes, load a site on another machine; its operators know of it",
    )
    parser.add_argument("--out", type=Path, help="folder of the report")
    parser.add_argument("--keep", action="store_true", help="leave the videos on the site of --url")
    parser.add_argument("--write", action="store_true", help="into benchmarks/results, too")
    found = parser.parse_args(argv)
    options = Options(
        shape=found.shape,
        seed=random.SystemRandom().randrange(10**6) if found.seed is None else found.seed,
        users=found.users,
        minutes=found.minutes,
        jobs=found.jobs,
        disk_mb=found.disk_mb,
        max_wait=found.max_wait,
        url=found.url.rstrip("/"),
        token_file=found.token_file,
        out=found.out,
        keep=found.keep,
        write=found.write,
    )
    check(options, foreign=found.not_loopback)
    return options


def check(options: Options, *, foreign: bool) -> None:
    """foreign: a site on another machine was asked for in so many words. Raises BadOptions."""
    bounds = {
        "--users": (options.users, 1, MOST_USERS),
        "--minutes": (options.minutes, 0.05, MOST_MINUTES),
        "--jobs": (options.jobs, 1, MOST_JOBS),
        "--disk-mb": (options.disk_mb, 10, 100_000),
        "--max-wait": (options.max_wait, 0, 86_400),
    }
    for name, (value, least, most) in bounds.items():
        if not least <= value <= most:
            raise BadOptions(f"{name} is from {least} to {most}, not {value}.")
    if bool(options.url) != bool(options.token_file):
        raise BadOptions("--url and --token-file go together.")
    if options.url and urlsplit(options.url).scheme not in {"http", "https"}:
        raise BadOptions("--url begins with http:// or https://.")
    if options.url and not loopback(options.url) and not foreign:
        raise BadOptions(
            f"{urlsplit(options.url).hostname} is not this machine. A load run takes a site's "
            "whole capacity: add --not-loopback if the site is yours and its people know."
        )


def tokens(file: Path) -> list[str]:
    """One a line. Raises BadOptions."""
    found = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    found = [line for line in found if line and not line.startswith("#")]
    if not 1 <= len(found) <= MOST_TOKENS:
        raise BadOptions(f"{file} has {len(found)} tokens, not 1 to {MOST_TOKENS}.")
    return found
