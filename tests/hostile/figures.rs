//! The cost of connections of each kind, as the table of `docs/limits.md`:
//!
//!     TIDEGATE_HOSTILE_CONNECTIONS=8000 cargo test --release --test hostile figures -- --nocapture
//!
//! An eighth of them of the kinds that send much. Without the variable a few connections of each
//! kind are measured, which shows that the table can still be made.

use crate::common::s3_server::S3Server;
use crate::harness::{Crowd, MIB, Setup, Watch, raise_open_files_limit};
use crate::kinds::{KINDS, Kind, setup};

/// Enough that nothing is refused of a few connections; with many, the budget shows.
const BUDGET: u64 = 1024 * MIB;

/// Connections of a kind that is measured by a few: those that hold much take long to fill.
const FEW: [usize; 2] = [200, 8];

/// An upload of three parts, all of which wait for the store.
const PARTS: Kind = Kind { name: "framed: upload of 100 MiB to S3", bytes: multipart, count: 100 };

#[test]
fn figures_of_every_kind_of_connection() {
    println!("| connections | each | in all | of the budget | refused |\n|---|---|---|---|---|");
    for kind in &KINDS {
        measure(kind, setup(), || {});
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = runtime.block_on(S3Server::start());
    measure(&PARTS, setup().bucket(&store), || store.hold(Some("partNumber")));
}

/// Measures a kind; `begin` is done once the server has warmed up.
fn measure(kind: &Kind, setup: Setup, begin: impl FnOnce()) {
    let wanted: Option<usize> = std::env::var("TIDEGATE_HOSTILE_CONNECTIONS").ok().map(|count| count.parse().unwrap());
    let sends_much = kind.count <= 500;
    let count: usize = match wanted {
        Some(count) if sends_much => count / 8,
        Some(count) => count,
        None => FEW[usize::from(sends_much)],
    };
    assert!(raise_open_files_limit() > count as u64 + 200, "{count} connections need as many descriptors");
    let victim = setup.budget(BUDGET).start();
    let watch = Watch::over(&victim);
    begin();
    let attack = Crowd::all_send(&victim, count, (kind.bytes)());
    attack.has_connected(count);
    watch.settles();
    let more = watch.peak().saturating_sub(watch.memory);
    let [counted, refused] = ["tidegate_memory_bytes", "tidegate_memory_refused_total"].map(|name| victim.metric(name, &[]));
    println!(
        "| {count} × {} | {:.1} KiB | {} MiB | {:.0} MiB | {refused} |",
        kind.name,
        kibibytes(more) / kibibytes(1024 * count as u64),
        more / MIB,
        counted / kibibytes(1024 * MIB)
    );
    assert!(victim.is_alive(), "{}", victim.log());
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
fn kibibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}

fn multipart() -> Vec<u8> {
    let mut bytes = b"{\"op\":\"put\",\"name\":\"parts.bin\",\"size\":104857600}\n".to_vec();
    bytes.resize(bytes.len() + (40 << 20), b'x');
    bytes
}
