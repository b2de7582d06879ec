"""The page of the models: on, off, and how much of each may be asked for."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.console import Question, Reason, ask, filled, operators_only, person
from jobs import models_switch, offer
from jobs.errors import BadFields
from jobs.models import ModelSwitch
from jobs.models_switch import Switch


class SwitchForm(Reason):
    """Every value of one switch, and why."""

    on = forms.BooleanField(required=False, label="On offer")
    max_frames = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        label="Longest clip (frames)",
        help_text="Blank: as the models file says.",
    )
    max_steps = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=2**31 - 1,
        label="Most denoising steps",
        help_text="Blank: as the models file says.",
    )
    note = forms.CharField(
        required=False,
        max_length=200,
        label="Note",
        help_text="For those who ask for the model while it is off.",
    )
    field_order = ("on", "max_frames", "max_steps", "note", "reason")

    def switch(self) -> Switch:
        given = self.cleaned_data
        return Switch(
            on=given["on"],
            max_frames=given["max_frames"],
            max_steps=given["max_steps"],
            note=given["note"],
        )


@operators_only
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    rows = {row.name: row for row in ModelSwitch.objects.select_related("changed_by")}
    models = [{"entry": entry, "row": rows.get(name)} for name, entry in offer.configured().items()]
    context = {**admin.site.each_context(request), "title": "Models", "models": models}
    return render(request, "admin/console/models.html", context)


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def change(request: HttpRequest, name: str) -> HttpResponse:
    known = offer.configured()
    if name not in known:
        raise Http404("There is no such model.")
    row = ModelSwitch.objects.filter(pk=name).first()
    form = filled(SwitchForm, request, **_values(row))
    if not form.is_valid():
        return ask(request, _question(name), form)
    assert isinstance(form, SwitchForm)
    try:
        models_switch.switch(
            name,
            form.switch(),
            among=known,
            by=person(request),
            reason=form.cleaned_data["reason"],
        )
    except BadFields as refusal:
        for field, why in refusal.fields.items():
            form.add_error(field, why)
        return ask(request, _question(name), form)
    state = "on" if form.cleaned_data["on"] else "off"
    messages.success(
        request, f"{name} is {state}; every process knows within {models_switch.KEPT_SECONDS:g} s."
    )
    return redirect("console_models")


def _values(row: ModelSwitch | None) -> dict[str, Any]:
    if row is None:
        return {"on": True}
    return {name: getattr(row, name) for name in ("on", "max_frames", "max_steps", "note")}


def _question(name: str) -> Question:
    return Question(
        title=f"Model {name}",
        words="Jobs that were accepted before are rendered all the same; to stop them, cancel "
        "them or drain the workers.",
        button="Set it",
        back=reverse("console_models"),
        danger=False,
    )
