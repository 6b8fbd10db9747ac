//! Two nodes over one store, and those who send to them; every answer is held against the law.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use tidegate::error::{Error, ErrorKind};
use tidegate::sink::{Sink, Staged};
use tidegate::upload::{Digest, Ending, Note, Receipt, UploadId, UploadSpec, WhenCut};

use super::beds::Bed;
use super::law::{Fate, File, Law, Left, Promise};
use super::plan::{Amount, Claim, Deed, Extent, Kind, Length, Life, Manner, Step};

pub(crate) struct World<'a> {
    bed: &'a dyn Bed,
    kind: Kind,
    nodes: Vec<Arc<dyn Sink>>,
    contents: Vec<Bytes>,
    open: Vec<Open>,
    /// What was committed, with what its sender sends.
    done: Vec<(UploadSpec, Bytes)>,
    /// Everybody who ever came.
    seen: Vec<UploadSpec>,
    law: Law,
}

/// An upload under way.
struct Open {
    node: usize,
    staged: Box<dyn Staged>,
    content: Bytes,
    /// What the store has taken.
    sent: Vec<u8>,
    peace: Peace,
}

/// Whether another node writes an upload of the same id. Then the two may disturb each other, as long as both are honest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peace {
    Alone,
    Disturbed,
}

type Check<T = ()> = Result<T, TestCaseError>;

impl<'a> World<'a> {
    pub(crate) async fn new(bed: &'a dyn Bed, kind: Kind, life: &Life) -> Self {
        let content = |(number, length): (usize, &Length)| length.content(number, kind, bed.part_bytes()).into();
        let contents = life.contents.iter().enumerate().map(content).collect();
        let nodes = vec![Arc::clone(bed.shared()), bed.another().await];
        Self { bed, kind, nodes, contents, open: Vec::new(), done: Vec::new(), seen: Vec::new(), law: Law::new(kind) }
    }

    /// Lives through all steps, and looks after each; at the end, all that stays is what has a receipt.
    pub(crate) async fn live(mut self, life: &Life) -> Check {
        for (number, step) in life.steps.iter().enumerate() {
            let lived = match self.step(step).await {
                Ok(()) => self.look().await,
                Err(error) => Err(error),
            };
            lived.map_err(|error| TestCaseError::fail(format!("step {number}, {step:?}: {error}")))?;
        }
        for node in 0..self.nodes.len() {
            self.crash(node).await;
        }
        self.ask_for_everybody().await?;
        self.sweep(0, Duration::ZERO).await?;
        self.look().await?;
        self.look_closely().await
    }

    async fn step(&mut self, step: &Step) -> Check {
        match step {
            Step::Begin(node, upload, manner) => {
                let content = self.contents[upload.content].clone();
                self.begin(*node, upload.spec(self.kind, &content), content, *manner).await.map(drop)
            }
            Step::GoOn(node, which) => {
                let left = choose(*which, self.law.left.len()).and_then(|at| self.law.left.values().nth(at));
                match left.map(|left| (left.spec.clone(), left.content.clone())) {
                    Some((spec, content)) => self.begin(*node, spec, content, Manner::GoOn).await.map(drop),
                    None => Ok(()),
                }
            }
            Step::Again(node, which) => {
                let Some((spec, content)) = choose(*which, self.done.len()).map(|at| self.done[at].clone()) else {
                    return Ok(());
                };
                match self.begin(*node, spec, content, Manner::GoOn).await? {
                    Began::Yes => self.finish(self.open.len() - 1, Extent::Whole, Claim::Right).await,
                    Began::Busy => Ok(()),
                }
            }
            Step::Deed(which, deed) => match (choose(*which, self.open.len()), *deed) {
                (None, _) => Ok(()),
                (Some(at), Deed::Feed(amount)) => self.feed(at, amount).await.map(drop),
                (Some(at), Deed::Cut) => self.cut(at).await,
                (Some(at), Deed::Finish(extent, claim)) => self.finish(at, extent, claim).await,
                (Some(at), Deed::Abort) => self.abort(at).await,
            },
            Step::Crash(node) => {
                self.crash(*node).await;
                Ok(())
            }
            Step::Sweep(node, ttl) => self.sweep(*node, *ttl).await,
        }
    }

