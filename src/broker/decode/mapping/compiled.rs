//! One mapping, compiled at the start: what is wrong with it is told then, and a message costs no more than it must.

use super::amount::{Amount, minor_units, rule};
use super::pointers::{NO_POINTER, Pointers, Values};
use super::source::{Source, compared};
use super::times::Times;
use super::topic::Topic;
use crate::config;
use crate::payment::{Currency, MerchantId, OrderId, RefundStatus, Status, limits};

const REFUND_RULE: &str = "must be one of processing, partial, full";
const NOT_FINITE: &str = "must be a JSON pointer: a constant is the same for every message";

/// A mapping.
#[derive(Debug, Clone)]
pub(super) struct Mapping {
    pub(super) topic: Topic,
    pub(super) pointers: Pointers,
    pub(super) fields: Fields,
    when: Vec<Condition>,
}

/// A value that has to be one of some.
#[derive(Debug, Clone)]
struct Condition {
    pointer: Box<str>,
    slot: usize,
    allowed: Vec<Box<str>>,
}

/// Where each field of an event is.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    pub(super) event_id: Option<Source>,
    pub(super) merchant_id: Option<Source>,
    pub(super) order_id: Source,
    pub(super) status: Source,
    /// By the publisher's words. Empty where those are the contract's.
    pub(super) statuses: Vec<(Box<str>, Status)>,
    pub(super) statuses_ignored: Vec<Box<str>>,
    pub(super) occurred_at: Option<Source>,
    pub(super) times: Times,
    pub(super) amount: Option<Amount>,
    pub(super) provider: Option<Source>,
    pub(super) provider_transaction_id: Option<Source>,
    pub(super) provider_status: Option<Source>,
    pub(super) refund: Option<RefundFields>,
    pub(super) reason_code: Option<Source>,
    pub(super) reason_message: Option<Source>,
    pub(super) display: Option<Source>,
}

/// Where a refund is.
#[derive(Debug, Clone)]
pub(super) struct RefundFields {
    pub(super) status: Source,
    pub(super) statuses: Vec<(Box<str>, RefundStatus)>,
    pub(super) amount: Option<Amount>,
}

impl Mapping {
    /// Compiles one.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub(super) fn new(written: &config::Mapping, has_default_merchant: bool) -> Result<Self, String> {
        let topic = Topic::new(&written.routing_key).map_err(|clause| format!("routing_key {clause}"))?;
        let mut pointers = Pointers::default();
        let when = conditions(written, &mut pointers)?;
        let fields = Compiler { written, pointers: &mut pointers, when: &when }.fields(has_default_merchant)?;
        let mapping = Self { topic, pointers, fields, when };
        mapping.check_statuses()?;
        Ok(mapping)
    }

    /// Whether the values of a body meet its conditions.
    pub(super) fn meets(&self, values: &Values<'_, '_>) -> bool {
        self.when.iter().all(|condition| {
            let value = values.at(condition.slot).and_then(compared);
            value.is_some_and(|value| condition.allowed.iter().any(|allowed| **allowed == *value))
        })
    }

    /// Whether it takes all that `later` would take.
    pub(super) fn covers(&self, later: &Self) -> bool {
        let implied = |own: &Condition| {
            later.when.iter().any(|other| {
                other.pointer == own.pointer && other.allowed.iter().all(|allowed| own.allowed.contains(allowed))
            })
        };
        self.topic.covers(&later.topic) && self.when.iter().all(implied)
    }

    /// A status that a condition lets in has a meaning.
    fn check_statuses(&self) -> Result<(), String> {
        let Fields { status, statuses, statuses_ignored, .. } = &self.fields;
        let is_known = |text: &str| {
            statuses_ignored.iter().any(|ignored| **ignored == *text)
                || statuses.iter().any(|(word, _)| **word == *text)
                || (statuses.is_empty() && text.parse::<Status>().is_ok())
        };
        if let Source::Constant(text) = status
            && !is_known(text)
        {
            return Err(format!("status {text:?} {}", unknown_rule(statuses.is_empty())));
        }
        if let Some((word, _)) = statuses.iter().find(|(word, _)| statuses_ignored.contains(word)) {
            return Err(format!("statuses_ignored has {word:?}, which statuses has too"));
        }
        let same = self.when.iter().find(|condition| status.pointer() == Some(&*condition.pointer));
        match same.and_then(|condition| condition.allowed.iter().find(|allowed| !is_known(allowed))) {
            Some(allowed) => {
                Err(format!("when lets in the status {allowed:?}, which {}", unknown_rule(statuses.is_empty())))
            }
            None => Ok(()),
        }
    }
}

