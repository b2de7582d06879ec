"""What is looked at before anything starts (manage.py runs these checks)."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured

from jobs import catalog, offer


@register()
def models_file_is_readable(**_: Any) -> list[CheckMessage]:
    """A models file that is missing or wrong would end every worker and every page."""
    try:
        catalog.load(Path(settings.T2V_MODELS_FILE))
    except (OSError, KeyError, TypeError, ValueError) as error:
        why = f"T2V_MODELS_FILE cannot be used ({type(error).__name__}: {error})."
        return [Error(why, hint="See deploy/models.toml for a good one.", id="t2v.E001")]
    try:
        offered = offer.configured()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="t2v.E003")]
    if not offered:
        return [Error("T2V_MODELS_FILE offers no model.", id="t2v.E002")]
    return []


@register()
def mail_goes_somewhere(**_: Any) -> list[CheckMessage]:
    """In production nobody comes in before they opened a link that was mailed to them."""
    if not settings.PRODUCTION or not settings.EMAIL_BACKEND.endswith("console.EmailBackend"):
        return []
    why = "T2V_SMTP_URL is not set: mails, with their links, are printed where the site runs."
    return [Warning(why, hint="Set it, or nobody new gets in.", id="t2v.W001")]
