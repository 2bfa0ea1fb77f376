-- +goose Up
-- The first four bytes of a sealed number tell the secret that it is sealed under.
CREATE INDEX users_seal ON users (mobile);

-- +goose Down
DROP INDEX users_seal;
