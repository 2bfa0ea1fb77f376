-- +goose Up
-- Counts the repeats of an event that is kept as one row.
CREATE TABLE folds (
  name  BLOB    NOT NULL PRIMARY KEY,
  count INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE folds;
