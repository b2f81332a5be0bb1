//! Genesis text to genesis: strict JSON, decimal strings to fixed point, every problem with its path.
//!
//! Must not be here: whether the values make sense together (the core's `instrument`).

use exchange_core::instrument::TICKS_MAX;
use exchange_core::types::{Money, Price, Qty, RATE_SCALE, SCALE};
use exchange_core::{
    AdlSpec, BorrowTier, CoinPrice, CoinSpec, CollateralTier, FundingSpec, Genesis, IndexMethod,
    IndexSourceSpec, InstrumentId, InstrumentSpec, Kind, Ladder, LendingSpec, LiquidationSpec, PoolSpec,
    RateCurve, TierSpec,
};
use serde_json::{Map, Value};

const DECIMALS: usize = 8;
const RATE_DECIMALS: usize = 12;
const GENESIS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Reads a genesis; the error is one line that names the field and what is allowed.
pub(crate) fn parse(text: &str) -> Result<Genesis, String> {
    if text.len() > GENESIS_BYTES_MAX {
        return Err(format!("genesis: was {} bytes, at most {GENESIS_BYTES_MAX} are allowed", text.len()));
    }
    let root: Value = serde_json::from_str(text).map_err(|error| format!("genesis: is not JSON: {error}"))?;
    let mut root = Object::new("genesis", &root)?;
    let symbols = symbols(&root);
    let instruments = each(&mut root, "instruments", |path, value| instrument(path, value, &symbols))?;
    let insurance_fund = Money(root.decimal_or("insurance_fund", 0)?);
    let plain = Genesis::linear(instruments, insurance_fund);
    let pools = if root.map.contains_key("pools") { each(&mut root, "pools", pool)? } else { plain.pools };
    let coins = if root.map.contains_key("coins") {
        each(&mut root, "coins", |path, value| coin(path, value, &symbols))?
    } else {
        plain.coins
    };
    let has_limit = root.map.contains_key("liquidation_takeover_beyond");
    let liquidation = LiquidationSpec {
        fill_or_kill: root.flag_or("liquidation_fill_or_kill", false)?,
        takeover_beyond: Some(root.decimal_or("liquidation_takeover_beyond", 0)?).filter(|_| has_limit),
    };
    root.end()?;
    Ok(Genesis { coins, pools, instruments: plain.instruments, liquidation })
}

/// The instruments' symbols, before anything is known of them.
fn symbols(root: &Object<'_>) -> Vec<String> {
    let listed = root.map.get("instruments").and_then(Value::as_array).into_iter().flatten();
    let symbol = |value: &Value| value.get("symbol").and_then(Value::as_str).unwrap_or("").to_owned();
    listed.map(symbol).collect()
}

fn listed(symbol: &str, symbols: &[String]) -> Option<InstrumentId> {
    let at = symbols.iter().position(|listed| listed == symbol)?;
    u16::try_from(at).ok().map(InstrumentId)
}

fn pool(path: &str, value: &Value) -> Result<PoolSpec, String> {
    let mut object = Object::new(path, value)?;
    let rule = AdlSpec::default();
    let spec = PoolSpec {
        name: object.text("name")?,
        coin: object.text("coin")?,
        balance: Money(object.decimal("balance")?),
        adl: AdlSpec {
            threshold: Money(object.decimal_or("adl_threshold", rule.threshold.0)?),
            trigger_ratio: object.decimal_or("adl_trigger_ratio", rule.trigger_ratio)?,
            stop_ratio: object.decimal_or("adl_stop_ratio", rule.stop_ratio)?,
            mark_beyond: object.decimal_or("adl_mark_beyond", rule.mark_beyond)?,
        },
    };
    object.end()?;
    Ok(spec)
}

