//! Uploads that are cut off in the middle of a write: the validator has read what the store may not have.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt as _;

use super::Validated;
use crate::budget::{Budget, OutOfMemory, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::report::{Format, Report, Verdict};
use crate::sink::memory::Memory;
use crate::sink::{Held, Probe, QuarantineId, Quarantined, Sink, Staged, Swept};
use crate::upload::{Ending, Key, Note, Receipt, UploadId, UploadSpec, WhenCut};
use crate::validate::Limits;
use crate::validate::rules::{Rulebook, Rules};

const BODY: &[u8] = b"x,y\n1,2\n3,4\n";

/// What becomes of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It never ends, and takes nothing.
    StuckBefore,
    /// It never ends, and has taken all of it.
    StuckBehind,
    Fails,
    /// It fails, and so does the one after.
    FailsTwice,
}

/// A memory whose next writes are in trouble.
#[derive(Debug, Default)]
struct Troubled {
    inner: Memory,
    next: Arc<Mutex<Vec<Trouble>>>,
}

#[derive(Debug)]
struct TroubledStaged {
    inner: Box<dyn Staged>,
    next: Arc<Mutex<Vec<Trouble>>>,
}

impl Troubled {
    fn staged(&self, inner: Box<dyn Staged>) -> Box<dyn Staged> {
        Box::new(TroubledStaged { inner, next: Arc::clone(&self.next) })
    }
}

#[async_trait]
impl Sink for Troubled {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        Ok(self.staged(self.inner.stage(spec).await?))
    }

    async fn resume(&self, spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        Ok(self.inner.resume(spec).await?.map(|staged| self.staged(staged)))
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        self.inner.stat(key).await
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        self.inner.committed(id, key).await
    }

    async fn sweep(&self, ttl: Duration) -> Result<Swept> {
        self.inner.sweep(ttl).await
    }

    async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        self.inner.quarantined().await
    }

    async fn quarantined_bytes(&self, id: &QuarantineId) -> Result<Option<Held>> {
        self.inner.quarantined_bytes(id).await
    }

    async fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        self.inner.drop_quarantined(id).await
    }

    async fn probe(&self) -> Result<Probe> {
        self.inner.probe().await
    }
}

#[async_trait]
impl Staged for TroubledStaged {
    fn spec(&self) -> &UploadSpec {
        self.inner.spec()
    }

    fn offset(&self) -> u64 {
        self.inner.offset()
    }

    fn note(&self) -> &Note {
        self.inner.note()
    }

    fn until_checkpoint(&self) -> u64 {
        self.inner.until_checkpoint()
    }

    async fn checkpoint(&mut self, note: Note) -> Result<()> {
        self.inner.checkpoint(note).await
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let trouble = self.next.lock().unwrap().pop();
        match trouble {
            None => self.inner.write(chunk).await,
            Some(Trouble::StuckBefore) => std::future::pending().await,
            Some(Trouble::StuckBehind) => {
                self.inner.write(chunk).await?;
                std::future::pending().await
            }
            Some(Trouble::Fails | Trouble::FailsTwice) => Err(Error::new(ErrorKind::Store, "writing it")),
        }
    }

    async fn suspend(self: Box<Self>, note: Note) -> Result<u64> {
        self.inner.suspend(note).await
    }

    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt> {
        self.inner.commit(ending).await
    }

