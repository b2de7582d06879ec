"""No secret is in the repository, and none that everybody knows opens a site."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from t2v_site.defaults import is_this_machine, is_weak_key
from t2v_site.tests.test_settings import SECURE

ROOT = Path(settings.BASE_DIR)
HERE = {"T2V_ENV": "embedded", "T2V_BASE_URL": ""}
STORE = {"T2V_S3_BUCKET": "v", "T2V_S3_ACCESS_KEY": "AKREAL", "T2V_S3_SECRET_KEY": "xyzzy-real"}
CASES: list[tuple[dict[str, str], str]] = [
    # (what is set beside a secure production, what stops the start; empty: it starts)
    ({}, ""),
    ({"T2V_DATABASE_URL": "postgresql://t2v:t2v@db/t2v"}, "password that stands in manuals"),
    ({"T2V_DATABASE_URL": "postgresql://app:postgres@db/t2v"}, "password that stands in manuals"),
    ({"T2V_DATABASE_URL": "postgresql://app@db/t2v?sslcert=c&sslkey=k"}, ""),
    (STORE, ""),
    (STORE | {"T2V_S3_ACCESS_KEY": "minioadmin"}, "the store's own default"),
    (STORE | {"T2V_S3_SECRET_KEY": "MinioAdmin"}, "the store's own default"),
    (HERE, ""),
    (HERE | {"T2V_DEBUG": "1"}, ""),
    (HERE | {"T2V_DEBUG": "1", "T2V_HOST": "0.0.0.0"}, "T2V_DEBUG must be off"),  # noqa: S104
    (HERE | {"T2V_DEBUG": "1", "T2V_HOST": "::"}, "T2V_DEBUG must be off"),
    (HERE | {"T2V_DEBUG": "1", "T2V_BASE_URL": "http://x.example"}, "T2V_DEBUG must be off"),
    (HERE | {"T2V_DEBUG": "1", "T2V_ALLOWED_HOSTS": "x.example"}, "T2V_DEBUG must be off"),
    (HERE | {"T2V_SECRET_KEY": "check"}, ""),
    (HERE | {"T2V_SECRET_KEY": "check", "T2V_HOST": "192.0.2.7"}, "T2V_SECRET_KEY must be"),
    (HERE | STORE | {"T2V_S3_ACCESS_KEY": "minioadmin"}, "the store's own default"),
    (
        HERE
        | STORE
        | {"T2V_S3_ACCESS_KEY": "minioadmin", "T2V_S3_ENDPOINT": "http://127.0.0.1:9000"},
        "",
    ),
]
_TRY_ALL = """
import importlib, json, os, sys
said, module = [], None
for case in json.load(sys.stdin):
    before = dict(os.environ)
    os.environ.update(case)
    try:
        module = importlib.reload(module) if module else importlib.import_module(
            "t2v_site.settings")
        said.append("")
    except Exception as error:
        module = sys.modules.get("t2v_site.settings")
        said.append(str(error))
    os.environ.clear()
    os.environ.update(before)
print(json.dumps(said))
"""


def test_a_start_with_a_secret_that_everybody_knows_or_with_debug_for_others_is_refused() -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    done = subprocess.run(
        [sys.executable, "-c", _TRY_ALL],
        cwd=ROOT,
        env={**clean, **SECURE},
        input=json.dumps([case for case, _ in CASES]),
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    for (case, complaint), said in zip(CASES, json.loads(done.stdout), strict=True):
        assert complaint in said if complaint else said == "", (case, said)


def test_production_sends_its_cookies_over_https_to_this_host_alone() -> None:
    code = """
