-- +goose Up
-- The puzzles that clients have solved: each counts once in the whole deployment.
CREATE TABLE puzzles (
  id         BINARY(16) NOT NULL PRIMARY KEY,
  expires_at BIGINT     NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE puzzles;
