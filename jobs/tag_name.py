"""What a tag may be called. Pure: no I/O, no framework."""

import unicodedata
from dataclasses import dataclass

from jobs.errors import BadTag

LONGEST = 40  # characters, as composed by NFC
LONGEST_KEY = 120  # casefold makes up to three of one
_JOINERS = "\u200c\u200d"  # inside of words of some scripts, and of emoji
_REFUSED = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # unseen, or not text (Unicode's categories)


@dataclass(frozen=True, slots=True, kw_only=True)
class TagName:
    name: str  # as typed, composed, with single spaces
    key: str  # what two spellings of one tag have in common

    @classmethod
    def read(cls, text: str, field: str = "tag") -> "TagName":
        """Raises BadTag, which names the field."""
        if any(unicodedata.category(one) in _REFUSED and one not in _JOINERS for one in text):
            raise BadTag("A tag has no control or hidden characters.", field)
        name = unicodedata.normalize("NFC", " ".join(text.split()))
        if not name.strip(_JOINERS + " "):
            raise BadTag("Write a tag of 1 to 40 characters.", field)
        if len(name) > LONGEST:
            raise BadTag(
                f"A tag has at most {LONGEST} characters; this one has {len(name)}.", field
            )
        if "," in name:
            raise BadTag("A tag has no comma; give several tags one by one.", field)
        return cls(name=name, key=key_of(name))


def key_of(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())[:LONGEST_KEY]
