-- +goose Up
-- Counts logins, so that each writes the row: on a cluster a lock alone does not
-- keep a login on one node apart from a ban on another.
ALTER TABLE users ADD COLUMN logins INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE users DROP COLUMN logins;
