//! Work: what a few senders can keep the processor busy with.

use crate::bombs::{csv_gz, expression_schema, wrong_leaf};
use crate::harness::{Attacker, Crowd, GoodSender, MIB, Setup, Watch};

/// The rows that each connection sends: 0.6 GB. A debug build reads a hundredth as much in the same
/// time, and what was sent before the attack ends is read to its end.
const BOMB_BYTES: usize = if cfg!(debug_assertions) { 12_000 } else { 1_000_000 };

#[test]
fn compressed_tables_on_32_connections_leave_time_for_small_files() {
    let victim = Setup::new().start();
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let bomb = csv_gz(BOMB_BYTES);
    let mut bytes = format!("bomb.csv.gz {}\n", bomb.len()).into_bytes();
    bytes.extend(bomb);
    let attack = Crowd::all_send(&victim, 32, bytes);
    good.commits(10);
    for _ in 0..5 {
        victim.answers_health();
        good.commits(20);
    }
    drop(attack);
    good.assert_unharmed();
    watch.assert_back();
}

#[test]
fn a_document_of_495_bytes_costs_neither_memory_nor_time() {
    for combinator in ["oneOf", "anyOf", "allOf"] {
        let schema = expression_schema(combinator);
        let rule = "[[rules]]\nmatch = '*.json'\nformat = 'json'\nschema = 'DIR/expression.json'\nmax_errors = 100\n";
        let victim = Setup::new().file("expression.json", schema).config(rule).start();
        let watch = Watch::over(&victim);
        let good = GoodSender::beside(&victim);
        for depth in [12, 16, 22] {
            let document = wrong_leaf(depth);
            let mut attacker = Attacker::connect(&victim);
            attacker.send(format!("deep-{depth}.json {}\n", document.len()).as_bytes());
            attacker.send(&document);
            good.commits(10);
            let answer = attacker.rest();
            assert!(answer.starts_with("ERR invalid "), "{combinator} at depth {depth}: {answer:?}\n{}", victim.log());
        }
        let refused = victim.ended("invalid");
        assert_eq!((refused.ledger, refused.metric), (3, 3));
        good.assert_unharmed();
        watch.assert_peak_below(watch.memory + 64 * MIB);
        watch.assert_back();
    }
}

#[test]
fn lines_that_are_all_wrong_are_counted_in_one_pass() {
    let rule = "[[rules]]\nmatch = '*.ndjson'\nformat = 'ndjson'\nmax_errors = 1000000\n";
    let victim = Setup::new().config(rule).start();
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let lines = "x\n".repeat(150_000);
    let attackers: Vec<_> = (0..8)
        .map(|number| {
            let mut attacker = Attacker::connect(&victim);
            attacker.send(format!("wrong-{number}.ndjson {}\n{lines}", lines.len()).as_bytes());
            attacker
        })
        .collect();
    good.commits(10);
    for attacker in attackers {
        let answer = attacker.rest();
        assert!(answer.starts_with("ERR invalid ") && answer.contains("149999 more errors"), "{answer:?}\n{}", victim.log());
    }
    good.assert_unharmed();
    watch.assert_back();
}
