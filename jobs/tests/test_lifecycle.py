"""The table of moves, as words."""

import itertools

import pytest

from jobs.lifecycle import FINAL, TABLE, Move, State, move_after_failure, sources, target


def test_no_move_leaves_a_final_state() -> None:
    assert not [move for (state, move) in TABLE if state in FINAL]


def test_every_state_is_reached_from_queued() -> None:
    reached, frontier = {State.QUEUED}, [State.QUEUED]
    while frontier:
        here = frontier.pop()
        for (state, _), to in TABLE.items():
            if state is here and to not in reached:
                reached.add(to)
                frontier.append(to)
    assert reached == set(State)


def test_every_move_has_one_target_and_at_least_one_source() -> None:
    for move in Move:
        assert target(move) in State
        assert sources(move)


@pytest.mark.parametrize("permanent", [True, False])
def test_a_cancel_that_was_accepted_wins_over_every_failure(permanent: bool) -> None:
    for spent, most in itertools.product(range(1, 4), repeat=2):
        move = move_after_failure(
            permanent=permanent, cancel_requested=True, spent=spent, max_attempts=most
        )
        assert move is Move.CANCEL


def test_a_permanent_failure_is_not_tried_again_and_a_passing_one_is_until_tries_end() -> None:
    def move(*, permanent: bool, spent: int) -> Move:
        return move_after_failure(
            permanent=permanent, cancel_requested=False, spent=spent, max_attempts=3
        )

    assert move(permanent=True, spent=1) is Move.FAIL
    assert [move(permanent=False, spent=spent) for spent in (1, 2, 3, 4)] == [
        Move.REQUEUE,
        Move.REQUEUE,
        Move.PARK,
        Move.PARK,
    ]
