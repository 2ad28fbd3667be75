"""Each place of a job says whose it is: two requests for one name give back their own, and a new job needs its own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# As that of 0008, with a token for each wish, and wishes that need a place of their own whatever the name has.
# A replica of the release before sends neither, until it is replaced.
_RESERVE = """
CREATE OR REPLACE FUNCTION audiojob_reserve(asked_turns text[], at_ms bigint, wishes jsonb)
RETURNS TABLE (
  made boolean, named boolean, day bigint, hour bigint, at_once bigint, oldest bigint,
  address_hour bigint, address_oldest bigint, minutes double precision
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  wish record;
  counted text := NULL;
  newest bigint;
  moment bigint;
BEGIN
  INSERT INTO reservation_turn AS t (whose, at) SELECT asked, at_ms FROM unnest(asked_turns) AS asked ORDER BY asked
    ON CONFLICT (whose) DO UPDATE SET at = excluded.at;
  FOR wish IN
    SELECT * FROM jsonb_to_recordset(wishes) AS w (
      namespace text, name text, "user" text, address text, minutes double precision, created bigint,
      token text, anew boolean, counts_as double precision, assumed double precision, day_began bigint, hour_ago bigint,
      most_day bigint, most_hour bigint, most_at_once bigint, most_address_hour bigint, most_minutes double precision
    )
  LOOP
    IF counted IS DISTINCT FROM wish."user" || ' ' || wish.address THEN
      counted := wish."user" || ' ' || wish.address;
      SELECT
        count(*) FILTER (WHERE r."user" = wish."user" AND r.created >= wish.day_began),
        count(*) FILTER (WHERE r."user" = wish."user" AND r.created > wish.hour_ago),
        count(*) FILTER (WHERE r."user" = wish."user" AND r.ended IS NULL),
        min(r.created) FILTER (WHERE r."user" = wish."user" AND r.created > wish.hour_ago),
        count(*) FILTER (WHERE r.address = wish.address AND r.created > wish.hour_ago),
        min(r.created) FILTER (WHERE r.address = wish.address AND r.created > wish.hour_ago),
        coalesce(sum(coalesce(r.minutes, wish.assumed))
          FILTER (WHERE r."user" = wish."user" AND r.created >= wish.day_began), 0)
      INTO day, hour, at_once, oldest, address_hour, address_oldest, minutes
      FROM reservation AS r
      WHERE (r."user" = wish."user" AND r.created >= least(wish.day_began, wish.hour_ago))
        OR (r."user" = wish."user" AND r.ended IS NULL)
        OR (r.address = wish.address AND r.created > wish.hour_ago);
    END IF;
    SELECT coalesce(bool_or(r.ended IS NULL), FALSE) AND NOT coalesce(wish.anew, FALSE), max(r.created)
      INTO named, newest FROM reservation AS r WHERE r.namespace = wish.namespace AND r.name = wish.name;
    made := NOT named
      AND (wish.most_day IS NULL OR day < wish.most_day)
      AND (wish.most_hour IS NULL OR hour < wish.most_hour)
      AND (wish.most_at_once IS NULL OR at_once < wish.most_at_once)
      AND (wish.most_address_hour IS NULL OR address_hour < wish.most_address_hour)
      AND (wish.most_minutes IS NULL
        OR (minutes < wish.most_minutes AND minutes + wish.counts_as <= wish.most_minutes));
    IF made THEN
      moment := greatest(wish.created, newest + 1);
      LOOP  -- another user may write of this name at the same moment
        INSERT INTO reservation (namespace, name, created, "user", address, minutes, token)
          VALUES (wish.namespace, wish.name, moment, wish."user", wish.address, wish.minutes, coalesce(wish.token, ''))
          ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        moment := moment + 1;
      END LOOP;
      day := day + 1;
      hour := hour + 1;
      at_once := at_once + 1;
      oldest := coalesce(oldest, wish.created);
      address_hour := address_hour + 1;
      address_oldest := coalesce(address_oldest, wish.created);
      minutes := minutes + wish.counts_as;
    END IF;
    RETURN NEXT;
  END LOOP;
END
$$
"""


def upgrade() -> None:
    op.add_column("reservation", sa.Column("token", sa.String(32), nullable=False, server_default=""))
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_RESERVE)