/// A coin; its price is a decimal, `reported`, the symbol of the instrument whose index it follows, or two symbols with a
/// stroke between them: what a third coin costs in dollars, over what it costs in this one.
fn coin(path: &str, value: &Value, symbols: &[String]) -> Result<CoinSpec, String> {
    let mut object = Object::new(path, value)?;
    let price = object.text("price")?;
    let both = price.split_once('/');
    let both = both.and_then(|(dollars, coins)| listed(dollars, symbols).zip(listed(coins, symbols)));
    let price = match (fixed_point(&price), listed(&price, symbols), both) {
        (Some(fixed), ..) => CoinPrice::Fixed(Price(fixed)),
        (None, Some(followed), _) => CoinPrice::Index(followed),
        (None, None, Some((dollars, coins))) => CoinPrice::Ratio { dollars, coins },
        _ if price == "reported" => CoinPrice::Reported(Price(object.decimal_or("first_price", 0)?)),
        _ => return Err(format!("{path}.price: was {price}, must be a price, reported, or a listed symbol")),
    };
    let spec = CoinSpec {
        name: object.text("name")?,
        price,
        collateral: each(&mut object, "collateral", collateral_tier)?,
        is_collateral: object.flag_or("is_collateral", true)?,
        can_switch: object.flag_or("can_switch", true)?,
        borrow: if object.map.contains_key("borrow") {
            each(&mut object, "borrow", borrow_tier)?
        } else {
            Vec::new()
        },
        user_limit: Qty(object.decimal_or("user_limit", 0)?),
        free_limit: Qty(object.decimal_or("free_limit", 0)?),
        lending: object.get("lending").map(|value| lending(&format!("{path}.lending"), value)).transpose()?,
    };
    object.end()?;
    Ok(spec)
}

/// A bracket of collateral value; without a limit it has no end.
fn collateral_tier(path: &str, value: &Value) -> Result<CollateralTier, String> {
    let mut object = Object::new(path, value)?;
    let tier =
        CollateralTier { limit: Qty(object.decimal_or("limit", i64::MAX)?), ratio: object.decimal("ratio")? };
    object.end()?;
    Ok(tier)
}

fn borrow_tier(path: &str, value: &Value) -> Result<BorrowTier, String> {
    let mut object = Object::new(path, value)?;
    let tier = BorrowTier {
        limit: Qty(object.decimal("limit")?),
        initial_rate: object.decimal("initial_rate")?,
        maintenance_rate: object.decimal("maintenance_rate")?,
    };
    object.end()?;
    Ok(tier)
}

/// A coin's lending pool; rates of an hour have up to twelve decimals.
fn lending(path: &str, value: &Value) -> Result<LendingSpec, String> {
    let mut object = Object::new(path, value)?;
    let spec = LendingSpec {
        curve: RateCurve {
            base: object.rate("base")?,
            slope1: object.rate("slope1")?,
            kink: object.decimal("kink")?,
            slope2: object.rate("slope2")?,
        },
        reserve: object.decimal("reserve")?,
        cap: object.decimal("cap")?,
        ladder: Ladder {
            warning: object.decimal("warning")?,
            repay: object.decimal("repay")?,
            stop: object.decimal("stop")?,
        },
        supplied: Money(object.decimal_or("supplied", 0)?),
    };
    object.end()?;
    Ok(spec)
}

fn instrument(path: &str, value: &Value, symbols: &[String]) -> Result<InstrumentSpec, String> {
    let mut object = Object::new(path, value)?;
    let defaults = InstrumentSpec::default();
    let tick_size = Price(object.decimal("tick_size")?);
    let highest = tick_size.0.saturating_mul(TICKS_MAX).min(defaults.max_price.0);
    let highest = highest - highest % tick_size.0.max(1);
    let spec = InstrumentSpec {
        symbol: object.text("symbol")?,
        base: object.text("base")?,
        quote: object.text("quote")?,
        kind: kind(&mut object)?,
        inverse: object.flag_or("inverse", false)?,
        pool: object.text_or("pool", "")?,
        tick_size,
        max_price: Price(object.decimal_or("max_price", highest)?),
        qty_step: Qty(object.decimal("qty_step")?),
        min_qty: Qty(object.decimal("min_qty")?),
        max_qty: Qty(object.decimal("max_qty")?),
        max_market_qty: Qty(object.decimal("max_market_qty")?),
        max_post_only_qty: object.decimal_given("max_post_only_qty")?.map(Qty),
        min_notional: Money(object.decimal("min_notional")?),
        tiers: each(&mut object, "tiers", tier)?,
        taker_fee: object.decimal("taker_fee")?,
        maker_fee: object.decimal("maker_fee")?,
        price_band_x: object.decimal("price_band_x")?,
        price_band_y: object.decimal("price_band_y")?,
        index_sources: each(&mut object, "index_sources", |path, value| source(path, value, symbols))?,
        index_stale_ms: object.integer("index_stale_ms")?,
        index_method: index_method(&mut object)?,
        index_clamp: object.decimal("index_clamp")?,
        basis_window_ms: object.integer("basis_window_ms")?,
        funding: funding(&mut object, defaults.funding)?,
        default_leverage: object.hundredths_or("default_leverage", defaults.default_leverage)?,
        delivery_fee: object.decimal_or("delivery_fee", defaults.delivery_fee)?,
        guards_low_price: object.flag_or("guards_low_price", false)?,
        isolated_on_entry: isolated_on_entry(&mut object)?,
        zone: object.text_or("zone", "")?,
    };
    object.end()?;
    Ok(spec)
}

