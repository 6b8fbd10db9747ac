//! Versions of one name: gaps between them, what only looks like one, and requests that may still come to something.

use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions};

use super::faulty::{Fault, Op};
use super::{Bench, LARGE, SMALL, spec};
use crate::error::ErrorKind;
use crate::sink::{Sink as _, Staged};
use crate::upload::{Digest, Ending, OnConflict, Receipt};

/// Each is as large as the other, so that only looking tells them apart.
const OTHERS: [&[u8]; 2] = [b"xyz", b"01234567890123456789012345"];

impl Bench {
    /// A larger upload, which is bound to the first version that is free.
    async fn begin_larger(&self) -> Box<dyn Staged> {
        let mut larger = self.sink.stage(spec(OnConflict::Version)).await.unwrap();
        larger.write(OTHERS[1].into()).await.unwrap();
        larger
    }

    /// Puts something there by another way.
    async fn plant(&self, path: &str, bytes: &'static [u8]) {
        self.store.inner().put(&Path::parse(path).unwrap(), bytes.into()).await.unwrap();
    }

    async fn send_version(&self, bytes: &[u8]) -> Receipt {
        self.send(&spec(OnConflict::Version), bytes).await.unwrap()
    }

    fn files(&self) -> Vec<String> {
        self.store.paths().into_iter().filter(|path| !path.contains(".tidegate/")).collect()
    }
}

#[tokio::test]
async fn the_same_content_is_found_behind_a_gap_of_any_width() {
    for bytes in [SMALL, LARGE] {
        for stands in [0, 1] {
            for width in 0..5 {
                let bench = Bench::new();
                if stands == 1 {
                    bench.plant("in/a.bin", OTHERS[0]).await;
                }
                let mut passed = Vec::new();
                for _ in 0..width {
                    passed.push(bench.begin_larger().await);
                }
                let first = bench.send_version(bytes).await;
                for larger in passed {
                    larger.abort().await.unwrap();
                }
                let again = bench.send_version(bytes).await;
                assert_eq!(again, Receipt { duplicate: true, ..first }, "{width} passed over");
                assert_eq!(bench.files().len(), stands + 1);
            }
        }
    }
}

#[tokio::test]
async fn a_gap_is_filled_by_other_content() {
    for (bytes, other) in [(SMALL, OTHERS[0]), (LARGE, OTHERS[1])] {
        let bench = Bench::new();
        let passed = [bench.begin_larger().await, bench.begin_larger().await, bench.begin_larger().await];
        assert_eq!(bench.send_version(bytes).await.key.as_str(), "a~4.bin");
        for larger in passed {
            larger.abort().await.unwrap();
        }
        assert_eq!(bench.send_version(other).await.key.as_str(), "a.bin");
        assert_eq!(bench.files(), ["in/a.bin", "in/a~4.bin"]);
    }
}

#[tokio::test]
async fn what_only_looks_like_a_version_is_none() {
    let bench = Bench::new();
    for path in ["a~1.bin", "a~02.bin", "a~+2.bin", "a~2.txt", "a~2", "a~10000.bin", "a~2~2.bin", "a~2.bin/b", "b/a~2.bin"] {
        bench.plant(&format!("in/{path}"), SMALL).await;
    }
    bench.plant("a~2.bin", SMALL).await;
    bench.plant("in/a.bin", OTHERS[0]).await;
    let first = bench.send_version(SMALL).await;
    assert_eq!((first.key.as_str(), first.duplicate), ("a~2.bin", false));
}

#[tokio::test]
async fn a_free_name_that_no_version_fits_beside_is_taken() {
    let bench = Bench::new();
    // As long as S3 allows below the prefix; a last component of one character can't be cut.
    let key = [255, 255, 255, 251, 1].map(|bytes| "x".repeat(bytes)).join("/").parse().unwrap();
    let spec = crate::upload::UploadSpec { key, ..spec(OnConflict::Version) };
    assert_eq!(bench.send(&spec, SMALL).await.unwrap().key, spec.key);
    let error = bench.send(&spec, OTHERS[0]).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::BadName), "{error}");
    assert!(bench.send(&spec, SMALL).await.unwrap().duplicate);
}