    async fn begin(&mut self, node: usize, spec: UploadSpec, content: Bytes, manner: Manner) -> Check<Began> {
        let holder = self.open.iter().position(|open| open.staged.spec().id == spec.id);
        // Who writes an id at two nodes is one sender, with one file.
        let (spec, content) = match holder.map(|at| &self.open[at]) {
            Some(open) if open.content.starts_with(&open.sent) => (open.staged.spec().clone(), open.content.clone()),
            Some(_) => return Ok(Began::Busy),
            None => (spec, content),
        };
        self.seen.push(spec.clone());
        let resumed = match manner {
            Manner::GoOn => self.nodes[node].resume(spec.clone()).await,
            Manner::Anew => Ok(None),
        };
        let opened = match resumed {
            Ok(Some(staged)) => Ok((self.gone_on(&spec, staged.as_ref())?, staged)),
            Ok(None) => {
                prop_assert!(
                    manner == Manner::Anew || !self.must_go_on(&spec),
                    "nothing to go on with, but {:?}",
                    self.law.left
                );
                self.nodes[node].stage(spec.clone()).await.map(|staged| (Vec::new(), staged))
            }
            Err(error) => Err(error),
        };
        let is_of_another = self.is_of_another(&spec, manner);
        match (opened, holder) {
            (Err(error), Some(_)) if error.kind() == ErrorKind::Busy => Ok(Began::Busy),
            (Err(error), None) if is_of_another.is_some() && error.kind() == ErrorKind::Conflict => Ok(Began::Busy),
            (Ok(_), None) if is_of_another == Some(Promise::Kept) => {
                Err(TestCaseError::fail(format!("{spec:?} takes what is kept of {:?}", self.law.left.get(&spec.id))))
            }
            (Ok(_), Some(at)) if self.open[at].node == node => {
                Err(TestCaseError::fail(format!("{} is written twice at one node", spec.id)))
            }
            (Ok((sent, staged)), _) => {
                prop_assert_eq!(staged.offset(), sent.len() as u64);
                // What the sender leaves out now may be known from what it had begun.
                let heard = staged.spec();
                let (size, digest) = (spec.size.or(heard.size), spec.digest.or(heard.digest));
                prop_assert_eq!(heard, &UploadSpec { size, digest, ..spec.clone() });
                let peace = if holder.is_some() { Peace::Disturbed } else { Peace::Alone };
                self.disturb(&spec.id);
                self.law.left.remove(&spec.id);
                self.open.push(Open { node, staged, content, sent, peace });
                Ok(Began::Yes)
            }
            (Err(error), _) => Err(fail("opening it", &error)),
        }
    }

    /// What lies before the offset where an upload goes on.
    fn gone_on(&self, spec: &UploadSpec, staged: &dyn Staged) -> Check<Vec<u8>> {
        let held = self.open.iter().find(|open| open.staged.spec().id == spec.id).map(|open| &open.sent);
        let left = self.law.left.get(&spec.id).filter(|left| spec.continues(&left.spec, 0));
        let offset = usize::try_from(staged.offset()).unwrap();
        if let Some(left) = left.filter(|left| left.promise == Promise::Kept) {
            prop_assert_eq!(offset, left.sent.len(), "where it was suspended");
        }
        let Some(sent) = held.or(left.map(|left| &left.sent)).and_then(|sent| sent.get(..offset)) else {
            return Err(TestCaseError::fail(format!("goes on at {offset}, but there is {:?}", self.law.left.get(&spec.id))));
        };
        if self.kind == Kind::Bytes {
            prop_assert_eq!(staged.note(), &note(offset as u64));
        }
        Ok(sent.to_vec())
    }

    fn must_go_on(&self, spec: &UploadSpec) -> bool {
        let left = self.law.left.get(&spec.id);
        left.is_some_and(|left| left.promise == Promise::Kept && spec.continues(&left.spec, left.sent.len() as u64))
    }

    /// Whether another upload of this id may be kept, or is for sure: it must stay.
    fn is_of_another(&self, spec: &UploadSpec, manner: Manner) -> Option<Promise> {
        let left = self.law.left.get(&spec.id)?;
        let kept = if manner == Manner::GoOn { left.sent.len() as u64 } else { 0 };
        (!spec.continues(&left.spec, kept)).then_some(left.promise)
    }

    /// Somebody else has come to write this id.
    fn disturb(&mut self, id: &UploadId) {
        self.open.iter_mut().filter(|open| open.staged.spec().id == *id).for_each(|open| open.peace = Peace::Disturbed);
    }

