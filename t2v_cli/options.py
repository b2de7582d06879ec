"""What every command takes: which site, who, how patient, for whom the output is.

`t2v --site URL list` and `t2v list --site URL` are the same; the later word counts.
"""

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from t2v_cli import profiles
from t2v_cli.address import HERE, site_address
from t2v_cli.failures import Code, Failure
from t2v_cli.profiles import Profile
from t2v_cli.screen import Screen
from t2v_cli.site import Site

PATIENCE_SECONDS = 60.0  # a site that restarts is back by then
LONG_PATIENCE_SECONDS = 600.0  # of what people leave alone: a watch, a download
PANEL = "Site and output"

SiteOption = Annotated[
    str | None,
    typer.Option(help="The site's address (or T2V_SITE).", rich_help_panel=PANEL),
]
ProfileOption = Annotated[
    str | None,
    typer.Option(help="A site by the name it got at its login.", rich_help_panel=PANEL),
]
JsonOption = Annotated[
    bool | None,
    typer.Option("--json", help="JSON on standard output, nothing else.", rich_help_panel=PANEL),
]
InsecureOption = Annotated[
    bool | None,
    typer.Option("--insecure", help="Plain http also to another machine.", rich_help_panel=PANEL),
]
PatienceOption = Annotated[
    float | None,
    typer.Option(
        min=0,
        max=86_400,
        help="Seconds to go on trying while the site is away or busy "
        "(60; watch and download: 600).",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Common:
    site: str | None = None
    profile: str | None = None
    as_json: bool | None = None
    insecure: bool | None = None
    patience: float | None = None

    def over(self, earlier: "Common") -> "Common":
        """These, and where one is missing the earlier word."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        return replace(earlier, **given)


class Desk:
    """What a command works with."""

    def __init__(self, common: Common) -> None:
        self.common = common
        self.screen = Screen(as_json=bool(common.as_json))
        self._sites: list[Site] = []

    def site(self, *, long: bool = False) -> Site:
        """Raises Failure when it is nowhere said who one is."""
        profile = signed_in(self.common)
        return self.site_of(profile, long=long)

    def site_of(self, profile: Profile, *, long: bool = False) -> Site:
        usual = LONG_PATIENCE_SECONDS if long else PATIENCE_SECONDS
        given = self.common.patience
        site = Site(
            profile.site,
            profile.token,
            insecure=profile.insecure,
            patience_seconds=usual if given is None else given,
            tell=self.screen.tell,
        )
        self._sites.append(site)
        return site

    def close(self) -> None:
        for site in self._sites:
            site.close()


def chosen_site(common: Common, known: dict[str, Profile]) -> tuple[str, Profile | None]:
    """The site's address, and the profile that belongs to it."""
    insecure = bool(common.insecure)
    address = common.site or os.environ.get("T2V_SITE") or ""
    name = profiles.checked_name(common.profile or profiles.DEFAULT)
    profile = known.get(name)
    if common.profile and profile is None and not address:
        raise Failure(
            f"There is no profile {name!r}.",
            Code.USAGE,
            advice=f"You have: {', '.join(known) or 'none'}. "
            f"Make it: t2v login --profile {name} --site URL",
        )
    if not address:
        return (profile.site, profile) if profile else (HERE, None)
    address = site_address(address, insecure=insecure or _trusted(address, known))
    if common.profile is None and (profile is None or profile.site != address):
        profile = next((each for each in known.values() if each.site == address), None)
    return address, profile if profile is not None and profile.site == address else None


def _trusted(address: str, known: dict[str, Profile]) -> bool:
    """Whether --insecure was given when one signed in there."""
    return any(each.insecure and each.site == address.rstrip("/") for each in known.values())


def signed_in(common: Common) -> Profile:
    """A token goes only to the site that it was kept for; T2V_TOKEN to the one that is named."""
    address, profile = chosen_site(common, profiles.load(profiles.path()))
    insecure = bool(common.insecure) or (profile is not None and profile.insecure)
    token = os.environ.get("T2V_TOKEN") or (profile.token if profile else "")
    if not token:
        raise Failure(
            f"You are not signed in at {address}.",
            Code.FORBIDDEN,
            advice=f"t2v login --site {address}, or set T2V_TOKEN.",
        )
    checked = site_address(address, insecure=insecure)
    return Profile(site=checked, token=checked_token(token), insecure=insecure)


def checked_token(token: str) -> str:
    """Raises Failure for what no header can carry; it never shows."""
    if not (token.isascii() and token.isprintable() and " " not in token and len(token) < 4096):
        raise Failure("That is no token.", Code.USAGE, advice="Copy it again, whole.")
    return token


def command(app: typer.Typer, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command of the program: its first parameter is the desk, and a Failure ends it."""

    def _register(act: Callable[..., None]) -> Callable[..., None]:
        def _run(
            ctx: typer.Context,
            *,
            site: SiteOption = None,
            profile: ProfileOption = None,
            as_json: JsonOption = None,
            insecure: InsecureOption = None,
            patience: PatienceOption = None,
            **own: Any,
        ) -> None:
            given = Common(
                site=site, profile=profile, as_json=as_json, insecure=insecure, patience=patience
            )
            desk = Desk(given.over(ctx.obj))
            try:
                act(desk, **own)
            except Failure as failure:
                desk.screen.failure(failure)
                raise typer.Exit(failure.code) from failure
            except typer.Abort as abort:  # Ctrl-C at a question, or a no
                raise typer.Exit(Code.INTERRUPTED) from abort
            finally:
                desk.close()

        shared = list(inspect.signature(_run).parameters.values())
        own = list(inspect.signature(act).parameters.values())[1:]
        keywords = [
            each.replace(kind=each.KEYWORD_ONLY) for each in (shared[0], *own, *shared[1:-1])
        ]
        _run.__name__, _run.__doc__ = act.__name__, act.__doc__
        _run.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
        _run.__annotations__ = {each.name: each.annotation for each in keywords}
        app.command(name)(_run)
        return _run

    return _register
