//! What senders do to a store in these tests, and the law that must hold whatever happens to them on the way.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::forgetful::Forgetful;
use super::random::Random;
use crate::error::{Error, ErrorKind, Result};
use crate::report::{Format, Report};
use crate::sink::fs::{Fs, Terms};
use crate::sink::{QuarantineId, Quarantined, Sink, Staged};
use crate::upload::{Digest, Ending, Note, OnConflict, Receipt, UploadSpec, WhenCut};
use crate::validate::{self, Limits};

/// Bytes between two checkpoints: small, so that small uploads have some.
const CHECKPOINT_BYTES: u64 = 500;
/// Bytes that are held back: some uploads have no more.
const HOLD_BYTES: usize = 350;

/// What one sender does.
pub(super) struct Step {
    spec: UploadSpec,
    bytes: Vec<u8>,
    /// Where the line is cut.
    cuts: Vec<usize>,
    start: Start,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// As plain senders do, who can't ask.
    Anew,
    /// As those who ask first, and go on.
    WhereItWas,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Committed under this key.
    Committed(&'static str),
    Refused(ErrorKind),
    GivenUp,
    Suspended,
    /// Not valid, and kept in quarantine.
    Quarantined,
}

impl Step {
    fn new(id: &str, key: &'static str, len: usize) -> Self {
        let spec = UploadSpec::new(id.parse().unwrap(), key.parse().unwrap());
        let seed = id.bytes().fold(len as u64, |seed, byte| seed * 257 + u64::from(byte));
        Self { spec, bytes: Random::bytes(seed, len), cuts: vec![], start: Start::WhereItWas, end: End::Committed(key) }
    }

    fn kept(self, cuts: &[usize]) -> Self {
        Self { spec: UploadSpec { when_cut: WhenCut::Keep, ..self.spec }, cuts: cuts.to_vec(), ..self }
    }

    fn conflicting(self, on_conflict: OnConflict, end: End) -> Self {
        Self { spec: UploadSpec { on_conflict, ..self.spec }, end, ..self }
    }

    fn bytes_of(self, other: &Self) -> Self {
        Self { bytes: other.bytes.clone(), ..self }
    }
}

/// Everything that a sender can do, with small files. The order matters: what is left behind meets what comes.
pub(super) fn steps() -> Arc<[Step]> {
    let first = || Step::new("first", "new/deep/a.bin", 300);
    let cut = || Step::new("cut", "c.bin", 1300);
    let sick = || Step::new("sick", "new/deep/g.bin", 900);
    let refused = |kind| End::Refused(kind);
    Arc::new([
        first(),
        Step::new("same", "new/deep/a.bin", 0).bytes_of(&first()),
        Step::new("kept", "kept/b.bin", 1800).kept(&[200, 1100]),
        Step::new("over", "new/deep/a.bin", 700).conflicting(OnConflict::Overwrite, End::Committed("new/deep/a.bin")),
        Step::new("other", "new/deep/a.bin", 400).conflicting(OnConflict::Version, End::Committed("new/deep/a~2.bin")),
        // Saved early, sent again from its beginning, and cut again.
        Step { end: End::Suspended, ..cut().kept(&[70]) },
        Step { start: Start::Anew, ..cut().kept(&[1200]) },
        Step { end: End::GivenUp, ..cut().kept(&[600]) },
        // The same id as that which was given up, for another file.
        Step { start: Start::Anew, end: End::Suspended, ..Step::new("cut", "kept/d.bin", 1000).kept(&[900]) },
        Step { start: Start::Anew, ..Step::new("cut", "kept/d.bin", 1000).kept(&[]) },
        Step::new("wrong", "kept/b.bin", 1100).kept(&[600]).conflicting(OnConflict::Reject, refused(ErrorKind::Conflict)),
        Step {
            spec: UploadSpec { digest: Some(Digest::of(b"else")), ..Step::new("broken", "e.bin", 600).spec },
            ..Step::new("broken", "e.bin", 600).conflicting(OnConflict::Reject, refused(ErrorKind::DigestMismatch))
        },
        Step { end: End::Quarantined, ..sick().kept(&[600]) },
        // The same once more, from another sender; then other bytes.
        Step { end: End::Quarantined, ..Step::new("again", "new/deep/g.bin", 0).bytes_of(&sick()) },
        Step { end: End::Quarantined, ..Step::new("worse", "new/deep/g.bin", 400) },
        Step { end: End::Suspended, ..Step::new("left", "f.bin", 800).kept(&[700]) },
    ])
}

/// A store, those who send to it, and what they were promised.
pub(super) struct Play {
    pub(super) disk: Forgetful,
    steps: Arc<[Step]>,
    done: usize,
    /// By key, what the last receipt was for.
    receipts: BTreeMap<String, Vec<u8>>,
    /// What was said to be in quarantine.
    quarantined: BTreeMap<QuarantineId, Vec<u8>>,
    /// What senders do who were interrupted.
    pub(super) retry: Start,
    /// From where the upload that is on its way can be resumed, as it was told.
    kept: Cell<u64>,
}

impl Play {
    pub(super) fn of(steps: &Arc<[Step]>, disk: Forgetful) -> Self {
        Self {
            disk,
            steps: Arc::clone(steps),
            done: 0,
            receipts: BTreeMap::new(),
            quarantined: BTreeMap::new(),
            retry: Start::WhereItWas,
            kept: Cell::new(0),
        }
    }

