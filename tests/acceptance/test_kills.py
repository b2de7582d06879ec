"""A render that is killed goes on from its checkpoint, to the same frames."""

from pathlib import Path

import pytest

from tests import kills

pytestmark = pytest.mark.whole


@pytest.mark.timeout(400)
def test_three_kills_at_random_steps_give_the_same_frames_for_one_checkpoint_interval(
    tmp_path: Path,
) -> None:
    """`make kills` does it thirty times."""
    with kills.start(tmp_path) as stage:
        done = kills.run(stage, kills=3, seed=7)
    assert [kill.equal for kill in done] == [True] * 3
    assert any(kill.resumed_step > 0 for kill in done)
    # A kill may fall into the writing of the next one.
    interval = max(kill.interval_steps for kill in done)
    assert all(kill.recomputed <= 1.5 * interval for kill in done), done
