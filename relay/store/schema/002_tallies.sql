-- What lets a report over months read hours that were counted once, and what a fold needs without reading every row.

-- Since when each follower listens to each leader, and the highest leverage it ever told of.
CREATE TABLE presence (
  follower_id   TEXT   NOT NULL,
  leader_id     TEXT   NOT NULL,
  joined_ms     BIGINT NOT NULL,
  heard_ms      BIGINT NOT NULL, -- of the last report that named a policy
  policy        TEXT   NOT NULL,
  leverage_peak TEXT   NOT NULL,
  PRIMARY KEY (follower_id, leader_id)
);

-- Verdicts on signals that the feed has not shown yet.
CREATE TABLE waiting (
  follower_id TEXT   NOT NULL,
  leader_id   TEXT   NOT NULL,
  epoch       BIGINT NOT NULL,
  seq         BIGINT NOT NULL,
  PRIMARY KEY (leader_id, epoch, seq, follower_id)
);

-- Stretches of a leader's signals that are counted: an hour, or a whole day once all of its hours are. A row that
-- arrives late takes its stretches out again. `hours` is 1 or 24; what the leader published is kept by symbol.
CREATE TABLE counted (
  leader_id TEXT   NOT NULL,
  from_ms   BIGINT NOT NULL,
  hours     BIGINT NOT NULL,
  symbol    TEXT   NOT NULL,
  signals   BIGINT NOT NULL,
  fills     BIGINT NOT NULL,
  PRIMARY KEY (leader_id, from_ms, hours, symbol)
);

CREATE TABLE tallies (
  leader_id   TEXT   NOT NULL,
  from_ms     BIGINT NOT NULL,
  hours       BIGINT NOT NULL,
  follower_id TEXT   NOT NULL,
  symbol      TEXT   NOT NULL,
  tally       TEXT   NOT NULL, -- JSON
  PRIMARY KEY (leader_id, from_ms, hours, follower_id, symbol)
);

CREATE INDEX signals_by_leader_and_time ON signals (leader_id, sealed_ms);

INSERT INTO presence (follower_id, leader_id, joined_ms, heard_ms, policy, leverage_peak)
  SELECT follower_id, leader_id, MIN(heard_ms), MAX(heard_ms), MAX(policy), MAX(leverage_peak) FROM (
    SELECT follower_id, leader_id, sent_ms AS heard_ms, policy, leverage_peak FROM statuses
    UNION ALL SELECT follower_id, leader_id, received_ms, policy, '0' FROM copies) heard
  GROUP BY follower_id, leader_id;

INSERT INTO waiting (follower_id, leader_id, epoch, seq)
  SELECT c.follower_id, c.leader_id, c.epoch, c.seq FROM copies c
  LEFT JOIN signals s ON s.leader_id = c.leader_id AND s.epoch = c.epoch AND s.seq = c.seq
  WHERE s.seq IS NULL;
