//! A text that must not be shown.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// Of addresses. What begins otherwise is shown in no part.
const SCHEMES: [&str; 7] = ["amqp", "amqps", "http", "https", "postgres", "postgresql", "sqlite"];

/// A secret setting. `Debug` and serialisation show only whether it is set.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// What stands for a secret where settings are shown.
    pub(super) const SHOWN: &str = "(set)";

    /// Wraps a text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that uses it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// False where the setting is an empty text.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// The addresses of a list with commas. A comma divides only where an address follows, since a password may hold one.
    #[must_use]
    pub fn addresses(&self) -> Vec<Self> {
        let mut addresses: Vec<String> = Vec::new();
        for part in self.0.split(',') {
            let scheme = part.trim_start().split_once("://").map_or("", |(scheme, _)| scheme);
            let begins = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
            match addresses.last_mut() {
                Some(last) if !begins => *last = format!("{last},{part}"),
                _ => addresses.push(part.to_owned()),
            }
        }
        addresses.iter().map(|address| Self::new(address.trim())).collect()
    }

    /// The text, with the password of each address of a list hidden, and everything hidden where it is no address.
    #[must_use]
    pub fn redacted(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(Self::redacted_address).collect();
        addresses.join(",")
    }

    /// The password of an address, if it has one.
    pub(super) fn password(&self) -> Option<&str> {
        let (_, rest) = self.0.split_once("://")?;
        let (login, _) = rest.rsplit_once('@')?;
        login.split_once(':').map(|(_, password)| password)
    }

    fn redacted_address(&self) -> String {
        if !self.is_set() {
            return String::new();
        }
        let Some((scheme, rest)) = self.0.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme)) else {
            return Self::SHOWN.to_owned();
        };
        // The last `@`, and a user that is none is hidden too: passwords are written with `/`, `?` and `@` in them.
        let visible = match rest.rsplit_once('@') {
            Some((login, host)) => match login.split_once(':') {
                Some((user, _password)) if !user.contains(['/', '?', '#']) => format!("{user}:…@{host}"),
                _ => format!("…@{host}"),
            },
            None => rest.to_owned(),
        };
        let without_query = visible.split_once('?').map_or(visible.as_str(), |(before, _query)| before);
        format!("{scheme}://{without_query}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_secret_is_shown() {
        assert_eq!(Secret::new("amqp://u:p%40ss@h:5672/%2f?x=p").redacted(), "amqp://u:…@h:5672/%2f");
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "(set)");
        assert_eq!(Secret::new("sqlite://data/payments.db").redacted(), "sqlite://data/payments.db");
        assert_eq!(Secret::new("").redacted(), "");
        let list = Secret::new("amqp://u:p,w@a/v, amqps://u:pw@b/v?x=y");
        assert_eq!(list.redacted(), "amqp://u:…@a/v,amqps://u:…@b/v");
        assert_eq!(Secret::new("hunter2,hunter3").redacted(), "(set)");
        for careless in [
            "amqp://u:hun/ter2@h/v",
            "amqp://u:hun?ter2@h/v",
            "amqp://u:hun@ter2@h/v",
            "amqp://u:p,hunter2@h/v",
            "https://hunter2@h/keys",
            "https://h/?token=hunter2:x@y",
            "https://h/keys?token=hunter2",
            "hunter2://hunter2",
        ] {
            let shown = Secret::new(careless).redacted();
            assert!(["hun", "ter2"].iter().all(|part| !shown.contains(part)), "{careless}: {shown}");
        }
    }

    #[test]
    fn a_password_is_what_stands_before_the_last_at() {
        for (address, password) in [
            ("amqp://u:p@h", Some("p")),
            ("postgres://u:p@ss/w@h/d", Some("p@ss/w")),
            ("amqp://h:5672/v", None),
            ("amqp://u@h", None),
            ("hunter2", None),
        ] {
            assert_eq!(Secret::new(address).password(), password, "{address}");
        }
    }

    #[test]
    fn a_comma_divides_only_before_another_address() {
        let list = Secret::new("amqp://u:p,w@a/v , amqp://u:pw@b/v").addresses();
        let texts: Vec<&str> = list.iter().map(Secret::expose).collect();
        assert_eq!(texts, ["amqp://u:p,w@a/v", "amqp://u:pw@b/v"]);
        assert_eq!(Secret::new("amqp://u:p@a/v,").addresses().len(), 1);
    }
}