    /// Feeds as the pump does; says whether the upload is still under way.
    async fn feed(&mut self, at: usize, amount: Amount) -> Check<Fed> {
        let part = self.bed.part_bytes();
        let open = &mut self.open[at];
        let rest = open.content.get(open.sent.len()..).map(<[u8]>::to_vec).unwrap_or_default();
        let to_part = part - open.sent.len() % part;
        let len = match amount {
            Amount::Bytes(len) => len,
            Amount::ToCheckpoint(more) => {
                usize::try_from(open.staged.until_checkpoint()).map_or(to_part, |to| to.min(to_part)) + more
            }
            Amount::Rest => rest.len(),
        };
        let mut rest = &rest[..len.min(rest.len())];
        while !rest.is_empty() {
            let room = open.staged.until_checkpoint();
            prop_assert!(room > 0);
            let (piece, behind) = rest.split_at(rest.len().min(part / 3).min(usize::try_from(room).unwrap_or(usize::MAX)));
            let mut taken = open.staged.write(piece.to_vec().into()).await;
            if taken.is_ok() {
                open.sent.extend_from_slice(piece);
                prop_assert_eq!(open.staged.offset(), open.sent.len() as u64);
                if piece.len() as u64 == room {
                    taken = open.staged.checkpoint(note(open.staged.offset())).await;
                }
            }
            if let Err(error) = taken {
                let broken = !self.law.may_become_sound(&[&open.sent, piece].concat());
                let excused = excuse(open.peace, &error) || (broken && error.kind() == ErrorKind::Invalid);
                prop_assert!(excused, "{}", fail("writing", &error));
                return self.abort(at).await.map(|()| Fed::GivenUp);
            }
            rest = behind;
        }
        Ok(Fed::Yes)
    }

    async fn cut(&mut self, at: usize) -> Check {
        let open = self.open.swap_remove(at);
        let Open { staged, content, sent, peace, .. } = open;
        let spec = staged.spec().clone();
        let offset = match staged.suspend(note(sent.len() as u64)).await {
            Ok(offset) => offset,
            Err(error) => {
                prop_assert!(excuse(peace, &error), "{}", fail("suspending", &error));
                0
            }
        };
        if peace == Peace::Disturbed {
            self.leave(Left { spec, content, sent, promise: Promise::None });
        } else if spec.when_cut == WhenCut::Drop {
            prop_assert_eq!(offset, 0);
        } else {
            prop_assert_eq!(offset, sent.len() as u64);
            self.leave(Left { spec, content, sent, promise: Promise::Kept });
        }
        Ok(())
    }

    async fn finish(&mut self, at: usize, extent: Extent, claim: Claim) -> Check {
        if extent == Extent::Whole && self.feed(at, Amount::Rest).await? == Fed::GivenUp {
            return Ok(());
        }
        let Open { staged, content, sent, peace, .. } = self.open.swap_remove(at);
        let spec = staged.spec().clone();
        let claim = match claim {
            Claim::None => None,
            Claim::Right => Some(Digest::of(&content)),
            Claim::Wrong => Some(Digest::of(b"what nobody sends")),
        };
        let fate = self.law.fate(&spec, claim, &sent);
        let committed = staged.commit(Ending { claim, verdict: None }).await;
        match (&committed, &fate) {
            (Ok(receipt), Fate::Lands(key)) => {
                let told =
                    (&receipt.key, &receipt.name, receipt.id.as_ref(), receipt.size, receipt.digest, receipt.duplicate);
                prop_assert_eq!(told, (key, &spec.key, Some(&spec.id), sent.len() as u64, Digest::of(&sent), false));
                self.law.standing.insert(key.clone(), File { receipt: receipt.clone(), bytes: sent.clone() });
            }
            (Ok(receipt), Fate::LiesThere(key)) => {
                let first = self.law.standing[key].receipt.clone();
                prop_assert_eq!(receipt, &Receipt { name: spec.key.clone(), duplicate: true, ..first });
            }
            (Err(error), Fate::Fails(kind)) if error.kind() == *kind => {}
            (Err(error), _) if excuse(peace, error) => self.settle(&fate, &spec, &sent).await?,
            _ => return Err(TestCaseError::fail(format!("the commit came to {committed:?}, and should to {fate:?}"))),
        }
        match (peace, committed) {
            (Peace::Disturbed, _) => self.leave(Left { spec, content, sent, promise: Promise::None }),
            (Peace::Alone, Ok(_)) => self.done.push((spec, content)),
            (Peace::Alone, Err(_)) => {}
        }
        Ok(())
    }

    /// A commit that was disturbed may have happened: the store tells.
    async fn settle(&mut self, fate: &Fate, spec: &UploadSpec, sent: &[u8]) -> Check {
        let Fate::Lands(key) = fate else { return Ok(()) };
        let found = self.nodes[0].committed(&spec.id, key).await.map_err(|error| fail("looking", &error))?;
        if let Some(receipt) = found.filter(|receipt| receipt.digest == Digest::of(sent)) {
            self.law.standing.insert(key.clone(), File { receipt, bytes: sent.to_vec() });
        }
        Ok(())
    }

