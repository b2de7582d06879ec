"""What the bundled model knows: one or two shapes that move. Words, colours, captions."""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 90, 230),
    "yellow": (240, 210, 40),
    "orange": (245, 130, 30),
    "purple": (150, 60, 200),
    "cyan": (50, 205, 215),
    "white": (245, 245, 245),
}
BACKGROUNDS: dict[str, Rgb] = {
    "black": (12, 12, 14),
    "gray": (118, 118, 122),
    "navy": (18, 26, 74),
    "brown": (92, 58, 34),
}
SHAPES = ("circle", "square", "triangle", "star")
# The first wording is the one that the site teaches; training draws from all of them.
MOTIONS: dict[str, tuple[str, ...]] = {
    "right": (
        "moving right",
        "moving to the right",
        "sliding right",
        "going right",
        "drifting to the right",
    ),
    "left": (
        "moving left",
        "moving to the left",
        "sliding left",
        "going left",
        "drifting to the left",
    ),
    "up": ("moving up", "rising", "going up", "moving upwards", "floating up"),
    "down": ("moving down", "falling", "going down", "moving downwards", "dropping down"),
    "up-right": (
        "moving up and right",
        "moving diagonally up and right",
        "rising to the right",
        "going up and to the right",
    ),
    "up-left": (
        "moving up and left",
        "moving diagonally up and left",
        "rising to the left",
        "going up and to the left",
    ),
    "down-right": (
        "moving down and right",
        "moving diagonally down and right",
        "falling to the right",
        "going down and to the right",
    ),
    "down-left": (
        "moving down and left",
        "moving diagonally down and left",
        "falling to the left",
        "going down and to the left",
    ),
    "growing": ("growing", "getting bigger", "expanding", "getting larger"),
    "shrinking": ("shrinking", "getting smaller", "contracting"),
    "still": ("standing still", "not moving", "staying still", "resting"),
    "orbit": (
        "moving in a circle",
        "circling",
        "orbiting",
        "going around in a circle",
        "going round and round",
    ),
    "bounce": ("bouncing", "bouncing up and down", "jumping", "hopping up and down"),
}
LINES: dict[str, tuple[int, int]] = {  # the way along x and y; y points down
    "right": (1, 0),
    "left": (-1, 0),
    "up": (0, -1),
    "down": (0, 1),
    "up-right": (1, -1),
    "up-left": (-1, -1),
    "down-right": (1, 1),
    "down-left": (-1, 1),
}
SPEEDS: dict[str, tuple[str, ...]] = {
    "slow": ("slowly", "slowly", "gently"),
    "": ("",),
    "fast": ("quickly", "fast", "rapidly"),
}
SIZES: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny"),
    "": ("",),
    "large": ("large", "big", "huge"),
}
OTHER_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "ball", "disc"),
    "square": ("square", "square", "box"),
    "purple": ("purple", "purple", "violet"),
    "cyan": ("cyan", "cyan", "turquoise"),
    "gray": ("gray", "grey"),
    "navy": ("navy", "dark blue"),
}
PAIR_MOTIONS = ("right", "left", "up", "down", "still")  # of the things in a scene of two
OPENINGS = ("a video of", "show", "there is", "a clip of", "please draw")
# Said by people, shown by nobody: training strews them in so that they change nothing.
FILLERS = (
    "nice",
    "bright",
    "shiny",
    "please",
    "cute",
    "simple",
    "coloured",
    "cool",
    "flat",
    "animated",
)
HELD_OUT = 0.1  # of all (colour, shape, motion) triples


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """One shape in the model's words; keys of the tables above."""

    colour: str
    shape: str
    motion: str
    size: str = ""
    speed: str = ""  # of motions along a line only

    @property
    def triple(self) -> tuple[str, str, str]:
        return self.colour, self.shape, self.motion


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One clip: one thing, or two of different colours."""

    things: tuple[Thing, ...]
    background: str  # "" leaves the choice to the model

    def caption(self) -> str:
        """As the site teaches to say it."""
        said = " and ".join(_phrase(thing) for thing in self.things)
        return f"{said} on a {self.background} background" if self.background else said


def one(
    colour: str, shape: str, motion: str, background: str = "", *, size: str = "", speed: str = ""
) -> Scene:
    """A scene of one thing."""
    thing = Thing(colour=colour, shape=shape, motion=motion, size=size, speed=speed)
    return Scene(things=(thing,), background=background)


def _phrase(thing: Thing) -> str:
    words = [SIZES[thing.size][0], thing.colour, thing.shape]
    words += [MOTIONS[thing.motion][0], SPEEDS[thing.speed][0]]
    said = " ".join(word for word in words if word)
    return f"{_article(said)} {said}"


def _article(said: str) -> str:
    return "an" if said[0] in "aeiou" else "a"


def paraphrase(scene: Scene, rng: random.Random) -> str:
    """One of many ways in which people may say it, now and then with words that say nothing."""
    phrases = [_free_phrase(thing, rng) for thing in scene.things]
    said = rng.choice((" and ", " and ", ", ", " with ")).join(phrases)
    if scene.background:
        ground = _any(scene.background, rng)
        form = rng.random()
        if form < 0.15:
            said = f"on a {ground} background, {said}"
        elif form < 0.3:
            said = f"{said} over {ground}"
        elif form < 0.4:
            said = f"{said}, {ground} background"
        else:
            said = f"{said} on a {ground} background"
    if rng.random() < 0.1:
        said = f"{rng.choice(OPENINGS)} {said}"
    if rng.random() < 0.1:
        words = said.split(" ")
        words.insert(rng.randrange(len(words) + 1), rng.choice(FILLERS))
        said = " ".join(words)
    return f"{said}." if rng.random() < 0.1 else said


def _free_phrase(thing: Thing, rng: random.Random) -> str:
    size, speed = rng.choice(SIZES[thing.size]), rng.choice(SPEEDS[thing.speed])
    noun = " ".join(
        word for word in (size, _any(thing.colour, rng), _any(thing.shape, rng)) if word
    )
    motion = rng.choice(MOTIONS[thing.motion])
    moving = (f"{speed} {motion}" if rng.random() < 0.4 else f"{motion} {speed}").strip()
    form = rng.random()
    if form < 0.15:
        return f"{noun} {moving}"
    if form < 0.3:
        return f"{_article(noun)} {noun} is {moving}"
    if form < 0.4:
        return f"{_article(noun)} {noun} that is {moving}"
    return f"{_article(noun)} {noun} {moving}"


def _any(word: str, rng: random.Random) -> str:
    return rng.choice(OTHER_WORDS.get(word, (word,)))


@cache
def held_out() -> frozenset[tuple[str, str, str]]:
    """The (colour, shape, motion) triples that training never shows."""
    triples = list(itertools.product(COLOURS, SHAPES, MOTIONS))
    random.Random(7).shuffle(triples)
    return frozenset(triples[: round(len(triples) * HELD_OUT)])


def draw(rng: random.Random, *, pairs: float = 0.3) -> Scene:
    """A scene for training: no triple of it is held out. pairs is the share of scenes of two."""
    forbidden = held_out()
    while True:
        scene = _draw(rng, two=rng.random() < pairs)
        if not any(thing.triple in forbidden for thing in scene.things):
            return scene


def _draw(rng: random.Random, *, two: bool) -> Scene:
    colours = rng.sample(list(COLOURS), 2 if two else 1)
    things = []
    for colour in colours:
        motion = rng.choice(PAIR_MOTIONS if two else list(MOTIONS))
        things.append(
            Thing(
                colour=colour,
                shape=rng.choice(SHAPES),
                motion=motion,
                size="" if two else rng.choice(list(SIZES)),
                speed="" if two or motion not in LINES else rng.choice(list(SPEEDS)),
            )
        )
    return Scene(things=tuple(things), background=rng.choice(list(BACKGROUNDS)))


def unseen(count: int, seed: int) -> list[Scene]:
    """count scenes of one thing whose triples training never showed, spread over the motions."""
    rng = random.Random(seed)
    by_motion: dict[str, list[tuple[str, str, str]]] = {}
    for triple in sorted(held_out()):
        by_motion.setdefault(triple[2], []).append(triple)
    scenes = []
    for motion in itertools.islice(itertools.cycle(sorted(by_motion)), count):
        colour, shape, _ = rng.choice(by_motion[motion])
        scenes.append(
            one(
                colour,
                shape,
                motion,
                rng.choice(list(BACKGROUNDS)),
                size=rng.choice(list(SIZES)),
                speed=rng.choice(list(SPEEDS)) if motion in LINES else "",
            )
        )
    return scenes


def unseen_pairs(count: int, seed: int) -> list[Scene]:
    """count scenes of two things. Training drew from the same 1.4 million, never all of them."""
    rng = random.Random(seed)
    return [_draw(rng, two=True) for _ in range(count)]


def words() -> Iterator[str]:
    """Every word of every caption, for the tokenizer."""
    tables = (MOTIONS, SPEEDS, SIZES, OTHER_WORDS)
    said = [wording for table in tables for wordings in table.values() for wording in wordings]
    said += [*COLOURS, *SHAPES, *BACKGROUNDS, *OPENINGS, *FILLERS]
    said += ["a an the is that are and with over on background then while in of at to"]
    for wording in said:
        yield from wording.split()
