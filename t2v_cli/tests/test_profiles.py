"""The file with the tokens."""

import stat
from pathlib import Path

import pytest

from t2v_cli.failures import Failure
from t2v_cli.options import Common, chosen_site, signed_in
from t2v_cli.profiles import Profile, load, path, save

HOME = Profile(site="http://127.0.0.1:8000", token="t2v_home")
WORK = Profile(site="https://videos.example.com", token="t2v_work")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("T2V_SITE", "T2V_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return path()


def test_what_was_saved_is_read_again_and_nobody_else_may(file: Path) -> None:
    kept = {"default": HOME, "work": Profile(site="http://10.0.0.1", token='"\\x', insecure=True)}
    save(file, kept)
    save(file, kept)
    assert load(file) == kept
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_no_file_is_no_profile(file: Path) -> None:
    assert load(file) == {}


@pytest.mark.parametrize("text", ["[default", 'default = "x"', "[default]\nsite = 1", "\xff"])
def test_a_file_that_is_not_ours_is_not_overwritten_by_chance(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(Failure, match=r"config\.toml"):
        load(file)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "a]\n[b", "x" * 41])
def test_a_name_that_toml_would_read_otherwise_is_refused(file: Path, name: str) -> None:
    with pytest.raises(Failure, match="no profile's name"):
        save(file, {name: HOME})


def test_a_token_shows_in_no_message(file: Path) -> None:
    assert "t2v_home" not in f"{HOME!r} {HOME}"


def test_a_token_goes_only_to_the_site_that_it_was_kept_for(file: Path) -> None:
    save(file, {"default": HOME, "work": WORK})
    assert signed_in(Common()) == HOME
    assert signed_in(Common(profile="work")) == WORK
    assert signed_in(Common(site="https://videos.example.com/")) == WORK
    with pytest.raises(Failure, match="not signed in at https://other"):
        signed_in(Common(site="https://other.example.com"))
    with pytest.raises(Failure, match="not signed in at https://other"):
        signed_in(Common(site="https://other.example.com", profile="work"))
    with pytest.raises(Failure, match="no profile 'wrok'"):
        signed_in(Common(profile="wrok"))


def test_the_environment_names_site_and_token(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(file, {"default": HOME})
    monkeypatch.setenv("T2V_TOKEN", "t2v_env")
    assert signed_in(Common()) == Profile(site=HOME.site, token="t2v_env")
    monkeypatch.setenv("T2V_SITE", "https://videos.example.com")
    assert signed_in(Common()) == Profile(site=WORK.site, token="t2v_env")
    monkeypatch.setenv("T2V_TOKEN", "t2v\nX-Evil: 1")
    with pytest.raises(Failure, match="no token"):
        signed_in(Common())


def test_what_was_trusted_at_the_login_is_trusted_until_the_logout(file: Path) -> None:
    plain = Profile(site="http://10.0.0.1:8000", token="t2v_plain", insecure=True)
    save(file, {"closed": plain})
    assert signed_in(Common(profile="closed")) == plain
    assert signed_in(Common(site="http://10.0.0.1:8000")) == plain
    with pytest.raises(Failure, match="readable"):
        chosen_site(Common(site="http://10.0.0.2:8000"), load(file))
