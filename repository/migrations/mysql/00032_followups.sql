-- +goose Up
-- How far the work at vendors about messages that were sent has come, a row for each task.
CREATE TABLE followups (
  name       VARBINARY(64) NOT NULL PRIMARY KEY,
  at         BIGINT        NOT NULL DEFAULT 0,
  message_id BIGINT        NOT NULL DEFAULT 0,
  due_at     BIGINT        NOT NULL,
  failures   INT           NOT NULL DEFAULT 0
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE followups;
