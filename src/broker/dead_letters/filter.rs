//! Which dead letters are meant.

use super::dead_letter::DeadLetter;

/// Every condition that is set has to hold; of one that lists several values, one.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Reasons, as [`DeadLetter::reason`](super::DeadLetter::reason) has them.
    pub reasons: Vec<String>,
    /// Order ids.
    pub orders: Vec<String>,
    /// Beginnings of the ids that `dead-letters list` shows.
    pub ids: Vec<String>,
    /// Dead-lettered at least this long ago, in milliseconds.
    pub older_than_ms: Option<i64>,
    /// Dead-lettered at most this long ago, in milliseconds.
    pub newer_than_ms: Option<i64>,
}

impl Filter {
    /// True where no condition is set: every dead letter is meant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let Self { reasons, orders, ids, older_than_ms, newer_than_ms } = self;
        let lists_are_empty = reasons.is_empty() && orders.is_empty() && ids.is_empty();
        lists_are_empty && older_than_ms.is_none() && newer_than_ms.is_none()
    }

    /// Whether it is meant. A dead letter of unknown age is neither older nor newer than anything.
    #[must_use]
    pub fn selects(&self, dead_letter: &DeadLetter, now_ms: i64) -> bool {
        let any = |wanted: &[String], holds: &dyn Fn(&String) -> bool| wanted.is_empty() || wanted.iter().any(holds);
        let age_ms = dead_letter.dead_lettered_at_ms.map(|at_ms| now_ms.saturating_sub(at_ms));
        any(&self.reasons, &|reason| *reason == dead_letter.reason)
            && any(&self.orders, &|order| dead_letter.order_id.as_ref() == Some(order))
            && any(&self.ids, &|id| dead_letter.id.starts_with(id.as_str()))
            && self.older_than_ms.is_none_or(|age_min| age_ms.is_some_and(|age| age >= age_min))
            && self.newer_than_ms.is_none_or(|age_max| age_ms.is_some_and(|age| age <= age_max))
    }
}

/// A text that [`age_ms`] cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number with s, m, h or d, e.g. 90s or 2h")]
pub struct AgeError;

/// Reads `90s`, `30m`, `2h`, `7d` as milliseconds.
///
/// # Errors
/// [`AgeError`] for any other text.
pub fn age_ms(text: &str) -> Result<i64, AgeError> {
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or(AgeError)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(AgeError),
    };
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse::<i64>().ok()).flatten();
    number.and_then(|number| number.checked_mul(seconds)?.checked_mul(1000)).ok_or(AgeError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_and_a_unit() {
        assert_eq!((age_ms("90s"), age_ms("2h"), age_ms("7d")), (Ok(90_000), Ok(7_200_000), Ok(604_800_000)));
        for bad in
            ["", "s", "5", "-5s", "5 s", "1.5h", "5w", "+1m", "99999999999999999999d", "9223372036854775807d", "五"]
        {
            assert_eq!(age_ms(bad), Err(AgeError), "{bad}");
        }
    }
}
