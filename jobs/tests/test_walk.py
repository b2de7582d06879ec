"""The design keeps its promises in every state it can reach, and no mutant of it does."""

import pytest

from jobs.lifecycle import Move, Outcome, State
from jobs.tests import walk as walked
from jobs.tests.walk import walk
from jobs.tests.walk_mutants import DESIGNS, mutants
from jobs.tests.walk_promises import broken_by, broken_in, owed
from jobs.tests.walk_world import LIVE, NONE, Rules, Step, World

MUTANTS = dict(mutants())
RUNNING = World(state=State.RUNNING, attempt=1, lease=LIVE, outcomes=(Outcome.RUNNING,))
PARKED = World(state=State.PARKED, attempt=2, outcomes=(Outcome.LOST, Outcome.LOST), final_events=1)


@pytest.mark.parametrize("design", DESIGNS)
def test_every_promise_holds_in_every_state_of(design: str) -> None:
    found = walk(DESIGNS[design])
    assert (found.broken, found.trace) == ("", ())
    assert found.states > 10_000


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_wrong_design_is_caught(mutant: str) -> None:
    assert walk(MUTANTS[mutant]).broken, "every promise holds all the same"


def test_the_trace_of_a_broken_promise_is_a_shortest_one() -> None:
    found = walk(MUTANTS["a success that ignores a cancel"])
    assert found.trace == ("claim", "cancel asked", "put video", "succeed")


@pytest.mark.parametrize(
    ("world", "promise"),
    [
        (RUNNING._replace(outcomes=(Outcome.LOST,)), "I1 running if and only if its newest"),
        (RUNNING._replace(lease=NONE), "I1 running if and only if it holds a lease"),
        (RUNNING._replace(attempt=2), "I2 the attempt counts"),
        (RUNNING._replace(video=1), "I4 succeeded if and only if"),
        (RUNNING._replace(checkpoint=1), "I4 the checkpoint that the row names is there"),
        (RUNNING._replace(final_events=1), "I7 one final event"),
        (PARKED._replace(state=State.SUCCEEDED, video=1), "I4 the video is the newest attempt's"),
        (PARKED._replace(state=State.SUCCEEDED, video=2), "I4 a success is its attempt's"),
        (
            World(
                state=State.SUCCEEDED,
                attempt=1,
                video=1,
                cancel=True,
                outcomes=(Outcome.SUCCEEDED,),
                final_events=1,
            ),
            "I6 no success after",
        ),
        (PARKED._replace(releases=1), "I5 parked only when"),
        (PARKED._replace(releases=2), "I5 no more attempts and releases"),
        (PARKED._replace(state=State.FAILED), "I5 failed only when"),
        (PARKED._replace(state=State.CANCELLED), "I6 cancelled only when"),
        (PARKED._replace(state=State.EXPIRED), "I6 expired only after"),
        (PARKED._replace(final_events=2), "I7 one final event"),
    ],
)
def test_a_promise_of_rows_can_be_broken(world: World, promise: str) -> None:
    assert broken_in(world, Rules()).startswith(promise)


@pytest.mark.parametrize(
    ("before", "step", "promise"),
    [
        (PARKED, Step("", PARKED._replace(attempt=1)), "I2 the attempt never goes back"),
        (PARKED, Step("", PARKED, how=Move.PARK), "I3 what is final never changes"),
        (
            RUNNING._replace(attempt=2, outcomes=(Outcome.LOST, Outcome.RUNNING)),
            Step("", RUNNING._replace(attempt=2, outcomes=(Outcome.FAILED, Outcome.RUNNING))),
            "I3 how an attempt ended",
        ),
        (RUNNING, Step("", RUNNING._replace(checkpoint=1), by=2), "I9 only the live attempt"),
    ],
)
def test_a_promise_of_changes_can_be_broken(before: World, step: Step, promise: str) -> None:
    assert broken_by(step, before).startswith(promise)


def test_what_waits_must_be_cancellable() -> None:
    assert owed(World(), []).startswith("I8")
    assert owed(RUNNING, []) == ""


def test_a_design_that_breaks_a_promise_is_an_exit_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(walked, "DESIGNS", {"sound": Rules()})
    assert walked.main([]) == 0
    monkeypatch.setattr(walked, "DESIGNS", {"unsound": MUTANTS["no reaping"]})
    assert walked.main([]) == 1
    assert "I8 from everywhere an end is reached: unsound: " in capsys.readouterr().out
