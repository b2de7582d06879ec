from django.apps import AppConfig
from django.contrib.admin import apps as admin


class SiteConfig(AppConfig):
    name = "t2v_site"
    default = True

    def ready(self) -> None:
        from t2v_site import checks  # noqa: F401, PLC0415 - models cannot be imported before


class ConsoleConfig(admin.AdminConfig):
    """Django's admin with the operators' console as its site."""

    default = False
    default_site = "jobs.console.Console"