    async fn abort(&mut self, at: usize) -> Check {
        let Open { staged, content, sent, peace, .. } = self.open.swap_remove(at);
        let spec = staged.spec().clone();
        if let Err(error) = staged.abort().await {
            prop_assert!(excuse(peace, &error), "{}", fail("aborting", &error));
        }
        if peace == Peace::Disturbed {
            self.leave(Left { spec, content, sent, promise: Promise::None });
        }
        Ok(())
    }

    async fn crash(&mut self, node: usize) {
        let (dead, alive) = std::mem::take(&mut self.open).into_iter().partition(|open| open.node == node);
        self.open = alive;
        for Open { staged, content, sent, .. } in Vec::from_iter::<Vec<Open>>(dead) {
            let spec = staged.spec().clone();
            drop(staged);
            self.leave(Left { spec, content, sent, promise: Promise::None });
        }
        self.nodes[node] = self.bed.another().await;
    }

    /// Of two who wrote one id, the longer beginning is what may be found.
    fn leave(&mut self, left: Left) {
        let id = left.spec.id.clone();
        match self.law.left.get(&id) {
            Some(other) if other.sent.len() > left.sent.len() => {}
            _ => drop(self.law.left.insert(id, left)),
        }
    }

    async fn sweep(&mut self, node: usize, ttl: Duration) -> Check {
        self.nodes[node].sweep(ttl).await.map_err(|error| fail("sweeping", &error))?;
        if ttl.is_zero() {
            let open: Vec<_> = self.open.iter().map(|open| open.staged.spec().id.clone()).collect();
            self.law.left.retain(|id, _| open.contains(id));
        }
        Ok(())
    }

    /// Every reader sees what has a receipt, and nothing else.
    async fn look(&self) -> Check {
        let mut names: Vec<_> = self.law.standing.keys().map(|key| key.as_str().to_owned()).collect();
        names.sort();
        prop_assert_eq!(self.bed.names().await, names);
        for (key, File { receipt, .. }) in &self.law.standing {
            let found = self.nodes[1].stat(key).await.map_err(|error| fail("looking", &error))?;
            prop_assert_eq!(found.as_ref(), Some(receipt));
        }
        Ok(())
    }

    /// Nobody goes on with what has ended, or has never begun.
    async fn ask_for_everybody(&self) -> Check {
        for spec in &self.seen {
            let spec = UploadSpec { size: None, digest: None, ..spec.clone() };
            match self.law.left.get(&spec.id) {
                Some(left) if spec.continues(&left.spec, 0) => continue,
                Some(_) | None => {}
            }
            match self.nodes[1].resume(spec.clone()).await {
                Ok(found) => prop_assert!(found.is_none(), "{:?} is over, and goes on with {:?}", spec, found),
                Err(error) if error.kind() == ErrorKind::Conflict && self.law.left.contains_key(&spec.id) => {}
                Err(error) => return Err(fail("resuming", &error)),
            }
        }
        Ok(())
    }

    /// Byte by byte, by the name of each upload, and under the carpet.
    async fn look_closely(&self) -> Check {
        for (key, File { receipt, bytes }) in &self.law.standing {
            prop_assert!(self.bed.read(key).await.as_ref() == Some(bytes), "the bytes of {} are others", key);
            let id = receipt.id.as_ref().unwrap();
            let found = self.nodes[0].committed(id, key).await.map_err(|error| fail("looking", &error))?;
            prop_assert_eq!(found.as_ref(), Some(receipt));
        }
        prop_assert_eq!(self.bed.litter().await, Vec::<String>::new());
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Began {
    Yes,
    Busy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fed {
    Yes,
    GivenUp,
}

fn choose(which: Index, among: usize) -> Option<usize> {
    (among > 0).then(|| which.index(among))
}

fn note(offset: u64) -> Note {
    Note(Some(offset.into()))
}

/// Whether an upload may end like this because another node writes the same one.
fn excuse(peace: Peace, error: &Error) -> bool {
    peace == Peace::Disturbed && matches!(error.kind(), ErrorKind::Busy | ErrorKind::Store | ErrorKind::Unknown)
}

fn fail(doing: &str, error: &Error) -> TestCaseError {
    TestCaseError::fail(format!("{doing}: {:?}: {error}", error.kind()))
}
