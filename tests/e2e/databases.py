"""The bytes a database leaves on the disk, whatever table or index or log they are in."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.e2e.shop import Shop
from tests.services import postgres_bin


def everything_written(shop: Shop) -> Iterator[tuple[str, bytes]]:
    """Name and content of every database file, of a dump, of every log, and of what else the nodes left."""
    for path in sorted(shop.product.folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(shop.product.folder)), path.read_bytes()
    if shop.name == "postgresql":
        yield "pg_dump", _dump(shop.database_url)
        yield from _cluster_files(shop.database_url)


def _dump(url: str) -> bytes:
    binaries = postgres_bin()
    program = str(binaries / "pg_dump") if binaries else shutil.which("pg_dump")
    assert program
    return subprocess.run([program, "--inserts", "--dbname", url], check=True, capture_output=True).stdout


def _cluster_files(url: str) -> Iterator[tuple[str, bytes]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row
    data, database = Path(row[0]), str(row[1])
    for folder in (data / "base" / database, data / "pg_wal"):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield str(path.relative_to(data)), path.read_bytes()
