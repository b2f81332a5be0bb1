-- What was wrong, from when to when. `until_ms` is null while it lasts.
CREATE TABLE alarms (
  rule     TEXT   NOT NULL,
  subject  TEXT   NOT NULL,
  since_ms BIGINT NOT NULL,
  until_ms BIGINT,
  severity TEXT   NOT NULL,
  what     TEXT   NOT NULL,
  todo     TEXT   NOT NULL,
  PRIMARY KEY (rule, subject, since_ms)
);
CREATE INDEX alarms_by_time ON alarms (since_ms);
