"""The fixtures of the API and of payments, for what each of them records."""

from tests.api.conftest import api, http, module_database
from tests.payments.conftest import payments_on_postgresql, payments_on_sqlite, provider

__all__ = ["api", "http", "module_database", "payments_on_postgresql", "payments_on_sqlite", "provider"]
