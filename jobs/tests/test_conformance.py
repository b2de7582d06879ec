"""A history that the lifecycle allows passes; each way to spoil one is named."""

from dataclasses import replace
from uuid import UUID

import pytest

from jobs.conformance import MOVES, NOTES, check_trace
from jobs.events import FACT_KINDS, Fact
from jobs.lifecycle import MAX_RELEASES, TABLE, State
from jobs.moves import KINDS


def _history(*told: tuple[str, str, int]) -> list[Fact]:
    """Facts with these kinds, states and attempts, numbered from 1."""
    return [
        Fact(job=UUID(int=1), seq=seq, kind=kind, state=state, attempt=attempt, at="", data={})
        for seq, (kind, state, attempt) in enumerate(told, start=1)
    ]


SOUND = _history(
    ("submitted", "queued", 0),
    ("claimed", "running", 1),
    ("released", "queued", 1),
    ("claimed", "running", 2),
    ("requeued", "queued", 2),
    ("claimed", "running", 3),
    ("resumed", "running", 3),
    ("cancel_requested", "running", 3),
    ("resumed", "running", 3),
    ("cancelled", "cancelled", 3),
)


def test_a_sound_history_passes_and_so_does_each_beginning_of_it() -> None:
    for length in range(1, len(SOUND) + 1):
        assert check_trace(SOUND[:length]) == []


def test_every_kind_of_event_is_known_and_means_the_move_that_wrote_it() -> None:
    assert {move: kind for kind, move in MOVES.items()} == KINDS
    assert {"submitted"} | MOVES.keys() | NOTES == FACT_KINDS


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("kind", sorted(FACT_KINDS))
def test_after_each_state_just_the_moves_of_the_table_pass(before: State, kind: str) -> None:
    spoilt = "it begins" if before is not State.QUEUED else "nothing"
    passed = set()
    for to in State:
        for grown in (0, 1):
            found = check_trace(_history(("submitted", before, 0), (kind, to, grown)))
            if not [line for line in found if not line.startswith(spoilt)]:
                passed.add((to, grown))
    if kind in NOTES:
        assert passed == ({(State.RUNNING, 0)} if before is State.RUNNING else set())
        return
    to_state = TABLE.get((before, MOVES[kind])) if kind in MOVES else None
    assert passed == ({(to_state, int(kind == "claimed"))} if to_state else set())


@pytest.mark.parametrize(
    ("history", "words"),
    [
        ([], "there is no event"),
        (SOUND[1:], "it begins with"),
        ([*SOUND[:3], *SOUND[4:]], "it should be number 4"),
        ([*SOUND, replace(SOUND[-1], seq=11)], "no such move leads from cancelled"),
        ([*SOUND[:1], replace(SOUND[0], seq=2)], "no such event can follow"),
        ([*SOUND[:1], replace(SOUND[1], attempt=2)], "the attempt is 1 then, not 2"),
        ([SOUND[0], replace(SOUND[1], state="asleep"), SOUND[2]], "from asleep"),
        ([*SOUND[:8], replace(SOUND[4], seq=9, attempt=3)], "was asked for before"),
        ([*SOUND[:8], replace(SOUND[7], seq=9)], "was asked for before"),
    ],
)
def test_a_spoilt_history_is_named(history: list[Fact], words: str) -> None:
    assert words in "; ".join(check_trace(history))


def test_a_job_is_not_handed_back_for_ever() -> None:
    told = [("submitted", "queued", 0)]
    for attempt in range(1, MAX_RELEASES + 2):
        told += [("claimed", "running", attempt), ("released", "queued", attempt)]
    assert check_trace(_history(*told[:-2])) == []
    assert len(check_trace(_history(*told))) == 1
