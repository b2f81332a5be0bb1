//! Times the exchange and the reference book on the same streams, turn by turn; prints one JSON line.
//!
//! ```text
//! matching-bench compare WORKLOAD COMMANDS ROUNDS   both engines, interleaved; seconds of every round
//! matching-bench exchange WORKLOAD COMMANDS         the exchange once
//! matching-bench digest WORKLOAD COMMANDS           the exchange once, untimed: digests of its events and its state
//! matching-bench records WORKLOAD COMMANDS FILE     setup and stream as command records
//! matching-bench orders WORKLOAD COMMANDS FILE      setup and stream as plain orders, 32 bytes each, for other engines
//! matching-bench remark POSITIONS ROUNDS            a mark price change beside a bare pass, interleaved; seconds
//! matching-bench memory orders|accounts COUNT       bytes that the process grew by
//! ```
//!
//! `benchmarks/matching.py` and `benchmarks/margining.py` call it.

mod commands;
mod exchange;
mod memory;
mod reference;
mod remark;
mod workload;

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use exchange::Run;
use reference::{Reference, Totals};
use rustix::time::{ClockId, clock_gettime};
use workload::{Action, Instruction, Name, START_PRICE, Side, Workload};

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["remark", positions, rounds] => match (positions.parse(), rounds.parse()) {
            (Ok(positions), Ok(rounds)) => remark(positions, rounds),
            _ => usage(),
        },
        ["memory", what, count] => match (*what, count.parse()) {
            ("orders", Ok(count)) => println!("{{\"bytes\": {}}}", memory::of_orders(count)?),
            ("accounts", Ok(count)) => println!("{{\"bytes\": {}}}", memory::of_accounts(count)?),
            _ => usage(),
        },
        [mode, name, commands, rest @ ..] => match Name::parse(name).zip(commands.parse().ok()) {
            Some((name, commands)) => on_workload(mode, &workload::generate(name, commands), rest)?,
            None => usage(),
        },
        _ => usage(),
    }
    Ok(())
}

fn on_workload(mode: &str, workload: &Workload, rest: &[&str]) -> io::Result<()> {
    match (mode, rest) {
        ("compare", [rounds]) => match rounds.parse() {
            Ok(rounds) => compare(workload, rounds),
            Err(_) => usage(),
        },
        ("exchange", []) => once(workload),
        ("digest", []) => digest(workload),
        ("records", [file]) => write_records(workload, file)?,
        ("orders", [file]) => write_orders(workload, file)?,
        _ => usage(),
    }
    Ok(())
}

fn usage() -> ! {
    eprintln!(
        "usage: matching-bench compare|exchange|digest|records|orders W1|W2|W3 COMMANDS [ROUNDS|FILE]\n       \
         matching-bench remark POSITIONS ROUNDS | memory orders|accounts COUNT"
    );
    std::process::exit(2)
}

fn remark(positions: u32, rounds: usize) {
    let (ours, bare) = remark::compare(positions, rounds);
    println!("{{\"exchange_s\": {}, \"bare_s\": {}}}", list(&ours), list(&bare));
}

/// Both engines in turn, `rounds` times, each from its beginning; they must have traded the same.
fn compare(workload: &Workload, rounds: usize) {
    let mut counted = Run::new(workload);
    counted.play(workload, Run::count);
    counted.check();
    let mut seconds = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (elapsed, totals) = time_reference(workload);
        assert_eq!(totals, counted.totals, "reference and exchange must trade the same");
        seconds.0.push(elapsed);
        let (elapsed, run) = time_exchange(workload);
        assert_eq!(run.event_count, counted.event_count, "every round must be the same");
        seconds.1.push(elapsed.wall);
    }
    println!(
        "{{\"commands\": {}, \"reference_s\": {}, \"exchange_s\": {}, \"events\": {}, {}}}",
        workload.stream.len(),
        list(&seconds.0),
        list(&seconds.1),
        counted.event_count,
        show(counted.totals),
    );
}

