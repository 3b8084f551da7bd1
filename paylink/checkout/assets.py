"""The page's own style and script, read once. The name holds the content's hash, so a browser keeps it for good.

What is only for whoever reads the source is not sent: a slow phone line carries each byte before the card fields come.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from paylink.errors import NotFound

STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
OWN_LINES: Final = re.compile(r"^[ \t]*(?:(?:/\*(?:(?!\*/).)*\*/|//[^\n]*)?[ \t]*\n)?", re.MULTILINE | re.DOTALL)
FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    zipped: bytes
    media_type: str


def lean(source: str) -> str:
    """Without indentation, blank lines, and comments that have their lines to themselves. No string and no template
    literal may span lines, so that nothing of the program is lost."""
    return OWN_LINES.sub("", source)


class Assets:
    """``urls`` maps a file's name to its address: ``{"checkout.css": "/assets/checkout.3f….css"}``."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self._found: dict[str, Asset] = {}
        for path in sorted(STATIC.iterdir()):
            if path.suffix not in TYPES:
                continue
            content = lean(path.read_text()).encode()
            name = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:16]}{path.suffix}"
            self.urls[path.name] = f"/assets/{name}"
            self._found[name] = Asset(content, gzip.compress(content, mtime=0), TYPES[path.suffix])

    async def answer(self, request: Request) -> Response:
        asset = self._found.get(request.path_params["name"])
        if asset is None:
            raise NotFound
        headers = {"Cache-Control": FOR_GOOD, "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.zipped, 200, {**headers, "Content-Encoding": "gzip"}, asset.media_type)
        return Response(asset.content, 200, headers, asset.media_type)
