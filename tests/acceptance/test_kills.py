"""A render that is killed goes on from its checkpoint, to the same frames."""

from pathlib import Path

import pytest

from tests import kills

pytestmark = pytest.mark.whole


@pytest.mark.long  # make kills does thirty
@pytest.mark.timeout(400)
def test_two_kills_at_random_steps_give_the_same_frames_for_one_checkpoint_interval(
    tmp_path: Path,
) -> None:
    """`make kills` does it thirty times, in renders of 1000 steps; 500 take 9 s on an idle core."""
    with kills.start(tmp_path) as stage:
        done = kills.run(stage, kills=2, seed=7, steps=500)
    assert [kill.equal for kill in done] == [True] * 2
    assert any(kill.resumed_step > 0 for kill in done)
    # A kill may fall into the writing of the next one.
    interval = max(kill.interval_steps for kill in done)
    assert all(kill.recomputed <= 1.5 * interval for kill in done), done
