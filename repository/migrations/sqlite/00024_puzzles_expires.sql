-- +goose Up
-- The janitor finds old puzzles by it.
CREATE INDEX puzzles_expires ON puzzles (expires_at);

-- +goose Down
DROP INDEX puzzles_expires;
