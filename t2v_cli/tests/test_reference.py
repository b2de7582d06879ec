"""docs/reference/cli.md and the program say the same."""

import re
from pathlib import Path

import typer.main
from typer.core import TyperGroup

from t2v_cli.failures import Code
from t2v_cli.main import app

PAGE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text(encoding="utf-8")
SHARED = {"--site", "--profile", "--json", "--insecure", "--patience", "--help", "-h"}


def _program() -> TyperGroup:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def test_every_command_and_option_is_explained_and_every_explained_one_exists() -> None:
    rows = re.findall(r"^\| `([a-z]+)[^`]*` \|(.*?)\| ", PAGE, re.MULTILINE)
    explained = {name: set(re.findall(r"`(-[a-z-]+)`", options)) for name, options in rows}
    real = {
        name: {option for each in command.params for option in each.opts if option[0] == "-"}
        for name, command in _program().commands.items()
    }
    assert explained == {name: options - SHARED for name, options in real.items()}


def test_what_every_command_takes_is_explained_too() -> None:
    section = PAGE.partition("## Every command takes")[2].partition("\n## ")[0]
    assert set(re.findall(r"`(-[a-z-]+)`", section)) == SHARED
    for name, command in _program().commands.items():
        options = {option for each in command.params for option in each.opts}
        assert name == "completion" or options >= SHARED - {"--help", "-h"}, name


def test_every_exit_code_is_explained() -> None:
    section = PAGE.partition("## Exit codes")[2]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == list(Code)
