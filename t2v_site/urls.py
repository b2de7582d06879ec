"""Puts accounts, jobs and the admin console on their addresses."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

# The console has no sign-in of its own: no second door without limits and second factors.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

urlpatterns = [
    path("", include("jobs.urls")),
    path("", include("accounts.urls")),
    path("v1/", include("jobs.openai_urls")),
    path("accounts/", include("allauth.urls")),
    path("_allauth/", include("allauth.headless.urls")),
    path("admin/", admin.site.urls),
]

handler400 = "jobs.problems.bad_request"
handler404 = "jobs.problems.not_found"
handler500 = "jobs.problems.server_error"
