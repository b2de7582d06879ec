"""models, usage, completion."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

# Typer's own --show-completion is made of these two; it would be one more option everywhere.
from typer.completion import completion_init, get_completion_script  # type: ignore[attr-defined]

from t2v_cli.options import Desk, command

PROGRAM = "t2v"


class Shell(StrEnum):
    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def register(app: typer.Typer) -> None:
    completion_init()  # makes typer answer a shell that asks for completions

    @command(app, "models")
    def models(desk: Desk) -> None:
        """What can be asked for: models, their limits and what they take when nothing is said."""
        found = desk.site().get("/api/v1/models")
        if desk.screen.as_json:
            desk.screen.document(found)
            return
        names = ("name", "sizes", "frames", "fps", "steps", "qualities", "understands")
        desk.screen.rows(names, [_model_row(each) for each in found])

    @command(app, "usage")
    def usage(desk: Desk) -> None:
        """How much one has used, and of how much."""
        found = desk.site().get("/api/v1/usage")
        if desk.screen.as_json:
            desk.screen.document(found)
        else:
            desk.screen.facts(_flat("", found))

    @app.command("completion")
    def completion(
        shell: Annotated[Shell, typer.Argument(show_default=False)],
    ) -> None:
        """Print what makes a shell complete: eval "$(t2v completion bash)" in its start file."""
        typer.echo(
            get_completion_script(
                prog_name=PROGRAM, complete_var=f"_{PROGRAM.upper()}_COMPLETE", shell=shell
            )
        )


def _model_row(model: dict[str, Any]) -> list[object]:
    limits, usual = model["limits"], model["defaults"]
    return [
        model["name"],
        _marked(limits["sizes"], usual["size"]),
        _marked(limits["frames"], usual["frames"]),
        model["fps"],
        f"{limits['min_steps']}-{limits['max_steps']} ({usual['steps']})",
        " ".join(each["name"] for each in model["qualities"]),
        model["understands"],
    ]


def _marked(values: list[object], usual: object) -> str:
    """Every value; the usual one in brackets where there is a choice."""
    if len(values) == 1:
        return str(values[0])
    return " ".join(f"({value})" if value == usual else str(value) for value in values)


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name} {key}".strip().replace("_", " "), inner)
    elif value is not None:
        yield name.capitalize(), value
