"""The operations on jobs."""

from drf_spectacular.utils import OpenApiExample

from jobs import errors
from jobs.cursors import MOST, ORDERINGS
from jobs.lifecycle import State
from jobs.schema.answers import (
    ArtifactsAnswer,
    BatchAnswer,
    DryRunAnswer,
    JobAnswer,
    JobPageAnswer,
    RecipeAnswer,
    TagsAnswer,
)
from jobs.schema.operation import Answer, Link, Operation, add, header, query
from jobs.serializers import (
    BatchRequest,
    MarksRequest,
    PicturedRequest,
    RemixRequest,
    RenderRequest,
)

JOB = "/api/v1/jobs/{job_id}"
_ETAG = {"ETag": "A weak tag of the answer without its forecast."}
_IF_NONE_MATCH = header("If-None-Match", "The ETag that you have: 304 when it is that still.")
_UNCHANGED = Answer(says="What you have is what it is.", headers=_ETAG)
_PREFER = header(
    "Prefer",
    "`wait=N`: answer when the job has ended, after N seconds (1 to 60) at the latest. Where too "
    "many wait already the answer comes at once, without `Preference-Applied`.",
)
_APPLIED = {"Preference-Applied": "`wait=N` where it waited."}
_NEXT_STEPS = (
    Link(operation="getJob", parameter="job_id"),
    Link(operation="cancelJob", parameter="job_id"),
    Link(operation="listArtifacts", parameter="job_id"),
    Link(operation="getRecipe", parameter="job_id"),
    Link(operation="remixJob", parameter="job_id"),
    Link(operation="retryJob", parameter="job_id"),
    Link(operation="deleteJob", parameter="job_id"),
    Link(operation="restoreJob", parameter="job_id"),
)
_SAME = "$request.path.job_id"
_IN_WORKSPACE = (errors.NoWorkspace, errors.Forbidden)
_ADMISSION = (*_IN_WORKSPACE, errors.BadSpec, errors.ModelOff, *errors.OVER_LIMITS)
_OF_PICTURES = (errors.BadImage, errors.ImagesBusy, errors.UnsupportedByModel)
_SEVERAL = {"type": "array", "items": {"type": "string"}}
_A_PROMPT = OpenApiExample(
    "a prompt alone", {"prompt": "a red circle moving right"}, request_only=True
)
_ALL_OF_IT = OpenApiExample(
    "everything",
    {
        "model": "nano",
        "prompt": "a large blue star rising",
        "size": "64x64",
        "frames": 25,
        "steps": 32,
        "guidance": 4.5,
        "seed": 7,
        "quality": "exact",
        "start_within_seconds": 3600,
    },
    request_only=True,
)
LISTED = (
    query(
        "workspace",
        "The slug of one of yours; left out: the one that you work in.",
        {"type": "string", "maxLength": 50},
    ),
    query("mine", "Of those only your own.", {"type": "boolean", "default": False}),
    query(
        "state",
        "One or several, repeated or divided by commas.",
        {"type": "array", "items": {"type": "string", "enum": [state.value for state in State]}},
    ),
    query("model", "One or several.", _SEVERAL),
    query("quality", "One or several.", _SEVERAL),
    query("tag", "Those that have all of these, in whatever case.", _SEVERAL),
    query("favourite", "Of those only your favourites.", {"type": "boolean", "default": False}),
    query(
        "search",
        'Words of the prompt, in any order; "two words" and -without as in a web search.',
        {"type": "string", "maxLength": 200},
    ),
    query("created_after", "At that time or later.", {"type": "string", "format": "date-time"}),
    query("created_before", "Before that time.", {"type": "string", "format": "date-time"}),
    query(
        "ordering",
        "By finished_at: what has ended only.",
        {"type": "string", "enum": list(ORDERINGS), "default": ORDERINGS[0]},
    ),
    query(
        "limit",
        f"Jobs of a page; more than {MOST} count as {MOST}.",
        {"type": "integer", "minimum": 1, "maximum": MOST, "default": 20},
    ),
    query("cursor", "As in `next` and `previous`."),
)

