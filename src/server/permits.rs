//! How many connections there may be from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections by address.
#[derive(Debug, Clone)]
pub(super) struct Permits {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Permits {
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// A place for one more connection from `address`, freed when it is dropped.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Permit> {
        // An IPv4 sender counts as one, whichever way it comes in.
        let address = address.to_canonical();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Permit { address, open: Arc::clone(&self.open) })
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(super) struct Permit {
    address: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_freed_with_its_permit() {
        let permits = Permits::new(2);
        let (here, there): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let first = permits.admit(here).unwrap();
        let _second = permits.admit(mapped).unwrap();
        assert!(permits.admit(here).is_none());
        assert!(permits.admit(there).is_some());
        drop(first);
        assert!(permits.admit(here).is_some());
        assert_eq!(permits.open.lock().unwrap().len(), 1);
    }
}
