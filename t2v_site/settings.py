"""All settings, from T2V_* environment variables only (docs/reference/settings.md).

manage.py sets T2V_DATABASE_URL, T2V_REDIS_URL and T2V_SECRET_KEY before this file is read when
the embedded services are used; here the three are always needed.
"""

import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONCE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac

from t2v_site.accounts_settings import (  # noqa: F401 - Django reads them here
    ACCOUNT_ADAPTER,
    ACCOUNT_CHANGE_EMAIL,
    ACCOUNT_EMAIL_NOTIFICATIONS,
    ACCOUNT_EMAIL_SUBJECT_PREFIX,
    ACCOUNT_EMAIL_VERIFICATION,
    ACCOUNT_LOGIN_METHODS,
    ACCOUNT_LOGOUT_REDIRECT_URL,
    ACCOUNT_RATE_LIMITS,
    ACCOUNT_REAUTHENTICATION_REQUIRED,
    ACCOUNT_REAUTHENTICATION_TIMEOUT,
    ACCOUNT_SIGNUP_FIELDS,
    ACCOUNT_USER_MODEL_USERNAME_FIELD,
    ALLAUTH_TRUSTED_PROXY_COUNT,
    AUTH_PASSWORD_VALIDATORS,
    AUTHENTICATION_BACKENDS,
    MFA_ADAPTER,
    MFA_ALLOW_UNVERIFIED_EMAIL,
    MFA_PASSKEY_LOGIN_ENABLED,
    MFA_RATE_LIMITS,
    MFA_SUPPORTED_TYPES,
    PASSWORD_HASHERS,
    SOCIALACCOUNT_ADAPTER,
    SOCIALACCOUNT_EMAIL_AUTHENTICATION,
    SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT,
    SOCIALACCOUNT_EMAIL_VERIFICATION,
    SOCIALACCOUNT_PROVIDERS,
    T2V_OIDC,
    T2V_REQUIRE_MFA,
    T2V_SIGNUP,
)
from t2v_site.defaults import are_known_keys, is_known_password, is_this_machine, is_weak_key
from t2v_site.env import (
    env_bool,
    env_choice,
    env_int,
    env_list,
    env_networks,
    env_price,
    env_rate,
    env_secret,
    env_str,
    env_url,
    is_installed,
    refuse_unknown,
    version_of,
)

BASE_DIR = Path(__file__).resolve().parent.parent

# --- What this installation is ---
PRODUCTION = env_choice("T2V_ENV", "embedded", choices=("embedded", "production")) == "production"
DEBUG = env_bool("T2V_DEBUG", False)
T2V_VAR = Path(env_str("T2V_VAR", str(BASE_DIR / "var")))
T2V_HOST = env_str("T2V_HOST", "127.0.0.1")
T2V_PORT = env_int("T2V_PORT", 8000, at_least=1, at_most=65535)
T2V_MAINTENANCE = env_str("T2V_MAINTENANCE", "").strip()  # set: closed, and why
T2V_DRAIN_SECONDS = env_int("T2V_DRAIN_SECONDS", 5 if PRODUCTION else 0, at_least=0, at_most=300)
T2V_DEMO = not PRODUCTION
T2V_DEMO_PASSWORD = env_secret("T2V_DEMO_PASSWORD")


def _required(name: str) -> str:
    value = env_secret(name)
    if value is None:
        raise ImproperlyConfigured(
            f"{name} is not set. In production it must be; on one machine start with `make run` "
            "or `manage.py`, which bring a database, a Redis and a key of their own."
        )
    return value


