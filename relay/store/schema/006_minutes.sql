-- Minutes and ten minutes are counted, too: a page that shows what happens now reads sums, however busy the hour is.
-- `span_ms` is 60000, 600000, 3600000 or 86400000; hours and days that are counted stay.

ALTER TABLE counted RENAME COLUMN hours TO span_ms;
ALTER TABLE tallies RENAME COLUMN hours TO span_ms;
UPDATE counted SET span_ms = span_ms * 3600000;
UPDATE tallies SET span_ms = span_ms * 3600000;

-- Minutes that hold signals and are not counted, or not any more.
CREATE TABLE uncounted (
  leader_id TEXT   NOT NULL,
  from_ms   BIGINT NOT NULL,
  PRIMARY KEY (leader_id, from_ms)
);
INSERT INTO uncounted (leader_id, from_ms)
  SELECT DISTINCT s.leader_id, s.sealed_ms / 60000 * 60000 FROM signals s
  WHERE NOT EXISTS (SELECT 1 FROM counted c WHERE c.leader_id = s.leader_id AND c.span_ms = 3600000
    AND c.from_ms = s.sealed_ms / 3600000 * 3600000);

-- The followers' words by ten minutes, until their hour is summed; `untracked` names ten minutes, and not hours.
CREATE TABLE tracked_tens (
  follower_id TEXT   NOT NULL,
  leader_id   TEXT   NOT NULL,
  from_ms     BIGINT NOT NULL,
  tracking    TEXT   NOT NULL, -- JSON
  PRIMARY KEY (follower_id, leader_id, from_ms)
);
DELETE FROM tracked WHERE EXISTS (SELECT 1 FROM untracked u WHERE u.follower_id = tracked.follower_id
  AND u.leader_id = tracked.leader_id AND u.hour_ms = tracked.hour_ms);
ALTER TABLE untracked RENAME COLUMN hour_ms TO from_ms;
INSERT INTO untracked (follower_id, leader_id, from_ms)
  SELECT u.follower_id, u.leader_id, u.from_ms + 600000 * ten.number FROM untracked u
  CROSS JOIN (SELECT 1 AS number UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5) ten;
CREATE INDEX untracked_by_time ON untracked (from_ms);
