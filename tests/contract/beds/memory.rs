//! The reference.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tidegate::sink::Sink;
use tidegate::sink::memory::Memory;
use tidegate::upload::{Durability, Key};

use super::Bed;

pub(crate) struct MemoryBed(Memory);

#[async_trait]
impl Bed for MemoryBed {
    async fn open() -> Option<Self> {
        Some(Self(Memory::new()))
    }

    fn sink(&self) -> &dyn Sink {
        &self.0
    }

    async fn read(&self, key: &Key) -> Option<Vec<u8>> {
        self.0.read(key)
    }

    async fn names(&self) -> Vec<String> {
        self.0.keys().into_iter().map(String::from).collect()
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