    async fn quarantine(self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined> {
        self.inner.quarantine(report, ending).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.inner.abort().await
    }
}

/// Cut off where a write of the bytes from `at` to `end` was in trouble: how many bytes are kept, and the sink.
async fn cut(spec: &UploadSpec, trouble: Trouble, at: usize, end: usize) -> (u64, Validated, Memory) {
    let troubled = Troubled::default();
    let (next, store) = (Arc::clone(&troubled.next), troubled.inner.clone());
    let rules = Arc::new(Rulebook::new(Rules::none(Limits::default())));
    let sink = Validated::new(Arc::new(troubled), rules, Arc::new(Metrics::new()));
    let mut staged = sink.stage(spec.clone()).await.unwrap();
    staged.write(BODY[..at].into()).await.unwrap();
    let writes = if trouble == Trouble::FailsTwice { 2 } else { 1 };
    *next.lock().unwrap() = vec![trouble; writes];
    let written = staged.write(BODY[at..end].into()).now_or_never();
    assert!(!matches!(written, Some(Ok(()))), "{trouble:?}");
    (staged.suspend(Note::default()).await.unwrap(), sink, store)
}

#[tokio::test]
async fn cut_inside_a_write_all_that_the_validator_has_read_is_kept_once() {
    let spec = UploadSpec::new("u".parse().unwrap(), "a.csv".parse().unwrap());
    let spec = UploadSpec { when_cut: WhenCut::Keep, ..spec };
    for trouble in [Trouble::StuckBefore, Trouble::StuckBehind, Trouble::Fails] {
        for (at, end) in [(1, 2), (5, 9), (8, 12)] {
            let (kept, sink, store) = cut(&spec, trouble, at, end).await;
            assert_eq!(kept, end as u64, "{trouble:?} from {at} to {end}");
            let mut staged = sink.resume(spec.clone()).await.unwrap().unwrap();
            assert_eq!(staged.offset(), end as u64, "{trouble:?} from {at} to {end}");
            staged.write(BODY[end..].into()).await.unwrap();
            let receipt = staged.commit(Ending::default()).await.unwrap();
            assert_eq!(receipt.verdict, Some(Verdict { format: Format::Csv, records: 2, errors: 0 }));
            assert_eq!(store.read(&spec.key).as_deref(), Some(BODY));
        }
    }
}

#[tokio::test]
async fn what_a_store_does_not_take_even_then_is_not_gone_on_with() {
    let spec = UploadSpec::new("u".parse().unwrap(), "a.csv".parse().unwrap());
    let spec = UploadSpec { when_cut: WhenCut::Keep, ..spec };
    let (_, sink, _) = cut(&spec, Trouble::FailsTwice, 5, 9).await;
    assert!(sink.resume(spec).await.unwrap().is_none(), "the validator is ahead of the bytes");
}

/// A table that is too large to be read where it arrives.
fn large_table() -> Vec<u8> {
    (0..500_000).flat_map(|row| format!("{row},x{row}\n").into_bytes()).collect()
}

fn sink_within(budget: &Arc<Budget>, store: &Memory) -> Validated {
    let rules = Arc::new(Rulebook::new(Rules::none(Limits::default())));
    Validated::within(Arc::clone(budget), Arc::new(store.clone()), rules, Arc::new(Metrics::new()))
}

#[tokio::test]
async fn cut_while_a_worker_reads_all_that_it_has_read_is_kept() {
    let spec = UploadSpec::new("u".parse().unwrap(), "a.csv".parse().unwrap());
    let spec = UploadSpec { when_cut: WhenCut::Keep, ..spec };
    let (table, store) = (large_table(), Memory::new());
    let sink = sink_within(&Budget::unlimited(), &store);
    let mut staged = sink.stage(spec.clone()).await.unwrap();
    staged.write(table[..100_000].to_vec().into()).await.unwrap();
    let cut = staged.write(table[100_000..6_000_000].to_vec().into()).now_or_never();
    assert!(cut.is_none(), "no worker is as fast as that");
    assert_eq!(staged.suspend(Note::default()).await.unwrap(), 6_000_000);
    let mut staged = sink.resume(spec.clone()).await.unwrap().unwrap();
    assert_eq!(staged.offset(), 6_000_000);
    staged.write(table[6_000_000..].to_vec().into()).await.unwrap();
    let receipt = staged.commit(Ending::default()).await.unwrap();
    assert_eq!(receipt.verdict.unwrap().records, 499_999);
    assert_eq!(store.read(&spec.key).as_deref(), Some(table.as_slice()));
}

#[tokio::test]
async fn a_validator_for_which_there_is_no_memory_is_refused_and_its_upload_kept() {
    let spec = |name: &str| UploadSpec::new(name.parse().unwrap(), name.parse().unwrap());
    let (budget, store) = (Arc::new(Budget::new(1 << 20, 0, &Metrics::new())), Memory::new());
    let sink = sink_within(&budget, &store);
    let (mut general, mut reserve) = (budget.lease(Use::Parts), budget.lease(Use::Validators));
    assert!(general.try_grow(1 << 20) && reserve.try_grow(128 << 10));
    // Behind gzip no file is so small that it could do without.
    let mut packed = sink.stage(spec("a.csv.gz")).await.unwrap();
    let refused = packed.write(Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Busy);
    assert!(refused.find::<OutOfMemory>().is_some(), "{refused}");
    packed.abort().await.unwrap();
    let mut small = sink.stage(spec("b.csv")).await.unwrap();
    small.write(BODY.into()).await.unwrap();
    small.commit(Ending::default()).await.unwrap();
    drop((general, reserve));
    let mut packed = sink.stage(spec("a.csv.gz")).await.unwrap();
    packed.write(Bytes::from_static(b"\x1f\x8b\x08\0\0\0\0\0\0\xff")).await.unwrap();
    packed.abort().await.unwrap();
}
