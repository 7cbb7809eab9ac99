//! What was measured, as a table and as JSON.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::machine::Limits;
use crate::output::Table;

/// The results of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    version: &'static str,
    /// Numbers of a debug build mean nothing.
    debug_build: bool,
    cores: usize,
    results: Vec<Row>,
}

/// One result.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    /// In `unit`.
    value: f64,
    unit: &'static str,
    /// For people.
    shown: String,
    /// What it is to be seen beside.
    beside: String,
}

/// Microseconds, three digits exact, up to an hour.
#[derive(Debug)]
pub(super) struct Times(Histogram<u64>);

impl Report {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut report = Self {
            version: env!("CARGO_PKG_VERSION"),
            debug_build: cfg!(debug_assertions),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            results: Vec::new(),
        };
        report.rate("machine: 1 MiB write + fdatasync", limits.large_writes, "");
        report.millis(
            "machine: 4 KiB write + fdatasync, p50",
            limits.small_write_ms,
            "",
        );
        report.rate("machine: memory copy", limits.memory_copy, "");
        report
    }

    /// A rate in bytes per second.
    pub(super) fn rate(&mut self, name: &str, bytes_per_second: f64, beside: impl Into<String>) {
        let shown = super::rate(bytes_per_second);
        self.push(name, bytes_per_second, "bytes/s", shown, beside);
    }

    /// A time.
    pub(super) fn millis(&mut self, name: &str, millis: f64, beside: impl Into<String>) {
        let shown = if millis < 10.0 {
            format!("{millis:.3} ms")
        } else {
            format!("{millis:.0} ms")
        };
        self.push(name, millis, "ms", shown, beside);
    }

    /// A size.
    pub(super) fn bytes(&mut self, name: &str, bytes: f64, beside: impl Into<String>) {
        let shown = crate::units::Size(bytes as u64).to_string();
        self.push(name, bytes, "bytes", shown, beside);
    }

    /// The results, aligned.
    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(&["WHAT", "RESULT", "BESIDE"]);
        for row in &self.results {
            table.row([&row.name, &row.shown, &row.beside]);
        }
        table
    }

    fn push(
        &mut self,
        name: &str,
        value: f64,
        unit: &'static str,
        shown: String,
        beside: impl Into<String>,
    ) {
        let name = name.to_owned();
        self.results.push(Row {
            name,
            value,
            unit,
            shown,
            beside: beside.into(),
        });
    }
}

impl Times {
    /// No times yet.
    pub(super) fn new() -> Self {
        #[expect(
            clippy::unwrap_used,
            reason = "these constants are in the range that is taken"
        )]
        Self(Histogram::new_with_bounds(1, 3_600_000_000, 3).unwrap())
    }

    /// Notes one.
    pub(super) fn note(&mut self, time: std::time::Duration) {
        self.0
            .saturating_record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The time that this part of all (0 to 1) does not exceed, in milliseconds.
    pub(super) fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }
}
