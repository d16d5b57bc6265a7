//! From a message to a [`payment::Event`](crate::payment::Event), or the reason why not.
//!
//! The form (plain, CloudEvents structured, CloudEvents binary) is found by looking, since real publishers set no
//! content-type or a wrong one. Pure: no clock, no I/O, and no input makes it panic.

mod around;
mod decoded;
mod explained;
mod fields;
mod invalid;
mod json;
mod mapping;
mod payload;
mod reject;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config;
use crate::payment::MerchantId;

pub use decoded::Decoded;
pub use explained::Explained;
pub use fields::encode;
pub use invalid::InvalidSettings;
pub use payload::{Payload, text_headers};
pub use reject::Reject;

use around::Envelope;
use explained::Origins;
use fields::Fallback;
use mapping::Mappings;

/// Bodies of the service's own are read up to this size at least: its texts are bounded by [`crate::payment::limits`].
const OWN_BYTES_MAX: usize = 16 * 1024;

/// A message as a mapping reads it.
struct Mapped<'a> {
    decoded: Result<Decoded, Reject>,
    /// What the pointers lead into.
    text: Cow<'a, str>,
    /// Whether that is the data of a CloudEvent.
    is_data: bool,
}

/// Decodes by the settings in `[payments]`.
#[derive(Debug, Clone)]
pub struct Decoder {
    body_bytes_max: usize,
    body_depth_max: usize,
    pointer: Vec<String>,
    default_merchant: Option<MerchantId>,
    mappings: Mappings,
}

impl Decoder {
    /// Takes the settings.
    ///
    /// # Errors
    /// If `payments.default_merchant` is no merchant id, or a mapping cannot work.
    pub fn new(settings: &config::Payments) -> Result<Self, InvalidSettings> {
        let merchant = &settings.default_merchant;
        let pointer = settings.body_pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~"));
        let default_merchant = if merchant.is_empty() { None } else { Some(MerchantId::new(merchant)?) };
        Ok(Self {
            body_bytes_max: settings.body_bytes_max,
            body_depth_max: settings.body_depth_max,
            pointer: pointer.collect(),
            mappings: Mappings::new(&settings.mappings, default_merchant.is_some())?,
            default_merchant,
        })
    }

    /// Makes an event of a message: by the first mapping that matches, else in the contract's forms.
    ///
    /// # Errors
    /// [`Reject`] with the first rule that the message breaks.
    pub fn decode(&self, payload: &Payload<'_>) -> Result<Decoded, Reject> {
        let text = self.text(payload)?;
        if let Some(mapped) = self.mapped(payload, text) {
            return mapped.decoded;
        }
        let object = self.pointed_at(payload, text)?;
        let envelope = self.envelope(&object)?;
        let object = envelope.data.as_deref().unwrap_or(&object);
        let event_id = || around::event_id(&envelope, payload).map(|(id, _origin)| id);
        let occurred_at = || around::occurred_at(&envelope, payload).map(|found| found.map(|(at, _origin)| at));
        let merchant_id = self.default_merchant.as_ref();
        let fallback = Fallback { event_id: &event_id, occurred_at: &occurred_at, merchant_id };
        fields::payment(object, &fallback).map(Decoded::Event)
    }

    /// The same, with where each field comes from.
    #[must_use]
    pub fn explain(&self, payload: &Payload<'_>) -> Explained {
        let (mapping, origins) = self.origins(payload).unwrap_or_default();
        Explained { mapping, decoded: self.decode(payload), origins }
    }

    fn origins(&self, payload: &Payload<'_>) -> Result<(Option<usize>, Origins), Reject> {
        let text = self.text(payload)?;
        if let Some(mapped) = self.mapped(payload, text)
            && let Some((number, mut origins)) = self.mappings.origins(payload.routing_key, &mapped.text)
        {
            if mapped.is_data {
                origins.iter_mut().for_each(|(_, origin)| origin.insert_str(0, "data: "));
            }
            let text = self.unwrapped(text)?;
            around::complete(&mut origins, &self.envelope(&text).unwrap_or_default(), payload);
            return Ok((Some(number), origins));
        }
        let object = self.pointed_at(payload, text)?;
        let envelope = self.envelope(&object)?;
        let mut prefix: String = self.pointer_for(payload).iter().map(|token| format!("/{token}")).collect();
        if envelope.data.is_some() {
            prefix.push_str("/data");
        }
        let mut origins = fields::origins(envelope.data.as_deref().unwrap_or(&object), &prefix)?;
        around::complete(&mut origins, &envelope, payload);
        Ok((None, origins))
    }

