-- +goose Up
CREATE TABLE feed (
  seq        INTEGER NOT NULL PRIMARY KEY,
  session_id TEXT    NOT NULL UNIQUE,
  user_id    INTEGER NOT NULL,
  reason     TEXT    NOT NULL,
  ended_at   INTEGER NOT NULL,
  exp        INTEGER NOT NULL
) STRICT;
CREATE INDEX feed_exp ON feed (exp);

-- +goose Down
DROP TABLE feed;
