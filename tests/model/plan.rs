//! What may happen to a store: few names, few ids, few contents, so that they meet often.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tidegate::upload::{Digest, OnConflict, UploadSpec, WhenCut};

/// What the files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Anything; nobody reads along, and the notes are the test's own.
    Bytes,
    /// CSV, read by validators; some of it is broken.
    Tables,
}

/// A store's life.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    /// What is sent, by its length; no two are the same.
    pub(crate) contents: Vec<Length>,
    pub(crate) steps: Vec<Step>,
}

/// In parts of the store, and bytes beside that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    parts: usize,
    bytes: isize,
}

/// Something that happens. An `Index` chooses among what is there; where nothing is, nothing happens.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Somebody comes with an upload, first asking whether there is anything to go on with, or not.
    Begin(usize, Upload, Manner),
    /// The sender of what was cut off comes back.
    GoOn(usize, Index),
    /// The sender of what was committed sends it again.
    Again(usize, Index),
    /// A sender who is connected does something.
    Deed(Index, Deed),
    /// A node dies, and another comes up in its place.
    Crash(usize),
    Sweep(usize, Duration),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed {
    Feed(Amount),
    /// The line is cut: the upload is suspended.
    Cut,
    /// The upload ends, with all of its bytes or with those that have come.
    Finish(Extent, Claim),
    Abort,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Anew,
    GoOn,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Amount {
    Bytes(usize),
    /// To the next checkpoint (or part), and some bytes.
    ToCheckpoint(usize),
    Rest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    AsFarAsItCame,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Claim {
    None,
    Right,
    Wrong,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Upload {
    id: usize,
    name: usize,
    pub(crate) content: usize,
    on_conflict: OnConflict,
    when_cut: WhenCut,
    announces: Announces,
}

#[derive(Debug, Clone, Copy)]
enum Announces {
    Nothing,
    SizeAndDigest,
}

const NODES: usize = 2;
const CONTENTS: usize = 4;

pub(crate) fn lives(most_steps: usize) -> impl Strategy<Value = Life> {
    let parts = prop_oneof![4 => Just(0_usize), 3 => Just(1), 2 => Just(2)];
    let bytes = prop_oneof![Just(0_isize), Just(1), 2_isize..300, 2_000_isize..9_000];
    let length = (parts, bytes, any::<bool>()).prop_map(|(parts, bytes, short)| {
        let bytes = if short && parts > 0 { -bytes } else { bytes };
        Length { parts, bytes }
    });
    (vec(length, CONTENTS), vec(step(), 1..=most_steps)).prop_map(|(contents, steps)| Life { contents, steps })
}

fn step() -> impl Strategy<Value = Step> {
    let one = any::<Index>;
    let amount = prop_oneof![
        (1..400_usize).prop_map(Amount::Bytes),
        prop_oneof![Just(0), Just(1), 2..400_usize].prop_map(Amount::ToCheckpoint),
        Just(Amount::Rest),
    ];
    let extent = prop_oneof![5 => Just(Extent::Whole), 1 => Just(Extent::AsFarAsItCame)];
    let claim = prop_oneof![3 => Just(Claim::None), 3 => Just(Claim::Right), 1 => Just(Claim::Wrong)];
    let ttl = select(vec![Duration::ZERO, Duration::from_hours(1)]);
    let deed = prop_oneof![
        5 => amount.prop_map(Deed::Feed),
        3 => Just(Deed::Cut),
        5 => (extent, claim).prop_map(|(extent, claim)| Deed::Finish(extent, claim)),
        1 => Just(Deed::Abort),
    ];
    prop_oneof![
        5 => (0..NODES, upload(), select(vec![Manner::Anew, Manner::GoOn])).prop_map(|(n, u, m)| Step::Begin(n, u, m)),
        5 => (0..NODES, one()).prop_map(|(node, which)| Step::GoOn(node, which)),
        1 => (0..NODES, one()).prop_map(|(node, which)| Step::Again(node, which)),
        14 => (one(), deed).prop_map(|(which, deed)| Step::Deed(which, deed)),
        1 => (0..NODES).prop_map(Step::Crash),
        1 => (0..NODES, ttl).prop_map(|(node, ttl)| Step::Sweep(node, ttl)),
    ]
}

fn upload() -> impl Strategy<Value = Upload> {
    let on_conflict = select(vec![OnConflict::Reject, OnConflict::Version, OnConflict::Overwrite]);
    let when_cut = prop_oneof![5 => Just(WhenCut::Keep), 1 => Just(WhenCut::Drop)];
    let announces = select(vec![Announces::Nothing, Announces::SizeAndDigest]);
    (0..3_usize, 0..3_usize, 0..CONTENTS, on_conflict, when_cut, announces).prop_map(
        |(id, name, content, on_conflict, when_cut, announces)| Upload {
            id,
            name,
            content,
            on_conflict,
            when_cut,
            announces,
        },
    )
}

impl Upload {
    pub(crate) fn spec(&self, kind: Kind, content: &[u8]) -> UploadSpec {
        let Self { id, name, on_conflict, when_cut, .. } = *self;
        let extension = if kind == Kind::Tables { "csv" } else { "bin" };
        let key = format!("{}.{extension}", ["a", "b", "in/a"][name]).parse().unwrap();
        let (size, digest) = match self.announces {
            Announces::Nothing => (None, None),
            Announces::SizeAndDigest => (Some(content.len() as u64), Some(Digest::of(content))),
        };
        // An id that was made for an upload is not one that a sender has chosen.
        let chosen = if when_cut == WhenCut::Keep { "u" } else { "made-" };
        let id = format!("{chosen}{id}").parse().unwrap();
        UploadSpec { size, digest, on_conflict, when_cut, ..UploadSpec::new(id, key) }
    }
}

impl Length {
    /// Content of this length, and unlike that of another number.
    pub(crate) fn content(self, number: usize, kind: Kind, part_bytes: usize) -> Vec<u8> {
        let len = (self.parts * part_bytes).saturating_add_signed(self.bytes);
        // Longer than any piece that a store looks at, so that no two pieces of a file are the same.
        let line = |row: usize| match kind {
            Kind::Bytes => format!("{number} {row:x} "),
            Kind::Tables if row == 0 => format!("content {number},\"row\"\n"),
            // One of the contents is no table from here on.
            Kind::Tables if number == 3 && row == 20 => "1,2,3\n".to_owned(),
            Kind::Tables => format!("{number},\"{row} \u{e4}\n\"\n"),
        };
        let mut content = Vec::with_capacity(len + 32);
        for row in 0.. {
            if content.len() >= len {
                break;
            }
            content.extend_from_slice(line(row).as_bytes());
        }
        // A table ends with a row.
        if kind == Kind::Bytes {
            content.truncate(len);
        }
        content
    }
}
