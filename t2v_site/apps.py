from django.apps import AppConfig

from t2v_site import checks

__all__ = ["SiteConfig", "checks"]


class SiteConfig(AppConfig):
    name = "t2v_site"
