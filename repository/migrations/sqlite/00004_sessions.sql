-- +goose Up
CREATE TABLE sessions (
  id            TEXT    NOT NULL PRIMARY KEY,
  user_id       INTEGER NOT NULL,
  company_type  INTEGER NOT NULL,
  product_type  INTEGER NOT NULL,
  product_group TEXT    NOT NULL,
  epoch         INTEGER NOT NULL,
  active_slot   INTEGER,
  device_number TEXT    NOT NULL,
  device_name   TEXT    NOT NULL,
  ip            TEXT    NOT NULL,
  source        TEXT    NOT NULL,
  login_at      INTEGER NOT NULL,
  last_seen_at  INTEGER NOT NULL,
  refresh_hash  BLOB    NOT NULL,
  gen           INTEGER NOT NULL,
  prev_gen      INTEGER NOT NULL,
  cur_jti       TEXT    NOT NULL,
  cur_iat       INTEGER NOT NULL,
  cur_exp       INTEGER NOT NULL,
  max_exp       INTEGER NOT NULL,
  minted_at     INTEGER NOT NULL,
  confirmed     INTEGER NOT NULL,
  idle_until    INTEGER NOT NULL,
  ends_at       INTEGER NOT NULL,
  ended_at      INTEGER NOT NULL DEFAULT 0,
  end_reason    TEXT    NOT NULL DEFAULT '',
  ended_by      TEXT    NOT NULL DEFAULT '',
  UNIQUE (user_id, product_group, active_slot)
) STRICT;
CREATE INDEX sessions_ended ON sessions (ended_at);

-- +goose Down
DROP TABLE sessions;
