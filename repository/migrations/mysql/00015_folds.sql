-- +goose Up
-- Counts the repeats of an event that is kept as one row.
CREATE TABLE folds (
  name  BINARY(32) NOT NULL PRIMARY KEY,
  count BIGINT     NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE folds;
