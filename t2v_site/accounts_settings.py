"""How people sign in, from T2V_* environment variables; settings.py takes these names over.

Names in capitals are Django's and allauth's settings, unless they begin with T2V_.
"""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

from accounts.claims import BadRoleMap, Provider, parse_role_map
from t2v_site.env import env_bool, env_choice, env_int, env_list, env_secret, env_str, env_url

PRODUCTION = env_choice("T2V_ENV", "embedded", choices=("embedded", "production")) == "production"

# --- Passwords ---
# One backend: two would each take an Argon2 for every wrong password. It is a ModelBackend, too.
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS: list[dict[str, Any]] = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- Accounts ---
# invited: by a member of a workspace, or through the single sign-on.
T2V_SIGNUP = env_choice(
    "T2V_SIGNUP",
    "invited" if PRODUCTION else "open",
    choices=("open", "invited", "closed"),
)
ACCOUNT_ADAPTER = "accounts.adapter.Accounts"
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
# The demo's mail goes to the terminal, where nobody should have to look for a link first.
ACCOUNT_EMAIL_VERIFICATION = "mandatory" if PRODUCTION else "optional"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True  # of a new password, address, second factor or connection
ACCOUNT_CHANGE_EMAIL = True  # one address; a new one replaces it once it is verified
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300  # seconds

# --- Limits; as many web processes as there are count together ---
ACCOUNT_RATE_LIMITS = {
    # Of wrong passwords and codes; key: the account.
    "login_failed": "10/m/ip,5/5m/key",
    "login": "30/m/ip",
    "signup": "10/m/ip",
    "reset_password": "10/m/ip,5/5m/key",
    "reset_password_from_key": "10/m/ip",
    "reauthenticate": "10/5m/user",
    "change_password": "5/5m/user",
    "manage_email": "5/5m/user",
}
MFA_RATE_LIMITS = {"webauthn_login": "10/m/ip"}
# So many proxies of ours stand before the site; 0: a header X-Forwarded-For is not believed.
ALLAUTH_TRUSTED_PROXY_COUNT = env_int("T2V_TRUSTED_PROXIES", 0, at_least=0, at_most=10)

# --- Second factor ---
MFA_ADAPTER = "accounts.mfa.SecondFactors"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
# Whoever is signed in here has shown that the address is theirs, but in the demo. Without this, an
# account with a second factor could not change its address.
MFA_ALLOW_UNVERIFIED_EMAIL = True
T2V_REQUIRE_MFA = env_bool("T2V_REQUIRE_MFA", PRODUCTION)


# --- Single sign-on ---
def _provider() -> Provider | None:
    issuer, name = env_str("T2V_OIDC_ISSUER", ""), env_str("T2V_OIDC_NAME", "Single sign-on")
    client, secret = env_str("T2V_OIDC_CLIENT_ID", ""), env_secret("T2V_OIDC_CLIENT_SECRET")
    domains = frozenset(domain.lower() for domain in env_list("T2V_OIDC_ALLOWED_DOMAINS"))
    claim, roles = env_str("T2V_OIDC_ROLE_CLAIM", "groups"), env_str("T2V_OIDC_ROLE_MAP", "")
    only = env_bool("T2V_OIDC_ONLY", False)
    try:
        grants = parse_role_map(roles)
    except BadRoleMap as error:
        raise ImproperlyConfigured(f"T2V_OIDC_ROLE_MAP: {error}") from None
    if not issuer:
        if client or secret or domains or grants or only:
            raise ImproperlyConfigured("T2V_OIDC_… is set without T2V_OIDC_ISSUER.")
        return None
    parts = env_url("T2V_OIDC_ISSUER", issuer, schemes=("https", "http"))
    if PRODUCTION and parts.scheme != "https":
        raise ImproperlyConfigured("T2V_OIDC_ISSUER must be https in production.")
    if not client or not secret:
        raise ImproperlyConfigured(
            "T2V_OIDC_ISSUER needs T2V_OIDC_CLIENT_ID and T2V_OIDC_CLIENT_SECRET (or its _FILE)."
        )
    if any("@" in domain or "." not in domain for domain in domains):
        raise ImproperlyConfigured("T2V_OIDC_ALLOWED_DOMAINS names domains, as example.com.")
    return Provider(
        issuer=issuer.rstrip("/"),
        client_id=client,
        client_secret=secret,
        name=name,
        domains=domains,
        claim=claim,
        grants=grants,
        only=only,
    )


T2V_OIDC = _provider()
MFA_PASSKEY_LOGIN_ENABLED = T2V_OIDC is None or not T2V_OIDC.only
SOCIALACCOUNT_ADAPTER = "accounts.sso.people.SingleSignOn"
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"  # accounts/sso.py lets nobody in without a verified one
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # the adapter says when
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS: dict[str, Any] = T2V_OIDC.for_allauth() if T2V_OIDC else {}
