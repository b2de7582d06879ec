"""Settings come from T2V_* only, and nonsense stops the start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

SECURE = {
    "T2V_ENV": "production",
    "T2V_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST",
    "T2V_DATABASE_URL": "postgresql://t2v:p%40ss@db.internal:6432/videos?sslmode=verify-full",
    "T2V_REDIS_URL": "rediss://redis.internal/1",
    "T2V_BASE_URL": "https://video.example.com",
}

SSO = {
    "T2V_OIDC_ISSUER": "https://id.example.com",
    "T2V_OIDC_CLIENT_ID": "t2v",
    "T2V_OIDC_CLIENT_SECRET": "a secret",
}


def _load(code: str = "", **changes: str) -> subprocess.CompletedProcess[str]:
    """Reads the settings in a fresh process; the last line of its errors says what was wrong."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    return subprocess.run(
        [sys.executable, "-c", f"from t2v_site import settings as s\n{code}"],
        cwd=settings.BASE_DIR,
        env={**clean, **SECURE, **changes},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_secure_production_starts() -> None:
    code = """
print(s.DATABASES['default']['PASSWORD'], s.DATABASES['default']['PORT'], s.ALLOWED_HOSTS,
      s.SESSION_COOKIE_SECURE, s.SESSION_COOKIE_NAME, s.T2V_DEMO, s.DEBUG,
      s.DATABASES['default']['OPTIONS']['sslmode'])"""
    done = _load(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == (
        "p@ss 6432 ['video.example.com'] True __Host-t2v False False verify-full"
    )


def test_a_name_that_is_set_to_its_default_is_no_unknown_name() -> None:
    assert _load(T2V_ALLOW_HTTP="0").returncode == 0


def test_where_others_reach_the_site_metrics_want_a_token_unless_somebody_says_otherwise() -> None:
    code = """
import os
from importlib import reload
os.environ['T2V_METRICS_NETWORKS'] = '127.0.0.0/8'
print(len(s.T2V_METRICS_NETWORKS), len(reload(s).T2V_METRICS_NETWORKS))
del os.environ['T2V_METRICS_NETWORKS']
os.environ |= {'T2V_ENV': 'embedded', 'T2V_BASE_URL': 'https://tunnel.example.com'}
print(len(reload(s).T2V_METRICS_NETWORKS))
os.environ['T2V_BASE_URL'] = 'http://127.0.0.1:8000'
print(len(reload(s).T2V_METRICS_NETWORKS))
"""
    done = _load(code)
    assert done.stdout.split() == ["0", "1", "0", "2"], done.stderr


def test_a_secret_in_an_empty_file_is_not_set(tmp_path: Path) -> None:
    empty = tmp_path / "smtp"
    empty.write_text("\n", encoding="utf-8")
    done = _load("print(s.EMAIL_BACKEND)", T2V_SMTP_URL_FILE=str(empty))
    assert done.stdout.strip().endswith("console.EmailBackend"), done.stderr
    done = _load(T2V_SECRET_KEY="", T2V_SECRET_KEY_FILE=str(empty))
    assert "T2V_SECRET_KEY is not set" in done.stderr


def test_browsers_may_reach_the_store_by_another_name_than_workers() -> None:
    code = """
import django
django.setup(set_prefix=False)
from django.core.files.storage import default_storage as d
print(d.url('jobs/1/video.mp4').partition('?')[0], d.connection.meta.client.meta.endpoint_url)
print(s.CONTENT_SECURITY_POLICY['DIRECTIVES']['media-src'])"""
    store = {"T2V_S3_BUCKET": "videos", "T2V_S3_ENDPOINT": "http://store:7070"}
    keys = {"T2V_S3_ACCESS_KEY": "one of ours", "T2V_S3_SECRET_KEY": "another one of ours"}
    public = {"T2V_S3_PUBLIC_ENDPOINT": "https://video.example.com"}
    done = _load(code, **store, **keys, **public, DJANGO_SETTINGS_MODULE="t2v_site.settings")
    assert done.stdout.splitlines() == [
        "https://video.example.com/videos/jobs/1/video.mp4 http://store:7070",
        "[\"'self'\", 'https://video.example.com']",
    ], done.stderr


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"T2V_SECRET_KEY": ""}, "T2V_SECRET_KEY is not set"),
        ({"T2V_SECRET_KEY": "short"}, "at least 50 random characters"),
        ({"T2V_SECRET_KEY": "a" * 60}, "at least 50 random characters"),
        ({"T2V_DEBUG": "1"}, "T2V_DEBUG must be off"),
        ({"T2V_DATABASE_URL": ""}, "T2V_DATABASE_URL is not set"),
        ({"T2V_DATABASE_URL": "mysql://x/y"}, "T2V_DATABASE_URL must look like"),
        ({"T2V_DATABASE_URL": "postgresql://db/t2v?ssl=1"}, "unknown option ssl"),
        ({"T2V_DATABASE_URL": "postgresql://db"}, "without the name"),
        ({"T2V_SECRET_KEY": "django-insecure-" + "abcdefghijklmnop" * 4}, "50 random"),
        ({"T2V_ALLOWED_HOSTS": ".com"}, "names whole hosts"),
        ({"T2V_POOL": "a b"}, "T2V_POOL is a name"),
        ({"T2V_S3_PUBLIC_ENDPOINT": "video"}, "T2V_S3_PUBLIC_ENDPOINT must look like"),
        ({"T2V_OIDC_ONLY": "1"}, "without T2V_OIDC_ISSUER"),
        ({"T2V_OIDC_ISSUER": "http://id.example.com"}, "must be https in production"),
        ({"T2V_OIDC_ISSUER": "https://id.example.com"}, "needs T2V_OIDC_CLIENT_ID"),
        ({"T2V_RATE_READS": "many"}, "must look like 120/minute"),
        ({"T2V_RATE_WRITES": "0/minute"}, "must look like 120/minute"),
        ({"T2V_GPU_SECOND_PRICE": "-1"}, "must be an amount"),
        ({"T2V_GPU_SECOND_PRICE": "nan"}, "must be an amount"),
        ({"T2V_CURRENCY": "dollars"}, "three capital letters"),
        ({"T2V_REDIS_URL": ""}, "T2V_REDIS_URL is not set"),
        ({"T2V_BASE_URL": ""}, "T2V_BASE_URL must look like"),
        ({"T2V_BASE_URL": "http://video.example.com"}, "must be https in production"),
        ({"T2V_ALLOWED_HOSTS": "*"}, "names whole hosts"),
        ({"T2V_DEMO_PASSWORD": "x"}, "for the embedded mode"),
        ({"T2V_PORT": "eighty"}, "must be a whole number"),
        ({"T2V_PORT": "70000"}, "from 1 to 65535"),
        ({"T2V_DEBUG": "maybe"}, "it can be 1 or 0"),
        ({"T2V_ENV": "prod"}, "it can be embedded, production"),
        ({"T2V_S3_BUCKET": "videos"}, "T2V_S3_BUCKET needs"),
        ({"T2V_DATABSE_URL": "x"}, "Unknown setting T2V_DATABSE_URL"),
        ({"T2V_SECRET_KEY_FILE": "/dev/null"}, "not both"),
    ],
)
def test_nonsense_and_danger_are_refused_by_name(changes: dict[str, str], complaint: str) -> None:
    done = _load(**changes)
    assert done.returncode != 0
    assert complaint in done.stderr.strip().splitlines()[-1]
    assert "p%40ss" not in done.stderr.strip().splitlines()[-1]


