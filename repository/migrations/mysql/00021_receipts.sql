-- +goose Up
-- Receipts of messages that have no row yet. They are kept for some minutes.
CREATE TABLE receipts (
  provider    VARBINARY(16) NOT NULL,
  message_id  VARBINARY(64) NOT NULL,
  state       VARBINARY(16) NOT NULL,
  reason      VARCHAR(64)   NOT NULL,
  reported_at BIGINT        NOT NULL,
  at          BIGINT        NOT NULL,
  PRIMARY KEY (provider, message_id, state),
  KEY receipts_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE receipts;
