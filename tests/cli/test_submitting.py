"""Jobs made from a terminal: as many as were asked for, whatever the network does."""

import json
from collections.abc import Callable

import pytest

from accounts.models import User
from jobs.models import Job
from tests.cli.cutter import cutter_to
from tests.cli.program import Program
from tests.live.stage import Server

PROMPT = "a red circle moving right"


def test_a_submit_prints_the_id_and_nothing_else(alices: Program) -> None:
    words = ("--steps", 8, "--seed", 3, "--guidance", 2, "--frames", 19, "--size", "64x64")
    done = alices.run("submit", PROMPT, *words, "--start-within", 600)
    assert (done.code, done.err) == (0, "")
    job = Job.objects.get()
    assert done.out == f"{job.pk}\n"
    spec = job.request.render_spec()
    assert (spec.prompt, spec.steps, spec.seed, spec.guidance, spec.frames) == (
        PROMPT,
        8,
        3,
        2.0,
        19,
    )
    assert job.deadline is not None


def test_as_json_it_is_the_job_as_the_api_tells_it(alices: Program) -> None:
    done = alices.run("submit", PROMPT, "--json")
    assert (done.code, done.err) == (0, "")
    told, found = done.json(), alices.run("get", done.json()["id"], "--json").json()
    for job in (told, found):
        job.pop("estimate", None)  # from moment to moment another one
        job.pop("cost", None)
    assert told == found


def test_bad_values_are_told_field_by_field_and_nothing_is_made(alices: Program) -> None:
    done = alices.run("submit", PROMPT, "--steps", 100_000, "--size", "1x1", "--json")
    assert (done.code, done.out) == (2, "")
    assert "  steps: From 4 to 1000 steps, not 100000." in done.err
    assert "  size: This model makes 64×64" in done.err
    assert "t2v models" in done.err
    assert not Job.objects.exists()


def test_wrong_use_ends_with_2_and_reaches_no_site(nobodys: Program) -> None:
    for words in (
        ("submit",),
        ("submit", PROMPT, "--file", "x.txt"),
        ("submit", "--file", "nowhere.txt"),
        ("submit", PROMPT, "--steps", "many"),
        ("submit", PROMPT, "--idempotency-key", "ü"),
        ("submit", PROMPT, "--nonsense"),
        ("nonsense",),
    ):
        done = nobodys.run(*words)
        assert (done.code, done.out) == (2, ""), words
        assert done.err


@pytest.mark.parametrize("many", [False, True])
def test_a_connection_that_breaks_after_the_commit_makes_no_second_job(
    t2v: Callable[..., Program], server: Server, alice: User, many: bool
) -> None:
    with cutter_to(server.port) as network:
        program = t2v(network.url, alice)
        network.cut_after(0)  # the site has answered: nothing of it arrives
        if many:
            done = program.run("submit", "--file", "-", stdin=f"{PROMPT}\n" * 3)
        else:
            done = program.run("submit", PROMPT)
        assert network.cuts == 1
    assert "broke. Trying again" in done.err
    assert done.code == 0
    assert sorted(done.out.split()) == sorted(
        str(pk) for pk in Job.objects.values_list("pk", flat=True)
    )
    assert len(done.out.split()) == (3 if many else 1)


def test_a_key_of_ones_own_makes_a_job_once_however_often_it_is_asked_for(
    alices: Program,
) -> None:
    first, second = (alices.run("submit", PROMPT, "--idempotency-key", "tuesday") for _ in "ab")
    assert (first.code, first.out) == (0, second.out)
    other = alices.run("submit", "a blue star", "--idempotency-key", "tuesday")
    assert other.code == 2
    assert "--idempotency-key" in other.err
    assert Job.objects.count() == 1


def test_a_file_of_prompts_becomes_as_many_jobs_in_its_order(alices: Program) -> None:
    prompts = [f"a red circle, number {number}" for number in range(501)]
    text = "\n".join([*prompts[:-1], json.dumps({"prompt": prompts[-1], "steps": 1})])
    (alices.home / "prompts.txt").write_text(text)
    words = ("submit", "--file", "prompts.txt", "--steps", 8, "--idempotency-key", "monday")
    broken = alices.run(*words)  # at its last line, of the second batch
    assert broken.code == 2
    assert len(broken.out.split()) == Job.objects.count() == 500
    assert "prompts.txt, line 501, steps: From 4 to 1000 steps, not 1." in broken.err
    assert "500 jobs were made, those up to line 500." in broken.err
    assert "--idempotency-key monday" in broken.err

    (alices.home / "prompts.txt").write_text(text.replace('"steps": 1}', '"steps": 16}'))
    done = alices.run(*words)
    assert (done.code, done.err.splitlines()[-1]) == (0, "501 of 501 jobs are submitted.")
    assert done.out.split()[:500] == broken.out.split()
    told = {str(job.pk): job.request for job in Job.objects.with_request()}
    assert [told[line].prompt for line in done.out.split()] == prompts
    assert [told[line].spec["steps"] for line in done.out.split()] == [*500 * [8], 16]


def test_who_hears_no_answer_is_told_how_to_find_out(nobodys: Program) -> None:
    words = ("submit", PROMPT, "--idempotency-key", "tuesday", "--patience", 0)
    done = nobodys.run(*words)
    assert (done.code, done.out) == (5, "")
    assert "--idempotency-key tuesday goes on, and makes nothing twice." in done.err


def test_one_bad_line_is_told_by_its_number_and_the_batch_is_not_made(alices: Program) -> None:
    done = alices.run(
        "submit", "-f", "-", "--json", stdin=f'{PROMPT}\n\n{{"prompt": "x", "steps": 1}}\n'
    )
    assert (done.code, done.out) == (2, "")
    assert "standard input, line 3, steps: From 4 to 1000 steps, not 1." in done.err
    assert not Job.objects.exists()