SECRET_KEY = _required("T2V_SECRET_KEY")
# An address to listen on is not always one to go to.
_here = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(T2V_HOST, T2V_HOST)  # noqa: S104
_here = f"[{_here}]" if ":" in _here.strip("[]") and not _here.startswith("[") else _here
LOCAL_URL = f"http://{_here}:{T2V_PORT}"
BASE_URL = env_str("T2V_BASE_URL", "" if PRODUCTION else LOCAL_URL)
_base = env_url("T2V_BASE_URL", BASE_URL, schemes=("https", "http"))
_secure = _base.scheme == "https"
_reached = PRODUCTION or not all(
    map(is_this_machine, [T2V_HOST, str(_base.hostname), *env_list("T2V_ALLOWED_HOSTS")])
)  # by other machines

if PRODUCTION:
    if DEBUG:
        raise ImproperlyConfigured("T2V_DEBUG must be off in production.")
    if is_weak_key(SECRET_KEY):
        raise ImproperlyConfigured("T2V_SECRET_KEY must be at least 50 random characters.")
    if T2V_DEMO_PASSWORD is not None:
        raise ImproperlyConfigured("T2V_DEMO_PASSWORD is for the embedded mode; unset it.")
    allowed = env_bool("T2V_ALLOW_HTTP", False)  # read in any case, or it would be an unknown name
    if not _secure and not allowed:
        raise ImproperlyConfigured(
            "T2V_BASE_URL must be https in production (T2V_ALLOW_HTTP=1 in a closed network)."
        )
elif _reached:  # the embedded mode as others reach it, in a house or by a tunnel
    if DEBUG:
        raise ImproperlyConfigured("T2V_DEBUG must be off where other machines reach the site.")
    if is_weak_key(SECRET_KEY):
        raise ImproperlyConfigured(
            "T2V_SECRET_KEY must be at least 50 random characters where other machines reach the "
            "site; unset it, and one is made."
        )

ALLOWED_HOSTS = [str(_base.hostname), *env_list("T2V_ALLOWED_HOSTS")]
if T2V_DEMO:
    ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]", socket.gethostname().lower()]
if any(name == "*" or name.startswith(".") for name in ALLOWED_HOSTS):
    raise ImproperlyConfigured("T2V_ALLOWED_HOSTS names whole hosts, without '*' or a leading dot.")
CSRF_TRUSTED_ORIGINS = [f"{_base.scheme}://{_base.netloc}"]

# --- Apps ---
INSTALLED_APPS = [
    "daphne",
    "t2v_site",
    "accounts",
    "jobs",
    "gpu_worker",  # its commands; nothing of it is loaded by the site
    "unfold.apps.BasicAppConfig",  # before the admin, whose templates it replaces
    "t2v_site.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.headless",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "channels",
    "csp",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",  # its model is ours: accounts.ApiToken
    "rest_framework",
    "pgtrigger",
    "storages",
]

MIDDLEWARE = [
    "t2v_site.measured.Measured",
    "t2v_site.requests.Origin",
    "t2v_site.requests.Traced",
    "t2v_site.requests.ByAddress",
    "t2v_site.requests.Guarded",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "jobs.openai_answers.Envelope",
    "t2v_site.requests.RefuseNonsense",
    "t2v_site.assets.StaticFiles",
    "t2v_site.maintenance.Closed",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "accounts.session_store.Renewed",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.mfa.Authentication",
    "accounts.zones.ViewersZone",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.mfa.SecondFactorFirst",
]

ROOT_URLCONF = "t2v_site.urls"
ASGI_APPLICATION = "t2v_site.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "accounts.views.demo",
                "accounts.places.here",
                "accounts.theme.theme",
            ],
            "builtins": ["accounts.templatetags.page"],
        },
    },
]
LANGUAGE_CODE = "en"
USE_I18N = True
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Postgres: the truth ---
_database = env_url(
    "T2V_DATABASE_URL", _required("T2V_DATABASE_URL"), schemes=("postgresql", "postgres")
)
_DATABASE_OPTIONS = {"sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs"}
_database_options = dict(parse_qsl(_database.query))
if unknown := set(_database_options) - _DATABASE_OPTIONS:
    raise ImproperlyConfigured(
        f"T2V_DATABASE_URL has the unknown option {', '.join(sorted(unknown))}; "
        f"it can be {', '.join(sorted(_DATABASE_OPTIONS))}."
    )
