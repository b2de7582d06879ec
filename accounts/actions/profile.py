"""What somebody says of themselves, and how they read dates and times."""

from django.db import transaction

from accounts import audit, zones
from accounts.errors import BadFields
from accounts.models import User

MAX_PERSON_NAME = 80  # characters
# How dates and times are written, by the language that writes them so; empty: as the device does.
DATE_STYLES = ("", "en-GB", "en-US", "sv-SE", "de-DE", "fr-FR")


@transaction.atomic
def set_profile(user: User, *, name: str, time_zone: str, date_style: str) -> None:
    """Empty: none; the zone and the style of whatever device they look with. Raises BadFields."""
    name, bad = name.strip(), dict[str, str]()
    if len(name) > MAX_PERSON_NAME or not name.isprintable():
        bad["name"] = f"A name has at most {MAX_PERSON_NAME} characters, in one line."
    elif "@" in name:  # nobody passes for somebody else's address
        bad["name"] = "A name has no @ in it."
    if time_zone and not zones.known(time_zone):
        bad["time_zone"] = "Choose a zone from the list, like Europe/Zurich."
    if date_style not in DATE_STYLES:
        bad["date_style"] = "Choose one from the list."
    if bad:
        raise BadFields(bad)
    was, user.name, user.time_zone, user.date_style = user.name, name, time_zone, date_style
    user.save(update_fields=["name", "time_zone", "date_style"])
    if name != was:
        audit.record("profile.changed", actor=user, subject=user.email, was=was, name=name)