#[tokio::test]
async fn neither_neighbours_nor_versions_of_other_sizes_cost_a_request() {
    for stand in [0, 1, 2, 9] {
        let bench = Bench::new();
        for number in 0..100 {
            bench.plant(&format!("in/a{number}.bin"), SMALL).await;
            bench.plant(&format!("in/a~2/{number}.bin"), SMALL).await;
        }
        for number in 1..=stand {
            let name = if number == 1 { "in/a.bin".to_owned() } else { format!("in/a~{number}.bin") };
            bench.plant(&name, b"of another size").await;
        }
        let before = bench.store.requests();
        let first = bench.send_version(SMALL).await;
        assert!(!first.duplicate);
        assert_eq!(bench.store.requests() - before, 3, "a look, a list and a put, where {stand} stand");
    }
}

#[tokio::test]
async fn more_versions_than_one_page_lists_are_all_seen() {
    let bench = Bench::new();
    bench.plant("in/a.bin", b"of another size").await;
    for number in 2..=35 {
        bench.plant(&format!("in/a~{number}.bin"), b"of another size").await;
    }
    let first = bench.send_version(SMALL).await;
    assert_eq!(first.key.as_str(), "a~36.bin");
    assert_eq!(bench.send_version(SMALL).await, Receipt { duplicate: true, ..first });
}

#[tokio::test]
async fn what_may_still_be_stored_at_one_version_is_stored_at_no_other() {
    let bench = Bench::new();
    bench.store.after(0, Op::Put, Fault::TimedOut);
    // The look that shall settle it.
    bench.store.after(1, Op::Head, Fault::Stuck);
    let small = bench.sink.stage(spec(OnConflict::Version)).await.unwrap();
    let mut small = Box::into_pin(Box::new(async move {
        let mut small = small;
        small.write(SMALL.into()).await?;
        small.commit(Ending::default()).await
    }));
    while bench.store.stuck() == 0 {
        assert!(futures::FutureExt::now_or_never(&mut small).is_none());
        tokio::task::yield_now().await;
    }
    // Meanwhile a larger file is bound to the very place.
    let larger = bench.begin_larger().await;
    bench.store.heal();
    let receipt = small.await.unwrap();
    // Now the store comes to the first request.
    let late = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    let late = bench.store.inner().put_opts(&Path::parse("in/a.bin").unwrap(), SMALL.into(), late).await;
    assert!(late.is_err(), "it is stored twice: {:?}", bench.files());
    assert_eq!((receipt.key.as_str(), receipt.duplicate), ("a.bin", false));
    assert_eq!(larger.commit(Ending::default()).await.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(bench.files(), ["in/a.bin"]);
}

#[tokio::test]
async fn what_may_still_be_stored_is_unknown_whatever_is_answered_later() {
    for on_conflict in [OnConflict::Reject, OnConflict::Version, OnConflict::Overwrite] {
        let bench = Bench::new();
        bench.store.after(0, Op::Put, Fault::TimedOut);
        bench.store.after(0, Op::Put, Fault::Refused);
        let error = bench.send(&spec(on_conflict), SMALL).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown, "{on_conflict:?}: {error}");
        bench.assert_nothing_stays();
    }
}

#[tokio::test]
async fn who_was_overtaken_where_a_request_may_still_come_goes_nowhere_else() {
    for (on_conflict, expected) in [(OnConflict::Version, ErrorKind::Unknown), (OnConflict::Reject, ErrorKind::Conflict)] {
        let bench = Bench::new();
        bench.store.after(0, Op::Put, Fault::TimedOut);
        bench.store.after(0, Op::Put, Fault::Stuck);
        let mut staged = bench.sink.stage(spec(on_conflict)).await.unwrap();
        staged.write(SMALL.into()).await.unwrap();
        let commit = tokio::spawn(staged.commit(Ending::default()));
        while bench.store.stuck() == 0 {
            tokio::task::yield_now().await;
        }
        bench.plant("in/a.bin", OTHERS[0]).await;
        bench.store.heal();
        assert_eq!(commit.await.unwrap().unwrap_err().kind(), expected);
        assert_eq!(bench.files(), ["in/a.bin"]);
    }
}

/// More than a page lists, and more than are looked at one by one.
const SOME: u32 = 40;
const MANY: u32 = 150;

/// All of one size, so that only their content tells them apart.
fn text(number: u32) -> Vec<u8> {
    format!("{number:05}").into_bytes()
}

fn name_of(number: u32) -> String {
    if number == 1 { "a.bin".to_owned() } else { format!("a~{number}.bin") }
}

impl Bench {
    async fn with_versions(count: u32) -> Self {
        let bench = Self::new();
        for number in 1..=count {
            assert_eq!(bench.send_version(&text(number)).await.key.as_str(), name_of(number));
        }
        bench
    }

