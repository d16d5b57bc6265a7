//! Log lines for people or for collectors, and traces to an OpenTelemetry collector where one is set.
