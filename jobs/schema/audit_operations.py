"""The operation on the audit log."""

from rest_framework import serializers

from accounts.audit_api import PARAMETERS, EntryShape
from accounts.errors import NoWorkspace
from jobs.schema.operation import Answer, Operation, add, query


class AuditAnswer(serializers.Serializer[object]):
    next = serializers.URLField(allow_null=True)
    results = EntryShape(many=True)


add(
    {
        "GET /api/v1/audit": Operation(
            id="listAudit",
            tag="you",
            summary="Who did what, newest first",
            parameters=tuple(query(name, says) for name, says in PARAMETERS.items()),
            answers={200: Answer(says="A page of the log.", body=AuditAnswer)},
            refusals=(NoWorkspace,),
        ),
    }
)
