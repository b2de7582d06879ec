"""The composer: strings of a browser in, a RenderSpec out."""

import random
import uuid
from dataclasses import replace
from typing import Any

from django import forms

from jobs import offer
from jobs.errors import BadSpec
from jobs.spec import EXACT, MAX_SEED, RenderSpec

MOST_SEEDS = 8  # videos of one form: a row of the studio, and of a phone's thumb


class RenderForm(forms.Form):
    """Fields of one render. Each bad value gets its own message at its own field."""

    prompt = forms.CharField(
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say what the video should show."},
    )
    model = forms.ChoiceField(choices=[])
    size = forms.CharField(max_length=20)
    frames = forms.IntegerField(label="Length")
    steps = forms.IntegerField()
    guidance = forms.FloatField()
    seed = forms.IntegerField(
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "placeholder": "Random"}),
        help_text="Blank: one is drawn, and kept with the video.",
        error_messages={"invalid": f"A whole number from 0 to {MAX_SEED}, or blank."},
    )
    count = forms.IntegerField(
        label="How many",
        required=False,
        min_value=1,
        max_value=MOST_SEEDS,
        initial=1,
        widget=forms.RadioSelect(choices=[(each, each) for each in range(1, MOST_SEEDS + 1)]),
    )
    quality = forms.CharField(
        required=False,
        max_length=100,
        help_text=(
            "A fast quality reuses parts of earlier steps: the video differs slightly from the "
            "exact one, is labelled, and does not count as a repeat of an exact video."
        ),
    )
    idempotency_key = forms.CharField(
        max_length=100, widget=forms.HiddenInput, initial=lambda: str(uuid.uuid4())
    )

    # Where the page was opened: a switch in another window moves nothing that is written here.
    workspace = forms.SlugField(max_length=50, required=False, widget=forms.HiddenInput)
    remix_of = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        entries = list(offer.models().values())
        usual = entries[0].defaults
        model = self.fields["model"]
        assert isinstance(model, forms.ChoiceField)
        model.choices = [(entry.name, entry.title) for entry in entries]
        sizes = dict.fromkeys(size for entry in entries for size in entry.limits.sizes)
        lengths = sorted({count for entry in entries for count in entry.limits.frames})
        self.fields["size"].widget = forms.Select(
            choices=[(f"{width}x{height}", f"{width} × {height}") for width, height in sizes]
        )
        self.fields["frames"].widget = forms.Select(
            choices=[(count, f"{count} frames") for count in lengths]
        )
        qualities = {each.name: each.title for entry in entries for each in entry.qualities}
        self.fields["quality"].widget = forms.Select(choices=list(qualities.items()))
        self._qualities = qualities
        for name, initial in {
            "model": entries[0].name,
            "size": f"{usual.width}x{usual.height}",
            "frames": usual.frames,
            "steps": usual.steps,
            "guidance": usual.guidance,
            "quality": EXACT,
        }.items():
            self.fields[name].initial = initial

    @property
    def quality_hidden(self) -> bool:
        """Whether there is nothing to choose, with any model, and nothing to say about it."""
        return len(self._qualities) == 1 and not self["quality"].errors

    def summary(self) -> str:
        """What stands in the fold, in a line; static/js/options.js writes the same."""
        size, frames, steps, guidance, seed = (
            self[name].value() for name in ("size", "frames", "steps", "guidance", "seed")
        )
        entry = offer.configured().get(str(self["model"].value()))
        counted = str(frames).isdecimal() and len(str(frames)) < 10  # as it was typed
        length = f"{int(frames) / entry.fps:.1f} s" if entry and counted else f"{frames} frames"
        quality = str(self["quality"].value() or EXACT)
        parts = [str(size).replace("x", "×"), length, f"{steps} steps", f"guidance {guidance}"]
        parts += [self._qualities.get(quality, quality)] if quality != EXACT else []
        return " · ".join([*parts, "random seed" if seed in (None, "") else f"seed {seed}"])

    def clean_size(self) -> tuple[int, int]:
        width, _, height = self.cleaned_data["size"].partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise forms.ValidationError("Choose a size like 64x64.")
        return int(width), int(height)

    def to_specs(self) -> list[RenderSpec]:
        """One for each seed: those after the first count on from it, or are drawn as it was.

        Empty when a value is outside the model's limits; the messages are at the fields then.
        """
        given = self.cleaned_data
        try:
            first = offer.make_spec(
                model=given["model"],
                prompt=given["prompt"],
                size=given["size"],
                frames=given["frames"],
                steps=given["steps"],
                guidance=given["guidance"],
                seed=given["seed"],
                quality=given["quality"] or None,
            )
        except BadSpec as refusal:
            for field, message in refusal.fields.items():
                self.add_error(field, message)
            return []
        more = range(1, given["count"] or 1)
        return [first, *(replace(first, seed=self._seed(first.seed, each)) for each in more)]

    def _seed(self, first: int, place: int) -> int:
        if self.cleaned_data["seed"] is None:
            return random.randint(0, MAX_SEED)
        return (first + place) % (MAX_SEED + 1)


def initial_from(spec: RenderSpec) -> dict[str, Any]:
    """The form's values that make the same video again."""
    return {
        "prompt": spec.prompt,
        "model": spec.model,
        "size": f"{spec.width}x{spec.height}",
        "frames": spec.frames,
        "steps": spec.steps,
        "guidance": spec.guidance,
        "seed": spec.seed,
        "quality": spec.quality,
    }
