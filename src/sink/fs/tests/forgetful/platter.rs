//! What processes see of the disk that forgets, and all that may be on its platter.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rustix::io::Errno;

use super::{Fault, Open, Survives};
use crate::sink::fs::RESERVED;
use crate::sink::fs::disk::{Kind, Stat};
use crate::sink::fs::tests::random::Random;

/// Small, so that small files have many.
const BLOCK: usize = 64;
pub(super) const ROOT: usize = 0;

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) names: Names,
    /// The names that are on the platter for sure, without `changes`.
    pub(super) settled: Names,
    pub(super) changes: Vec<Change>,
    pub(super) operations: u64,
    pub(super) reads: u64,
    pub(super) fault: Option<(u64, Fault)>,
    pub(super) dead: bool,
    pub(super) handles: u64,
    /// Whether it can rename without clobbering.
    pub(super) renames_new: bool,
    /// How many bytes an attribute may have, and the error for more.
    pub(super) attribute_limit: (usize, Errno),
}

/// By folder and name, the node.
pub(super) type Names = BTreeMap<(usize, String), usize>;

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) number: u64,
    pub(super) opened: usize,
    pub(super) locked: Option<u64>,
    pub(super) modified: SystemTime,
    pub(super) size: Cached<usize>,
    pub(super) blocks: Vec<Cached<[u8; BLOCK]>>,
    pub(super) attributes: Cached<BTreeMap<String, Vec<u8>>>,
}

/// Names that change together.
#[derive(Debug, Clone)]
pub(super) struct Change {
    names: Vec<((usize, String), Option<usize>)>,
    settled: bool,
    lost: bool,
}

/// A value in the cache, last, behind all that may be on the platter.
#[derive(Debug, Clone)]
pub(super) struct Cached<T> {
    pub(super) versions: Vec<T>,
    /// A flush has failed, so that the next one does not write it.
    pub(super) lost: bool,
}

impl<T: Clone> Cached<T> {
    pub(super) fn new(value: T) -> Self {
        Self { versions: vec![value], lost: false }
    }

    pub(super) fn seen(&self) -> &T {
        self.versions.last().expect("there is always one")
    }

    pub(super) fn set(&mut self, value: T) {
        self.versions.push(value);
        self.lost = false;
    }

    fn flush(&mut self) {
        if !self.lost {
            self.versions.drain(..self.versions.len() - 1);
        }
    }

    fn lose(&mut self) {
        self.lost = self.versions.len() > 1;
    }

    fn cut(&mut self, survives: Survives, random: &mut Random) {
        let survivor = match survives {
            Survives::Nothing => 0,
            Survives::Everything => self.versions.len() - 1,
            Survives::Anything => random.below(self.versions.len()),
        };
        *self = Self::new(self.versions.swap_remove(survivor));
    }
}

impl Node {
    pub(super) fn new(kind: Kind, number: u64) -> Self {
        Self {
            kind,
            number,
            opened: 0,
            locked: None,
            modified: SystemTime::now(),
            size: Cached::new(0),
            blocks: Vec::new(),
            attributes: Cached::new(BTreeMap::new()),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.blocks.len() * BLOCK);
        self.blocks.iter().for_each(|block| bytes.extend_from_slice(block.seen()));
        bytes.resize(*self.size.seen(), 0);
        bytes
    }

    pub(super) fn set_bytes(&mut self, bytes: &[u8]) {
        self.blocks.resize_with(self.blocks.len().max(bytes.len().div_ceil(BLOCK)), || Cached::new([0; BLOCK]));
        for (number, block) in self.blocks.iter_mut().enumerate() {
            let mut value = [0; BLOCK];
            let there = bytes.chunks(BLOCK).nth(number).unwrap_or_default();
            value[..there.len()].copy_from_slice(there);
            if value != *block.seen() {
                block.set(value);
            }
        }
        if bytes.len() != *self.size.seen() {
            self.size.set(bytes.len());
        }
        self.modified = SystemTime::now();
    }

    fn flush(&mut self) {
        self.blocks.iter_mut().for_each(Cached::flush);
        self.size.flush();
        self.attributes.flush();
    }

    fn lose(&mut self) {
        self.blocks.iter_mut().for_each(Cached::lose);
        self.size.lose();
        self.attributes.lose();
    }
}

