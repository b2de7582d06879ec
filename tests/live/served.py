"""A web server with constants of ours shortened: -m tests.live.served NAME=VALUE … -- MODULE …

What takes a minute on the real site takes seconds in a test this way, with no setting for it that
somebody could set on a real site. A name is module.CONSTANT; its value, Python's notation.
"""

import ast
import importlib
import os
import runpy
import sys
from typing import Any

import django
from django.conf import settings

NO_LAYER = "no-layer"  # instead of an assignment: the channel layer cannot be reached


def _shorten(assignment: str) -> None:
    name, _, value = assignment.partition("=")
    module, _, constant = name.rpartition(".")
    found = importlib.import_module(module)
    assert isinstance(getattr(found, constant), int | float), f"{name} is no number"
    setattr(found, constant, ast.literal_eval(value))


def main(words: list[str]) -> None:
    end = words.index("--")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "t2v_site.settings")
    if NO_LAYER in words[:end]:
        config: Any = settings.CHANNEL_LAYERS["default"]["CONFIG"]
        config["hosts"] = ["redis://127.0.0.1:9"]  # "discard": nobody listens there
    django.setup()
    for word in words[:end]:
        if word != NO_LAYER:
            _shorten(word)
    sys.argv = words[end + 1 :]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
