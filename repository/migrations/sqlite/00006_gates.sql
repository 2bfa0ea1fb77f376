-- +goose Up
CREATE TABLE gates (
  name       BLOB    NOT NULL PRIMARY KEY,
  passes     INTEGER NOT NULL,
  touched_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE gates;
