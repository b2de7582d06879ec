"""What every page knows of the accounts."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from accounts.adapter import signs_up


def demo(request: HttpRequest) -> dict[str, Any]:
    """demo: whether the demo accounts exist, for the hint on the sign-in page; sso: the single
    sign-on, or None; signs_up: whether who asks could make an account."""
    return {
        "demo": settings.T2V_DEMO,
        "sso": settings.T2V_OIDC,
        "signs_up": signs_up(request),
    }