if not _database.path.strip("/"):
    raise ImproperlyConfigured("T2V_DATABASE_URL ends without the name of a database.")
if PRODUCTION and is_known_password(
    unquote(_database.password or ""), user=unquote(_database.username or "")
):
    raise ImproperlyConfigured("T2V_DATABASE_URL has a password that stands in manuals.")
_pool_size = env_int("T2V_DATABASE_POOL", 0, at_least=0, at_most=100)
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(_database.path.removeprefix("/")),
        "USER": unquote(_database.username or ""),
        "PASSWORD": unquote(_database.password or ""),
        "HOST": _database.hostname,
        "PORT": _database.port or 5432,
        "CONN_MAX_AGE": 0,  # persistent connections and ASGI do not go together; the pool does
        "OPTIONS": {
            "connect_timeout": 5,  # seconds
            "application_name": "t2v",
            # A host that went dark is noticed in 20 s, not in the 15 minutes of TCP's own.
            "tcp_user_timeout": 20_000,  # milliseconds
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            **_database_options,
            **({"pool": {"min_size": 1, "max_size": _pool_size}} if _pool_size else {}),
        },
    }
}

# --- Redis: knocks and the live side; nothing in it is missed when it is lost ---
REDIS_URL = _required("T2V_REDIS_URL")
env_url("T2V_REDIS_URL", REDIS_URL, schemes=("redis", "rediss"))
# redis-py 8's default of 5 s ends every idle consumer; channels_redis blocks 5 s in BZPOPMIN.
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 10}], "prefix": "t2v"},
    }
}

BROKER_PREFIX = "t2v:celery:"
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A Redis that is full or read-only answers with an error: the parent waits for it to pass, for its
# child finds jobs without any knock.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "global_keyprefix": BROKER_PREFIX,
    "socket_timeout": 10,  # seconds; kombu's blocking read takes 1 s at a time
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
}
CELERY_TASK_IGNORE_RESULT = True  # no result backend at all
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = False  # a lost knock costs seconds, a repeated one nothing
CELERY_WORKER_DISABLE_PREFETCH = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CONCURRENCY = 1  # one child for one GPU
CELERY_WORKER_POOL = "prefork"
CELERY_WORKER_POOL_START_METHOD = "spawn"  # CUDA does not survive a fork
CELERY_WORKER_PROC_ALIVE_TIMEOUT = 300.0  # seconds; a spawned child imports torch first
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
# Nobody asks workers anything by Redis: whoever got in there could end them all. And its PSUBSCRIBE
# is what a Redis user with a list of channels may not do (docs/howto/own-services.md).
CELERY_WORKER_ENABLE_REMOTE_CONTROL = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_DEFAULT_QUEUE = "gpu.default"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_IMPORTS = ["gpu_worker.tasks"]

# --- Files ---
S3_BUCKET = env_str("T2V_S3_BUCKET", "")
S3_ENDPOINT = env_str("T2V_S3_ENDPOINT", "")  # empty: Amazon's own
S3_PUBLIC_ENDPOINT = env_str("T2V_S3_PUBLIC_ENDPOINT", "") or S3_ENDPOINT  # as browsers reach it
_s3_keys = (env_secret("T2V_S3_ACCESS_KEY"), env_secret("T2V_S3_SECRET_KEY"))
_s3_options = {
    "bucket_name": S3_BUCKET,
    "endpoint_url": S3_ENDPOINT or None,
    "public_endpoint": S3_PUBLIC_ENDPOINT if S3_PUBLIC_ENDPOINT != S3_ENDPOINT else None,
    "region_name": env_str("T2V_S3_REGION", "us-east-1"),
    "access_key": _s3_keys[0],
    "secret_key": _s3_keys[1],
    "addressing_style": env_choice("T2V_S3_ADDRESSING", "path", choices=("path", "virtual")),
    "signature_version": "s3v4",
    "querystring_auth": True,
    "querystring_expire": 300,  # seconds
    "file_overwrite": False,
    "default_acl": None,
}
S3_CONDITIONAL = env_bool("T2V_S3_CONDITIONAL", True)  # the store knows If-None-Match
if S3_BUCKET and not all(_s3_keys):
    raise ImproperlyConfigured(
        "T2V_S3_BUCKET needs T2V_S3_ACCESS_KEY and T2V_S3_SECRET_KEY (or their _FILE forms)."
    )