fn isolated_on_entry(object: &mut Object<'_>) -> Result<bool, String> {
    match object.text_or("isolated_margin_on", "mark")?.as_str() {
        "mark" => Ok(false),
        "entry" => Ok(true),
        other => {
            Err(format!("{}: was {other}, allowed are mark, entry", object.path_of("isolated_margin_on")))
        }
    }
}

fn kind(object: &mut Object<'_>) -> Result<Kind, String> {
    match object.text_or("kind", "perpetual")?.as_str() {
        "perpetual" => Ok(Kind::Perpetual),
        "expiry" => Ok(Kind::Expiry { delivery_ms: object.integer("delivery_ms")? }),
        "spot" => Ok(Kind::Spot),
        other => Err(format!("{}: was {other}, allowed are perpetual, expiry, spot", object.path_of("kind"))),
    }
}

fn tier(path: &str, value: &Value) -> Result<TierSpec, String> {
    let mut object = Object::new(path, value)?;
    let spec = TierSpec {
        limit: Money(object.decimal("limit")?),
        max_leverage: object.hundredths("max_leverage")?,
        maintenance_rate: object.decimal("mmr")?,
    };
    object.end()?;
    Ok(spec)
}

fn index_method(object: &mut Object<'_>) -> Result<IndexMethod, String> {
    match object.text_or("index_method", "clamp")?.as_str() {
        "clamp" => Ok(IndexMethod::Clamp),
        "drop" => Ok(IndexMethod::Drop),
        "two_pass" => Ok(IndexMethod::TwoPass),
        other => {
            let path = object.path_of("index_method");
            Err(format!("{path}: was {other}, allowed are clamp, drop, two_pass"))
        }
    }
}

/// Funding of an instrument; caps come in pairs.
fn funding(object: &mut Object<'_>, defaults: FundingSpec) -> Result<FundingSpec, String> {
    let lower = object.rate_given("lower_funding_rate")?;
    let upper = object.rate_given("upper_funding_rate")?;
    let caps = match (lower, upper) {
        (Some(lower), Some(upper)) => Some((lower, upper)),
        (None, None) => None,
        _ => return Err(format!("{}: needs its counterpart", object.path_of("lower_funding_rate"))),
    };
    Ok(FundingSpec {
        interval_ms: object.integer_or("funding_interval_ms", defaults.interval_ms)?,
        interest_daily: object.rate_given("daily_interest")?.unwrap_or(defaults.interest_daily),
        clamp: object.rate_given("funding_clamp")?.unwrap_or(defaults.clamp),
        caps,
        impact_notional: Money(object.decimal_or("impact_notional", defaults.impact_notional.0)?),
        payments: object.integer_or("funding_payments", defaults.payments)?,
    })
}

/// A component of an index; one quoted in another coin names the instrument that converts it.
fn source(path: &str, value: &Value, symbols: &[String]) -> Result<IndexSourceSpec, String> {
    let mut object = Object::new(path, value)?;
    let bridge = object.text_or("converted_by", "")?;
    let converted_by = listed(&bridge, symbols);
    if converted_by.is_none() && !bridge.is_empty() {
        return Err(format!("{path}.converted_by: was {bridge}, must be a listed symbol"));
    }
    let spec =
        IndexSourceSpec { name: object.text("name")?, weight: object.decimal("weight")?, converted_by };
    object.end()?;
    Ok(spec)
}

fn each<T>(
    object: &mut Object<'_>,
    key: &'static str,
    read: impl Fn(&str, &Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let path = object.path_of(key);
    let values = object.list(key)?.iter().enumerate();
    values.map(|(at, value)| read(&format!("{path}[{at}]"), value)).collect()
}

/// A JSON object that knows its place and which of its keys were asked for.
struct Object<'a> {
    path: String,
    map: &'a Map<String, Value>,
    asked: Vec<&'static str>,
}

impl<'a> Object<'a> {
    fn new(path: &str, value: &'a Value) -> Result<Self, String> {
        let map = value.as_object().ok_or_else(|| format!("{path}: must be an object"))?;
        Ok(Self { path: path.to_owned(), map, asked: Vec::new() })
    }

