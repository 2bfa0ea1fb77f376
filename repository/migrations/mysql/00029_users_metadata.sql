-- +goose Up
-- A JSON object in compact form. NULL: the empty object.
ALTER TABLE users ADD COLUMN metadata VARBINARY(4096) NULL;

-- +goose Down
ALTER TABLE users DROP COLUMN metadata;
