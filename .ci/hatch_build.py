"""A wheel or source archive without the console would install well and serve nothing: refuse to build one."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleIsBuilt(BuildHookInterface):  # type: ignore[type-arg]
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        if not (Path(self.root) / "paylink/console/index.html").is_file():
            raise SystemExit("paylink/console is not built: run `make setup` (or `.ci/console`) first")
