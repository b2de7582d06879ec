"""All settings, from T2V_* environment variables only (docs/reference/settings.md).

manage.py sets T2V_DATABASE_URL, T2V_REDIS_URL and T2V_SECRET_KEY before this file is read when
the embedded services are used; here the three are always needed.
"""

import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from t2v_site.env import (
    env_bool,
    env_choice,
    env_int,
    env_list,
    env_secret,
    env_str,
    env_url,
    refuse_unknown,
)

BASE_DIR = Path(__file__).resolve().parent.parent

# --- What this installation is ---
PRODUCTION = env_choice("T2V_ENV", "embedded", choices=("embedded", "production")) == "production"
DEBUG = env_bool("T2V_DEBUG", False)
T2V_VAR = Path(env_str("T2V_VAR", str(BASE_DIR / "var")))
T2V_HOST = env_str("T2V_HOST", "127.0.0.1")
T2V_PORT = env_int("T2V_PORT", 8000, at_least=1, at_most=65535)
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

if PRODUCTION:
    if DEBUG:
        raise ImproperlyConfigured("T2V_DEBUG must be off in production.")
    weak = len(SECRET_KEY) < 50 or len(set(SECRET_KEY)) < 12
    if weak or SECRET_KEY.startswith("django-insecure-"):
        raise ImproperlyConfigured("T2V_SECRET_KEY must be at least 50 random characters.")
    if T2V_DEMO_PASSWORD is not None:
        raise ImproperlyConfigured("T2V_DEMO_PASSWORD is for the embedded mode; unset it.")
    if not _secure and not env_bool("T2V_ALLOW_HTTP", False):
        raise ImproperlyConfigured(
            "T2V_BASE_URL must be https in production (T2V_ALLOW_HTTP=1 in a closed network)."
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
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "channels",
    "csp",
    "rest_framework",
    "pgtrigger",
    "storages",
]

MIDDLEWARE = [
    "t2v_site.requests.RefuseNonsense",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
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
            ],
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
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 30}], "prefix": "t2v"},
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
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_TASK_DEFAULT_QUEUE = "gpu.default"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_IMPORTS = ["gpu_worker.tasks"]

# --- Files ---
S3_BUCKET = env_str("T2V_S3_BUCKET", "")
S3_ENDPOINT = env_str("T2V_S3_ENDPOINT", "")  # empty: Amazon's own
_s3_options = {
    "bucket_name": S3_BUCKET,
    "endpoint_url": S3_ENDPOINT or None,
    "region_name": env_str("T2V_S3_REGION", "us-east-1"),
    "access_key": env_secret("T2V_S3_ACCESS_KEY"),
    "secret_key": env_secret("T2V_S3_SECRET_KEY"),
    "addressing_style": env_choice("T2V_S3_ADDRESSING", "path", choices=("path", "virtual")),
    "signature_version": "s3v4",
    "querystring_auth": True,
    "querystring_expire": 300,  # seconds
    "file_overwrite": False,
    "default_acl": None,
}
S3_CONDITIONAL = env_bool("T2V_S3_CONDITIONAL", True)  # the store knows If-None-Match
if S3_BUCKET and not (_s3_options["access_key"] and _s3_options["secret_key"]):
    raise ImproperlyConfigured(
        "T2V_S3_BUCKET needs T2V_S3_ACCESS_KEY and T2V_S3_SECRET_KEY (or their _FILE forms)."
    )
if S3_ENDPOINT:
    env_url("T2V_S3_ENDPOINT", S3_ENDPOINT, schemes=("https", "http"))
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
STATIC_URL = "/static/"
STATIC_ROOT = T2V_VAR / "static" if PRODUCTION else None
STATICFILES_DIRS = [BASE_DIR / "static"]
# On one machine there is no collectstatic step, and files may change under the running site.
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = not PRODUCTION

# --- Accounts ---
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
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
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "optional"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = _base.scheme
# allauth's own limits, kept in the cache of each process until Redis may carry them.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}

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
SECURE_SSL_REDIRECT = _secure
SECURE_REDIRECT_EXEMPT = [r"^health/"]  # probes come over plain http, from beside the process
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _secure else None
SECURE_HSTS_SECONDS = 31_536_000 if _secure else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
_s3_host = urlsplit(S3_ENDPOINT)
_s3_origin = (
    [f"{_s3_host.scheme}://{_s3_host.netloc}"]
    if S3_ENDPOINT
    else ["https://*.amazonaws.com"]
    if S3_BUCKET
    else []
)
if S3_ENDPOINT and _s3_options["addressing_style"] == "virtual":
    _s3_origin = [f"{_s3_host.scheme}://{S3_BUCKET}.{_s3_host.netloc}"]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "blob:", "data:", *_s3_origin],
        "media-src": ["'self'", *_s3_origin],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024  # bytes; a prompt is small

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "EXCEPTION_HANDLER": "jobs.api.problem",
}

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
T2V_MAX_ATTEMPTS = env_int("T2V_MAX_ATTEMPTS", 3, at_least=1, at_most=20)
T2V_CHECKPOINT_SECONDS = env_int("T2V_CHECKPOINT_SECONDS", 10, at_least=1, at_most=3600)
T2V_ORPHAN_HOURS = env_int("T2V_ORPHAN_HOURS", 24, at_least=0, at_most=24 * 365)
T2V_SCRATCH_MIN_MB = env_int("T2V_SCRATCH_MIN_MB", 256, at_least=0, at_most=1_000_000)
T2V_MAX_UNFINISHED = env_int("T2V_MAX_UNFINISHED", 100, at_least=1, at_most=100_000)  # a person

# --- Logs ---
LOG_LEVEL = env_choice("T2V_LOG_LEVEL", "INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        name: {"level": LOG_LEVEL} for name in ("accounts", "jobs", "gpu_worker", "t2v_site")
    },
}

refuse_unknown()
