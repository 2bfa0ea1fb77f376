-- +goose Up
CREATE TABLE events (
  id         BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
  at         BIGINT         NOT NULL,
  kind       VARBINARY(20)  NOT NULL,
  user_id    BIGINT         NOT NULL,
  session_id VARBINARY(32)  NOT NULL,
  actor      VARCHAR(64)    NOT NULL,
  ip         VARBINARY(45)  NOT NULL,
  device     VARCHAR(64)    NOT NULL,
  request_id VARBINARY(64)  NOT NULL,
  detail     VARCHAR(2000)  NOT NULL,
  KEY events_user (user_id, id),
  KEY events_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- +goose Down
DROP TABLE events;
