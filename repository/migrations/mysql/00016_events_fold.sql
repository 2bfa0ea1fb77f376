-- +goose Up
-- The name of the event's row in folds. NULL: the event is not folded.
ALTER TABLE events ADD COLUMN fold BINARY(32);

-- +goose Down
ALTER TABLE events DROP COLUMN fold;
