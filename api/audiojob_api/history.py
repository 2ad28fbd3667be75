"""``python -m audiojob_api.history check|rebuild|export``: the archive, for administrators; settings as the API's."""

from __future__ import annotations

import argparse
import asyncio
import sys
import uuid

import orjson
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from audiojob_api.archive import maintenance
from audiojob_api.archive.store import Superseded
from audiojob_api.settings import DatabaseSettings
from audiojob_api.sql.database import Database
from audiojob_api.sql.errors import DatabaseError, DatabaseUnavailable
from audiojob_api.sql.url import parse

_EXIT_USAGE = 64
_EXIT_FAULTS = 1
_EXIT_LATER = 75


class _Settings(BaseSettings):
    """The database alone: nothing else is needed here."""

    model_config = SettingsConfigDict(env_prefix="AUDIOJOB_", env_nested_delimiter="__", frozen=True, extra="ignore")

    database: DatabaseSettings = DatabaseSettings()


def main() -> int:
    """0 where all is well, 1 for faults that `check` found, 64 for settings, 75 where trying again may help."""
    parser = argparse.ArgumentParser(prog="python -m audiojob_api.history", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="count jobs, documents and sums, and say what does not fit")
    commands.add_parser("rebuild", help="make the sums of statistics anew; no job is archived meanwhile")
    commands.add_parser("export", help="write every job to standard output, one line of JSON each")
    command = str(parser.parse_args().command)
    try:
        url = _Settings().database.url
        if url is None:
            raise DatabaseError("AUDIOJOB_DATABASE__URL: is not set")
        return asyncio.run(_run(command, Database(parse(url.get_secret_value()))))
    except (DatabaseError, ValidationError) as error:
        print(f"history: {error}", file=sys.stderr)
        return _EXIT_USAGE
    except DatabaseUnavailable as error:
        print(f"history: {error}", file=sys.stderr)
        return _EXIT_LATER
    except Superseded:
        print("history: another process writes the archive; try again", file=sys.stderr)
        return _EXIT_LATER


async def _run(command: str, database: Database) -> int:
    try:
        await database.open()
        if command == "check":
            found = await maintenance.check(database)
            print(f"{found.jobs} jobs")
            for fault in found.faults:
                print(fault)
            return _EXIT_FAULTS if found.faults else 0
        if command == "rebuild":
            print(f"sums of {await maintenance.rebuild(database, f'rebuild-{uuid.uuid4()}')} jobs")
            return 0
        async for job in maintenance.export(database):
            sys.stdout.buffer.write(orjson.dumps(job, option=orjson.OPT_APPEND_NEWLINE))
        sys.stdout.buffer.flush()
        return 0
    finally:
        await database.close()


if __name__ == "__main__":
    sys.exit(main())
