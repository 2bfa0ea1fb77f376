-- +goose Up
-- An index finds the few accounts with a ban by it. The ban may have ended.
ALTER TABLE users ADD COLUMN ever_banned TINYINT GENERATED ALWAYS AS (banned_until > 0) VIRTUAL;

-- +goose Down
ALTER TABLE users DROP COLUMN ever_banned;
