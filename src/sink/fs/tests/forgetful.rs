//! A disk in memory that forgets, at a power cut, what was not flushed.
//!
//! Beside what processes see it keeps everything that may be on the platter. Of a file: for each block, for the size and for the
//! attributes every version since the last flush, any of which may survive by itself. Of folders: every change that was not
//! flushed in the folder where its new name stands (its old one, where it has none), each of which survives or not by itself,
//! but whole. Numbers of files are used again as soon as they are free. A flush that fails leaves clean what it should have written: the next one succeeds without it.

mod platter;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use self::platter::{Names, Node, ROOT, World};
use super::random::Random;
use crate::sink::fs::disk::{Access, Disk, Kind, Stat};

/// How long a flush that has failed takes to say so.
const TOLD_LATE: Duration = Duration::from_millis(2);

#[derive(Debug, Clone)]
pub(super) struct Forgetful(Arc<Mutex<World>>);

/// What happens at an operation, in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The process is gone: it does nothing from here on.
    Death,
    /// The operation fails, and does nothing.
    Fails(Errno),
    /// Another process removes every folder that holds nothing, before the operation.
    FoldersVanish,
}

/// What survives of that which may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Survives {
    Nothing,
    Everything,
    Anything,
}

impl Forgetful {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(World {
            nodes: vec![Node::new(Kind::Other, 0)],
            names: Names::new(),
            settled: Names::new(),
            changes: Vec::new(),
            operations: 0,
            reads: 0,
            fault: None,
            dead: false,
            handles: 0,
            renames_new: true,
            attribute_limit: (usize::MAX, Errno::TOOBIG),
        })))
    }

    /// Such a disk on which longer attributes fail with an error.
    pub(super) fn with_attributes_of(max_bytes: usize, errno: Errno) -> Self {
        let disk = Self::new();
        disk.world().attribute_limit = (max_bytes, errno);
        disk
    }

    /// Such a disk that does not know how to rename without clobbering.
    pub(super) fn of_an_old_kind() -> Self {
        let disk = Self::new();
        disk.world().renames_new = false;
        disk
    }

    /// Lets something happen at the operation that is the next but so many.
    pub(super) fn plan(&self, after: u64, fault: Fault) {
        let mut world = self.world();
        world.fault = Some((world.operations + after, fault));
    }

    pub(super) fn operations(&self) -> u64 {
        self.world().operations
    }

    /// How often somebody has read from a file.
    pub(super) fn reads(&self) -> u64 {
        self.world().reads
    }

    /// Lets so much time pass since everything was written.
    pub(super) fn age(&self, time: Duration) {
        self.world().nodes.iter_mut().for_each(|node| node.modified -= time);
    }

    /// Whether what was planned has happened.
    pub(super) fn has_failed(&self) -> bool {
        let world = self.world();
        world.fault.is_some_and(|(at, _)| world.operations > at)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.world().dead
    }

    /// What the next process sees after this one was killed.
    pub(super) fn killed(&self) -> Self {
        let mut world = self.world().clone();
        for node in &mut world.nodes {
            (node.opened, node.locked) = (0, None);
        }
        (world.dead, world.fault) = (false, None);
        Self(Arc::new(Mutex::new(world)))
    }

    /// What is there after a power cut.
    pub(super) fn cut(&self, names: Survives, bytes: Survives, random: &mut Random) -> Self {
        let after = self.killed();
        after.world().cut(names, bytes, random);
        after
    }

    /// Every file by its path, as processes see it.
    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let world = self.world();
        let mut files = BTreeMap::new();
        let mut folders = vec![(ROOT, String::new())];
        while let Some((folder, path)) = folders.pop() {
            for ((_, name), node) in world.names.iter().filter(|((parent, _), _)| *parent == folder) {
                let path = format!("{path}{name}");
                match world.nodes[*node].kind {
                    Kind::File => drop(files.insert(path, world.nodes[*node].bytes())),
                    Kind::Other => folders.push((*node, format!("{path}/"))),
                }
            }
        }
        files
    }

    /// Every folder that holds nothing, by its path, beside those that the sink keeps for itself.
    pub(super) fn empty_folders(&self) -> Vec<String> {
        let world = self.world();
        world.empty_folders().into_iter().map(|(_, name)| name).collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation, and lets happen what is planned for it.
    fn enter(&self) -> Result<MutexGuard<'_, World>, Errno> {
        let mut world = self.world();
        world.enter()?;
        Ok(world)
    }

    /// Flushes some nodes, and the changes in those that are folders.
    fn flush_those(&self, which: impl Fn(usize) -> bool) -> Result<(), Errno> {
        let mut world = self.world();
        let entered = world.enter();
        let fails = entered.is_err();
        if world.dead {
            return entered;
        }
        world.flush(which, fails);
        drop(world);
        if fails {
            // Others may flush the same before who is told of it can say so.
            std::thread::sleep(TOLD_LATE);
        }
        entered
    }

    fn opened(&self, world: &mut World, node: usize) -> Open {
        world.handles += 1;
        world.nodes[node].opened += 1;
        Open { disk: self.clone(), node, number: world.handles }
    }
}

