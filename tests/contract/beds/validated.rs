//! Any other bed, with validators in front of its sink.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate::report::Format;
use tidegate::sink::Sink;
use tidegate::upload::{Durability, Key};

use super::Bed;
use crate::help::judge_by;

pub(crate) struct ValidatedBed<B> {
    inner: B,
    sink: Arc<dyn Sink>,
}

#[async_trait]
impl<B: Bed> Bed for ValidatedBed<B> {
    async fn open() -> Option<Self> {
        let inner = B::open().await?;
        let sink = validated(Arc::clone(inner.shared()));
        Some(Self { inner, sink })
    }

    fn shared(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    async fn another(&self) -> Arc<dyn Sink> {
        validated(self.inner.another().await)
    }

    async fn read(&self, key: &Key) -> Option<Vec<u8>> {
        self.inner.read(key).await
    }

    async fn names(&self) -> Vec<String> {
        self.inner.names().await
    }

    async fn litter(&self) -> Vec<String> {
        self.inner.litter().await
    }

    async fn notes(&self, key: &Key) -> Option<BTreeMap<String, String>> {
        self.inner.notes(key).await
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    fn part_bytes(&self) -> usize {
        self.inner.part_bytes()
    }

    fn is_atomic(&self) -> bool {
        self.inner.is_atomic()
    }
}

fn validated(inner: Arc<dyn Sink>) -> Arc<dyn Sink> {
    Arc::new(judge_by(inner, Format::None))
}
