"""Qualities and words of the models file: the exact one comes first, and nonsense is refused."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from jobs import catalog, qualities

TEXT = Path(settings.BASE_DIR, "deploy", "models.toml").read_text(encoding="utf-8")
# Without the tables that the cases below write anew; what follows another table stays.
BARE = re.sub(r"(?ms)^\[nano\.(?:qualities\.[\w-]+|words)\]$.*?(?=^\[|\Z)", "", TEXT)


def _nano(table: str) -> catalog.ModelEntry:
    return catalog.parse(f"{BARE}\n{table}\n")["nano"]


def test_every_model_is_exact_first_and_tells_the_form_its_other_qualities() -> None:
    bare = _nano("")
    assert bare.qualities == (qualities.EXACT,)
    assert bare.limits.qualities == ("exact",)
    assert bare.words == ()
    entry = _nano(
        '[nano.qualities.quick]\ntitle = "Quick"\ncache = "faster"\n'
        "ranges = [-1, 990]\nweight = 0.5"
    )
    assert entry.limits.qualities == ("exact", "quick")
    assert entry.quality("exact").cache is None
    quick = entry.quality("quick")
    assert (quick.title, quick.cache) == ("Quick", "faster")
    assert quick.options == {"ranges": (-1, 990), "weight": 0.5}
    with pytest.raises(KeyError):
        entry.quality("fast")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('[nano.qualities.exact]\ntitle = "E"\ncache = "mag"', "is there by itself"),
        ('[nano.qualities.fast]\ntitle = "F"\ncache = "tea"', "cache 'tea' is none of"),
        ('[nano.qualities.fast]\ntitle = "F"', "cache None is none of"),
        ('[nano.qualities.fast]\ncache = "mag"', "has no title"),
        ('[nano.qualities.fast]\ntitle = " "\ncache = "mag"', "has no title"),
        ('[nano.qualities.fast]\ntitle = "F"\ncache = "mag"\nx = "1"', "x is '1'"),
        ('[nano.qualities.fast]\ntitle = "F"\ncache = "mag"\nx = true', "x is True"),
        ('[nano.qualities.fast]\ntitle = "F"\ncache = "mag"\nx = nan', "x is nan"),
        ('[nano.qualities.fast]\ntitle = "F"\ncache = "mag"\nx = []', r"x is \[\]"),
        ('[nano.qualities.fast]\ntitle = "F"\ncache = "mag"\nx = [1, "2"]', "x is"),
        ('[nano.qualities]\nfast = "F"', "fast: it is no table"),
        ('[nano.words]\ncolour = "red"', "colour is 'red'"),
        ("[nano.words]\ncolour = []", "colour is"),
        ("[nano.words]\ncolour = [1]", "colour is"),
    ],
)
def test_nonsense_about_qualities_and_words_is_told(table: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _nano(table)


def test_the_bundled_model_offers_the_caches_that_need_no_calibration() -> None:
    nano = catalog.parse(TEXT)["nano"]
    assert [quality.cache for quality in nano.qualities] == [
        None,
        "first_block",
        "faster",
        "pyramid",
    ]
    # Whoever chooses one is told what it is.
    assert all("approximate" in quality.title for quality in nano.qualities[1:])
