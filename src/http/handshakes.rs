//! Bounds on TLS handshakes that are under way: each holds memory, and costs a signature.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of all that may be under way, what those of one address are at most: who sends nothing must not hold up the others.
const ADDRESS_SHARE: usize = 8;
/// Whoever has one IPv6 address may have the whole site around it.
const SITE_BITS: u32 = 48;

/// What is under way. Clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct Handshakes {
    slots: Arc<Semaphore>,
    each_max: usize,
    /// No more addresses than there are slots.
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One handshake, given back when dropped.
#[derive(Debug)]
pub(super) struct HandshakeSlot {
    _slot: OwnedSemaphorePermit,
    of_address: Option<(Handshakes, IpAddr)>,
}

impl Handshakes {
    pub(super) fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            slots: Arc::new(Semaphore::new(most)),
            each_max: most.div_ceil(ADDRESS_SHARE),
            by_address: Arc::default(),
        }
    }

    /// Not set where as many are under way as may be, of all or of this address. That is not set for one that is not
    /// counted.
    pub(super) fn begin(&self, address: Option<IpAddr>) -> Option<HandshakeSlot> {
        let slot = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        let Some(address) = address.map(site) else { return Some(HandshakeSlot { _slot: slot, of_address: None }) };
        let mut by_address = self.lock();
        let count = by_address.entry(address).or_default();
        if *count >= self.each_max {
            return None;
        }
        *count += 1;
        drop(by_address);
        Some(HandshakeSlot { _slot: slot, of_address: Some((self.clone(), address)) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HandshakeSlot {
    fn drop(&mut self) {
        let Some((handshakes, address)) = &self.of_address else { return };
        let mut by_address = handshakes.lock();
        if let Entry::Occupied(mut count) = by_address.entry(*address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

fn site(address: IpAddr) -> IpAddr {
    // On a socket for both kinds IPv4 comes as IPv6.
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << (u128::BITS - SITE_BITS))).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_or_site_holds_an_eighth_and_leaves_nothing_behind() {
        let handshakes = Handshakes::new(16);
        let address = |text: &str| Some(text.parse().unwrap());
        let held = [address("192.0.2.1"), address("192.0.2.1"), address("2001:db8:1::1"), address("2001:db8:1:2::9")]
            .map(|address| handshakes.begin(address).unwrap());
        for full in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:ffff::1"] {
            assert!(handshakes.begin(address(full)).is_none(), "{full}");
        }
        for other in [address("192.0.2.2"), address("::ffff:192.0.2.3"), address("2001:db8:2::1"), None] {
            assert!(handshakes.begin(other).is_some(), "{other:?}");
        }
        drop(held);
        assert!(handshakes.lock().is_empty());
        let all: Vec<_> = (0..16).map(|_| handshakes.begin(None).unwrap()).collect();
        assert!(handshakes.begin(None).is_none() && handshakes.begin(address("192.0.2.1")).is_none());
        drop(all);
        assert!(Handshakes::new(1).begin(address("192.0.2.1")).is_some(), "one at least");
    }
}
