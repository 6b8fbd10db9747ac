//! Random hostile conversations, and random schemas with documents, against a server in little
//! memory: it does not end, no good sender waits, and every OK is true.
//!
//! Ten seconds, or `TIDEGATE_HOSTILE_SECONDS`; `TIDEGATE_SEED` repeats what is said and in which
//! order each attacker says it. How the attackers mix is up to the machine.

mod bodies;
mod conversation;
mod schemas;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use self::conversation::Conversation;
use crate::common::chance::Chance;
use crate::harness::{GoodSender, MIB, Setup, Victim, Watch};

/// All that the process may have in memory.
const MEMORY: u64 = 512 * MIB;
/// The budget of the server: a quarter, as it does by default.
const BUDGET: u64 = MEMORY / 4;
const ATTACKERS: usize = 6;
/// A server lasts so long; then new schemas begin.
const ROUND: Duration = Duration::from_secs(10);
const SCHEMAS: usize = 8;

#[test]
fn random_senders_harm_nobody() {
    let variable = |name| std::env::var(name).ok().map(|value: String| value.parse::<u64>().unwrap());
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let seed = variable("TIDEGATE_SEED").unwrap_or_else(clock);
    let end = Instant::now() + Duration::from_secs(variable("TIDEGATE_HOSTILE_SECONDS").unwrap_or(10));
    let mut round = 0;
    while round == 0 || Instant::now() < end {
        eprintln!("TIDEGATE_SEED={} is round {round} of this run", seed + round);
        run(seed + round, ROUND.min(end.saturating_duration_since(Instant::now())));
        round += 1;
    }
}

fn run(seed: u64, time: Duration) {
    let mut chance = Chance::new(seed);
    let victim = victim(&mut chance);
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let (stop, said, oks) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = std::thread::scope(|scope| {
        let attackers: Vec<_> = (0..ATTACKERS)
            .map(|number| {
                let (victim, chance, stop, said, oks) = (&victim, chance.fork(), &stop, &said, &oks);
                scope.spawn(move || attack(victim, number, chance, stop, said, oks))
            })
            .collect();
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
        attackers.into_iter().find_map(|attacker| attacker.join().unwrap())
    });
    assert_eq!(wrong, None, "seed {seed}");
    assert!(victim.is_alive(), "seed {seed}: the server has ended:\n{}", victim.log());
    good.commits(5);
    good.assert_unharmed();
    eprintln!("{} conversations, {} receipts", said.load(Ordering::Relaxed), oks.load(Ordering::Relaxed));
    watch.assert_peak_below(MEMORY);
    watch.assert_back();
}

fn victim(chance: &mut Chance) -> Victim {
    let mut setup = Setup::new()
        .budget(BUDGET)
        .set("limits.idle_timeout", "10s")
        .set("limits.header_timeout", "3s")
        .file("table.json", crate::kinds::TABLE)
        .config(crate::kinds::RULES_OF_FORMATS);
    for number in 0..SCHEMAS {
        let rule = format!(
            "[[rules]]\nmatch = '*.s{number}.json'\nformat = 'json'\nschema = 'DIR/s{number}.json'\nmax_errors = {}\n\
             [[rules]]\nmatch = '*.s{number}.ndjson'\nformat = 'ndjson'\nschema = 'DIR/s{number}.json'\nmax_errors = 1000\n",
            1 + 999 * chance.below(2)
        );
        setup = setup.file(&format!("s{number}.json"), schemas::schema(chance).to_string()).config(&rule);
    }
    setup.start()
}

/// Talks until it is stopped; what was wrong with an answer.
fn attack(
    victim: &Victim,
    attacker: usize,
    mut chance: Chance,
    stop: &AtomicBool,
    said: &AtomicUsize,
    oks: &AtomicUsize,
) -> Option<String> {
    // Some connections are held for a while.
    let mut held = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) || !victim.is_alive() {
            break;
        }
        let conversation = Conversation::draw(&mut chance, &format!("a{attacker}/{number}"));
        let (socket, answers) = conversation.hold(victim, &mut chance);
        said.fetch_add(1, Ordering::Relaxed);
        match conversation.check(&answers, &victim.stored_in) {
            Ok(receipts) => oks.fetch_add(receipts, Ordering::Relaxed),
            Err(wrong) => return Some(format!("attacker {attacker}, conversation {number}: {wrong}")),
        };
        held.extend(socket);
        if held.len() > 20 {
            held.remove(chance.below(held.len()));
        }
    }
    None
}

/// The bytes that a receipt is about.
fn stored(folder: &Path, key: &str) -> Result<Vec<u8>, String> {
    std::fs::read(folder.join(key)).map_err(|error| format!("{key:?} has a receipt, and can't be read: {error}"))
}
