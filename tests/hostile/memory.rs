//! Memory: what connections can hold of it, and that all of them together hold no more than the
//! budget.

use std::time::Duration;

use crate::bombs;
use crate::common::left_out;
use crate::common::s3_server::S3Server;
use crate::common::serve::until;
use crate::harness::{Attacker, Crowd, GoodSender, MIB, Victim, Watch, raise_open_files_limit};
use crate::kinds::{KINDS, Kind, setup};

const BUDGET: u64 = 256 * MIB;
/// The deadline for an answer: several times as long as a lease waits.
const MAX_ANSWER: Duration = Duration::from_mins(1);
/// The memory that the process may have on top of its budget.
const BESIDE: u64 = 64 * MIB;

/// The refusals that a crowd of a kind hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// Nothing: the budget is enough for all of them.
    None,
    /// `busy`, to some of the uploads.
    Uploads,
    /// `busy`, to some of the connections, before an upload began.
    Connections,
}

/// Connections of a kind hold what the budget has, and no more.
fn holds_the_budget(name: &str, refused: Refused) {
    let kind = kind(name);
    if raise_open_files_limit() < kind.count as u64 + 200 {
        return left_out(&format!("{name}: {} connections (too few descriptors)", kind.count));
    }
    let victim = setup().budget(BUDGET).start();
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let attack = Crowd::all_send(&victim, kind.count, (kind.bytes)());
    attack.has_connected(kind.count);
    good.commits(20);
    watch.settles();
    good.commits(20);
    eprintln!("{name}: {} connections", kind.count);
    watch.assert_peak_below(BUDGET + BESIDE);
    assert_refused(&victim, refused);
    drop(attack);
    good.assert_unharmed();
    watch.assert_peak_below(BUDGET + BESIDE);
    watch.assert_back();
}

fn kind(name: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.name == name).unwrap()
}

fn assert_refused(victim: &Victim, refused: Refused) {
    match refused {
        Refused::None => return,
        Refused::Uploads => victim.refuses("busy"),
        Refused::Connections => victim.refuses_connections("busy"),
    }
    let counted = victim.metric("tidegate_memory_bytes", &[]);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let budget = BUDGET as f64;
    assert!(counted > 0.0 && counted <= budget, "{counted} bytes are counted");
}

#[test]
fn windows_of_zstd_are_within_the_budget() {
    holds_the_budget("zstd: table, window of 8 MiB", Refused::Uploads);
}

#[test]
fn a_long_name_that_a_json_validator_keeps_is_within_the_budget() {
    holds_the_budget("gzip: i-json, long name", Refused::Uploads);
}

#[test]
fn many_names_that_a_json_validator_keeps_are_within_the_budget() {
    holds_the_budget("gzip: i-json, many names", Refused::Uploads);
}

#[test]
fn a_long_cell_that_a_table_validator_keeps_is_within_the_budget() {
    holds_the_budget("gzip: table schema, long cell", Refused::Uploads);
}

#[test]
fn half_sent_headers_are_within_the_budget() {
    holds_the_budget("plain: half a header", Refused::None);
}

#[test]
fn half_sent_control_lines_are_within_the_budget() {
    holds_the_budget("framed: half a control line of 60 KB", Refused::Connections);
}

#[test]
fn undecided_bytes_are_within_the_budget() {
    holds_the_budget("plain: 60 KB of undecided bytes", Refused::Uploads);
}

#[test]
fn small_files_that_are_held_back_are_within_the_budget() {
    holds_the_budget("plain: small file, held", Refused::None);
}

#[test]
fn small_tables_that_are_held_back_are_within_the_budget() {
    holds_the_budget("plain: small table, held", Refused::None);
}

#[test]
fn small_chunked_files_that_are_held_back_are_within_the_budget() {
    holds_the_budget("framed: small file, held", Refused::None);
}

#[test]
fn answers_that_are_not_read_are_within_the_budget() {
    holds_the_budget("framed: refusals that are not read", Refused::None);
}

#[test]
fn running_uploads_are_within_the_budget() {
    holds_the_budget("plain: upload running", Refused::None);
}

#[test]
fn gzip_decompressors_are_within_the_budget() {
    holds_the_budget("gzip: table", Refused::None);
}

/// Uploads that hold all the memory, and send nothing more, end for one that needs it.
#[test]
fn slow_uploads_give_their_memory_to_other_senders() {
    let victim = setup().budget(64 * MIB).start();
    let attack = Crowd::all_send(&victim, 20, (kind("zstd: table, window of 8 MiB").bytes)());
    attack.has_sent(20);
    victim.refuses("busy");
    let in_flight = || victim.metric("tidegate_uploads_in_flight", &[]);
    until("two uploads that hold the memory", || (1.0..=2.0).contains(&in_flight()));
    let body = bombs::whole_csv_zst();
    for number in 0..5 {
        let mut sender = Attacker::connect_from(&victim, "127.0.0.8");
        sender.waits(MAX_ANSWER);
        sender.send(format!("large/{number}.csv.zst {}\n", body.len()).as_bytes());
        sender.send(&body);
        let answer = sender.line().unwrap_or_default();
        assert!(answer.starts_with(&format!("OK large/{number}.csv.zst ")), "{answer}");
    }
    victim.refuses("too_slow");
    drop(attack);
}

/// The bytes that one connection sends: files that fit in a part, and so are each in memory until
/// the store has them.
fn files_for_a_store() -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..17 {
        let size = 79 * MIB / 10;
        bytes.extend(format!("{{\"op\":\"put\",\"name\":\"slow/{number}.bin\",\"size\":{size}}}\n").into_bytes());
        bytes.resize(bytes.len() + usize::try_from(size).unwrap(), b'x');
    }
    bytes
}

#[test]
fn parts_for_a_slow_store_are_within_the_budget() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(S3Server::start());
    store.hold(Some("/slow/"));
    let victim = setup().bucket(&store).budget(BUDGET).start();
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let attack = Crowd::all_send(&victim, 20, files_for_a_store());
    attack.has_connected(20);
    good.commits(20);
    watch.settles();
    good.commits(20);
    watch.assert_peak_below(BUDGET + BESIDE);
    assert_refused(&victim, Refused::Uploads);
    drop(attack);
    store.hold(None);
    good.assert_unharmed();
    watch.assert_peak_below(BUDGET + BESIDE);
    watch.assert_back();
}
