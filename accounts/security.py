"""Settings → Security: all ways to come in, and who came in, on one page."""

from typing import cast

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.mfa import FACTORS, may_operate, must_have_one
from accounts.models import User


@login_required
@never_cache
@require_safe
def security(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    factors = list(Authenticator.objects.filter(user_id=user.pk))
    kinds = [factor.type for factor in factors]
    provider = settings.T2V_OIDC
    context = {
        "address": EmailAddress.objects.get_primary(user),
        "pending": EmailAddress.objects.filter(
            user_id=user.pk, verified=False, primary=False
        ).first(),
        "has_password": user.has_usable_password(),
        "passwords": provider is None or not provider.only,
        "app": next((each for each in factors if each.type == Authenticator.Type.TOTP), None),
        "keys": [each.wrap() for each in factors if each.type == Authenticator.Type.WEBAUTHN],
        "codes": next(
            (
                len(each.wrap().get_unused_codes())
                for each in factors
                if each.type == Authenticator.Type.RECOVERY_CODES
            ),
            None,
        ),
        "protected": any(kind in FACTORS for kind in kinds),
        "must": must_have_one(user),
        "shown_factor": may_operate(user, request.session),
        "sessions": UserSession.objects.purge_and_list(user),
        "provider": provider,
        "connected": SocialAccount.objects.filter(user_id=user.pk).count(),
    }
    return render(request, "settings/security.html", context)