if S3_ENDPOINT:
    env_url("T2V_S3_ENDPOINT", S3_ENDPOINT, schemes=("https", "http"))
if S3_PUBLIC_ENDPOINT:
    env_url("T2V_S3_PUBLIC_ENDPOINT", S3_PUBLIC_ENDPOINT, schemes=("https", "http"))
_s3_is_here = not PRODUCTION and is_this_machine(urlsplit(S3_ENDPOINT).hostname or "")
if S3_BUCKET and not _s3_is_here and are_known_keys(_s3_keys):
    raise ImproperlyConfigured(
        "T2V_S3_ACCESS_KEY or T2V_S3_SECRET_KEY is the store's own default; make a key."
    )
MEDIA_ROOT = T2V_VAR / "media"
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "jobs.storage.S3", "OPTIONS": _s3_options}
    if S3_BUCKET
    else {
        "BACKEND": "jobs.storage.Folder",
        "OPTIONS": {"location": MEDIA_ROOT},
    },
    "staticfiles": {
        "BACKEND": "t2v_site.assets.HashedFiles"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
# What strangers send is kept off the disk, and 10 MB of it at the most.
FILE_UPLOAD_HANDLERS = ["jobs.images.InMemory"]
DATA_UPLOAD_MAX_NUMBER_FILES = 4
STATIC_URL = "/static/"
_static = env_str("T2V_STATIC", str(T2V_VAR / "static"))  # an image brings it, outside of T2V_VAR
STATIC_ROOT = Path(_static) if PRODUCTION else None
STATICFILES_DIRS = [BASE_DIR / "static"]
# On one machine there is no collectstatic step, and files may change under the running site.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not PRODUCTION

# --- Accounts: most of them stand in t2v_site/accounts_settings.py ---
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
# Whether each new account gets a workspace, and people may open more; else administrators do.
T2V_OWN_WORKSPACES = env_bool("T2V_OWN_WORKSPACES", True)
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _base.scheme
# The limits on signing in count in Postgres, so that all web processes count together.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_cache",
        "OPTIONS": {
            "MAX_ENTRIES": 20_000
        },  # beyond that, what has expired is dropped, then a third
    }
}
# Over http a browser knows passkeys on localhost alone.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _secure

_smtp = env_secret("T2V_SMTP_URL")
DEFAULT_FROM_EMAIL = env_str("T2V_MAIL_FROM", f"t2v@{_base.hostname}")
if _smtp is None:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
else:
    _mail = env_url("T2V_SMTP_URL", _smtp, schemes=("smtp", "smtps"))
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST, EMAIL_PORT = str(_mail.hostname), _mail.port or 587
    EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = (
        unquote(_mail.username or ""),
        unquote(_mail.password or ""),
    )
    EMAIL_USE_SSL, EMAIL_USE_TLS = _mail.scheme == "smtps", _mail.scheme == "smtp"
    EMAIL_TIMEOUT = 10  # seconds

