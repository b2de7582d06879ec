"""Jobs seen from a terminal until they end, through a site that dies meanwhile."""

from collections.abc import Callable
from typing import Any

from accounts.models import User
from jobs import actions
from jobs.lifecycle import State
from jobs.models import Job
from t2v_cli.follow import MOST_STREAMS
from tests.cli.program import Program
from tests.live import worker
from tests.live.stage import Server


def _is_tick(step: int) -> Callable[[Any], bool]:
    return lambda message: message["type"] == "tick" and message["step"] == step


def test_each_state_is_a_line_and_a_success_is_0(alices: Program, alice: User) -> None:
    job = worker.submit(alice)
    with alices.running("watch", job.pk) as watch:
        watch.until(lambda line: line == f"{job.pk} queued\n")
        held = worker.claim()
        watch.until(lambda line: line == f"{job.pk} running\n")
        worker.succeed(held)
        done = watch.end()
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [f"{job.pk} {s}" for s in ("queued", "running", "succeeded")]


def test_a_job_that_comes_to_nothing_is_1_and_says_why(alices: Program, alice: User) -> None:
    failed, cancelled = worker.submit(alice), worker.submit(alice)
    actions.fail(worker.claim(), code="bad_prompt", message="It is blank.", permanent=True)
    actions.cancel(cancelled.pk)
    done = alices.run("watch", failed.pk, cancelled.pk)
    assert done.code == 1
    assert f"{failed.pk} failed bad_prompt It is blank.\n" in done.out
    assert f"{cancelled.pk} cancelled\n" in done.out


def test_as_json_it_is_every_message_of_the_stream(alices: Program, alice: User) -> None:
    job = worker.submit(alice)
    with alices.running("watch", job.pk, "--json") as watch:
        watch.until_message(lambda message: message["type"] == "snapshot")
        held = worker.claim()
        watch.until_message(lambda message: message.get("kind") == "claimed")
        worker.tick(held, 7)
        watch.until_message(_is_tick(7))
        worker.succeed(held)
        done = watch.end()
    assert (done.code, done.err) == (0, "")
    messages = done.lines()
    assert [each for each in messages if each["type"] == "fact"] == worker.history(job.pk)
    assert messages[-1]["job"]["state"] == "succeeded"


def test_ctrl_c_stops_the_watching_and_not_the_job(alices: Program, alice: User) -> None:
    job = worker.submit(alice)
    with alices.running("watch", job.pk) as watch:
        watch.until(lambda line: "queued" in line)
        watch.interrupt()
        done = watch.end()
    assert done.code == 130
    assert done.err == f"Stopped watching; the job goes on. See it again: t2v watch {job.pk}\n"
    assert Job.objects.get(pk=job.pk).state == State.QUEUED


def test_a_watch_goes_on_when_a_killed_site_is_back(
    t2v: Callable[..., Program], own_server: Server, alice: User
) -> None:
    job = worker.submit(alice)
    with t2v(own_server.url, alice).running("watch", job.pk, "--json") as watch:
        watch.until_message(lambda message: message["type"] == "snapshot")
        held = worker.claim()
        worker.tick(held, 3)
        watch.until_message(_is_tick(3))
        own_server.kill()
        held = worker.hand_back_and_go_on(held, 3)
        watch.until_err("cannot be reached. Trying again")
        own_server.start()
        watch.until_message(lambda message: message.get("kind") == "resumed")
        worker.tick(held, 4)
        watch.until_message(_is_tick(4))
        worker.succeed(held)
        done = watch.end()
    assert done.code == 0
    # Every fact once, in order: those that came while the site was away as well.
    assert [each for each in done.lines() if each["type"] == "fact"] == worker.history(job.pk)


def test_a_site_that_stays_away_is_given_up(
    t2v: Callable[..., Program], own_server: Server, alice: User
) -> None:
    job = worker.submit(alice)
    with t2v(own_server.url, alice).running("watch", job.pk, "--patience", 2) as watch:
        watch.until(lambda line: "queued" in line)
        own_server.kill()
        done = watch.end()
    assert done.code == 5
    assert "cannot be reached" in done.err


def test_many_jobs_are_watched_over_one_connection(alices: Program, alice: User) -> None:
    jobs = [worker.submit(alice) for _ in range(MOST_STREAMS + 1)]
    with alices.running("watch", *[job.pk for job in jobs]) as watch:
        for _ in jobs:
            watch.until(lambda line: "queued" in line)
        for _ in jobs:
            worker.succeed(worker.claim())
        done = watch.end()
    assert done.code == 0
    for job in jobs:
        assert f"{job.pk} succeeded\n" in done.out


def test_a_person_sees_a_bar_and_a_prompt_commands_no_terminal(
    alices: Program, alice: User
) -> None:
    job = worker.submit(alice, "a [red]circle[/red]\x1b[2J \\[/]")
    held = worker.claim()
    worker.tick(held, 12)
    with alices.terminal("watch", job.pk) as terminal:
        terminal.until("12 of 50")
        worker.succeed(held)
        assert terminal.end() == 0
    shown = terminal.shown
    prompt = "a [red]circle[/red]\ufffd[2J \\[/]"
    for part in (prompt, "denoising, 12 of 50, 2 s left", "━", "succeeded"):
        assert part in shown
    assert "\x1b[2J" not in shown


def test_nothing_is_drawn_where_no_person_looks(alices: Program, alice: User) -> None:
    job = worker.submit(alice)
    worker.succeed(worker.claim())
    for words in (("watch", job.pk), ("list",), ("get", "nothing")):
        done = alices.run(*words, FORCE_COLOR="1", TERM="xterm-256color")
        assert "\x1b" not in done.out + done.err, words