    pub(super) fn open(&self) -> Result<Fs<Forgetful>> {
        let terms = Terms { checkpoint_bytes: CHECKPOINT_BYTES, hold_bytes: HOLD_BYTES, ..Terms::of(0) };
        Fs::on(self.disk.clone(), PathBuf::from("/store"), terms)
    }

    /// Opens the store and goes on until something fails, or to the end, where what is left is swept up.
    pub(super) async fn go_on(&mut self) -> Result<()> {
        let sink = self.open()?;
        self.go_on_with(&sink).await
    }

    pub(super) async fn go_on_with(&mut self, sink: &Fs<Forgetful>) -> Result<()> {
        let mut start = self.retry;
        while self.done < self.steps.len() {
            self.step(sink, start).await?;
            start = self.steps.get(self.done).map_or(start, |step| step.start);
        }
        sink.sweep(Duration::ZERO).await?;
        Ok(())
    }

    /// Opens the store, and lets who was interrupted come to the end.
    pub(super) async fn finish_step(&mut self) -> Result<()> {
        let sink = self.open()?;
        if self.done < self.steps.len() { self.step(&sink, self.retry).await } else { Ok(()) }
    }

    async fn step(&mut self, sink: &Fs<Forgetful>, start: Start) -> Result<()> {
        let step = &self.steps[self.done];
        let receipt = self.act(sink, step, start).await?;
        if let (Some(receipt), End::Committed(key)) = (receipt, step.end) {
            assert_eq!((receipt.key.as_str(), receipt.digest), (key, Digest::of(&step.bytes)));
            self.receipts.insert(key.to_owned(), step.bytes.clone());
        }
        if step.end == End::Quarantined {
            let id = QuarantineId::of(&step.spec.key, &Digest::of(&step.bytes));
            self.quarantined.insert(id, step.bytes.clone());
        }
        self.kept.set(0);
        self.done += 1;
        Ok(())
    }

    async fn act(&self, sink: &Fs<Forgetful>, step: &Step, start: Start) -> Result<Option<Receipt>> {
        let Step { spec, bytes, cuts, end, .. } = step;
        let mut staged = match start {
            Start::Anew => {
                self.kept.set(0);
                sink.stage(spec.clone()).await?
            }
            Start::WhereItWas => match (sink.committed(&spec.id, &spec.key).await?, end) {
                (Some(receipt), End::Committed(_)) => return Ok(Some(receipt)),
                _ => self.resume(sink, step).await?,
            },
        };
        for cut in cuts {
            staged = self.send(staged, bytes, *cut).await?;
            let came = staged.offset();
            let kept = staged.suspend(note(came)).await?;
            if kept != came {
                return Err(Error::new(ErrorKind::Store, "it could not be suspended where it was"));
            }
            self.kept.set(kept);
            if *end == End::Suspended {
                return Ok(None);
            }
            staged = self.resume(sink, step).await?;
        }
        if *end == End::GivenUp {
            self.kept.set(0);
            staged.abort().await?;
            return Ok(None);
        }
        let staged = self.send(staged, bytes, bytes.len()).await?;
        let before = self.disk.files();
        self.kept.set(0);
        if *end == End::Quarantined {
            let kept = staged.quarantine(report(), Ending::default()).await?;
            assert_eq!((&kept.name, kept.digest), (&spec.key, Digest::of(bytes)));
            return Ok(None);
        }
        let committed = staged.commit(Ending { claim: Some(Digest::of(bytes)), verdict: None }).await;
        match (committed, end) {
            (Err(error), End::Refused(kind)) if error.kind() == *kind => Ok(None),
            (Err(error), _) => {
                if error.kind() != ErrorKind::Unknown && !self.disk.is_dead() {
                    assert_eq!(visible(self.disk.files()), visible(before), "nothing was committed: {error}");
                }
                Err(error)
            }
            (Ok(receipt), _) => Ok(Some(receipt)),
        }
    }

