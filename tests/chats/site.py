"""A merchant's site: an origin of its own that embeds the widget, on a page without manners and one with a policy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = """<!doctype html><html lang="en"><head><title>Shop</title>
<style>* {{ color: red !important; font-size: 40px; }} div {{ display: none; }} iframe {{ width: 10px; }}</style>
</head><body><main><h1>Shop</h1><input aria-label="Search"></main>
<script src="{script}" async></script><script src="{script}" async></script></body></html>"""
STRICT = """<!doctype html><html lang="en"><head><title>Shop</title></head><body><main><h1>Shop</h1></main>
<script src="{script}" async></script></body></html>"""


class Site:
    """``url`` is the origin the widget knows; ``stranger`` the same server under a name that it does not know."""

    def __init__(self, port: int) -> None:
        self.url = f"http://localhost:{port}"
        self.stranger = f"http://127.0.0.1:{port}"
        self.checkout = ""
        self.script = ""


@contextmanager
def foreign_site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            strict = self.path.startswith("/strict")
            script = site.script + ("?lang=ar" if "lang=ar" in self.path else "")
            body = (STRICT if strict else PAGE).format(script=script).encode()
            self.send_response(200 if self.path != "/favicon.ico" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            if strict:
                policy = f"default-src 'none'; script-src {site.checkout}; frame-src {site.checkout}"
                self.send_header("Content-Security-Policy", f"{policy}; require-trusted-types-for 'script'")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
