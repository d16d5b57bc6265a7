//! Log lines on standard output, and spans to an OpenTelemetry collector where one is set.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use percent_encoding::percent_decode_str;
use tokio::runtime::Handle;
use tracing::{Level, Metadata, Subscriber, info, warn};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::{Registry, fmt as format};

use super::trace;
use crate::config::{LogFormat, Telemetry};

/// For one batch of spans to reach the collector.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the last spans to reach the collector when the program ends.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why logs or traces cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter cannot be read.
    #[error("telemetry.log_filter {filter:?}: {reason}")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The collector's address cannot be used.
    #[error("telemetry.otlp_endpoint: {0}")]
    Collector(String),
    /// Something else in this process has set up logs.
    #[error("logging is already set up")]
    Taken,
}

/// Holds what has to be flushed. To be shut down as the last of all.
#[must_use = "spans that are not flushed are lost"]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

impl Guard {
    /// Sends what the collector has not got yet, within 5 s. Log lines need no flushing.
    pub async fn shutdown(self) {
        let Some(provider) = self.provider else {
            return;
        };
        // Blocks until the exporting thread has ended, and that thread needs this runtime.
        let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT)).await;
        if !matches!(ended, Ok(Ok(()))) {
            warn!("the last spans did not reach the collector");
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

/// Sets up logs and traces for the whole process. To be called once, by the program, within a tokio runtime, after a
/// rustls provider is installed if a collector is set.
///
/// # Errors
/// [`Error`], which names the setting.
pub fn init(settings: &Telemetry, instance: &str) -> Result<Guard, Error> {
    let (subscriber, guard) = build(settings, instance, std::io::stdout)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_taken| Error::Taken)?;
    Ok(guard)
}

/// Proves that the settings can be used, without setting anything up.
///
/// # Errors
/// [`Error::Filter`] and [`Error::Collector`].
pub fn check(settings: &Telemetry) -> Result<(), Error> {
    env_filter(settings)?;
    match settings.otlp_endpoint.expose() {
        "" => Ok(()),
        endpoint => collector(endpoint).map(drop),
    }
}

fn env_filter(settings: &Telemetry) -> Result<EnvFilter, Error> {
    let parsed = EnvFilter::builder().with_regex(false).parse(&settings.log_filter);
    parsed.map_err(|error| Error::Filter { filter: settings.log_filter.clone(), reason: error.to_string() })
}

fn build<W>(
    settings: &Telemetry,
    instance: &str,
    writer: W,
) -> Result<(impl Subscriber + Send + Sync + use<W>, Guard), Error>
where
    W: for<'a> MakeWriter<'a, Writer: Write> + Send + Sync + 'static,
{
    let filter = env_filter(settings)?.and(filter_fn(shows_no_body));
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match settings.log_format {
        LogFormat::Json => {
            let json = format::layer().json().with_current_span(false).with_span_list(false);
            json.with_writer(writer).with_filter(filter).boxed()
        }
        LogFormat::Pretty => format::layer().with_writer(writer).with_filter(filter).boxed(),
    };
    let provider = match settings.otlp_endpoint.expose() {
        "" => None,
        endpoint => Some(provider(endpoint, instance)?),
    };
    let spans = provider.as_ref().map(|provider| {
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("payment-notifier"));
        let layer = layer.with_location(false).with_threads(false).with_tracked_inactivity(false);
        layer.with_filter(filter_fn(|metadata| metadata.target() == trace::TARGET))
    });
    Ok((tracing_subscriber::registry().with(lines).with(spans), Guard { provider }))
}

/// lapin prints messages whole: returned ones as a warning, all frames at `trace`.
fn shows_no_body(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let of_lapin = target == "lapin" || target.starts_with("lapin::");
    !(of_lapin && (*metadata.level() == Level::TRACE || target == "lapin::returned_messages"))
}

/// The collector's address, and its headers. A login in the address becomes a header: HTTP clients print addresses.
fn collector(endpoint: &str) -> Result<(String, HashMap<String, String>), Error> {
    let malformed = || Error::Collector("is not an address".to_owned());
    let mut url = reqwest::Url::parse(endpoint).map_err(|_may_hold_a_password| malformed())?;
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let login = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let mut headers = HashMap::new();
    if login != ":" {
        url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| malformed())?;
        headers.insert("authorization".to_owned(), format!("Basic {}", STANDARD.encode(login)));
    }
    if url.fragment().is_some() {
        return Err(Error::Collector("must not have a fragment".to_owned()));
    }
    url.path_segments_mut().map_err(|()| malformed())?.pop_if_empty().extend(["v1", "traces"]);
    Ok((url.into(), headers))
}