    /// Reads a message by the first mapping that matches: its whole body, and where that lacks a field, what a structured
    /// CloudEvent has as its data. Not set where none matches.
    fn mapped<'a>(&self, payload: &Payload<'_>, text: &'a str) -> Option<Mapped<'a>> {
        if self.mappings.is_empty() || payload.is_own() {
            return None;
        }
        let text = self.unwrapped(text).ok()?;
        // The envelope matters for what a mapping does not name.
        let envelope = || self.envelope(&text).unwrap_or_default();
        let event_id = || around::event_id(&envelope(), payload).map(|(id, _origin)| id);
        let occurred_at = || around::occurred_at(&envelope(), payload).map(|found| found.map(|(at, _origin)| at));
        let merchant_id = self.default_merchant.as_ref();
        let fallback = Fallback { event_id: &event_id, occurred_at: &occurred_at, merchant_id };
        let whole = self.mappings.decode(payload.routing_key, &text, &fallback);
        let lacks_a_field = |read: &Result<_, Reject>| read.as_ref().is_err_and(Reject::is_missing);
        if whole.as_ref().is_none_or(lacks_a_field)
            && let Some(data) = envelope().data
            && let Some(decoded) = self.mappings.decode(payload.routing_key, &data, &fallback)
            && (whole.is_none() || !lacks_a_field(&decoded))
        {
            return Some(Mapped { decoded, text: Cow::Owned(data.into_owned()), is_data: true });
        }
        whole.map(|decoded| Mapped { decoded, text, is_data: false })
    }

    /// The body as text of a bounded size and depth.
    fn text<'a>(&self, payload: &Payload<'a>) -> Result<&'a str, Reject> {
        let bytes = payload.body;
        let most = if payload.is_own() { self.body_bytes_max.max(OWN_BYTES_MAX) } else { self.body_bytes_max };
        if bytes.len() > most {
            return Err(Reject::too_large(bytes.len(), most));
        }
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.trim_start_matches('\u{feff}'),
            Err(_not_utf8) if bytes.starts_with(&[0xac, 0xed]) => {
                return Err(Reject::invalid_json("it is a serialised Java object"));
            }
            Err(_not_utf8) => return Err(Reject::invalid_json("it is not UTF-8")),
        };
        json::check_depth(text, self.body_depth_max)?;
        Ok(text)
    }

    /// Where the object is in a message that no mapping reads.
    fn pointer_for(&self, payload: &Payload<'_>) -> &[String] {
        if self.pointer.is_empty() || payload.is_own() { &[] } else { &self.pointer }
    }

    fn pointed_at<'a>(&self, payload: &Payload<'_>, text: &'a str) -> Result<Cow<'a, str>, Reject> {
        let pointer = self.pointer_for(payload);
        if pointer.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        let name = || format!("the value at payments.body_pointer \"/{}\"", pointer.join("/"));
        let found = json::point(text, pointer)?.ok_or_else(|| Reject::missing(&name()))?;
        self.unwrapped(found)
    }

    /// The envelope of a structured CloudEvent; an empty one for every other object.
    fn envelope<'a>(&self, object: &'a str) -> Result<Envelope<'a>, Reject> {
        if !object.contains("\"specversion\"") {
            return Ok(Envelope::default());
        }
        let names = ["specversion", "id", "time", "data", "data_base64"];
        let [version, id, time, data, data_base64] = json::members(object, "", &names)?;
        let data = match (version, data, data_base64) {
            (None, _, _) | (_, None, None) => return Ok(Envelope::default()),
            (_, Some(_), Some(_)) => return Err(Reject::malformed("data", "must not be combined with data_base64")),
            (_, Some(data), None) => self.unwrapped(data.get())?,
            (_, None, Some(encoded)) => {
                let encoded = json::text(Some(encoded), "data_base64")?.unwrap_or_default();
                let rule = "must be JSON in base64";
                let bytes = STANDARD.decode(encoded.as_bytes()).map_err(|_e| Reject::malformed("data_base64", rule))?;
                let text = String::from_utf8(bytes).map_err(|_e| Reject::malformed("data_base64", rule))?;
                json::check_depth(&text, self.body_depth_max)?;
                Cow::Owned(text)
            }
        };
        Ok(Envelope { id, time, data: Some(data) })
    }

    /// JSON, or the JSON that stands in a JSON text: some publishers encode twice.
    fn unwrapped<'a>(&self, json: &'a str) -> Result<Cow<'a, str>, Reject> {
        if !json.starts_with('"') {
            return Ok(Cow::Borrowed(json));
        }
        let inner: String = serde_json::from_str(json).map_err(Reject::invalid_json)?;
        json::check_depth(&inner, self.body_depth_max)?;
        Ok(Cow::Owned(inner))
    }
}
