//! How many connections there may be from one address, or from one network that a single sender has
//! as a rule.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Bits of an IPv6 address that name the network of one site (RFC 6177, RFC 4291 section 2.5.4): a
/// sender can have each of its addresses.
const NETWORK_BITS: u32 = 64;

/// The address under which a sender is counted: its IPv4 address, also where that is mapped into
/// IPv6, or its IPv6 network.
pub(in crate::server) fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> NETWORK_BITS)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Counts connections by sender.
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
        let address = sender(address);
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

    #[test]
    fn an_ipv6_network_counts_as_one_sender() {
        let permits = Permits::new(1);
        let [here, beside, elsewhere]: [IpAddr; 3] =
            ["2001:db8:0:1::1", "2001:db8:0:1:ffff::2", "2001:db8:0:2::1"].map(|address| address.parse().unwrap());
        let _held = permits.admit(here).unwrap();
        assert!(permits.admit(beside).is_none());
        assert!(permits.admit(elsewhere).is_some());
    }
}