def test_production_asks_for_what_the_demo_does_not() -> None:
    code = """
print(s.ACCOUNT_EMAIL_VERIFICATION, s.T2V_REQUIRE_MFA, s.T2V_SIGNUP, s.MFA_PASSKEY_LOGIN_ENABLED,
      s.CONTENT_SECURITY_POLICY["DIRECTIVES"]["form-action"])"""
    done = _load(code, **SSO, T2V_OIDC_ONLY="1")
    assert done.stdout.strip() == (
        """mandatory True invited False ["'self'", 'https://id.example.com']"""
    ), done.stderr


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(SECURE["T2V_SECRET_KEY"] + "\n")
    done = _load("print(len(s.SECRET_KEY))", T2V_SECRET_KEY="", T2V_SECRET_KEY_FILE=str(file))
    assert done.stdout.strip() == "56", done.stderr


def test_the_command_lines_variables_do_not_keep_the_site_from_starting() -> None:
    done = _load("print(s.T2V_DEMO)", T2V_SITE="https://video.example.com", T2V_TOKEN="t2v_x")
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_production_serves_static_files_under_names_that_change_with_them(tmp_path: Path) -> None:
    code = """
import django
django.setup()
from django.core.management import call_command
from django.templatetags.static import static
others = ["admin", "drf_spectacular_sidecar", "rest_framework", "unfold"]  # 25 s to compress
call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=others)
print(static("js/job.js"))"""
    env = {"DJANGO_SETTINGS_MODULE": "t2v_site.settings", "T2V_VAR": str(tmp_path)}
    done = _load(code, **env)
    assert done.returncode == 0, done.stderr
    name = done.stdout.strip().removeprefix("/static/")
    assert name != "js/job.js"
    module = (tmp_path / "static" / name).read_text()
    assert '"./live.js"' not in module
    assert "./live." in module
