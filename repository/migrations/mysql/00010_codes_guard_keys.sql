-- +goose Up
ALTER TABLE codes
  ADD KEY codes_prefix (prefix_key, sent_at),
  ADD KEY codes_block (block_key, sent_at);

-- +goose Down
ALTER TABLE codes
  DROP KEY codes_block,
  DROP KEY codes_prefix;
