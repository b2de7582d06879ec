"""One Python SDK, unmodified, that does what lines of JSON say. Run as a file, by any version.

    python driver.py BASE_URL

{"verb": "videos.create", "token": …, "retries": …, "times": …, "args": {…}} → a line of JSON:
{"ok", "headers"} or {"error"}; {"pages": true} walks over all pages, {"times": n} does it n times
at once, each with its own number, from 0, where a text says {number}.
"""

import base64
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai


def argument(value: Any) -> Any:
    """{"$file": [name, base64]} is a file; {"$bytes": base64} are bytes."""
    if isinstance(value, dict) and "$file" in value:
        name, content = value["$file"]
        return name, base64.b64decode(content)
    if isinstance(value, dict):
        return {key: argument(inner) for key, inner in value.items()}
    return value


def do(order: dict[str, Any]) -> dict[str, Any]:
    client = openai.OpenAI(
        base_url=sys.argv[1], api_key=order["token"], max_retries=order["retries"], timeout=60
    )
    resource, _, name = order["verb"].rpartition(".")
    args = {key: argument(value) for key, value in order["args"].items()}
    target: Any = client
    for part in resource.split("."):
        target = getattr(target, part)
    try:
        if order["pages"]:
            pages = list(getattr(target, name)(**args).iter_pages())
            return {"ok": [[item.model_dump() for item in page.data] for page in pages]}
        if name == "poll" or resource == "webhooks":
            return {"ok": getattr(target, name)(**args).model_dump()}
        raw = getattr(target.with_raw_response, name)(**args)
        headers = {key.lower(): value for key, value in raw.headers.items()}
        if name == "download_content":
            content = base64.b64encode(raw.http_response.content).decode()
            return {"ok": content, "headers": headers, "status": raw.http_response.status_code}
        return {"ok": raw.parse().model_dump(), "headers": headers}
    except openai.APIStatusError as error:
        fields = ("status_code", "code", "param", "type", "message", "request_id")
        return {"error": {name: getattr(error, name) for name in fields} | told(error)}
    except Exception as error:  # what an SDK raises is what the test asks about
        return {"error": {"message": str(error)} | told(error)}


def told(error: Exception) -> dict[str, Any]:
    headers = getattr(getattr(error, "response", None), "headers", {})
    return {
        "class": type(error).__name__,
        "headers": {key.lower(): value for key, value in headers.items()},
    }


def main() -> None:
    print(json.dumps({"version": openai.__version__}), flush=True)  # noqa: T201 - the protocol
    for line in sys.stdin:
        order = json.loads(line)
        with ThreadPoolExecutor(max_workers=order["times"]) as pool:
            each = (json.loads(line.replace("{number}", str(n))) for n in range(order["times"]))
            answers = list(pool.map(do, each))
        said = answers if order["times"] > 1 else answers[0]
        print(json.dumps(said), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
