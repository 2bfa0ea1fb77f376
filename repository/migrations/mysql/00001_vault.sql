-- +goose Up
CREATE TABLE vault (
  name  VARBINARY(32)  NOT NULL PRIMARY KEY,
  value VARBINARY(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE vault;
