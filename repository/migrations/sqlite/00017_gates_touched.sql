-- +goose Up
-- The janitor finds old gates by it.
CREATE INDEX gates_touched ON gates (touched_at);

-- +goose Down
DROP INDEX gates_touched;
