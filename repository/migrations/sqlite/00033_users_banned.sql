-- +goose Up
-- The filters of a list are judged by the index, so that a page does not read the row of
-- each account that was ever banned.
DROP INDEX users_banned;
CREATE INDEX users_banned ON users (ever_banned, created_at, id, company_type, first_source, banned_until, deleted_at);

-- +goose Down
DROP INDEX users_banned;
CREATE INDEX users_banned ON users (ever_banned, created_at);