    /// As what is there of it says, or else from its beginning. What is there is what was sent.
    async fn resume(&self, sink: &Fs<Forgetful>, step: &Step) -> Result<Box<dyn Staged>> {
        let Some(staged) = sink.resume(step.spec.clone()).await? else {
            assert_eq!(self.kept.get(), 0, "{} is kept, as it was told", step.spec.id);
            return sink.stage(step.spec.clone()).await;
        };
        assert!(staged.offset() >= self.kept.get(), "{} is kept as far as it was told", step.spec.id);
        let offset = usize::try_from(staged.offset()).unwrap();
        assert_eq!(staged.note(), &note(staged.offset()));
        let there = &self.disk.files()[&format!(".tidegate/staging/{}", step.spec.id)];
        assert!(*there == step.bytes[..offset], "what {} goes on with is what was sent, to {offset}", step.spec.id);
        Ok(staged)
    }

    /// Sends to an offset as the pump does, and ends as it does where that fails.
    async fn send(&self, mut staged: Box<dyn Staged>, bytes: &[u8], to: usize) -> Result<Box<dyn Staged>> {
        loop {
            let offset = usize::try_from(staged.offset()).unwrap();
            let room = usize::try_from(staged.until_checkpoint()).unwrap();
            if offset >= to {
                return Ok(staged);
            }
            let len = room.min(to - offset).min(300);
            let mut sent = staged.write(bytes[offset..offset + len].to_vec().into()).await;
            if sent.is_ok() && len == room {
                sent = staged.checkpoint(note(staged.offset())).await;
            }
            if let Err(error) = sent {
                staged.suspend(Note::default()).await?;
                return Err(error);
            }
        }
    }

    /// Every receipt is honoured, and nothing partial is visible.
    pub(super) fn assert_law(&self) {
        let files = visible(self.disk.files());
        let on_its_way = self.steps.get(self.done);
        for (key, bytes) in &self.receipts {
            let replaced = on_its_way.filter(|step| step.end_key() == Some(key)).map(|step| &step.bytes);
            let there = files.get(key);
            assert!(there == Some(bytes) || (there.is_some() && there == replaced), "the receipt for {key} is honoured");
        }
        self.assert_quarantine();
        for (name, bytes) in &files {
            let whole = |step: &Step| step.end_key() == Some(name) && step.bytes == *bytes;
            assert!(self.steps.iter().any(whole), "{name} is whole");
        }
    }

    /// What is said to be in quarantine is there, and whatever is there, by bytes and report, is whole.
    fn assert_quarantine(&self) {
        let files = self.disk.files();
        let there = |id: &QuarantineId, what: &str| files.get(&format!(".tidegate/quarantine/{id}.{what}"));
        for (id, bytes) in &self.quarantined {
            assert!(there(id, "bytes") == Some(bytes) && there(id, "json").is_some(), "{id} is in quarantine");
        }
        for step in self.steps.iter().filter(|step| step.end == End::Quarantined) {
            let id = QuarantineId::of(&step.spec.key, &Digest::of(&step.bytes));
            if let (Some(bytes), Some(json)) = (there(&id, "bytes"), there(&id, "json")) {
                let told = Quarantined::decode(json).expect("a report is written before it has its name");
                assert!(*bytes == step.bytes && told.id == id && told.name == step.spec.key, "{id} is whole");
            }
        }
    }

    /// All that was to be committed is there, once, and nothing else.
    pub(super) fn assert_done(&self) {
        self.assert_law();
        let expected: BTreeMap<_, _> =
            self.steps.iter().filter_map(|step| Some((step.end_key()?.to_owned(), step.bytes.clone()))).collect();
        assert!(visible(self.disk.files()) == expected, "there is {:?}", self.disk.files().keys());
    }

    /// Nothing is left of what was on its way.
    pub(super) fn assert_clean(&self) {
        let all = self.disk.files();
        let kept = 2 * self.quarantined.len();
        assert_eq!(all.len(), visible(all.clone()).len() + kept, "{:?}", all.keys());
    }
}

impl Step {
    fn end_key(&self) -> Option<&str> {
        match self.end {
            End::Committed(key) => Some(key),
            End::Refused(_) | End::GivenUp | End::Suspended | End::Quarantined => None,
        }
    }
}

fn report() -> Report {
    let validator = validate::for_format(Format::Json, &Limits::default()).unwrap();
    *validator.finish().unwrap_err()
}

fn note(offset: u64) -> Note {
    Note(Some(offset.into()))
}

fn visible(mut files: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    files.retain(|path, _| !path.starts_with(".tidegate/"));
    files
}
