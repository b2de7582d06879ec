"""What every page knows of the accounts."""

from django.conf import settings
from django.http import HttpRequest


def demo(request: HttpRequest) -> dict[str, bool]:
    """demo: whether the demo accounts exist, for the hint on the sign-in page."""
    return {"demo": settings.T2V_DEMO}
