-- What the leaders' venue says of its own risk, whenever it changed and once in a while: its insurance funds, how far
-- each contract is from deleveraging, what borrowing costs.
CREATE TABLE venue_facts (
  kind    TEXT   NOT NULL, -- fund, adl, borrow_rate
  name    TEXT   NOT NULL, -- the fund's coin and contracts; the contract; the coin
  wall_ms BIGINT NOT NULL,
  value   TEXT   NOT NULL, -- balance in the fund's coin; loss since the peak, of the fund; rate per hour
  detail  TEXT   NOT NULL, -- JSON of what else was said
  PRIMARY KEY (kind, name, wall_ms)
);
