//! Bounds on what one client address may hold and ask for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::Bucket;
use crate::config::Http;

/// Addresses that are remembered at once. Who comes when as many are in use is let in uncounted: turning all away for
/// the sake of a few would be the greater harm.
const ADDRESSES_MAX: usize = 65_536;
/// Between two searches for addresses that can be forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What each address holds. Clones share the counts.
#[derive(Clone, Debug)]
pub(in crate::bridge) struct AddressLimiter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    unlimited: Vec<IpNet>,
    connections_max: usize,
    burst: u32,
    per_s: u32,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    held: HashMap<IpAddr, Held>,
    swept_at: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    connections: usize,
    bucket: Bucket,
}

/// The address holds all that it may.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::bridge) struct TooMany;

/// One connection of an address, given back when dropped.
#[derive(Debug)]
pub(in crate::bridge) struct AddressPlace {
    limiter: AddressLimiter,
    address: IpAddr,
}

impl AddressLimiter {
    pub(in crate::bridge) fn new(http: &Http) -> Self {
        let inner = Inner {
            unlimited: http.unlimited_networks.clone(),
            connections_max: http.connections_per_address_max,
            burst: http.requests_per_address_burst_max,
            per_s: http.requests_per_address_per_s_max,
            table: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A place for one more connection. Not set for an address that is not counted.
    ///
    /// # Errors
    /// [`TooMany`] where the address holds as many as it may.
    pub(in crate::bridge) fn connect(&self, address: IpAddr) -> Result<Option<AddressPlace>, TooMany> {
        let Some(address) = self.counted(address) else { return Ok(None) };
        let mut table = self.lock();
        let Some(held) = table.entry(address, &self.inner) else { return Ok(None) };
        if held.connections >= self.inner.connections_max {
            return Err(TooMany);
        }
        held.connections += 1;
        drop(table);
        Ok(Some(AddressPlace { limiter: self.clone(), address }))
    }

    /// One more request.
    ///
    /// # Errors
    /// [`TooMany`] where the address asks faster than it may.
    pub(in crate::bridge) fn request(&self, address: IpAddr) -> Result<(), TooMany> {
        let Some(address) = self.counted(address) else { return Ok(()) };
        let mut table = self.lock();
        let Some(held) = table.entry(address, &self.inner) else { return Ok(()) };
        if held.bucket.take(Instant::now()) { Ok(()) } else { Err(TooMany) }
    }

    /// What stands for all addresses of one household. Not set for those without limits.
    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        if self.inner.unlimited.iter().any(|network| network.contains(&address)) {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            // Whoever has one IPv6 address has the 2^64 beside it too.
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Not set where the table is full of others.
    fn entry(&mut self, address: IpAddr, limits: &Inner) -> Option<&mut Held> {
        if self.held.len() >= ADDRESSES_MAX && !self.held.contains_key(&address) {
            self.sweep();
            if self.held.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        let fresh = || Held { connections: 0, bucket: Bucket::new(limits.burst, limits.per_s, Instant::now()) };
        Some(self.held.entry(address).or_insert_with(fresh))
    }

    /// Forgets those that hold nothing and may ask for as much as a stranger.
    fn sweep(&mut self) {
        let now = Instant::now();
        if self.swept_at.is_some_and(|at| now.duration_since(at) < SWEEP_INTERVAL) {
            return;
        }
        self.swept_at = Some(now);
        self.held.retain(|_, held| held.connections > 0 || !held.bucket.is_full(now));
    }
}

impl Drop for AddressPlace {
    fn drop(&mut self) {
        let mut table = self.limiter.lock();
        if let Entry::Occupied(mut entry) = table.held.entry(self.address) {
            let held = entry.get_mut();
            held.connections -= 1;
            if held.connections == 0 && held.bucket.is_full(Instant::now()) {
                entry.remove();
            }
        }
    }
}

impl AddressPlace {
    /// True if it is a place of this address.
    pub(in crate::bridge) fn is_of(&self, address: IpAddr) -> bool {
        self.limiter.counted(address) == Some(self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(connections_max: usize, burst: u32) -> AddressLimiter {
        let inner = Inner {
            unlimited: vec!["10.0.0.0/8".parse().unwrap()],
            connections_max,
            burst,
            per_s: 1,
            table: Mutex::default(),
        };
        AddressLimiter { inner: Arc::new(inner) }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_holds_no_more_than_it_may_and_leaves_nothing_behind() {
        let limiter = limiter(2, 5);
        let (a, b) = (limiter.connect(ip("192.0.2.1")).unwrap(), limiter.connect(ip("192.0.2.1")).unwrap());
        assert_eq!(limiter.connect(ip("::ffff:192.0.2.1")).unwrap_err(), TooMany, "the same address, written as IPv6");
        assert!(limiter.connect(ip("192.0.2.2")).unwrap().is_some());
        drop(a);
        assert!(limiter.connect(ip("192.0.2.1")).unwrap().is_some());
        drop(b);
        assert!(limiter.lock().held.is_empty());
    }

    #[test]
    fn a_household_of_ipv6_is_one_address_and_its_neighbour_another() {
        let limiter = limiter(1, 5);
        let _held = limiter.connect(ip("2001:db8:0:1::1")).unwrap().unwrap();
        assert!(limiter.connect(ip("2001:db8:0:1:ffff::9")).is_err());
        assert!(limiter.connect(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn unlimited_networks_are_not_counted_at_all() {
        let limiter = limiter(1, 1);
        for _ in 0..10 {
            assert!(limiter.connect(ip("10.1.2.3")).unwrap().is_none());
            assert!(limiter.request(ip("10.1.2.3")).is_ok());
        }
        assert!(limiter.lock().held.is_empty());
    }

    #[test]
    fn requests_have_a_burst_and_then_a_rate() {
        let limiter = limiter(1, 3);
        let good = (0..10).filter(|_| limiter.request(ip("192.0.2.1")).is_ok()).count();
        assert!((3..=4).contains(&good), "{good}");
        assert!(limiter.request(ip("192.0.2.2")).is_ok());
    }

    #[test]
    fn the_table_has_a_bound_and_forgets_whom_it_can() {
        let limiter = limiter(1, 1_000_000);
        let address = |n: u32| IpAddr::V4(std::net::Ipv4Addr::from_bits((11 << 24) + n));
        let _held = limiter.connect(address(0)).unwrap().unwrap();
        let most = u32::try_from(ADDRESSES_MAX).unwrap();
        for n in 1..most {
            limiter.lock().entry(address(n), &limiter.inner).unwrap();
        }
        assert_eq!(limiter.lock().held.len(), ADDRESSES_MAX);
        assert!(limiter.request(address(most)).is_ok());
        assert_eq!(limiter.lock().held.len(), 2, "whoever holds a connection is kept");
        assert!(limiter.connect(address(0)).is_err());
    }
}
