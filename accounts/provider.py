"""allauth looks into this module of every app for what one can sign in with."""

from accounts.sso.provider import Sso

provider_classes = [Sso]
