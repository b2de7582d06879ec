"""The operations on what is no job: models, usage, the live view, the operators' own."""

from accounts.errors import TooManyTickets
from jobs import errors
from jobs.schema.answers import (
    ModelAnswer,
    QueueAnswer,
    TicketAnswer,
    UsageAnswer,
    WorkerAnswer,
    WorkersAnswer,
)
from jobs.schema.jobs_operations import JOB
from jobs.schema.operation import Answer, Link, Operation, add, header, query

EVENTS = "text/event-stream"
_STREAM = {"type": "string", "description": "Server-sent events: docs/reference/live.md."}
_ETAG = {"ETag": "A weak tag of the answer."}
_IF_NONE_MATCH = header("If-None-Match", "The ETag that you have: 304 when it is that still.")
_SEQ = {"type": "string", "pattern": "^[0-9]{1,10}$"}

add(
    {
        "GET /api/v1/models": Operation(
            id="listModels",
            tag="models",
            summary="What this site renders with",
            parameters=(_IF_NONE_MATCH,),
            answers={
                200: Answer(says="The first is the default.", body=ModelAnswer(many=True)),
                304: Answer(says="What you have is what it is.", headers=_ETAG),
            },
        ),
        "GET /api/v1/models/{name}": Operation(
            id="getModel",
            tag="models",
            summary="A model: limits, defaults, what it understands",
            parameters=(_IF_NONE_MATCH,),
            answers={
                200: Answer(says="The model.", body=ModelAnswer, headers=_ETAG),
                304: Answer(says="What you have is what it is.", headers=_ETAG),
            },
        ),
        "GET /api/v1/usage": Operation(
            id="getUsage",
            tag="you",
            summary="What you have used, and how much you may",
            answers={200: Answer(says="Of your newest 100,000 jobs.", body=UsageAnswer)},
        ),
        f"GET {JOB}/events": Operation(
            id="followJob",
            tag="live",
            summary="A job's facts and progress, as they come",
            parameters=(
                header("Last-Event-ID", "Facts after this one.", _SEQ),
                query("after", "The same, where a header cannot be set.", _SEQ),
            ),
            answers={
                200: Answer(says="The stream.", body=_STREAM, media_type=EVENTS),
                204: Answer(says="It ended, and you know all of it."),
            },
            live=True,
        ),
        "GET /api/v1/events": Operation(
            id="followJobs",
            tag="live",
            summary="The same of all your jobs",
            answers={200: Answer(says="The stream.", body=_STREAM, media_type=EVENTS)},
            live=True,
        ),
        f"GET {JOB}/preview": Operation(
            id="getPreview",
            tag="live",
            summary="The newest preview of a running job",
            answers={
                200: Answer(
                    says="A header and an image: docs/reference/live.md.",
                    body={"type": "string", "format": "binary"},
                    media_type="application/octet-stream",
                )
            },
            refusals=(errors.LiveUnavailable,),
        ),
        "POST /api/v1/live/tickets": Operation(
            id="createTicket",
            tag="live",
            summary="What opens one WebSocket at /api/v1/live",
            answers={201: Answer(says="Good once, for 30 s.", body=TicketAnswer)},
            refusals=(TooManyTickets,),
        ),
        "GET /api/v1/workers": Operation(
            id="listWorkers",
            tag="operators",
            summary="Who works",
            answers={200: Answer(says="Those seen last.", body=WorkersAnswer)},
            refusals=(errors.OperatorsOnly,),
        ),
        "POST /api/v1/workers/{name}/drain": Operation(
            id="drainWorker",
            tag="operators",
            summary="Have a worker hand back what it renders and take nothing more",
            answers={200: Answer(says="The worker.", body=WorkerAnswer)},
            refusals=(errors.OperatorsOnly,),
            links=(Link(operation="resumeWorker", parameter="name", value="$response.body#/name"),),
        ),
        "POST /api/v1/workers/{name}/resume": Operation(
            id="resumeWorker",
            tag="operators",
            summary="Have a worker take jobs again",
            answers={200: Answer(says="The worker.", body=WorkerAnswer)},
            refusals=(errors.OperatorsOnly,),
        ),
        "GET /api/v1/queue": Operation(
            id="getQueue",
            tag="operators",
            summary="What runs, waits and is parked, and why",
            answers={200: Answer(says="Up to 50 of each.", body=QueueAnswer)},
            refusals=(errors.OperatorsOnly,),
        ),
    }
)
