"""Every table, one module for each concern. Times are milliseconds since 1970 in UTC, as integers.

A new table or column is a migration in `sql.migrations.versions` too; a test compares the two on both databases.
"""

from __future__ import annotations

from audiojob_api.sql.tables import access as access
from audiojob_api.sql.tables import archive as archive  # its tables, for the migrations' comparison
from audiojob_api.sql.tables import uploads as uploads
from audiojob_api.sql.tables.base import METADATA as METADATA
