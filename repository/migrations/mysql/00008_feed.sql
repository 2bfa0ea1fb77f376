-- +goose Up
CREATE TABLE feed (
  seq        BIGINT        NOT NULL PRIMARY KEY,
  session_id VARBINARY(32) NOT NULL,
  user_id    BIGINT        NOT NULL,
  reason     VARBINARY(16) NOT NULL,
  ended_at   BIGINT        NOT NULL,
  exp        BIGINT        NOT NULL,
  UNIQUE KEY feed_session (session_id),
  KEY feed_exp (exp)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE feed;
