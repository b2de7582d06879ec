"""What a failed attempt's code means to an operator, and what to do about it. Pure: no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    cause: str  # one sentence
    do: str  # what comes before the retry, as a sentence


_MODEL = "Put the model's files right on that worker (manage.py models), then try again."
_SIZE = "Try again on a worker with more memory, or ask for a smaller clip."
UNKNOWN = Remedy(
    cause="An error that nobody foresaw; the worker's log has it.",
    do="Look at the worker's log; mend the cause, then try again.",
)
# By the codes of docs/reference/errors.md that an attempt can end with.
REMEDIES = {
    "worker_lost": Remedy(
        cause="Its workers went away in the middle: killed, crashed, or cut off.",
        do="Look at the workers. Where the machine was at fault, try again; where one job kills "
        "every worker that takes it, drain all but one first.",
    ),
    "attempt_broke": UNKNOWN,
    "out_of_memory": Remedy(cause="The clip did not fit into the worker's memory.", do=_SIZE),
    "clip_too_large": Remedy(cause="No worker here has the memory for this clip.", do=_SIZE),
    "gpu_broken": Remedy(
        cause="The GPU failed.",
        do="On a second failure of the same worker drain it and look at the card; then try again.",
    ),
    "disk_full": Remedy(
        cause="A disk was full: the worker's temporary one, or the one that keeps videos.",
        do="Make room, then try again.",
    ),
    "storage_unavailable": Remedy(
        cause="The storage of videos did not answer for long.",
        do="Wait until the storage answers again, then try again.",
    ),
    "released_too_often": Remedy(
        cause="Its workers handed it back again and again.",
        do="Look at what the workers say of themselves; then try again.",
    ),
    "tail_broken": Remedy(
        cause="Making the video file failed twice.",
        do="Look at the worker's log and its memory, then try again.",
    ),
    "not_finite": Remedy(
        cause="The render came to numbers that are none.",
        do="Try again once; if it fails again, the model or its quality is at fault.",
    ),
    "attention_unavailable": Remedy(
        cause="The attention kernel of the model does not work on that worker.",
        do="Choose another kernel in the models file, or another worker; then try again.",
    ),
    "bad_quality": Remedy(
        cause="The model has no such quality on that worker.",
        do="Bring the worker's models file up to date, then try again.",
    ),
    "bad_checkpoint": Remedy(
        cause="The saved half of the render cannot be read.", do="Try again: it begins anew."
    ),
    **{
        code: Remedy(cause=cause, do=_MODEL)
        for code, cause in {
            "model_missing": "The model is not on that worker.",
            "model_not_locked": "The model's files have no pinned hashes.",
            "model_incomplete": "A file of the model is missing on that worker.",
            "model_extra_file": "The model's folder holds a file that does not belong there.",
            "model_digest_mismatch": "A file of the model is another one than the one on offer.",
            "model_unsafe_file": "The model's folder holds something that could be code.",
            "model_custom_code": "The model names code that is not its pipeline's own.",
            "model_unknown_family": "That worker cannot render models of this family.",
            "model_unreadable": "The model's files are not what its configuration says.",
        }.items()
    },
}


def remedy(code: str) -> Remedy:
    return REMEDIES.get(code, UNKNOWN)