impl World {
    pub(super) fn enter(&mut self) -> Result<(), Errno> {
        if self.dead {
            return Err(Errno::IO);
        }
        let now = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, Fault::Death)) if at == now => {
                self.dead = true;
                Err(Errno::IO)
            }
            Some((at, Fault::Fails(errno))) if at == now => Err(errno),
            Some((at, Fault::FoldersVanish)) if at == now => {
                while let Some(folder) = self.empty_folders().pop() {
                    self.change_those(vec![(folder, None)]);
                }
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A power cut.
    pub(super) fn cut(&mut self, names: Survives, bytes: Survives, random: &mut Random) {
        let Self { nodes, names: seen, settled, changes, .. } = self;
        for change in changes.drain(..) {
            let survives = match names {
                Survives::Nothing => false,
                Survives::Everything => true,
                Survives::Anything => random.below(2) == 0,
            };
            if change.settled || survives {
                change.apply(settled);
            }
        }
        seen.clone_from(settled);
        for node in nodes {
            node.blocks.iter_mut().for_each(|block| block.cut(bytes, random));
            node.size.cut(bytes, random);
            node.attributes.cut(bytes, random);
        }
    }

    /// Flushes some nodes, and the changes in those that are folders; or loses what that would have written.
    pub(super) fn flush(&mut self, which: impl Fn(usize) -> bool, fails: bool) {
        let Self { nodes, settled, changes, .. } = self;
        for (_, node) in nodes.iter_mut().enumerate().filter(|(number, _)| which(*number)) {
            if fails {
                node.lose();
            } else {
                node.flush();
            }
        }
        for change in changes.iter_mut().filter(|change| !change.settled && change.is_settled_by(&which)) {
            change.lost |= fails;
            change.settled = !change.lost;
        }
        let sure = changes.iter().take_while(|change| change.settled).count();
        changes.drain(..sure).for_each(|change| change.apply(settled));
    }

    pub(super) fn find(&self, folder: &Open, name: &str) -> Result<usize, Errno> {
        self.names.get(&(folder.node, name.to_owned())).copied().ok_or(Errno::NOENT)
    }

    /// Folders that hold nothing, by what they lie in; not those below the reserved one.
    pub(super) fn empty_folders(&self) -> Vec<(usize, String)> {
        let reserved = self.names.get(&(ROOT, RESERVED.to_owned()));
        let is_empty = |node: usize| {
            let is_folder = self.nodes[node].kind == Kind::Other;
            is_folder && Some(&node) != reserved && !self.names.keys().any(|(parent, _)| *parent == node)
        };
        let named = self.names.iter().filter(|((parent, _), node)| Some(parent) != reserved && is_empty(**node));
        named.map(|(name, _)| name.clone()).collect()
    }

    /// Nothing gets a name in a folder that was removed.
    pub(super) fn check_there(&self, folder: &Open) -> Result<(), Errno> {
        if folder.node == ROOT || self.links(folder.node) > 0 { Ok(()) } else { Err(Errno::NOENT) }
    }

    pub(super) fn links(&self, node: usize) -> usize {
        self.names.values().filter(|named| **named == node).count()
    }

    pub(super) fn change<const N: usize>(&mut self, names: [(&Open, &str, Option<usize>); N]) {
        self.change_those(names.map(|(folder, name, node)| ((folder.node, name.to_owned()), node)).to_vec());
    }

    fn change_those(&mut self, names: Vec<((usize, String), Option<usize>)>) {
        let change = Change { names, settled: false, lost: false };
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    pub(super) fn add(&mut self, folder: &Open, name: &str, kind: Kind) -> Result<usize, Errno> {
        self.check_there(folder)?;
        if self.find(folder, name).is_ok() {
            return Err(Errno::EXIST);
        }
        let used = |number: u64| {
            let is_used = |(at, node): (usize, &Node)| node.number == number && (node.opened > 0 || self.links(at) > 0);
            self.nodes.iter().enumerate().any(is_used)
        };
        let number = (1..=u64::MAX).find(|number| !used(*number)).expect("there is always a free one");
        let node = self.nodes.len();
        self.nodes.push(Node::new(kind, number));
        self.change([(folder, name, Some(node))]);
        Ok(node)
    }

    pub(super) fn stat(&self, node: usize) -> Stat {
        let Node { kind, number, modified, size, .. } = &self.nodes[node];
        let (has_one_name, size) = (self.links(node) == 1, *size.seen() as u64);
        Stat { identity: (0, *number), kind: *kind, has_one_name, size, modified: *modified, changed: *modified }
    }
}

impl Change {
    fn apply(&self, names: &mut Names) {
        for (name, node) in &self.names {
            match node {
                Some(node) => names.insert(name.clone(), *node),
                None => names.remove(name),
            };
        }
    }

    /// A journal would settle a rename with either of its folders; a flush of the one that a file has left promises nothing of
    /// its new name, though.
    fn is_settled_by(&self, folders: impl Fn(usize) -> bool) -> bool {
        let last = self.names.last();
        last.is_some_and(|((parent, _), _)| folders(*parent))
    }
}