/// Something open.
#[derive(Debug)]
pub(super) struct Open {
    disk: Forgetful,
    node: usize,
    number: u64,
}

impl Drop for Open {
    fn drop(&mut self) {
        let node = &mut self.disk.world().nodes[self.node];
        node.opened -= 1;
        node.locked.take_if(|holder| *holder == self.number);
    }
}

impl Disk for Forgetful {
    type Handle = Open;

    fn open_root(&self, _: &Path) -> Result<Open, Errno> {
        let mut world = self.enter()?;
        Ok(self.opened(&mut world, ROOT))
    }

    fn open_folder(&self, folder: &Open, name: &str) -> Result<Open, Errno> {
        let mut world = self.enter()?;
        let node = world.find(folder, name)?;
        match world.nodes[node].kind {
            Kind::File => Err(Errno::NOTDIR),
            Kind::Other => Ok(self.opened(&mut world, node)),
        }
    }

    fn make_folder(&self, folder: &Open, name: &str) -> Result<(), Errno> {
        self.enter()?.add(folder, name, Kind::Other).map(drop)
    }

    fn create(&self, folder: &Open, name: &str) -> Result<Open, Errno> {
        let mut world = self.enter()?;
        let node = world.add(folder, name, Kind::File)?;
        Ok(self.opened(&mut world, node))
    }

    fn open(&self, folder: &Open, name: &str, _: Access) -> Result<Open, Errno> {
        let mut world = self.enter()?;
        let node = world.find(folder, name)?;
        Ok(self.opened(&mut world, node))
    }

    fn list(&self, folder: &Open) -> Result<Vec<OsString>, Errno> {
        let world = self.enter()?;
        Ok(world.names.keys().filter(|(parent, _)| *parent == folder.node).map(|(_, name)| name.into()).collect())
    }

    fn stat(&self, handle: &Open) -> Result<Stat, Errno> {
        Ok(self.enter()?.stat(handle.node))
    }

    fn stat_at(&self, folder: &Open, name: &str) -> Result<Stat, Errno> {
        let world = self.enter()?;
        Ok(world.stat(world.find(folder, name)?))
    }

