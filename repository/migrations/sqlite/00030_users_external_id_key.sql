-- +goose Up
CREATE UNIQUE INDEX users_external ON users (company_type, external_id);

-- +goose Down
DROP INDEX users_external;
