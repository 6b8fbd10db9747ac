//! What a sink is tested on: how to make one, and how to look into its store without it.

mod fs;
mod memory;
mod object;
mod validated;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate::sink::Sink;
use tidegate::upload::{Durability, Key};

pub(crate) use self::fs::FsBed;
pub(crate) use self::memory::MemoryBed;
pub(crate) use self::object::{InProcessBed, MinioBed};
#[allow(unused_imports, reason = "not everybody who has these beds judges by it")]
pub(crate) use self::validated::{ValidatedBed, judge_by};

/// A sink over an empty store, and eyes of its own on that store.
#[async_trait]
pub(crate) trait Bed: Send + Sync {
    /// A bed of its own for one test; `None` where this machine has not what it takes.
    async fn open() -> Option<Self>
    where
        Self: Sized;

    fn shared(&self) -> &Arc<dyn Sink>;

    fn sink(&self) -> &dyn Sink {
        self.shared().as_ref()
    }

    /// Another node over the same store, that shares nothing else with the first.
    async fn another(&self) -> Arc<dyn Sink>;

    /// The bytes that any reader of the store sees under `key`.
    async fn read(&self, key: &Key) -> Option<Vec<u8>>;

    /// Every name that any reader of the store sees, in order.
    async fn names(&self) -> Vec<String>;

    /// What an upload that has ended should not have left: staged bytes, unfinished multipart uploads, stray records.
    async fn litter(&self) -> Vec<String>;

    /// What is noted beside the bytes, and their `content-type`; `None` where the store keeps no such things.
    async fn notes(&self, key: &Key) -> Option<BTreeMap<String, String>>;

    /// What the sink's receipts promise.
    fn durability(&self) -> Durability;

    /// Around how many bytes the sink does something else.
    fn part_bytes(&self) -> usize {
        64 * 1024
    }

    /// Whether the store decides by itself which of two writers who come at once is the first.
    fn is_atomic(&self) -> bool {
        true
    }

    /// Whether the store decides by itself between a file and a folder of one name that come at
    /// once. Else both may be refused, and what is refused may be seen in the place of what has a
    /// receipt and can be read.
    fn decides_folders(&self) -> bool {
        true
    }
}
