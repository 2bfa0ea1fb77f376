-- +goose Up
-- The puzzles that clients have solved: each counts once in the whole deployment.
CREATE TABLE puzzles (
  id         BLOB    NOT NULL PRIMARY KEY,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE puzzles;
