-- +goose Up
CREATE TABLE events (
  id         INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  at         INTEGER NOT NULL,
  kind       TEXT    NOT NULL,
  user_id    INTEGER NOT NULL,
  session_id TEXT    NOT NULL,
  actor      TEXT    NOT NULL,
  ip         TEXT    NOT NULL,
  device     TEXT    NOT NULL,
  request_id TEXT    NOT NULL,
  detail     TEXT    NOT NULL
) STRICT;
CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_at ON events (at);

-- +goose Down
DROP TABLE events;
