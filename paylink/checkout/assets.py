"""The page's own style and script, read once. The name holds the content's hash, so a browser keeps it for good."""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from paylink.errors import NotFound

STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
FOR_GOOD: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    zipped: bytes
    media_type: str


class Assets:
    """``urls`` maps a file's name to its address: ``{"checkout.css": "/assets/checkout.3f….css"}``."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self._found: dict[str, Asset] = {}
        for path in sorted(STATIC.iterdir()):
            if path.suffix not in TYPES:
                continue
            content = path.read_bytes()
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