add(
    {
        "GET /api/v1/jobs": Operation(
            id="listJobs",
            tag="jobs",
            summary="The jobs of a workspace, by page",
            parameters=LISTED,
            answers={200: Answer(says="A page.", body=JobPageAnswer)},
            refusals=(errors.NoWorkspace,),
        ),
        "POST /api/v1/jobs": Operation(
            id="createJob",
            tag="jobs",
            summary="A new job",
            says="What is left out comes from the model; a seed is drawn.",
            body=PicturedRequest,
            body_media_types=("multipart/form-data",),
            examples=(_A_PROMPT, _ALL_OF_IT),
            parameters=(_PREFER,),
            answers={201: Answer(says="The job.", body=JobAnswer, headers=_APPLIED)},
            refusals=(*_ADMISSION, *_OF_PICTURES),
            links=_NEXT_STEPS,
        ),
        "POST /api/v1/jobs/batch": Operation(
            id="createJobs",
            tag="jobs",
            summary="Up to 500 new jobs, or none",
            says="One that is refused refuses all; `fields` names it, as in `jobs[17].steps`.",
            body=BatchRequest,
            answers={201: Answer(says="All of them, in order.", body=BatchAnswer)},
            refusals=_ADMISSION,
            links=(
                Link(operation="getJob", parameter="job_id", value="$response.body#/jobs/0/id"),
            ),
        ),
        "POST /api/v1/jobs/dry-run": Operation(
            id="checkJob",
            tag="jobs",
            summary="What a request would come to; nothing is made",
            body=RenderRequest,
            answers={200: Answer(says="It would be accepted now.", body=DryRunAnswer)},
            refusals=(errors.BadSpec, errors.ModelOff),
        ),
        f"GET {JOB}": Operation(
            id="getJob",
            tag="jobs",
            summary="A job",
            parameters=(_IF_NONE_MATCH,),
            answers={
                200: Answer(says="The job as it is now.", body=JobAnswer, headers=_ETAG),
                304: _UNCHANGED,
            },
        ),
        f"PATCH {JOB}": Operation(
            id="markJob",
            tag="jobs",
            summary="Say whether it is a favourite of yours, and which tags it has",
            says="What is left out stays. Tags are the workspace's: who may delete it may tag it.",
            body=MarksRequest,
            examples=(OpenApiExample("both", {"favourite": True, "tags": ["for the film"]}),),
            answers={200: Answer(says="The job.", body=JobAnswer)},
            refusals=(
                *(errors.Forbidden, errors.BadTag, errors.BadSpec),
                *(errors.TooManyTags, errors.TooManyTagNames),
            ),
        ),
        "GET /api/v1/tags": Operation(
            id="listTags",
            tag="jobs",
            summary="The tags of a workspace",
            parameters=(LISTED[0],),
            answers={200: Answer(says="Tags of jobs.", body=TagsAnswer)},
            refusals=(errors.NoWorkspace,),
        ),
        f"DELETE {JOB}": Operation(
            id="deleteJob",
            tag="jobs",
            summary="Delete a job with its files",
            says="An unfinished one is cancelled first. Until it is purged it can be restored.",
            answers={204: Answer(says="It is gone from every list and page.")},
            refusals=(errors.Forbidden,),
            links=(Link(operation="restoreJob", parameter="job_id", value=_SAME),),
        ),
        f"POST {JOB}/cancel": Operation(
            id="cancelJob",
            tag="jobs",
            summary="Cancel a job",
            says="At once if it waits; a running one stops after its step.",
            answers={200: Answer(says="The job.", body=JobAnswer)},
            refusals=(errors.Forbidden, errors.NotPossible),
            links=(
                Link(operation="retryJob", parameter="job_id"),
                Link(operation="deleteJob", parameter="job_id"),
            ),
        ),
        f"POST {JOB}/retry": Operation(
            id="retryJob",
            tag="jobs",
            summary="Try a parked, cancelled or expired job again",
            says="The new job goes on from the old one's checkpoint. Two requests make one job.",
            answers={201: Answer(says="The new job.", body=JobAnswer)},
            refusals=(
                *(errors.Forbidden, errors.NotPossible, errors.ModelOff),
                *errors.OVER_LIMITS,
            ),
            links=_NEXT_STEPS[:1],
        ),
        f"POST {JOB}/remix": Operation(
            id="remixJob",
            tag="jobs",
            summary="A new job like this one, but for what you change",
            says="What is left out stays, the seed too; a seed of null has one drawn.",
            body=RemixRequest,
            examples=(OpenApiExample("another prompt", {"prompt": "a green square"}),),
            answers={201: Answer(says="The new job.", body=JobAnswer)},
            refusals=_ADMISSION,
            links=_NEXT_STEPS[:1],
        ),
        f"POST {JOB}/restore": Operation(
            id="restoreJob",
            tag="jobs",
            summary="Take a deletion back",
            answers={200: Answer(says="The job.", body=JobAnswer)},
            links=(Link(operation="getJob", parameter="job_id"),),
        ),
        f"GET {JOB}/artifacts": Operation(
            id="listArtifacts",
            tag="jobs",
            summary="The files of a job",
            answers={200: Answer(says="None before it succeeded.", body=ArtifactsAnswer)},
        ),
        f"GET {JOB}/recipe": Operation(
            id="getRecipe",
            tag="jobs",
            summary="What makes the clip again",
            answers={200: Answer(says="The recipe.", body=RecipeAnswer)},
        ),
    }
)
