//! Bounds on what one client address may hold and ask for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::bucket::Bucket;
use crate::config::Http;

/// Addresses that are remembered at once. Who comes when as many are in use is let in uncounted: turning all away for
/// the sake of a few would be the greater harm.
const ADDRESSES_MAX: usize = 65_536;
/// Whoever has one IPv6 address has the 2^64 beside it too.
const HOUSEHOLD_BITS: u32 = 64;
/// And may have as many of those: a /48 is what a site is given (RFC 6177), and what anybody can rent for little.
const SITE_BITS: u32 = 48;
/// Between two searches for addresses that can be forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// What each address holds. Clones share the counts.
#[derive(Clone, Debug)]
pub(super) struct AddressLimiter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    unlimited: Vec<IpNet>,
    connections_max: usize,
    burst: u32,
    per_s: u32,
    /// How many times that a site may hold.
    site_addresses_max: usize,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    held: HashMap<Group, Held>,
    swept_at: Option<Instant>,
}

/// Addresses that are counted as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group {
    Address(Ipv4Addr),
    Household(u128),
    Site(u128),
}

/// An address of IPv6 is counted twice.
type Groups = [Option<Group>; 2];

#[derive(Debug)]
struct Held {
    connections: usize,
    bucket: Bucket,
}

/// The address holds all that it may.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// One connection of an address, given back when dropped.
#[derive(Debug)]
pub(super) struct AddressSlot {
    limiter: AddressLimiter,
    /// Of the address.
    groups: Groups,
    /// In which of them it is counted.
    counted: [bool; 2],
}

impl AddressLimiter {
    pub(super) fn new(http: &Http) -> Self {
        let inner = Inner {
            unlimited: http.unlimited_networks.clone(),
            connections_max: http.connections_per_address_max,
            burst: http.requests_per_address_burst_max,
            per_s: http.requests_per_address_per_s_max,
            site_addresses_max: http.addresses_per_ipv6_site_max,
            table: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A slot for one more connection. Not set for an address that is not counted.
    ///
    /// # Errors
    /// [`TooMany`] where the address holds as many as it may.
    pub(super) fn connect(&self, address: IpAddr) -> Result<Option<AddressSlot>, TooMany> {
        let Some(groups) = self.groups(address) else { return Ok(None) };
        let mut table = self.lock();
        for group in groups.into_iter().flatten() {
            let most = self.inner.slots_max(group);
            if table.entry(group, &self.inner).is_some_and(|held| held.connections >= most) {
                return Err(TooMany);
            }
        }
        let counted = groups.map(|group| group.is_some_and(|group| table.count(group, &self.inner)));
        drop(table);
        Ok(counted.contains(&true).then(|| AddressSlot { limiter: self.clone(), groups, counted }))
    }

    /// One more request.
    ///
    /// # Errors
    /// [`TooMany`] where the address asks faster than it may.
    pub(super) fn request(&self, address: IpAddr) -> Result<(), TooMany> {
        let Some(groups) = self.groups(address) else { return Ok(()) };
        let mut table = self.lock();
        let now = Instant::now();
        // What one group refuses costs the others nothing.
        for group in groups.into_iter().flatten() {
            if table.entry(group, &self.inner).is_some_and(|held| held.bucket.is_empty(now)) {
                return Err(TooMany);
            }
        }
        for group in groups.into_iter().flatten() {
            table.entry(group, &self.inner).map(|held| held.bucket.take(now));
        }
        Ok(())
    }

    /// The network without limits that an address is of.
    pub(super) fn unlimited_network(&self, address: IpAddr) -> Option<IpNet> {
        let address = address.to_canonical();
        self.inner.unlimited.iter().find(|network| network.contains(&address)).copied()
    }

    /// What stands for all addresses of one household, and of its site. Not set for those without limits.
    fn groups(&self, address: IpAddr) -> Option<Groups> {
        if self.unlimited_network(address).is_some() {
            return None;
        }
        Some(match address.to_canonical() {
            IpAddr::V4(v4) => [Some(Group::Address(v4)), None],
            IpAddr::V6(v6) => {
                let first = |bits: u32| v6.to_bits() >> (u128::BITS - bits);
                // The site first: who is refused for it leaves nothing of its household behind.
                [Some(Group::Site(first(SITE_BITS))), Some(Group::Household(first(HOUSEHOLD_BITS)))]
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn factor(&self, group: Group) -> usize {
        if matches!(group, Group::Site(_)) { self.site_addresses_max } else { 1 }
    }

    fn slots_max(&self, group: Group) -> usize {
        self.connections_max.saturating_mul(self.factor(group))
    }

    fn bucket(&self, group: Group) -> Bucket {
        let factor = u32::try_from(self.factor(group)).unwrap_or(u32::MAX);
        Bucket::new(self.burst.saturating_mul(factor), self.per_s.saturating_mul(factor), Instant::now())
    }
}

impl Table {
    /// Not set where the table is full of others.
    fn entry(&mut self, group: Group, limits: &Inner) -> Option<&mut Held> {
        if self.held.len() >= ADDRESSES_MAX && !self.held.contains_key(&group) {
            self.sweep();
            if self.held.len() >= ADDRESSES_MAX {
                return None;
            }
        }
        Some(self.held.entry(group).or_insert_with(|| Held { connections: 0, bucket: limits.bucket(group) }))
    }

    /// One more connection; false where it is not counted.
    fn count(&mut self, group: Group, limits: &Inner) -> bool {
        let held = self.entry(group, limits);
        held.map(|held| held.connections += 1).is_some()
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

impl Drop for AddressSlot {
    fn drop(&mut self) {
        let mut table = self.limiter.lock();
        let counted =
            self.groups.into_iter().zip(self.counted).filter_map(|(group, counted)| group.filter(|_| counted));
        for group in counted {
            if let Entry::Occupied(mut entry) = table.held.entry(group) {
                let held = entry.get_mut();
                held.connections -= 1;
                if held.connections == 0 && held.bucket.is_full(Instant::now()) {
                    entry.remove();
                }
            }
        }
    }
}

impl AddressSlot {
    /// True if it is a slot of this address.
    pub(super) fn is_of(&self, address: IpAddr) -> bool {
        self.limiter.groups(address) == Some(self.groups)
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
            site_addresses_max: 3,
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
    fn a_site_of_ipv6_holds_and_asks_for_as_much_as_a_few_addresses_however_many_it_has() {
        let limiter = limiter(2, 5);
        let address = |n: u32| ip(&format!("2001:db8:0:{n:x}::1"));
        let held: Vec<_> = (0..65_536).filter_map(|n| limiter.connect(address(n)).ok()).collect();
        assert_eq!(held.len(), 6);
        assert!(limiter.connect(ip("2001:db8:1::1")).unwrap().is_some(), "another site");
        let asked = (0..65_536).filter(|n| limiter.request(address(*n)).is_ok()).count();
        assert!((15..30).contains(&asked), "{asked}");
        assert!(limiter.request(ip("2001:db8:1::1")).is_ok());
        drop(held);
        assert!(limiter.connect(address(0)).unwrap().is_some());
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
            let [group, _] = limiter.groups(address(n)).unwrap();
            limiter.lock().entry(group.unwrap(), &limiter.inner).unwrap();
        }
        assert_eq!(limiter.lock().held.len(), ADDRESSES_MAX);
        assert!(limiter.request(address(most)).is_ok());
        assert_eq!(limiter.lock().held.len(), 2, "whoever holds a connection is kept");
        assert!(limiter.connect(address(0)).is_err());
    }
}
