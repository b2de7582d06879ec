"""Looking at jobs, and what one does to them."""

import json
from collections.abc import Callable

import pytest

from accounts.models import User
from jobs.models import Job
from tests.cli.cutter import cutter_to
from tests.cli.program import Program
from tests.live import worker
from tests.live.stage import Server

PROMPTS = ("a red circle", "a blue square", "a [red]green[/red] star\x1b[2J\n")


@pytest.fixture
def jobs(alices: Program, alice: User) -> list[Job]:
    """Three, oldest first; the first one has ended."""
    made = [worker.submit(alice, prompt) for prompt in PROMPTS]
    worker.succeed(worker.claim())
    return made


def test_the_list_is_lines_with_tabs_for_programs(alices: Program, jobs: list[Job]) -> None:
    done = alices.run("list")
    assert (done.code, done.err) == (0, "")
    rows = [line.split("\t") for line in done.out.splitlines()]
    assert [row[0] for row in rows] == [str(job.pk) for job in reversed(jobs)]
    assert [row[1] for row in rows] == ["queued", "queued", "succeeded"]
    assert rows[0][4] == "a [red]green[/red] star\ufffd[2J"
    assert rows[0][2][:10] == jobs[2].created_at.strftime("%Y-%m-%d")


def test_the_list_is_a_table_for_people(alices: Program, jobs: list[Job]) -> None:
    with alices.terminal("list") as terminal:
        assert terminal.end() == 0
    shown = terminal.shown
    lines = [line.rstrip() for line in shown.splitlines()]
    assert "ID" in lines[0]
    assert lines[2].endswith("a blue square")
    assert "[red]green[/red]" in shown
    assert "\x1b[2J" not in shown


def test_filters_and_pages(alices: Program, jobs: list[Job]) -> None:
    done = alices.run("list", "--state", "queued", "--json")
    assert [job["prompt"] for job in done.json()["results"]] == [
        "a [red]green[/red] star\x1b[2J",
        "a blue square",
    ]
    found = alices.run("list", "--search", "square", "--model", "nano", "--json")
    assert [job["id"] for job in found.json()["results"]] == [str(jobs[1].pk)]
    oldest = alices.run("list", "--ordering", "created_at", "--limit", 1)
    assert oldest.out.startswith(str(jobs[0].pk))
    pages = alices.run("list", "--limit", 2, "--all", "--json")
    assert [job["id"] for job in pages.lines()] == [str(job.pk) for job in reversed(jobs)]
    assert alices.run("list", "--limit", 0).code == 2
    assert alices.run("list", "--state", "sleeping").code == 2
    nothing = alices.run("list", "--created-after", "2100-01-01T00:00:00Z")
    assert (nothing.code, nothing.out) == (0, "")


def test_one_job_as_it_stands(alices: Program, jobs: list[Job]) -> None:
    done = alices.run("get", jobs[0].pk)
    assert done.code == 0
    for part in (str(jobs[0].pk), "succeeded", "a red circle", "video.mp4"):
        assert part in done.out
    assert alices.run("get", jobs[0].pk, "--json").json()["state"] == "succeeded"


def test_anothers_job_is_not_there(
    t2v: Callable[..., Program], server: Server, bob: User, jobs: list[Job]
) -> None:
    program = t2v(server.url, bob)
    for words in (("get",), ("cancel",), ("retry",), ("remix",), ("download",), ("delete", "-y")):
        done = program.run(*words, jobs[0].pk)
        assert (done.code, done.out) == (4, ""), (words, done)
        assert done.err
    assert program.run("get", "../jobs").code == 4


def test_each_is_cancelled_whatever_becomes_of_the_one_before(
    alices: Program, jobs: list[Job]
) -> None:
    done = alices.run("cancel", *[job.pk for job in jobs])
    assert done.code == 2  # the first has ended before
    assert done.out == "".join(f"{job.pk} cancelled\n" for job in jobs[1:])
    assert str(jobs[0].pk) in done.err


