//! The keys that multipart uploads of this process are bound to, under
//! [`OnConflict::Version`](crate::upload::OnConflict).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::upload::{Key, UploadId, UploadSpec};

/// Which upload, or contest of uploads, each key belongs to, and how many are bound to it.
#[derive(Debug, Default)]
pub(super) struct Bindings(Bound);

type Bound = Arc<Mutex<HashMap<Key, (UploadId, usize)>>>;

impl Bindings {
    /// Binds an upload to `key`, unless another one is bound to it that is no rival.
    pub(super) fn bind(&self, key: &Key, spec: &UploadSpec) -> Option<Binding> {
        let owner = owner(spec);
        let mut bound = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (holder, count) = bound.entry(key.clone()).or_insert_with(|| (owner.clone(), 0));
        if holder != owner {
            return None;
        }
        *count += 1;
        Some(Binding { key: key.clone(), bound: Arc::clone(&self.0) })
    }

    /// Whether an upload is bound to `key` that is no rival of this one.
    pub(super) fn keep_off(&self, spec: &UploadSpec, key: &Key) -> bool {
        let bound = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bound.get(key).is_some_and(|(holder, _)| holder != owner(spec))
    }
}

fn owner(spec: &UploadSpec) -> &UploadId {
    spec.contest.as_ref().unwrap_or(&spec.id)
}

/// Keeps other uploads from the key until it is dropped.
#[derive(Debug)]
pub(super) struct Binding {
    key: Key,
    bound: Bound,
}

impl Drop for Binding {
    fn drop(&mut self) {
        let mut bound = self.bound.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = bound.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                bound.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_belongs_to_one_upload_or_to_rivals() {
        let (bindings, key): (_, Key) = (Bindings::default(), "a.csv".parse().unwrap());
        let spec = |id: &str, contest: Option<&str>| UploadSpec {
            contest: contest.map(|id| id.parse().unwrap()),
            ..UploadSpec::new(id.parse().unwrap(), key.clone())
        };
        let (first, second) = (spec("u1", Some("c")), spec("u2", Some("c")));
        let one = bindings.bind(&key, &first).unwrap();
        let two = bindings.bind(&key, &second).unwrap();
        for other in [spec("u3", None), spec("u4", Some("d"))] {
            assert!(bindings.bind(&key, &other).is_none());
            assert!(bindings.keep_off(&other, &key));
        }
        assert!(!bindings.keep_off(&second, &key));
        drop(one);
        assert!(bindings.bind(&key, &spec("u3", None)).is_none(), "the rival is still bound");
        drop(two);
        assert!(bindings.bind(&key, &spec("u3", None)).is_some());
        assert!(bindings.0.lock().unwrap().is_empty());
    }
}
