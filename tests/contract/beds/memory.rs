//! The reference.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate::sink::Sink;
use tidegate::sink::memory::Memory;
use tidegate::upload::{Durability, Key};

use super::Bed;

pub(crate) struct MemoryBed {
    store: Memory,
    sink: Arc<dyn Sink>,
}

#[async_trait]
impl Bed for MemoryBed {
    async fn open() -> Option<Self> {
        let store = Memory::new();
        Some(Self { sink: Arc::new(store.clone()), store })
    }

    fn shared(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    async fn another(&self) -> Arc<dyn Sink> {
        Arc::clone(&self.sink)
    }

    async fn read(&self, key: &Key) -> Option<Vec<u8>> {
        self.store.read(key)
    }

    async fn names(&self) -> Vec<String> {
        self.store.keys().into_iter().map(String::from).collect()
    }

    async fn litter(&self) -> Vec<String> {
        Vec::new()
    }

    async fn notes(&self, _: &Key) -> Option<BTreeMap<String, String>> {
        None
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }
}