fn unknown_rule(has_no_table: bool) -> String {
    match has_no_table {
        true => format!("{} (statuses translates the publisher's words)", crate::payment::UnknownStatus),
        false => "must be in statuses or in statuses_ignored".to_owned(),
    }
}

fn conditions(written: &config::Mapping, pointers: &mut Pointers) -> Result<Vec<Condition>, String> {
    let mut when: Vec<Condition> = Vec::new();
    for (pointer, allowed) in &written.when {
        let slot = pointers.slot(pointer).map_err(|clause| format!("when {pointer:?} {clause}"))?;
        if allowed.is_empty() {
            return Err(format!("when {pointer:?} allows no value, so it can never match"));
        }
        if let Some(above) = when.iter().find(|above| is_below(pointer, &above.pointer)) {
            return Err(format!("when {pointer:?} can never match where {:?} is a text or a number", above.pointer));
        }
        let allowed = allowed.iter().map(|scalar| scalar.as_str().into()).collect();
        when.push(Condition { pointer: pointer.as_str().into(), slot, allowed });
    }
    Ok(when)
}

fn is_below(pointer: &str, above: &str) -> bool {
    pointer.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

struct Compiler<'a> {
    written: &'a config::Mapping,
    pointers: &'a mut Pointers,
    when: &'a [Condition],
}