fn once(workload: &Workload) {
    let (elapsed, run) = time_exchange(workload);
    println!(
        "{{\"commands\": {}, \"exchange_s\": {}, \"processor_s\": {}, \"state_hash\": \"{:032x}\"}}",
        workload.stream.len(),
        elapsed.wall.as_secs_f64(),
        elapsed.processor.as_secs_f64(),
        run.exchange.state_hash(),
    );
}

/// Two builds that print the same behave the same on the workload.
fn digest(workload: &Workload) {
    let mut run = Run::empty(workload.instruments);
    let mut events = DefaultHasher::new();
    run.apply(commands::setup(workload).chain(commands::stream(workload)), |run| {
        for event in &run.events {
            events.write(&event.encode());
        }
    });
    println!(
        "{{\"events\": \"{:016x}\", \"state_hash\": \"{:032x}\"}}",
        events.finish(),
        run.exchange.state_hash()
    );
}

fn time_reference(workload: &Workload) -> (Duration, Totals) {
    let mut book = Reference::new(workload.instruments, START_PRICE);
    for instruction in &workload.fill {
        book.apply(instruction, &mut |_| {});
    }
    let start = Instant::now();
    for instruction in &workload.stream {
        book.apply(instruction, &mut |_| {});
    }
    (start.elapsed(), book.totals)
}

/// What the stream took, by the clock and of the processor; strangers take from the first alone.
struct Elapsed {
    wall: Duration,
    processor: Duration,
}

fn time_exchange(workload: &Workload) -> (Elapsed, Run) {
    let mut run = Run::new(workload);
    let (start, processor_start) = (Instant::now(), processor_time());
    run.play(workload, Run::forget);
    let processor = processor_time().saturating_sub(processor_start);
    (Elapsed { wall: start.elapsed(), processor }, run)
}

/// What this thread has had of a processor.
fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

fn write_records(workload: &Workload, file: &str) -> io::Result<()> {
    let setup = commands::setup(workload).count();
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for command in commands::setup(workload).chain(commands::stream(workload)) {
        out.write_all(&command.encode())?;
    }
    out.flush()?;
    println!(
        "{{\"setup\": {}, \"commands\": {}, \"instruments\": {}}}",
        setup,
        workload.stream.len(),
        workload.instruments
    );
    Ok(())
}

/// Header of four u64 (fill, stream, instruments, highest id), then action u8, side u8, instrument u16, user u32,
/// id u64, price i64, qty i64.
fn write_orders(workload: &Workload, file: &str) -> io::Result<()> {
    let all = || workload.fill.iter().chain(&workload.stream);
    let highest = all().map(|instruction| instruction.id).max().unwrap_or(0);
    let header =
        [workload.fill.len() as u64, workload.stream.len() as u64, workload.instruments as u64, highest];
    let mut out = BufWriter::new(std::fs::File::create(file)?);
    for number in header {
        out.write_all(&number.to_le_bytes())?;
    }
    for instruction in all() {
        out.write_all(&order(instruction))?;
    }
    out.flush()?;
    println!("{{\"commands\": {}}}", workload.stream.len());
    Ok(())
}

fn order(instruction: &Instruction) -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    bytes[0] = match instruction.action {
        Action::Rest => 0,
        Action::Take => 1,
        Action::Cancel => 2,
        Action::Move => 3,
    };
    bytes[1] = match instruction.side {
        Side::Buy => 0,
        Side::Sell => 1,
    };
    bytes[2..4].copy_from_slice(&instruction.instrument.to_le_bytes());
    bytes[4..8].copy_from_slice(&instruction.user.to_le_bytes());
    bytes[8..16].copy_from_slice(&instruction.id.to_le_bytes());
    bytes[16..24].copy_from_slice(&instruction.price.to_le_bytes());
    bytes[24..32].copy_from_slice(&instruction.qty.to_le_bytes());
    bytes
}

fn list(seconds: &[Duration]) -> String {
    let texts: Vec<String> = seconds.iter().map(|elapsed| elapsed.as_secs_f64().to_string()).collect();
    format!("[{}]", texts.join(", "))
}

fn show(totals: Totals) -> String {
    let Totals { trades, volume, notional } = totals;
    format!("\"trades\": {trades}, \"volume\": {volume}, \"notional\": {notional}")
}