def test_a_deleted_job_is_gone_until_it_is_restored(alices: Program, jobs: list[Job]) -> None:
    job = jobs[0].pk
    asked = alices.run("delete", job)
    assert (asked.code, asked.out) == (2, "")
    done = alices.run("delete", job, "--yes", "--json")
    assert (done.code, done.json()) == (0, {"jobs": [{"id": str(job)}]})
    assert alices.run("get", job).code == 4
    assert alices.run("restore", job).code == 0
    assert alices.run("get", job).code == 0


def test_a_delete_whose_answer_was_lost_is_done(
    t2v: Callable[..., Program], server: Server, alice: User, jobs: list[Job]
) -> None:
    with cutter_to(server.port) as network:
        network.cut_after(0)
        done = t2v(network.url, alice).run("delete", jobs[0].pk, "--yes")
        assert network.cuts == 1
    assert (done.code, done.out) == (0, f"{jobs[0].pk} deleted\n")
    assert t2v(server.url, alice).run("delete", jobs[0].pk, "--yes").code == 4


def test_a_person_is_asked_before_anything_is_deleted(alices: Program, jobs: list[Job]) -> None:
    for answer, code in {"n": 130, "y": 0}.items():
        with alices.terminal("delete", jobs[0].pk) as terminal:
            terminal.until("Delete 1 job(s)")
            terminal.type(f"{answer}\n")
            assert terminal.end() == code
        assert alices.run("get", jobs[0].pk).code == (4 if answer == "y" else 0)


def test_who_reads_no_further_makes_no_noise(alices: Program, jobs: list[Job]) -> None:
    done = alices.shell("t2v list --all --limit 1 --json | head -n 1")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["id"] == str(jobs[2].pk)


def test_a_cancelled_job_is_tried_again_as_a_new_one(alices: Program, jobs: list[Job]) -> None:
    assert alices.run("cancel", jobs[1].pk).code == 0
    done = alices.run("retry", jobs[1].pk, "--json")
    assert done.code == 0
    (again,) = done.json()["jobs"]
    assert (again["state"], again["prompt"]) == ("queued", "a blue square")
    assert again["id"] != str(jobs[1].pk)


def test_a_remix_keeps_what_is_not_changed(alices: Program, jobs: list[Job]) -> None:
    done = alices.run("remix", jobs[0].pk, "--prompt", "a red star", "--seed", 5, "--json")
    assert done.code == 0
    old, new = jobs[0].request.spec, done.json()["spec"]
    assert new == old | {"prompt": "a red star", "seed": 5}


def test_bytes_that_are_no_text_are_sent_as_what_they_are(alices: Program) -> None:
    for words, code in {("get", "\udcff"): 4, ("list", "--search", "\udcff"): 0}.items():
        assert alices.run(*words).code == code
    done = alices.run("submit", "a \udcff star")
    assert "Traceback" not in done.err
    assert done.code in {0, 2}


def test_models_and_usage_are_told(alices: Program) -> None:
    models = alices.run("models")
    assert models.code == 0
    assert models.out.split("\t")[:2] == ["nano", "(64x64) 96x64 64x96 80x80"]
    assert alices.run("models", "--json").json()[0]["name"] == "nano"
    usage = alices.run("usage")
    assert (usage.code, usage.err) == (0, "")
    assert usage.out
    assert isinstance(alices.run("usage", "--json").json(), dict)


def test_a_shell_learns_to_complete(nobodys: Program) -> None:
    for shell in ("bash", "zsh", "fish"):
        done = nobodys.run("completion", shell)
        assert done.code == 0
        assert "_T2V_COMPLETE" in done.out
    asked = {"_T2V_COMPLETE": "complete_bash", "COMP_WORDS": "t2v sub", "COMP_CWORD": "1"}
    assert nobodys.run(**asked).out.split() == ["submit"]
    asked = {"_T2V_COMPLETE": "complete_bash", "COMP_WORDS": "t2v list --cr", "COMP_CWORD": "2"}
    assert nobodys.run(**asked).out.split() == ["--created-after", "--created-before"]
