//! The harness itself: what it measures of a server that is not attacked.

use std::net::Shutdown;

use crate::common::serve::until;
use crate::harness::{Attacker, GoodSender, MIB, Setup, Watch};

#[test]
fn a_server_that_is_not_attacked_is_measured_as_unharmed() {
    let victim = Setup::new().set("limits.max_connections", 64).start();
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let mut attackers: Vec<_> = (0..8).map(|_| Attacker::connect(&victim)).collect();
    for attacker in &mut attackers {
        attacker.send(b"held.csv 5\n");
    }
    good.commits(20);
    assert!(victim.descriptors() >= watch.descriptors + attackers.len());
    for mut attacker in attackers {
        attacker.end();
        let answer = attacker.rest();
        assert!(answer.starts_with("ERR size_mismatch"), "{answer}");
    }
    good.assert_unharmed();
    watch.assert_peak_below(64 * MIB);
    watch.assert_back();
    let refused = victim.ended("size_mismatch");
    assert_eq!((refused.ledger, refused.metric), (8, 8), "{}", victim.log());
    victim.logs("size_mismatch");
    assert!(victim.is_alive());
}

#[test]
fn connections_come_from_any_address_of_this_machine() {
    let victim = Setup::new().start();
    let mut attacker = Attacker::connect_from(&victim, "127.0.0.7");
    attacker.send(b"a.txt 1\n1");
    attacker.shutdown(Shutdown::Write);
    assert!(attacker.rest().starts_with("OK a.txt 1 "));
    let is_theirs = |entry: &serde_json::Value| entry["peer"].as_str().unwrap().starts_with("127.0.0.7:");
    until("its line in the ledger", || victim.ledger().first().is_some_and(is_theirs));
}
