"""What every page of the sandbox has in common: templates, static files, and a policy that starts from nothing."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

STATIC = Path(__file__).parent / "static"
TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_templates = Environment(
    loader=FileSystemLoader(STATIC), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def policy(**directives: str) -> str:
    base = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    merged = {**base, **{name.replace("_", "-"): value for name, value in directives.items()}}
    return "; ".join(f"{name} {value}" for name, value in merged.items())


def page(template: str, *, status: int = 200, csp: dict[str, str] | None = None, **values: Any) -> HTMLResponse:
    headers = {
        "Content-Security-Policy": policy(**(csp or {})),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(_templates.get_template(template).render(**values), status, headers)


async def static_file(request: Request) -> Response:
    """``/static/{name}``: flat, scripts, styles and pictures only."""
    name = request.path_params["name"]
    path = STATIC / name
    if "/" in name or path.suffix not in TYPES or not path.is_file():
        return Response(status_code=404)
    return _file(path, {})


async def stripe_js(_request: Request) -> Response:
    # The checkout loads it from another origin, and may want to check its integrity.
    return _file(
        STATIC / "stripe.js", {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}
    )


def _file(path: Path, headers: dict[str, str]) -> FileResponse:
    common = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return FileResponse(path, headers={**common, **headers}, media_type=TYPES[path.suffix])