import json
from t2v_site import settings as s
print(json.dumps({name: value for name, value in vars(s).items()
    if name.startswith(("SESSION_COOKIE", "CSRF_COOKIE", "SECURE_"))}))"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("T2V_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**clean, **SECURE, "T2V_HSTS_SUBDOMAINS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    found = json.loads(done.stdout)
    for kind in ("SESSION", "CSRF"):
        assert found[f"{kind}_COOKIE_NAME"].startswith("__Host-")
        assert found[f"{kind}_COOKIE_SECURE"] is True
        assert found[f"{kind}_COOKIE_SAMESITE"] == "Lax"
    assert found["SESSION_COOKIE_HTTPONLY"] is True
    assert not {"SESSION_COOKIE_DOMAIN", "CSRF_COOKIE_DOMAIN", "SESSION_COOKIE_PATH"} & set(found)
    assert found["SECURE_HSTS_SECONDS"] >= 31_536_000
    assert found["SECURE_HSTS_INCLUDE_SUBDOMAINS"] is True
    assert found["SECURE_SSL_REDIRECT"] is True


@pytest.mark.parametrize(
    ("host", "here"),
    [
        *((name, True) for name in ("127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9")),
        *((name, False) for name in ("::", "10.0.0.1", "x.example", "localhost.evil")),
    ],
)
def test_only_loopback_is_this_machine(host: str, here: bool) -> None:
    assert is_this_machine(host) is here


def test_a_key_that_could_be_guessed_is_weak() -> None:
    assert is_weak_key("a1" * 40)
    assert is_weak_key("0123456789abcdef")
    assert not is_weak_key(SECURE["T2V_SECRET_KEY"])


# As gitleaks and the like look for them. What a test needs for looking like one is made up there
# of pieces, or stands here.
SECRETS = {
    "private key": r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    "key of AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "token of this site": r"\bt2v_[0-9a-f]{40,}",
    "ticket of this site": r"\bt2vt_[\w-]{40,}",
    "secret of a webhook": r"\bwhsec_[A-Za-z0-9+/]{30,}",
    "token of GitHub": r"\b(?:gh[opsur]_[A-Za-z0-9]{36}|github_pat_\w{60,})",
    "token of a model hub": r"\bhf_[A-Za-z]{30,}",
    "key of an API": r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}",
    "token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
    "JWT": r"\beyJ[\w-]{20,}\.eyJ[\w-]{20,}\.[\w-]{20,}",
    "password in a URL": r"\b(?:postgres(?:ql)?|rediss?|smtps?)://\w+:[^@\s:{}$*<\"'\[%]{8,}@",
}
KNOWN = {
    "AKIAIOSFODNN7EXAMPLE",  # of Amazon's manuals
    "AKIA5T2VTESTKEY00001",  # of tests/stage.py's own server
    *(f"{scheme}://user:password@" for scheme in ("postgresql", "rediss", "smtp")),  # settings.md
    "smtps://user:PASSWORD@",  # deploy-kubernetes.md
    "postgresql://app:postgres@",  # what is refused, above
}
_BINARY = {".safetensors", ".png", ".jpg", ".mp4", ".webp", ".ico", ".woff2"}


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name]


def test_no_file_of_the_repository_holds_a_secret() -> None:
    patterns = {what: re.compile(pattern) for what, pattern in SECRETS.items()}
    found, files = [], [each for each in _tracked() if each.suffix not in _BINARY]
    assert len(files) > 500
    for path in files:
        if not path.is_file() or path.is_symlink():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        for what, pattern in patterns.items():
            found += [
                f"{path.relative_to(ROOT)}: {what}"
                for match in pattern.finditer(text)
                if match[0] not in KNOWN
            ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "planted",
    [
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "AKIA" + "Q3EGRZ6XMPL4WXYZ",
        "t2v_" + "0a" * 32,
        "ghp_" + "a1" * 18,
        "postgresql://app:" + "s3cr3t-word@db/x",
        "eyJ" + "a" * 24 + ".eyJ" + "b" * 24 + "." + "c" * 24,
    ],
)
def test_the_search_finds_what_it_looks_for(planted: str) -> None:
    assert any(re.search(pattern, planted) for pattern in SECRETS.values())
