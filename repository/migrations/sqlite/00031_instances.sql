-- +goose Up
-- The processes that run, each with its last sign of life.
CREATE TABLE instances (
  id         TEXT    NOT NULL PRIMARY KEY,
  version    TEXT    NOT NULL,
  started_at INTEGER NOT NULL,
  seen_at    INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE instances;
