"""Every part of the design on one live page, where T2V_DEBUG is on; elsewhere there is none."""

import re

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from jobs.lifecycle import State

_COLOUR = re.compile(r"^  --([a-z-]+): (?:light-dark\(#|#|rgb)", re.MULTILINE)
_ICON = re.compile(r'symbol id="([a-z-]+)"')


@require_safe
def styleguide(request: HttpRequest) -> HttpResponse:
    """Names come from the sheets themselves, so none is missing here."""
    if not settings.DEBUG:
        raise Http404
    static = settings.BASE_DIR / "static"
    if "toast" in request.GET:
        messages.success(request, "The clip was deleted.", extra_tags="undo:/styleguide")
    context = {
        "colours": list(dict.fromkeys(_COLOUR.findall((static / "css/tokens.css").read_text()))),
        "icons": _ICON.findall((static / "img/icons.svg").read_text()),
        "states": list(State),
        "sizes": ("display", "title", "large", "normal", "small", "tiny"),
    }
    return render(request, "styleguide/page.html", context)
