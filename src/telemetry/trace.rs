//! One span for each payment result, in the trace that its publisher began.

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of these spans: the collector takes them all, log lines none unless the filter names it.
pub(super) const TARGET: &str = "payment_notifier::trace";

/// A span from the delivery of an event to its acknowledgement, as a child of `traceparent` where that is valid. It ends
/// when it is dropped. Costs next to nothing while no collector is set: the span is then disabled.
#[must_use]
pub fn delivery(traceparent: Option<&str>, event_id: &str, order_id: &str, merchant_id: &str) -> Span {
    let span = tracing::debug_span!(
        target: TARGET,
        "payment result",
        otel.kind = "consumer",
        event_id,
        order_id,
        merchant_id,
        trace_id = Empty,
        outcome = Empty,
    );
    if !span.is_disabled()
        && let Some(parent) = traceparent.and_then(parse)
    {
        span.record("trace_id", display(parent.trace_id()));
        // Fails only where no collector is set, and then nothing wants the parent.
        drop(span.set_parent(Context::new().with_remote_span_context(parent)));
    }
    span
}

/// Notes what became of the event.
pub fn outcome(span: &Span, outcome: &'static str) {
    span.record("outcome", outcome);
}

/// W3C trace context, `traceparent`: `00-<32 hex>-<16 hex>-<2 hex>`, lower case, ids not zero. A later version may have
/// more behind another dash.
fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.trim().split('-');
    let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known_length = version != "00" || parts.next().is_none();
    let hex = |text: &str, digits| {
        text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    if !hex(version, 2) || version == "ff" || !hex(trace_id, 32) || !hex(span_id, 16) || !hex(flags, 2) || !known_length
    {
        return None;
    }
    let context = SpanContext::new(
        TraceId::from_hex(trace_id).ok()?,
        SpanId::from_hex(span_id).ok()?,
        TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_as_w3c_says() {
        let context = parse(GOOD).unwrap();
        assert_eq!(context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert!(context.is_sampled() && context.is_remote());
        assert!(!parse(&GOOD.replace("-01", "-00")).unwrap().is_sampled());
        assert!(parse(&format!("cc{}-what", &GOOD[2..])).is_some());
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replacen("00", "ff", 1),
            &format!("{GOOD}-more"),
            &GOOD[..54],
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn without_a_collector_the_span_is_disabled() {
        let nobody = tracing::subscriber::NoSubscriber::default();
        tracing::subscriber::with_default(nobody, || {
            assert!(delivery(Some(GOOD), "e", "o", "m").is_disabled());
        });
    }
}
