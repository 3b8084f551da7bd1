"""Serves ``module:app`` on a port as the product serves its own: uvicorn on uvloop, with the same settings.

python -m tests.bench.serve tests.bench.floor:app 9000
"""

import importlib
import sys

import uvicorn
import uvloop


def main() -> None:
    target, port = sys.argv[1], int(sys.argv[2])
    module, _, name = target.partition(":")
    app = getattr(importlib.import_module(module), name)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )
    uvloop.run(uvicorn.Server(config).serve())


if __name__ == "__main__":
    main()
