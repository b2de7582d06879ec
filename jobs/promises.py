"""Room in the queue, promised to those who were refused: when each of them is to come again.

Everybody who is refused would otherwise be told the same moment, and whoever is first then takes
the room of all. A promise is some GPU seconds, held for one wish (one person, one request) from a
moment on and for a little while; a bounded ledger of each pool in Redis holds them, and forgets
them by itself. docs/decisions/014-promises.md.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jobs import rates
from jobs.spec import RenderSpec

PREFIX = "t2v:promises"
MOST = 500  # of one pool: reading them all takes Redis 0.6 ms
MOST_OF_ONE = 20  # of one person: more are told a moment too, and nothing is held for them
# What is promised for later than the longest wait, and than this, is only told: held for those who
# went away meanwhile, it had 40 simulated clients told 13 minutes, and half as many let in by it.
HORIZON_LEAST_SECONDS = 180.0
# So late may one come, as a share of what was told: t2v comes up to a quarter later, for one.
GRACE_SHARE, GRACE_LEAST_SECONDS = 0.25, 5.0
EARLY_SECONDS = 0.5  # a clock of a client may be so fast
FREE_SHARE = 0.5  # of the longest wait: below it nobody is refused for others' promises
# Times what is forecast: renders turn out slower. On two cores that also serve the burst, each
# took 1.5 s where 0.9 were forecast; at 1.2 then 30 of 47 who came when told were let in.
STRETCH = 1.5
# Of those who were told a moment, some never come. Later ones are told as if only the usual share
# did, which is learned; but never as if fewer than half did, for then too many come at once.
LEAST_SHARE = 0.5
TAKEN_TO_COME = 8  # promises, with which a new ledger begins
REMEMBERED = 50  # of the newest that were kept or lost, about

# The formula of forecast.retry_after, where what was promised counts as if it waited already.
# Times are Postgres' clock, one for all replicas.
_ASK = b"""
local function number(place) return tonumber(ARGV[place]) end
local now, wait, longest, workers, margin = number(1), number(2), number(3), number(4), number(5)
local owner, kind, exact, room = ARGV[6], ARGV[7], ARGV[8], number(9)
local late, early, free = number(10), number(11), number(12)
local most, most_own, furthest = number(13), number(14), number(15)
local stretch, least, usual, memory = number(16), number(17), number(18), number(19)
local late_least = number(20)
local found, kept, own, mine, like = redis.call('hgetall', KEYS[1]), {}, 0, nil, nil
local came, lost = 0, 0
for i = 1, #found, 2 do
    local words = {}
    for word in string.gmatch(found[i + 1], '%S+') do words[#words + 1] = word end
    local one = {name = found[i], due = tonumber(words[1]), seconds = tonumber(words[2])}
    if one.name == 'came' then
        came, lost = came + words[1], lost + words[2]
    elseif tonumber(words[3]) < now then
        redis.call('hdel', KEYS[1], one.name)
        lost = lost + 1
    else
        kept[#kept + 1] = one
        if words[4] == owner then
            own = own + 1
            if one.name == exact then
                mine = one
            elseif words[5] == kind and not (like and like.due < one.due) then
                like = one
            end
        end
    end
end
local function promised(one)
    local seconds = 0
    for _, other in ipairs(kept) do
        if not one or (other ~= one and other.due < one.due) then
            seconds = seconds + other.seconds
        end
    end
    return seconds / workers
end
local function is_due(one) return one and one.due <= now + early end

local taken = mine or like
local granted = wait + promised(taken) <= longest or wait <= free
granted = granted or (is_due(taken) and wait <= longest)
local told, waits = 0, wait + promised(taken)
local grace = late_least
if granted then
    if taken then
        redis.call('hdel', KEYS[1], taken.name)
        came = came + 1
    end
else
    if not mine and is_due(like) then mine = like end
    waits = wait + promised(mine)
    local share = math.max(least, (came + usual) / (came + lost + usual))
    local left = (wait - longest + (waits - wait) * share) * stretch
    if mine and not is_due(mine) then
        told = mine.due - now
    else
        told = math.max(1, math.ceil(left + (mine and margin / 2 or margin)))
        if mine or (#kept < most and own < most_own and told <= furthest) then
            local one = mine or {name = exact, seconds = room}
            grace = math.max(grace, told * late)
            local due, till = now + told, now + told + grace
            local words = '%.3f %s %.3f %s %s'
            words = string.format(words, due, one.seconds, till, owner, kind)
            redis.call('hset', KEYS[1], one.name, words)
        end
    end
end
if came + lost > memory then came, lost = came / 2, lost / 2 end
redis.call('hset', KEYS[1], 'came', came .. ' ' .. lost)
local lasts = math.ceil((told + grace + 60) * 1000)
if redis.call('pttl', KEYS[1]) < lasts then redis.call('pexpire', KEYS[1], lasts) end
return {granted and 1 or 0, tostring(told), tostring(waits)}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What one person asks for, so that it is known when it comes again."""

    owner: int
    kind: str  # digest of all but the seeds: where none is given, every try has another one
    exact: str  # digest of all
    gpu_seconds: float  # that it is expected to render


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A pool at this moment, without what is promised."""

    pool: str
    now: float  # seconds since 1970, by Postgres' clock
    wait: float  # seconds, of a new job
    longest: float  # seconds
    workers: int  # at least one
    margin: float  # seconds by which what is known may be late


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    granted: bool
    wait: float  # seconds, behind all that was promised before
    retry_after: int  # whole seconds; 0 where it is granted


def wish(owner: int, specs: Sequence[RenderSpec], *, gpu_seconds: float) -> Wish:
    return Wish(
        owner=owner,
        kind=_digest([replace(spec, seed=0) for spec in specs]),
        exact=_digest(specs),
        gpu_seconds=gpu_seconds,
    )


def _digest(specs: Sequence[RenderSpec]) -> str:
    return hashlib.sha256("".join(spec.digest() for spec in specs).encode()).hexdigest()[:24]


def ask(asked: Wish, queue: Queue) -> Reply | None:
    """Whether there is room for it, besides what others were promised; if not, it is promised some.

    None: Redis is away, and nobody knows. A wish that comes again before its moment is told the
    same moment, and one that comes then is let in where the queue is not too long after all.
    """
    values: list[Any] = [
        *(queue.now, queue.wait, queue.longest, queue.workers, queue.margin),
        *(asked.owner, asked.kind, f"{asked.owner}:{asked.exact}", asked.gpu_seconds),
        *(GRACE_SHARE, EARLY_SECONDS, queue.longest * FREE_SHARE),
        *(MOST, MOST_OF_ONE, max(HORIZON_LEAST_SECONDS, queue.longest)),
        *(STRETCH, LEAST_SHARE, TAKEN_TO_COME, REMEMBERED, GRACE_LEAST_SECONDS),
    ]
    told = rates.ask(_ASK, keys=[f"{PREFIX}:{queue.pool}"], values=values, part="promises")
    if told is None:
        return None
    granted, seconds, wait = told
    return Reply(
        granted=bool(granted), wait=float(wait), retry_after=max(0, math.ceil(float(seconds)))
    )
