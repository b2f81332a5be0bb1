-- How reports came: late, doubled, out of order. Figures are the same as if they had not; how often it happens says
-- something of a follower and its way to here.
CREATE TABLE arrivals (
  kind        TEXT   NOT NULL,
  leader_id   TEXT   NOT NULL,
  follower_id TEXT   NOT NULL,
  count       BIGINT NOT NULL,
  PRIMARY KEY (kind, leader_id, follower_id)
);
