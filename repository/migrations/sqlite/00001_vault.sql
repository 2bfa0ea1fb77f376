-- +goose Up
CREATE TABLE vault (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;

-- +goose Down
DROP TABLE vault;