    fn read_at(&self, file: &Open, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        let mut world = self.enter()?;
        world.reads += 1;
        let bytes = world.nodes[file.node].bytes();
        let rest = &bytes[bytes.len().min(usize::try_from(offset).unwrap())..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_at(&self, file: &Open, bytes: &[u8], offset: u64) -> Result<(), Errno> {
        let node = &mut self.enter()?.nodes[file.node];
        let offset = usize::try_from(offset).unwrap();
        let mut all = node.bytes();
        all.resize(all.len().max(offset + bytes.len()), 0);
        all[offset..offset + bytes.len()].copy_from_slice(bytes);
        node.set_bytes(&all);
        Ok(())
    }

    fn truncate(&self, file: &Open, bytes: u64) -> Result<(), Errno> {
        let node = &mut self.enter()?.nodes[file.node];
        let mut all = node.bytes();
        all.resize(usize::try_from(bytes).unwrap(), 0);
        node.set_bytes(&all);
        Ok(())
    }

    fn attribute(&self, file: &Open, name: &str, _: usize) -> Result<Vec<u8>, Errno> {
        self.enter()?.nodes[file.node].attributes.seen().get(name).cloned().ok_or(Errno::NODATA)
    }

    fn set_attribute(&self, file: &Open, name: &str, value: &[u8]) -> Result<(), Errno> {
        let mut world = self.enter()?;
        let (max_bytes, errno) = world.attribute_limit;
        if value.len() > max_bytes {
            return Err(errno);
        }
        let attributes = &mut world.nodes[file.node].attributes;
        let mut all = attributes.seen().clone();
        all.insert(name.to_owned(), value.to_owned());
        attributes.set(all);
        Ok(())
    }

    fn lock(&self, file: &Open) -> Result<(), Errno> {
        let locked = &mut self.enter()?.nodes[file.node].locked;
        if locked.is_some_and(|holder| holder != file.number) {
            return Err(Errno::WOULDBLOCK);
        }
        *locked = Some(file.number);
        Ok(())
    }

    fn flush(&self, handle: &Open) -> Result<(), Errno> {
        self.flush_those(|node| node == handle.node)
    }

    fn flush_all(&self, _: &Open) -> Result<(), Errno> {
        self.flush_those(|_| true)
    }

    fn flushes_all(&self, _: &Open) -> bool {
        true
    }

    fn rename_new(&self, from: &Open, name: &str, to: &Open, new_name: &str) -> Result<(), Errno> {
        let mut world = self.enter()?;
        let node = world.find(from, name)?;
        if !world.renames_new {
            return Err(Errno::INVAL);
        }
        world.check_there(to)?;
        if world.find(to, new_name).is_ok() {
            return Err(Errno::EXIST);
        }
        world.change([(from, name, None), (to, new_name, Some(node))]);
        Ok(())
    }

    fn rename(&self, from: &Open, name: &str, to: &Open, new_name: &str) -> Result<(), Errno> {
        let mut world = self.enter()?;
        let node = world.find(from, name)?;
        world.check_there(to)?;
        if world.find(to, new_name).is_ok_and(|there| world.nodes[there].kind == Kind::Other) {
            return Err(Errno::ISDIR);
        }
        world.change([(from, name, None), (to, new_name, Some(node))]);
        Ok(())
    }

    fn link(&self, from: &Open, name: &str, to: &Open, new_name: &str) -> Result<(), Errno> {
        let mut world = self.enter()?;
        let node = world.find(from, name)?;
        world.check_there(to)?;
        if world.find(to, new_name).is_ok() {
            return Err(Errno::EXIST);
        }
        world.change([(to, new_name, Some(node))]);
        Ok(())
    }

    fn unlink(&self, folder: &Open, name: &str) -> Result<(), Errno> {
        let mut world = self.enter()?;
        world.find(folder, name)?;
        world.change([(folder, name, None)]);
        Ok(())
    }

    fn remove_folder(&self, folder: &Open, name: &str) -> Result<(), Errno> {
        let mut world = self.enter()?;
        let node = world.find(folder, name)?;
        if world.nodes[node].kind == Kind::File {
            return Err(Errno::NOTDIR);
        }
        if world.names.keys().any(|(parent, _)| *parent == node) {
            return Err(Errno::NOTEMPTY);
        }
        world.change([(folder, name, None)]);
        Ok(())
    }

    fn free_bytes(&self, _: &Open) -> Result<u64, Errno> {
        self.enter().map(|_| 1 << 40)
    }
}
