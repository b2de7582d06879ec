"""The program: its commands, and what stands before them."""

import typer

from t2v_cli.commands import about, files, jobs, session, submitting, verbs
from t2v_cli.options import (
    Common,
    InsecureOption,
    JsonOption,
    PatienceOption,
    ProfileOption,
    SiteOption,
)

app = typer.Typer(
    name=about.PROGRAM,
    no_args_is_help=True,
    add_completion=False,  # t2v completion
    pretty_exceptions_enable=False,  # it would print variables, a token among them
    epilog="Exit codes: 0 done; 1 a job did not succeed; 2 wrong use or values; 3 not signed "
    "in, or not allowed; 4 not there; 5 no answer from the site, or an error of its own; "
    "6 refused by a limit; 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def program(
    ctx: typer.Context,
    *,
    site: SiteOption = None,
    profile: ProfileOption = None,
    as_json: JsonOption = None,
    insecure: InsecureOption = None,
    patience: PatienceOption = None,
) -> None:
    """Text to video from a terminal: on this machine, or at a site elsewhere."""
    ctx.obj = Common(
        site=site, profile=profile, as_json=as_json, insecure=insecure, patience=patience
    )


for family in (session, submitting, jobs, files, verbs, about):
    family.register(app)
