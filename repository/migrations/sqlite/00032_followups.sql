-- +goose Up
-- How far the work at vendors about messages that were sent has come, a row for each task.
CREATE TABLE followups (
  name       TEXT    NOT NULL PRIMARY KEY,
  at         INTEGER NOT NULL DEFAULT 0,
  message_id INTEGER NOT NULL DEFAULT 0,
  due_at     INTEGER NOT NULL,
  failures   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE followups;
