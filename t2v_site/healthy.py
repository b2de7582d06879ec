"""`manage.py healthy PART [--ready]`: for health checks of containers, which ask all the time.

Exit code 0 or 1 and a sentence, within a second and without Django: manage.py comes here before it
loads any of that.
"""

import http.client
import os
import sys
from argparse import ArgumentParser
from pathlib import Path

from jobs.signs import SILENT_SECONDS, shown

SITE = "site"
PARTS = (SITE, *SILENT_SECONDS)
HTTP_SECONDS = 4.0  # /healthz/ready answers within 2


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("part", choices=PARTS, help="which of the parts on this machine")
    parser.add_argument(
        "--ready", action="store_true", help="also ask whether it does its work now"
    )


def main(words: list[str]) -> int:
    parser = ArgumentParser(prog="manage.py healthy", description=__doc__)
    arguments(parser)
    options = parser.parse_args(words)
    return told(*look(options.part, ready=options.ready))


def told(is_healthy: bool, sentence: str) -> int:
    print(sentence, file=sys.stdout if is_healthy else sys.stderr)
    return 0 if is_healthy else 1


def look(part: str, *, ready: bool) -> tuple[bool, str]:
    """Whether it is well, and a sentence."""
    return _site(ready=ready) if part == SITE else _process(part, ready=ready)


def _site(*, ready: bool) -> tuple[bool, str]:
    host, port = os.environ.get("T2V_HOST", ""), os.environ.get("T2V_PORT", "")
    here = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    asked = http.client.HTTPConnection(here.strip("[]"), int(port or 8000), timeout=HTTP_SECONDS)
    path = f"/healthz/{'ready' if ready else 'live'}"
    try:
        asked.request("GET", path)
        answer = asked.getresponse()
        body = answer.read(1000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return False, f"The site does not answer ({type(error).__name__})."
    finally:
        asked.close()
    return answer.status == 200, f"{path} answers {answer.status}: {body}"


def _process(part: str, *, ready: bool) -> tuple[bool, str]:
    # As settings.py and embedded.py have it.
    var = Path(os.environ.get("T2V_VAR") or Path(__file__).parent.parent / "var")
    try:
        found = shown(var, part)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return False, f"The signs of life in {var} cannot be read ({type(error).__name__})."
    if not found:
        return False, f"No {part} lives here, or it has only just begun."
    for one in found:
        if one.age > SILENT_SECONDS[part]:
            return False, f"The {part} (process {one.pid}) gave no sign for {one.age:.0f} s."
        if ready and one.hindrance:
            return False, f"The {part} (process {one.pid}) does no work: {one.hindrance}"
    return True, f"The {part} lives{' and works' if ready else ''}; {len(found)} of it."
