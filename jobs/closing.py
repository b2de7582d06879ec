"""Why the live side closes a connection: WebSocket close codes with their words."""

BAD_MESSAGE = 4400
SIGNED_OUT = 4401
ACCOUNT_CLOSED = 4403
SILENT = 4408
RIGHTS_CHANGED = 4410
TOO_LARGE = 4413
TOO_FAST = 4428
TOO_MANY = 4429
MAINTENANCE = 4503
BROKEN = 1011
SERVER_ENDS = 4512  # not 1012: daphne sends none below 3000 but 1000

REASONS = {
    BAD_MESSAGE: "the message is none of docs/reference/live.md",
    SIGNED_OUT: "signed out",
    ACCOUNT_CLOSED: "the account was closed",
    SILENT: "nothing was heard for 90 s",
    RIGHTS_CHANGED: "a job is no longer yours to see; open again",
    TOO_LARGE: "a message has at most 4096 bytes",
    TOO_FAST: "more than 600 messages in 10 s",
    TOO_MANY: "too many connections of one person",
    MAINTENANCE: "the site is closed for a while",
    BROKEN: "an error of ours; open again",
    SERVER_ENDS: "this server ends; open again, another one answers",
}