# --- What the browser is told ---
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _secure
# Two clones on one host share cookies (ports do not divide them), so the name carries the port.
SESSION_COOKIE_NAME = "__Host-t2v" if _secure else f"t2v-{_base.port or 80}"
CSRF_COOKIE_NAME = "__Host-t2v-csrf" if _secure else f"t2v-csrf-{_base.port or 80}"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "accounts.session_store"
SESSION_COOKIE_AGE = 3600 * env_int("T2V_SESSION_IDLE_HOURS", 168, at_least=1, at_most=8760)
T2V_SESSION_SECONDS = 3600 * env_int("T2V_SESSION_HOURS", 720, at_least=1, at_most=8760)
SECURE_SSL_REDIRECT = _secure
# Probes and scrapes come over plain http, from beside the process.
SECURE_REDIRECT_EXEMPT = [r"^healthz/", r"^metrics$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _secure else None
SECURE_HSTS_SECONDS = 31_536_000 if _secure else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = env_bool("T2V_HSTS_SUBDOMAINS", False)
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
_s3_host = urlsplit(S3_PUBLIC_ENDPOINT)
_s3_origin = (
    [f"{_s3_host.scheme}://{_s3_host.netloc}"]
    if S3_PUBLIC_ENDPOINT
    else ["https://*.amazonaws.com"]
    if S3_BUCKET
    else []
)
if S3_PUBLIC_ENDPOINT and _s3_options["addressing_style"] == "virtual":
    _s3_origin = [f"{_s3_host.scheme}://{S3_BUCKET}.{_s3_host.netloc}"]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "blob:", "data:", *_s3_origin],
        "media-src": [SELF, *_s3_origin],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        # The button of the single sign-on is a form that leads there.
        "form-action": [SELF, *([T2V_OIDC.origin] if T2V_OIDC else [])],
        "frame-ancestors": ["'none'"],
    }
}
# Our own scripts make no text into elements. Told in the browser's console, not enforced: the docs'
# and the admin's are other people's.
CONTENT_SECURITY_POLICY_REPORT_ONLY = {
    "EXCLUDE_URL_PREFIXES": ("/admin/", "/api/docs"),
    "DIRECTIVES": {"require-trusted-types-for": ["'script'"]},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024  # bytes; a prompt is small

# --- Programs ---
REST_FRAMEWORK: dict[str, Any] = {
    # The first that finds something to say says it: a cookie counts only where no header came.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.auth.TokenAuthentication",
        "accounts.auth.JWTAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.auth.InScope"],
    "DEFAULT_THROTTLE_CLASSES": ["jobs.limits.Rates"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "jobs.schema.house.HouseSchema",
    "EXCEPTION_HANDLER": "jobs.problems.problem",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Text-to-Video Orchestrator",
    "DESCRIPTION": "Prompts in, videos out. Every refusal is a problem with a stable code.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "DEFAULT_GENERATOR_CLASS": "jobs.schema.document.HouseGenerator",
    "COMPONENT_SPLIT_REQUEST": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "TAGS": [
        {"name": name}
        for name in (
            *("jobs", "models", "you", "workspaces", "webhooks", "live", "operators", "videos"),
            "v1",
        )
    ],
    "ENUM_NAME_OVERRIDES": {
        "JobState": "jobs.schema.answers.STATES",
        "DeliveryState": "jobs.webhooks.models.DeliveryState",
        "WebhookEvent": "jobs.webhooks.serializers.KINDS",
        "WorkspaceRole": ["viewer", "creator", "manager", "owner"],
        "SiteRole": ["member", "operator", "administrator"],
        "VideoObject": ["video"],
        "DeletedVideoObject": ["video.deleted"],
        "ModelObject": ["model"],
        "ListObject": ["list"],
    },
}
MIGRATION_MODULES = {"knox": None}  # they would make the table of a model that is not used
KNOX_TOKEN_MODEL = "accounts.ApiToken"  # noqa: S105 - a name
REST_KNOX = {"TOKEN_PREFIX": "t2v_", "AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": None}
HEADLESS_CLIENTS = ("app",)
HEADLESS_TOKEN_STRATEGY = "allauth.headless.tokens.strategies.jwt.JWTTokenStrategy"  # noqa: S105
HEADLESS_JWT_STATEFUL_VALIDATION_ENABLED = True  # a JWT ends with its session
HEADLESS_JWT_ACCESS_TOKEN_EXPIRES_IN = 300  # seconds
_jwt_key = env_secret("T2V_JWT_PRIVATE_KEY")
HEADLESS_JWT_ALGORITHM = "RS256" if _jwt_key else "HS256"
# Without a key pair of its own one process's JWTs are good for the others by a shared secret.
HEADLESS_JWT_PRIVATE_KEY = (
    _jwt_key or salted_hmac("t2v.jwt", SECRET_KEY, secret=SECRET_KEY).hexdigest()
)

# --- Jobs ---
T2V_MODELS_FILE = env_str("T2V_MODELS_FILE", str(BASE_DIR / "deploy" / "models.toml"))
T2V_MODELS = env_list("T2V_MODELS")  # empty: those that the file offers, in its order
T2V_MODELS_DIR = Path(env_str("T2V_MODELS_DIR", str(T2V_VAR / "models")))  # a folder for each
T2V_ROOT = BASE_DIR
T2V_POOL = env_str("T2V_POOL", "default")  # the queue that a worker serves: gpu.<pool>
if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", T2V_POOL):
    raise ImproperlyConfigured("T2V_POOL is a name of up to 40 letters a-z, digits and hyphens.")
T2V_TORCH_THREADS = env_int("T2V_TORCH_THREADS", 1, at_least=1, at_most=256)
T2V_WORKER_NAME = env_str("T2V_WORKER_NAME", "")  # empty: made from the host's name and the pool
T2V_WORKER_SPOT = env_bool("T2V_WORKER_SPOT", False)  # its machine may be taken away
T2V_MAX_ATTEMPTS = env_int("T2V_MAX_ATTEMPTS", 3, at_least=1, at_most=20)
T2V_CHECKPOINT_SECONDS = env_int("T2V_CHECKPOINT_SECONDS", 10, at_least=1, at_most=3600)
T2V_ORPHAN_HOURS = env_int("T2V_ORPHAN_HOURS", 24, at_least=0, at_most=24 * 365)
T2V_DELETED_HOURS = env_int("T2V_DELETED_HOURS", 24, at_least=0, at_most=24 * 365)
T2V_ZIP_GB = env_int("T2V_ZIP_GB", 2, at_least=1, at_most=1000)  # clips of one download
T2V_SCRATCH_MIN_MB = env_int("T2V_SCRATCH_MIN_MB", 256, at_least=0, at_most=1_000_000)
# --- Limits (docs/reference/limits.md) ---
# Quotas: 0 is none. Of a workspace, and of each person in one; rows may say otherwise.
_MOST = 2_000_000_000  # as a column holds it
T2V_QUOTA_RUNNING = env_int("T2V_QUOTA_RUNNING", 0, at_least=0, at_most=100_000)
T2V_QUOTA_QUEUED = env_int("T2V_QUOTA_QUEUED", 0, at_least=0, at_most=1_000_000)
T2V_QUOTA_GPU_SECONDS = env_int("T2V_QUOTA_GPU_SECONDS", 0, at_least=0, at_most=_MOST)  # a month
T2V_QUOTA_STORAGE_GB = env_int("T2V_QUOTA_STORAGE_GB", 0, at_least=0, at_most=1_000_000)
T2V_MAX_UNFINISHED = env_int("T2V_MAX_UNFINISHED", 1000, at_least=1, at_most=100_000)  # a person
T2V_QUOTA_PERSON_RUNNING = env_int("T2V_QUOTA_PERSON_RUNNING", 0, at_least=0, at_most=100_000)
T2V_QUOTA_PERSON_GPU_SECONDS = env_int("T2V_QUOTA_PERSON_GPU_SECONDS", 0, at_least=0, at_most=_MOST)
T2V_QUOTA_PERSON_STORAGE_GB = env_int(
    "T2V_QUOTA_PERSON_STORAGE_GB", 0, at_least=0, at_most=1_000_000
)
T2V_MAX_WAIT_SECONDS = env_int("T2V_MAX_WAIT_SECONDS", 0, at_least=0, at_most=30 * 86_400)
T2V_RATE_WRITES = env_rate("T2V_RATE_WRITES", "120/minute")  # of one token
T2V_RATE_READS = env_rate("T2V_RATE_READS", "1200/minute")  # of one token
T2V_RATE_PERSON = env_int("T2V_RATE_PERSON", 3, at_least=1, at_most=1000)  # times a token's
T2V_GPU_SECOND_PRICE = env_price("T2V_GPU_SECOND_PRICE", "0")
T2V_CURRENCY = env_str("T2V_CURRENCY", "USD")
if not re.fullmatch(r"[A-Z]{3}", T2V_CURRENCY):
    raise ImproperlyConfigured("T2V_CURRENCY is the three capital letters of ISO 4217, as USD.")

# --- Webhooks ---
# Exactly host or host:port, lower case: these may be private addresses, also over http.
T2V_WEBHOOK_PRIVATE_HOSTS = frozenset(env_list("T2V_WEBHOOK_PRIVATE_HOSTS"))
for _name in T2V_WEBHOOK_PRIVATE_HOSTS:
    if not re.fullmatch(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", _name):
        raise ImproperlyConfigured(
            f"T2V_WEBHOOK_PRIVATE_HOSTS has {_name!r}; write host or host:port, in lower case."
        )

# --- Metrics (docs/reference/metrics.md) ---
T2V_METRICS_TOKEN = env_secret("T2V_METRICS_TOKEN")  # who shows it may read them, from anywhere
# Where others reach the site a proxy on this machine may stand before it that does not say for whom
# it asks: all the world would look like this machine.
T2V_METRICS_NETWORKS = env_networks(
    "T2V_METRICS_NETWORKS", "none" if _reached else "127.0.0.0/8,::1/128"
)
T2V_METRICS_PORT = env_int("T2V_METRICS_PORT", 0, at_least=0, at_most=65535)  # 0: none
if T2V_METRICS_TOKEN is not None and len(T2V_METRICS_TOKEN) < 20:
    raise ImproperlyConfigured("T2V_METRICS_TOKEN must be at least 20 random characters.")
T2V_VERSION = env_str("T2V_VERSION", version_of(BASE_DIR / "pyproject.toml"))  # as metrics tell it

# --- Logs (docs/howto/logs.md) ---
LOG_LEVEL = env_choice("T2V_LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
_log_format = env_choice("T2V_LOG_FORMAT", "console", choices=("console", "json"))
LOGGING_CONFIG = "t2v_site.logs.configure"
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"()": "t2v_site.logs.Lines", "format": "%(levelname)s %(name)s: %(message)s"},
        "json": {"()": "t2v_site.logs.Json"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": {"console": "plain", "json": "json"}[_log_format],
        }
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        name: {"level": LOG_LEVEL} for name in ("accounts", "jobs", "gpu_worker", "t2v_site")
    },
}

# --- Traces (docs/howto/traces.md) ---
T2V_TRACES = env_str("T2V_TRACES", "")  # of an OTLP/HTTP collector; empty: off
if T2V_TRACES:
    env_url("T2V_TRACES", T2V_TRACES, schemes=("https", "http"))
    if not is_installed("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
        raise ImproperlyConfigured(
            "T2V_TRACES needs OpenTelemetry, which is not installed: pip install -e '.[traces]' "
            "-c constraints.txt."
        )
T2V_TRACES_PERCENT = env_int("T2V_TRACES_PERCENT", 100, at_least=0, at_most=100)
T2V_TRACES_STEPS = env_int("T2V_TRACES_STEPS", 10, at_least=1, at_most=1000)
T2V_TRACES_SQL = env_bool("T2V_TRACES_SQL", False)

refuse_unknown()
