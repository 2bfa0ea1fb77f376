-- +goose Up
-- Counts locks, for the same reason: two bindings to one device on two nodes.
ALTER TABLE slots ADD COLUMN locks INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE slots DROP COLUMN locks;
