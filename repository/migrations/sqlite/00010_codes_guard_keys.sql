-- +goose Up
CREATE INDEX codes_prefix ON codes (prefix_key, sent_at);
CREATE INDEX codes_block ON codes (block_key, sent_at);

-- +goose Down
DROP INDEX codes_block;
DROP INDEX codes_prefix;