impl Compiler<'_> {
    fn fields(mut self, has_default_merchant: bool) -> Result<Fields, String> {
        let written = self.written;
        let merchant_id = self.source("merchant_id", &written.merchant_id)?;
        if merchant_id.is_none() && !has_default_merchant {
            return Err("merchant_id is missing, and payments.default_merchant is not set".to_owned());
        }
        check_constant("merchant_id", merchant_id.as_ref(), |text| MerchantId::new(text).map(drop))?;
        let order_id = self.needed("order_id", &written.order_id)?;
        check_constant("order_id", Some(&order_id), |text| OrderId::new(text).map(drop))?;
        let event_id = self.pointer("event_id", &written.event_id)?;
        let statuses = written.statuses.iter().map(|(word, status)| {
            let known: Result<Status, _> = status.parse();
            known.map(|status| (word.as_str().into(), status)).map_err(|rule| format!("statuses {word:?} {rule}"))
        });
        let statuses = statuses.collect::<Result<Vec<(Box<str>, _)>, String>>()?;
        let status = self.needed("status", &written.status)?;
        let (occurred_at, times) = self.time()?;
        let amount =
            self.amount(("amount_value", &written.amount_value), ("amount_currency", &written.amount_currency))?;
        if written.amount_scale.is_some() && written.amount_value.is_empty() && written.refund_amount_value.is_empty() {
            return Err("amount_scale needs amount_value".to_owned());
        }
        let display = self.pointer("display", &written.display)?;
        Ok(Fields {
            event_id,
            merchant_id,
            order_id,
            status,
            statuses,
            statuses_ignored: written.statuses_ignored.iter().map(|scalar| scalar.as_str().into()).collect(),
            occurred_at,
            times,
            amount,
            provider: self.short("provider", &written.provider, limits::PROVIDER_BYTES_MAX)?,
            provider_transaction_id: self.short(
                "provider_transaction_id",
                &written.provider_transaction_id,
                limits::PROVIDER_TRANSACTION_ID_BYTES_MAX,
            )?,
            provider_status: self.short(
                "provider_status",
                &written.provider_status,
                limits::PROVIDER_STATUS_BYTES_MAX,
            )?,
            refund: self.refund()?,
            reason_code: self.short("reason_code", &written.reason_code, limits::REASON_CODE_BYTES_MAX)?,
            reason_message: self.short("reason_message", &written.reason_message, limits::REASON_MESSAGE_BYTES_MAX)?,
            display,
        })
    }

    fn source(&mut self, key: &str, written: &str) -> Result<Option<Source>, String> {
        let source = Source::new(written, self.pointers).map_err(|clause| format!("{key} {clause}"))?;
        let pointer = source.as_ref().and_then(Source::pointer).unwrap_or_default();
        match self.when.iter().find(|condition| is_below(pointer, &condition.pointer)) {
            Some(above) => {
                Err(format!("{key} leads to nothing: when wants a text or a number at {:?}, above it", above.pointer))
            }
            None => Ok(source),
        }
    }

    /// A source of a text of a bounded length.
    fn short(&mut self, key: &str, written: &str, bytes_max: usize) -> Result<Option<Source>, String> {
        let source = self.source(key, written)?;
        let is_short = |text: &str| text.len() <= bytes_max;
        let rule = format!("must be at most {bytes_max} bytes");
        check_constant(key, source.as_ref(), |text| if is_short(text) { Ok(()) } else { Err(&rule) })?;
        Ok(source)
    }

    /// A source that cannot be a constant.
    fn pointer(&mut self, key: &str, written: &str) -> Result<Option<Source>, String> {
        match written.chars().next() {
            None | Some('/') => self.source(key, written),
            Some('=') => Err(format!("{key} {NOT_FINITE}")),
            Some(_) => Err(format!("{key} {NO_POINTER}")),
        }
    }

    fn needed(&mut self, key: &str, written: &str) -> Result<Source, String> {
        self.source(key, written)?.ok_or_else(|| format!("{key} is missing"))
    }

    fn time(&mut self) -> Result<(Option<Source>, Times), String> {
        let written = self.written;
        let occurred_at = self.source("occurred_at", &written.occurred_at)?;
        let times = Times::new(&written.time_format, &written.time_zone);
        let times = times.map_err(|(key, clause)| format!("{key} {clause}"))?;
        for (key, text) in [("time_format", &written.time_format), ("time_zone", &written.time_zone)] {
            if occurred_at.is_none() && !text.is_empty() {
                return Err(format!("{key} needs occurred_at"));
            }
        }
        check_constant("occurred_at", occurred_at.as_ref(), |text| times.read(text).map(drop))?;
        Ok((occurred_at, times))
    }

    fn amount(&mut self, value: (&str, &str), currency: (&str, &str)) -> Result<Option<Amount>, String> {
        let scale = self.written.amount_scale;
        let sources = (self.source(value.0, value.1)?, self.source(currency.0, currency.1)?);
        check_constant(value.0, sources.0.as_ref(), |text| {
            minor_units(text, scale).map(drop).ok_or_else(|| rule(scale))
        })?;
        check_constant(currency.0, sources.1.as_ref(), |text| Currency::new(&text.to_ascii_uppercase()).map(drop))?;
        match sources {
            (Some(value), Some(currency)) => Ok(Some(Amount { value, currency, scale })),
            (Some(_), None) => Err(format!("{} needs {}", value.0, currency.0)),
            (None, Some(_)) => Err(format!("{} needs {}", currency.0, value.0)),
            (None, None) => Ok(None),
        }
    }

    fn refund(&mut self) -> Result<Option<RefundFields>, String> {
        let written = self.written;
        let by_name = |text: &str| RefundStatus::ALL.into_iter().find(|status| status.as_str() == text);
        let statuses = written.refund_statuses.iter().map(|(word, status)| {
            let known = by_name(status).map(|status| (word.as_str().into(), status));
            known.ok_or_else(|| format!("refund_statuses {word:?} {REFUND_RULE}"))
        });
        let statuses = statuses.collect::<Result<Vec<(Box<str>, _)>, String>>()?;
        let currency = match written.refund_amount_currency.as_str() {
            "" if written.refund_amount_value.is_empty() => "",
            "" => written.amount_currency.as_str(),
            own => own,
        };
        let amount =
            self.amount(("refund_amount_value", &written.refund_amount_value), ("refund_amount_currency", currency))?;
        let Some(status) = self.source("refund_status", &written.refund_status)? else {
            let dependent = [("refund_statuses", !statuses.is_empty()), ("refund_amount_value", amount.is_some())];
            return match dependent.into_iter().find(|(_, is_set)| *is_set) {
                Some((key, _)) => Err(format!("{key} needs refund_status")),
                None => Ok(None),
            };
        };
        let is_known = |text: &str| match statuses.is_empty() {
            true => by_name(text).is_some(),
            false => statuses.iter().any(|(word, _)| **word == *text),
        };
        let rule = if statuses.is_empty() { REFUND_RULE } else { "must be in refund_statuses" };
        check_constant("refund_status", Some(&status), |text| if is_known(text) { Ok(()) } else { Err(rule) })?;
        Ok(Some(RefundFields { status, statuses, amount }))
    }
}

/// A constant has to be what its field holds.
fn check_constant<E: std::fmt::Display>(
    key: &str,
    source: Option<&Source>,
    check: impl FnOnce(&str) -> Result<(), E>,
) -> Result<(), String> {
    match source {
        Some(Source::Constant(text)) => check(text).map_err(|rule| format!("{key} {rule}")),
        _ => Ok(()),
    }
}
