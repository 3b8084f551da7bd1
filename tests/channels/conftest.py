"""The API once for each module and database."""

from tests.api.conftest import api, http, module_database

__all__ = ["api", "http", "module_database"]
