"""Single sign-on by OpenID Connect: allauth's flow, with what it leaves to trust looked at."""

from django.conf import settings

from accounts.claims import Provider


def configured() -> Provider:
    """The one of T2V_OIDC_*; asked for only where there is one."""
    found: Provider | None = settings.T2V_OIDC
    assert found is not None
    return found
