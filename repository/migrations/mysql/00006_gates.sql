-- +goose Up
CREATE TABLE gates (
  name       VARBINARY(64) NOT NULL PRIMARY KEY,
  passes     BIGINT        NOT NULL,
  touched_at BIGINT        NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE gates;
