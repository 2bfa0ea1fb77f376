-- +goose Up
-- The lists of accounts, newest first. Each index ends in the id, as SQLite makes them.
CREATE INDEX users_created ON users (created_at);
CREATE INDEX users_company ON users (company_type, created_at);
CREATE INDEX users_source ON users (first_source, created_at);
CREATE INDEX users_company_source ON users (company_type, first_source, created_at);
CREATE INDEX users_banned ON users (ever_banned, created_at);

-- +goose Down
DROP INDEX users_created;
DROP INDEX users_company;
DROP INDEX users_source;
DROP INDEX users_company_source;
DROP INDEX users_banned;
