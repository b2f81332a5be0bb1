-- What more signals, copies and words say, and the followers' words summed by the hour.

ALTER TABLE signals ADD COLUMN fee TEXT;
ALTER TABLE signals ADD COLUMN venue TEXT;
ALTER TABLE signals ADD COLUMN depth_usdt TEXT;
ALTER TABLE signals ADD COLUMN open_interest TEXT;
ALTER TABLE copies ADD COLUMN venue_mid TEXT;
ALTER TABLE copies ADD COLUMN executed_mark TEXT;
ALTER TABLE copies ADD COLUMN executed_last TEXT;
ALTER TABLE statuses ADD COLUMN funding_paid TEXT;
ALTER TABLE statuses ADD COLUMN interest_paid TEXT;

CREATE TABLE tracked (
  follower_id TEXT   NOT NULL,
  leader_id   TEXT   NOT NULL,
  hour_ms     BIGINT NOT NULL,
  tracking    TEXT   NOT NULL, -- JSON
  PRIMARY KEY (follower_id, leader_id, hour_ms)
);

-- Hours of words that are not summed, or not any more.
CREATE TABLE untracked (
  follower_id TEXT   NOT NULL,
  leader_id   TEXT   NOT NULL,
  hour_ms     BIGINT NOT NULL,
  PRIMARY KEY (follower_id, leader_id, hour_ms)
);
INSERT INTO untracked (follower_id, leader_id, hour_ms)
  SELECT DISTINCT follower_id, leader_id, sent_ms / 3600000 * 3600000 FROM statuses;

-- Up to when rows were taken away; what was counted of them stays. One row.
CREATE TABLE kept (since_ms BIGINT NOT NULL);
INSERT INTO kept (since_ms) VALUES (0);

-- Of reports that were refused: those whose rows are gone.
CREATE TABLE refused_sums (
  reason TEXT   NOT NULL PRIMARY KEY,
  count  BIGINT NOT NULL
);

-- Hours were counted without what is counted now.
DELETE FROM tallies;
DELETE FROM counted;
