//! Any other bed, with validators in front of its sink.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use tidegate::metrics::Metrics;
use tidegate::report::Format;
use tidegate::sink::Sink;
use tidegate::sink::validated::Validated;
use tidegate::upload::{Durability, Key, OnInvalid};
use tidegate::validate::rules::{MatchCase, Rule, Rulebook, Rules, Unmatched};
use tidegate::validate::{Limits, Standard};

use super::Bed;

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

/// Validators in front of a sink that read what is called `kept/…` and `warned/…` as `format`, and do as that says.
pub(crate) fn judge_by(inner: Arc<dyn Sink>, format: Format) -> Validated {
    let rule = |pattern: &str, on_invalid| Rule {
        pattern: pattern.to_owned(),
        match_case: MatchCase::default(),
        format: Some(format),
        compression: None,
        standard: Standard::of(Format::None, Limits::default()),
        max_bytes: None,
        on_conflict: None,
        on_invalid,
    };
    let rules = [rule("kept/**", OnInvalid::Quarantine), rule("warned/**", OnInvalid::Warn)];
    let rules = Rules::new(rules, Standard::of(Format::None, Limits::default()), Unmatched::Accept).unwrap();
    Validated::new(inner, Arc::new(Rulebook::new(rules)), Arc::new(Metrics::new()))
}
