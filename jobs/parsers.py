"""Bodies that may be larger than DATA_UPLOAD_MAX_MEMORY_SIZE, up to a bound of their own."""

import io
from collections.abc import Mapping
from typing import Any

from rest_framework.parsers import BaseParser, JSONParser

from jobs.errors import TooLarge


class LargeJSON(BaseParser):
    """JSON of up to the view's most_body_bytes.

    No JSONParser by birth: DRF hands those the body as Django has read it, within Django's bound.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: Any,
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Raises TooLarge, and ParseError for what is no JSON."""
        most: int = (parser_context or {})["view"].most_body_bytes
        body = stream.read(most + 1)
        if len(body) > most:
            raise TooLarge(most)
        return JSONParser().parse(io.BytesIO(body), media_type, dict(parser_context or {}))
