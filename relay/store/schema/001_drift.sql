-- The drift store: what leaders published and what became of it at every follower.
--
-- Plain SQL that SQLite and PostgreSQL both take. Amounts are decimal strings exactly as they came over the wire
-- (no rounding, no float); times are Unix milliseconds. `digest` ranks two versions of the same row: the greater one
-- stays, so the order in which reports arrive, and how often, makes no difference.

CREATE TABLE feed_heads (
  leader_id   TEXT   NOT NULL PRIMARY KEY,
  epoch       BIGINT NOT NULL,
  seq         BIGINT NOT NULL,
  header_hash TEXT   NOT NULL
);

CREATE TABLE signals (
  leader_id        TEXT    NOT NULL,
  epoch            BIGINT  NOT NULL,
  seq              BIGINT  NOT NULL,
  signal_id        TEXT    NOT NULL,
  cause            TEXT    NOT NULL,
  symbol           TEXT    NOT NULL,
  side             TEXT    NOT NULL,
  qty              TEXT    NOT NULL,
  price            TEXT    NOT NULL,
  fill_ids         TEXT    NOT NULL, -- JSON array
  position_qty     TEXT    NOT NULL, -- signed, after the step
  entry_price      TEXT    NOT NULL,
  exposure         TEXT    NOT NULL,
  leverage         TEXT    NOT NULL,
  margin_mode      TEXT    NOT NULL,
  position_mode    TEXT    NOT NULL,
  take_profit      TEXT,
  stop_loss        TEXT,
  equity           TEXT    NOT NULL,
  account_leverage TEXT    NOT NULL,
  mark_price       TEXT    NOT NULL,
  index_price      TEXT    NOT NULL,
  last_price       TEXT    NOT NULL,
  bid_price        TEXT    NOT NULL,
  ask_price        TEXT    NOT NULL,
  leader_exec_ms   BIGINT  NOT NULL,
  seen_ms          BIGINT  NOT NULL,
  sealed_ms        BIGINT  NOT NULL,
  expires_ms       BIGINT  NOT NULL,
  waves            BIGINT  NOT NULL,
  spacing_ms       BIGINT  NOT NULL,
  PRIMARY KEY (leader_id, epoch, seq)
);
CREATE INDEX signals_by_time ON signals (sealed_ms);

-- One row per follower and signal: the terminal verdict. A verdict may arrive before the signal is known here;
-- it waits in this table and is left out of reports until then.
CREATE TABLE copies (
  follower_id    TEXT    NOT NULL,
  leader_id      TEXT    NOT NULL,
  epoch          BIGINT  NOT NULL,
  seq            BIGINT  NOT NULL,
  digest         TEXT    NOT NULL,
  signal_id      TEXT    NOT NULL,
  symbol         TEXT    NOT NULL,
  side           TEXT    NOT NULL,
  policy         TEXT    NOT NULL,
  paper          BOOLEAN NOT NULL,
  verdict        TEXT    NOT NULL,
  reason         TEXT    NOT NULL,
  detail         TEXT    NOT NULL,
  is_exit        BOOLEAN NOT NULL,
  target_qty     TEXT    NOT NULL,
  order_qty      TEXT    NOT NULL,
  wanted_qty     TEXT    NOT NULL,
  limit_value    TEXT,
  observed_value TEXT,
  leverage_after TEXT,
  leverage_cap   TEXT,
  received_ms    BIGINT  NOT NULL,
  released_ms    BIGINT,
  submitted_ms   BIGINT,
  accepted_ms    BIGINT,
  executed_ms    BIGINT,
  received_mid   TEXT,
  released_mid   TEXT,
  submitted_mid  TEXT,
  accepted_mid   TEXT,
  received_mark  TEXT,
  received_last  TEXT,
  PRIMARY KEY (follower_id, leader_id, epoch, seq)
);
CREATE INDEX copies_by_signal ON copies (leader_id, epoch, seq);

CREATE TABLE orders (
  follower_id     TEXT    NOT NULL,
  client_order_id TEXT    NOT NULL,
  leader_id       TEXT    NOT NULL,
  epoch           BIGINT  NOT NULL,
  seq             BIGINT  NOT NULL,
  place           BIGINT  NOT NULL, -- order of submission within the copy
  order_id        TEXT,
  side            TEXT    NOT NULL,
  qty             TEXT    NOT NULL,
  reduce_only     BOOLEAN NOT NULL,
  outcome         TEXT    NOT NULL,
  reject_code     TEXT,
  PRIMARY KEY (follower_id, leader_id, epoch, seq, client_order_id)
);

CREATE TABLE fills (
  follower_id     TEXT    NOT NULL,
  leader_id       TEXT    NOT NULL,
  epoch           BIGINT  NOT NULL,
  seq             BIGINT  NOT NULL,
  client_order_id TEXT    NOT NULL,
  fill_id         TEXT    NOT NULL,
  place           BIGINT  NOT NULL,
  qty             TEXT    NOT NULL,
  price           TEXT    NOT NULL,
  fee             TEXT    NOT NULL,
  fee_currency    TEXT    NOT NULL,
  executed_ms     BIGINT  NOT NULL,
  is_maker        BOOLEAN NOT NULL,
  PRIMARY KEY (follower_id, leader_id, epoch, seq, client_order_id, fill_id)
);

CREATE TABLE statuses (
  follower_id     TEXT    NOT NULL,
  leader_id       TEXT    NOT NULL,
  sent_ms         BIGINT  NOT NULL,
  digest          TEXT    NOT NULL,
  policy          TEXT    NOT NULL,
  paper           BOOLEAN NOT NULL,
  head_seq        BIGINT  NOT NULL,
  equity          TEXT    NOT NULL,
  positions       TEXT    NOT NULL, -- JSON array
  target_exposure TEXT    NOT NULL,
  actual_exposure TEXT    NOT NULL,
  exposure_gap    TEXT    NOT NULL,
  leverage        TEXT    NOT NULL,
  leverage_peak   TEXT    NOT NULL,
  unknown_orders  BIGINT  NOT NULL,
  mode            TEXT    NOT NULL,
  PRIMARY KEY (follower_id, leader_id, sent_ms)
);

CREATE TABLE market_samples (
  symbol      TEXT   NOT NULL,
  wall_ms     BIGINT NOT NULL,
  market_ms   BIGINT, -- where market time is not wall time (a replay)
  index_price TEXT,
  mark_price  TEXT,
  last_price  TEXT,
  PRIMARY KEY (symbol, wall_ms)
);

-- Reports that could not be believed: kept out of every figure, counted by reason, kept for whoever asks why.
CREATE TABLE refused (
  digest  TEXT NOT NULL PRIMARY KEY,
  subject TEXT NOT NULL,
  reason  TEXT NOT NULL,
  detail  TEXT NOT NULL
);
