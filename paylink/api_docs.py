"""``/docs``: the API reference, from files that come with the installation.

FastAPI would load Swagger UI from a public host, into the origin that holds the agents' sessions. Here the files are
fastapi-offline's, and the page's one inline script is allowed by its hash.
"""

import base64
import hashlib
import re
from importlib.resources import files
from typing import Final

from fastapi import FastAPI, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from paylink.kit.web import content_security_policy

STATIC: Final = "/docs/static"


def install(app: FastAPI) -> None:
    page = get_swagger_ui_html(
        openapi_url=app.openapi_url or "/openapi.json",
        title=f"{app.title}: API reference",
        swagger_js_url=f"{STATIC}/swagger-ui-bundle.js",
        swagger_css_url=f"{STATIC}/swagger-ui.css",
        swagger_favicon_url=f"{STATIC}/favicon.png",
    )
    html = bytes(page.body).decode()
    policy = _policy(html)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    app.mount(STATIC, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="docs-static")


def _policy(html: str) -> str:
    inline = [script for script in re.findall(r"<script>(.*?)</script>", html, re.DOTALL) if script.strip()]
    hashes = tuple(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in inline)
    return content_security_policy(
        {
            "script-src": ("'self'", *hashes),
            "style-src": ("'self'", "'unsafe-inline'"),
            "img-src": ("'self'", "data:"),
            "connect-src": ("'self'",),
            "frame-ancestors": ("'none'",),
            "base-uri": ("'none'",),
        }
    )
