-- +goose Up
-- The processes that run, each with its last sign of life.
CREATE TABLE instances (
  id         VARBINARY(32) NOT NULL PRIMARY KEY,
  version    VARBINARY(64) NOT NULL,
  started_at BIGINT        NOT NULL,
  seen_at    BIGINT        NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE instances;