fn provider(endpoint: &str, instance: &str) -> Result<SdkTracerProvider, Error> {
    let Ok(runtime) = Handle::try_current() else {
        return Err(Error::Collector("needs a tokio runtime".to_owned()));
    };
    let (address, headers) = collector(endpoint)?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address)
        .with_headers(headers)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .map_err(|error| Error::Collector(error.to_string()))?;
    let resource = Resource::builder_empty().with_service_name("payment-notifier").with_attributes([
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance.to_owned()),
    ]);
    let exporter = OnRuntime { exporter, runtime, failing: AtomicBool::new(false) };
    Ok(SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build())
}

/// The batch processor exports from a thread of its own, and the HTTP client needs a tokio runtime around it.
#[derive(Debug)]
struct OnRuntime {
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Handle,
    failing: AtomicBool,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let mut export = pin!(self.exporter.export(batch));
        let answer = std::future::poll_fn(|context| {
            let _entered = self.runtime.enter();
            export.as_mut().poll(context)
        })
        .await;
        match &answer {
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => info!("collector accepts spans again"),
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                warn!(%error, "collector does not accept spans")
            }
            _ => {}
        }
        answer
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Secret;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::extract::State;
    use axum::routing::post;
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;

    use super::*;

    fn settings(filter: &str, endpoint: &str) -> Telemetry {
        Telemetry { log_format: LogFormat::Json, log_filter: filter.into(), otlp_endpoint: Secret::new(endpoint) }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn spans_go_below_the_path_and_a_query_stays_one() {
        for (endpoint, address) in [
            ("http://c.example:4318", "http://c.example:4318/v1/traces"),
            ("https://u:p@c.example/otlp/?api_key=K", "https://c.example/otlp/v1/traces?api_key=K"),
        ] {
            assert_eq!(collector(endpoint).unwrap().0, address);
        }
        assert!(check(&settings("info", "https://c.example/#x")).is_err());
    }

    #[test]
    fn a_wrong_filter_names_its_setting() {
        let error = build(&settings("payment_notifier=loud", ""), "n", std::io::sink).err().unwrap();
        assert!(error.to_string().starts_with("telemetry.log_filter \"payment_notifier=loud\""), "{error}");
    }

    #[test]
    fn lines_are_json_and_no_filter_shows_what_lapin_prints_of_messages() {
        let lines = Lines::default();
        let writer = {
            let lines = lines.clone();
            move || lines.clone()
        };
        let (subscriber, _guard) = build(&settings("trace", ""), "n", writer).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(order_id = "o-1", "stored");
            tracing::warn!(target: "lapin::returned_messages", "body-1");
            tracing::trace!(target: "lapin::channels", "body-2");
            tracing::debug!(target: "lapin::channels", "kept");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let fields = &first["fields"];
        assert_eq!((&fields["message"], &fields["order_id"]), (&"stored".into(), &"o-1".into()));
        assert!(text.contains("kept") && !text.contains("body-"), "{text}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_span_reaches_the_collector_with_the_publishers_trace_id() {
        // Another test of this process may have installed it.
        let _either = rustls::crypto::ring::default_provider().install_default();
        let (bodies, mut received) = mpsc::channel::<Bytes>(8);
        let take = |State(bodies): State<mpsc::Sender<Bytes>>, body: Bytes| async move {
            bodies.send(body).await.unwrap();
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let collector = axum::serve(listener, Router::new().route("/v1/traces", post(take)).with_state(bodies));
        crate::runtime::Tasks::new().spawn(async move { collector.await.unwrap() });

        let (subscriber, guard) = build(&settings("info", &endpoint), "node-7", std::io::sink).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let span = trace::delivery(Some(parent), "e-1", "order-1", "shop");
            assert!(!span.is_disabled());
            trace::outcome(&span, "applied");
        });
        guard.shutdown().await;
        let body = tokio::time::timeout(Duration::from_secs(10), received.recv()).await.unwrap().unwrap();
        let holds = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
        let trace_id = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes();
        assert!(holds(&trace_id), "the trace id");
        assert!(holds(&0xb7ad_6b71_6920_3331_u64.to_be_bytes()), "the parent's span id");
        for text in ["payment result", "order-1", "e-1", "shop", "applied", "node-7", "payment-notifier"] {
            assert!(holds(text.as_bytes()), "{text}");
        }
    }
}
