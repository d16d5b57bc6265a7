//! Addresses that no other test has: nodes keep theirs over restarts, since nginx knows them by their addresses.

use std::net::{Ipv4Addr, SocketAddr};

/// A random /24 of loopback.
#[derive(Clone, Copy)]
pub(crate) struct Net {
    second: u8,
    third: u8,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self { second: rand::random_range(64..=254), third: rand::random() }
    }

    /// Where node `number`, from 1 on, serves pages.
    pub(crate) fn node(self, number: u8) -> SocketAddr {
        self.at(number, 8080)
    }

    pub(crate) fn nginx(self) -> SocketAddr {
        self.at(200, 8000)
    }

    fn at(self, host: u8, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::new(127, self.second, self.third, host), port))
    }
}