    fn path_of(&self, key: &str) -> String {
        if self.path == "genesis" { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.asked.push(key);
        self.map.get(key)
    }

    fn required(&mut self, key: &'static str) -> Result<&'a Value, String> {
        self.get(key).ok_or_else(|| format!("{}: is missing", self.path_of(key)))
    }

    fn list(&mut self, key: &'static str) -> Result<&'a Vec<Value>, String> {
        let value = self.required(key)?;
        value.as_array().ok_or_else(|| format!("{}: must be a list", self.path_of(key)))
    }

    fn text(&mut self, key: &'static str) -> Result<String, String> {
        let value = self.required(key)?;
        let text = value.as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| format!("{}: must be text", self.path_of(key)))
    }

    fn text_or(&mut self, key: &'static str, default: &str) -> Result<String, String> {
        if self.map.contains_key(key) {
            return self.text(key);
        }
        self.asked.push(key);
        Ok(default.to_owned())
    }

    fn flag_or(&mut self, key: &'static str, default: bool) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => {
                value.as_bool().ok_or_else(|| format!("{}: must be true or false", self.path_of(key)))
            }
        }
    }

    fn integer(&mut self, key: &'static str) -> Result<i64, String> {
        let value = self.required(key)?;
        value.as_i64().ok_or_else(|| format!("{}: was {value}, must be an integer", self.path_of(key)))
    }

    fn integer_or(&mut self, key: &'static str, default: i64) -> Result<i64, String> {
        if self.map.contains_key(key) { self.integer(key) } else { Ok(self.absent(key, default)) }
    }

    /// A decimal string in units of 10^-8.
    fn decimal(&mut self, key: &'static str) -> Result<i64, String> {
        self.number(key, DECIMALS, SCALE)
    }

    /// A decimal string in units of 10^-12.
    fn rate(&mut self, key: &'static str) -> Result<i64, String> {
        self.number(key, RATE_DECIMALS, RATE_SCALE)
    }

    fn number(&mut self, key: &'static str, decimals: usize, scale: i64) -> Result<i64, String> {
        let value = self.required(key)?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_i64() => number.to_string(),
            _ => String::new(),
        };
        scaled(&text, decimals, scale).ok_or_else(|| {
            let path = self.path_of(key);
            format!("{path}: was {value}, must be a decimal string with at most {decimals} decimals")
        })
    }

    fn decimal_or(&mut self, key: &'static str, default: i64) -> Result<i64, String> {
        if self.map.contains_key(key) { self.decimal(key) } else { Ok(self.absent(key, default)) }
    }

    /// A decimal, if it is there.
    fn decimal_given(&mut self, key: &'static str) -> Result<Option<i64>, String> {
        if self.map.contains_key(key) {
            return self.decimal(key).map(Some);
        }
        self.asked.push(key);
        Ok(None)
    }

    /// A rate, if it is there.
    fn rate_given(&mut self, key: &'static str) -> Result<Option<i64>, String> {
        if self.map.contains_key(key) {
            return self.rate(key).map(Some);
        }
        self.asked.push(key);
        Ok(None)
    }

    /// A decimal string in hundredths.
    fn hundredths(&mut self, key: &'static str) -> Result<i64, String> {
        let value = self.decimal(key)?;
        let unit = SCALE / 100;
        if value % unit != 0 {
            return Err(format!("{}: at most two decimals are allowed", self.path_of(key)));
        }
        Ok(value / unit)
    }

    fn hundredths_or(&mut self, key: &'static str, default: i64) -> Result<i64, String> {
        if self.map.contains_key(key) { self.hundredths(key) } else { Ok(self.absent(key, default)) }
    }

    fn absent(&mut self, key: &'static str, default: i64) -> i64 {
        self.asked.push(key);
        default
    }

    fn end(&self) -> Result<(), String> {
        match self.map.keys().find(|key| !self.asked.contains(&key.as_str())) {
            Some(key) => Err(format!("{}: is not a known key", self.path_of(key))),
            None => Ok(()),
        }
    }
}

/// `"-12.5"` to `-1_250_000_000`; nothing else than digits, one point, one sign.
fn fixed_point(text: &str) -> Option<i64> {
    scaled(text, DECIMALS, SCALE)
}

/// The same with that many decimals, which the scale has, too.
fn scaled(text: &str, decimals: usize, scale: i64) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > decimals || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    if digits.ends_with('.') {
        return None;
    }
    let units: i64 = format!("{fraction:0<decimals$}").parse().ok()?;
    let value = whole.parse::<i64>().ok()?.checked_mul(scale)?.checked_add(units)?;
    Some(if is_negative { -value } else { value })
}
