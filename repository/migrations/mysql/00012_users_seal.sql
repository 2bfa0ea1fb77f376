-- +goose Up
-- The first four bytes of a sealed number tell the secret that it is sealed under.
CREATE INDEX users_seal ON users (mobile(4));

-- +goose Down
DROP INDEX users_seal ON users;
