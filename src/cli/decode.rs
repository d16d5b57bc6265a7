//! `decode`: what becomes of a body, field by field, or why nothing does. Needs no broker.

use std::fs::File;
use std::io::{Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::plain::plain;
use crate::broker::decode::{Decoded, Decoder, Payload, text_headers};
use crate::config::Settings;
use crate::payment::{Event, Money};

/// Enough to see that a body is too large, and by how much.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The body as it would be published; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The routing key, by which mappings are chosen
    #[arg(long, value_name = "KEY", default_value = "payment.result.test")]
    routing_key: String,
    /// The property content-type. The form of a body is found by looking, so this changes nothing
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The property message-id
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
    /// The property app-id. What has payment-notifier there is in the plain form, and no mapping reads it
    #[arg(long, value_name = "ID")]
    app_id: Option<String>,
    /// The property timestamp, in seconds since 1970
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<u64>,
    /// A header, e.g. cloudEvents_id=17. May be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && name.len() < 256 => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".to_owned()),
    }
}

pub(super) fn run(settings: &Settings, args: &Args) -> Result<(), Failure> {
    let decoder = Decoder::new(&settings.payments)?;
    let body = body(&args.file).map_err(|error| format!("{}: {error}", args.file.display()))?;
    let headers = text_headers(args.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let payload = Payload {
        routing_key: &args.routing_key,
        body: &body,
        message_id: args.message_id.as_deref(),
        app_id: args.app_id.as_deref(),
        timestamp: args.timestamp,
        headers: Some(&headers),
    };
    let explained = decoder.explain(&payload);
    let mut out = stdout().lock();
    let by = explained.mapping.map_or("none".to_owned(), |number| format!("number {number} of payments.mappings"));
    print(&mut out, "mapping", &by, "")?;
    match &explained.decoded {
        Ok(Decoded::Event(event)) => {
            for (field, value) in fields(event) {
                print(&mut out, field, &value, explained.origin(field).unwrap_or_default())?;
            }
            Ok(())
        }
        Ok(Decoded::Ignored { .. }) => {
            let status = explained.origin("status").unwrap_or_default();
            print(&mut out, "ignored", "in statuses_ignored: acknowledged and counted, not stored", status)?;
            Ok(())
        }
        Err(reject) => {
            print(&mut out, "x-reason", reject.code, "")?;
            print(&mut out, "x-error", &reject.sentence, "")?;
            out.flush()?;
            Err(format!("it would be dead-lettered: {}", reject.code).into())
        }
    }
}

fn body(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if file == Path::new("-") {
        stdin().lock().take(FILE_BYTES_MAX).read_to_end(&mut body)?;
    } else {
        File::open(file)?.take(FILE_BYTES_MAX).read_to_end(&mut body)?;
    }
    Ok(body)
}

/// The field, what it is, and where that comes from.
fn print(out: &mut impl Write, field: &str, value: &str, origin: &str) -> std::io::Result<()> {
    let value = plain(value);
    let line = if origin.is_empty() { value } else { format!("{value:<35} {}", plain(origin)) };
    writeln!(out, "{field:<24} {line}")
}

/// What is set, in the order of docs/PROTOCOL.md.
fn fields(event: &Event) -> Vec<(&'static str, String)> {
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    let reason = event.reason.as_ref();
    let fields = [
        ("event_id", Some(event.event_id.to_string())),
        ("merchant_id", Some(event.key.merchant_id.to_string())),
        ("order_id", Some(event.key.order_id.to_string())),
        ("status", Some(event.status.to_string())),
        ("occurred_at", Some(event.occurred_at.to_string())),
        ("amount", event.amount.map(money)),
        ("provider", text(&event.provider)),
        ("provider_transaction_id", text(&event.provider_transaction_id)),
        ("provider_status", text(&event.provider_status)),
        ("refund.status", event.refund.map(|refund| refund.status.as_str().to_owned())),
        ("refund.amount", event.refund.and_then(|refund| refund.amount).map(money)),
        ("reason.code", reason.and_then(|reason| text(&reason.code))),
        ("reason.message", reason.and_then(|reason| text(&reason.message))),
        ("display", event.display.as_ref().map(|display| display.as_str().to_owned())),
    ];
    fields.into_iter().filter_map(|(field, value)| Some((field, value?))).collect()
}

fn money(money: Money) -> String {
    format!("{} {}", money.value(), String::from(money.currency()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payment::{Currency, EventId, Key, MerchantId, OrderId, Status, Timestamp};

    #[test]
    fn what_is_set_is_shown_and_nothing_else() {
        let key = Key::new(MerchantId::new("shop").unwrap(), OrderId::new("o|1").unwrap());
        let at = Timestamp::parse("2026-11-28T13:30+08:00").unwrap();
        let mut event = Event::new(key, EventId::new("e-1").unwrap(), Status::Succeeded, at);
        event.amount = Some(Money::new(1999, Currency::new("CNY").unwrap()).unwrap());
        let shown: Vec<String> = fields(&event).into_iter().map(|(field, value)| format!("{field}={value}")).collect();
        assert_eq!(
            shown,
            [
                "event_id=e-1",
                "merchant_id=shop",
                "order_id=o|1",
                "status=succeeded",
                "occurred_at=2026-11-28T13:30:00+08:00",
                "amount=1999 CNY",
            ]
        );
    }

    #[test]
    fn a_header_has_a_name() {
        assert_eq!(header("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(header("=b").is_err() && header("a").is_err());
    }
}
