"""Records the landing page's picture: a true render, step by step, of the bundled model.

`python -m gpu_worker.nano.landing` writes static/img/landing.jpg, which static/js/landing.js plays:
the model's own previews after some steps, a row each, then every frame of the finished clip.
Record it again when the weights change; the file's comment names those that made it.
"""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gpu_worker import registry
from gpu_worker.engine import Model, RenderState
from jobs import catalog
from jobs.catalog import ModelEntry
from jobs.spec import RenderSpec

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "static" / "img" / "landing.jpg"
PROMPT = "a red circle moving right"
SEED = 13  # of 0 to 13: a dark background, and a round circle that passes through the middle
PREVIEWED = (1, 4, 8, 12, 16, 20, 24, 28, 30)  # steps, of the model's default 32
COLUMNS = 8  # frames in a row; as many as a preview has
QUALITY = 95  # 85 KB, 0.3 of 255 levels away from the truth on average; 85 leaves rings

Pixels = NDArray[np.uint8]


def record(model: Model[Any], spec: RenderSpec) -> Pixels:
    """The sprite (rows·H, COLUMNS·W, 3): a row for each preview, then the clip, eight to a row.

    The clip's last row is filled up with black.
    """
    rows: list[Pixels] = []
    state: RenderState = model.begin(spec)
    while state.step < state.steps:
        state = model.step(state)
        if state.step in PREVIEWED:
            sprite = model.preview(state)
            shown = (sprite.frames, sprite.tile_width, sprite.tile_height)
            assert shown == (COLUMNS, spec.width, spec.height)  # never reduced at this size
            rows.append(np.asarray(Image.open(io.BytesIO(sprite.image))))
    clip = list(model.decode(state))
    clip += [np.zeros_like(clip[0])] * (-len(clip) % COLUMNS)
    rows += [np.concatenate(clip[at : at + COLUMNS], 1) for at in range(0, len(clip), COLUMNS)]
    return np.concatenate(rows)


def recipe(entry: ModelEntry) -> RenderSpec:
    """What the page says was asked for, with the model's defaults."""
    return entry.usual(PROMPT, seed=SEED)


def comment(entry: ModelEntry) -> bytes:
    """What made the picture, for whoever wants to make it again or to see that it is up to date."""
    return f"weights {entry.digest} recipe {recipe(entry).digest()}".encode()


def main() -> None:
    entry = catalog.load(ROOT / "deploy" / "models.toml")["nano"]
    sprite = record(registry.load_model(entry, ROOT), recipe(entry))
    # Full chroma, as in the previews: halved colour smears a small shape.
    Image.fromarray(sprite).save(
        PICTURE, quality=QUALITY, subsampling=0, optimize=True, comment=comment(entry)
    )
    height, width = sprite.shape[:2]
    sys.stdout.write(f"{PICTURE.name}: {width}×{height}, {PICTURE.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