    /// Requests for one more version.
    async fn cost(&self, number: u32) -> usize {
        let before = self.store.requests();
        let receipt = self.send_version(&text(number)).await;
        assert_eq!((receipt.key.as_str(), receipt.duplicate), (&*name_of(number), false));
        self.store.requests() - before
    }

    /// The same store at a server that has just started.
    fn restarted(self) -> Self {
        let sink = self.another();
        Self { sink, ..self }
    }
}

#[tokio::test]
async fn the_next_version_costs_the_same_however_many_there_are() {
    let bench = Bench::with_versions(SOME).await;
    assert_eq!(bench.cost(SOME + 1).await, 2, "a look at the name, and a put");
    for number in SOME + 2..=MANY {
        bench.send_version(&text(number)).await;
    }
    assert_eq!(bench.cost(MANY + 1).await, 2);
    let bench = bench.restarted();
    let after_restart = bench.cost(MANY + 2).await;
    assert!(after_restart <= 2 + MANY as usize + MANY as usize / 10 + 1, "each is looked at once: {after_restart}");
    assert_eq!(bench.cost(MANY + 3).await, 2);
}

#[tokio::test]
async fn few_versions_of_the_same_size_are_looked_at_once() {
    let bench = Bench::with_versions(9).await.restarted();
    bench.cost(10).await;
    assert_eq!(bench.cost(11).await, 3, "a look, a list and a put");
}

#[tokio::test]
async fn a_place_for_a_larger_file_costs_the_same_however_many_versions_there_are() {
    let mut costs = Vec::new();
    for count in [SOME, MANY] {
        let bench = Bench::with_versions(count).await;
        let before = bench.store.requests();
        let larger = bench.begin_larger().await;
        costs.push(bench.store.requests() - before);
        let receipt = larger.commit(Ending::default()).await.unwrap();
        assert_eq!(receipt.key.as_str(), name_of(count + 1));
        assert_eq!(bench.send_version(b"other").await.key.as_str(), name_of(count + 2));
    }
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn the_same_content_is_found_among_many_versions() {
    let bench = Bench::with_versions(MANY).await;
    for bench in [Bench { sink: bench.another(), store: bench.store.clone() }, bench] {
        for number in [1, 2, SOME, MANY] {
            let again = bench.send_version(&text(number)).await;
            assert_eq!((again.key.as_str(), again.duplicate), (&*name_of(number), true));
        }
    }
}

/// Two servers over one bucket: neither knows of the other's commits.
#[tokio::test]
async fn what_another_server_has_put_among_many_versions_is_found() {
    for more in [1, 2, 30] {
        let one = Bench::with_versions(SOME).await;
        let other = Bench { sink: one.another(), store: one.store.clone() };
        for number in SOME + 1..=SOME + more {
            other.send_version(&text(number)).await;
        }
        let again = one.send_version(&text(SOME + more)).await;
        assert_eq!((again.key.as_str(), again.duplicate), (&*name_of(SOME + more), true));
        assert_eq!(one.send_version(b"other").await.key.as_str(), name_of(SOME + more + 1));
        assert_eq!(other.send_version(b"third").await.key.as_str(), name_of(SOME + more + 2));
    }
}

#[tokio::test]
async fn an_object_that_was_replaced_is_looked_at_again() {
    let bench = Bench::with_versions(5).await.restarted();
    bench.cost(6).await;
    bench.plant("in/a~3.bin", b"fresh").await;
    let again = bench.send_version(b"fresh").await;
    assert_eq!((again.key.as_str(), again.duplicate), ("a~3.bin", true));
    assert_eq!(bench.send_version(&text(3)).await.key.as_str(), "a~7.bin");
}

#[tokio::test]
async fn an_object_that_came_by_another_way_is_read_once() {
    let bench = Bench::new();
    bench.plant("in/a.bin", b"foreign").await;
    let cost = async || {
        let before = bench.store.requests();
        let receipt = bench.sink.stat(&"a.bin".parse().unwrap()).await.unwrap().unwrap();
        (receipt.digest, bench.store.requests() - before)
    };
    assert_eq!(cost().await, (Digest::of(b"foreign"), 2));
    assert_eq!(cost().await, (Digest::of(b"foreign"), 1));
    bench.plant("in/a.bin", b"changed").await;
    assert_eq!(cost().await, (Digest::of(b"changed"), 2));
}
