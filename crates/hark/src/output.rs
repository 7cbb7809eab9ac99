//! What a command shows: a table for a person, JSON for a program.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::exit::{Outcome, While as _};
use crate::text::{escaped, escaped_json, escaped_lines};

/// How to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Aligned columns for a person.
    #[default]
    Table,
    /// One JSON document for a program.
    Json,
}

/// Standard output, locked and buffered.
#[derive(Debug)]
pub(crate) struct Out {
    /// How to show.
    pub format: Format,
    /// Whether a person is looking.
    pub terminal: bool,
    to: BufWriter<StdoutLock<'static>>,
}

/// Rows under a header. Cells are aligned to the left.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Out {
    /// Standard output in this format.
    pub(crate) fn new(format: Format) -> Self {
        let stdout = io::stdout();
        Self {
            format,
            terminal: stdout.is_terminal(),
            to: BufWriter::new(stdout.lock()),
        }
    }

    /// Shows a value as the table or as JSON.
    pub(crate) fn show(
        &mut self,
        value: &impl Serialize,
        table: impl FnOnce() -> Table,
    ) -> Outcome {
        match self.format {
            Format::Json => self.json(value),
            Format::Table => self.line(&table().text()),
        }
    }

    /// One line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Outcome {
        let text = serde_json::to_string(value).while_doing("write JSON")?;
        if self.terminal {
            // JSON itself lets some characters stand that a terminal obeys.
            self.line(&escaped_json(&text))
        } else {
            self.line(&text)
        }
    }

    /// One line (or several) as it is.
    pub(crate) fn line(&mut self, text: &str) -> Outcome {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Text from outside: escaped when it goes to a terminal.
    pub(crate) fn foreign(&mut self, text: &str) -> Outcome {
        if self.terminal {
            self.bytes(escaped(text).as_bytes())
        } else {
            self.bytes(text.as_bytes())
        }
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        Ok(self.to.write_all(bytes)?)
    }

    /// Hands everything to the system.
    pub(crate) fn flush(&mut self) -> Outcome {
        Ok(self.to.flush()?)
    }
}

impl Table {
    /// A table with this header.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()],
        }
    }

    /// Adds a row.
    pub(crate) fn row<C: ToString>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(
            cells
                .into_iter()
                .map(|cell| escaped(&cell.to_string()).into())
                .collect(),
        );
    }

    /// The aligned lines, without a line end after the last.
    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let lines: Vec<String> = self.rows.iter().map(|row| aligned(row, &widths)).collect();
        lines.join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell: &String| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        (0..columns).map(width).collect()
    }
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let cells = row
        .iter()
        .zip(widths)
        .map(|(cell, &width)| format!("{cell:<width$}"));
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// Says something to the person beside the output: progress, warnings, what happens next. What a
/// server said may be part of it, so it is made harmless.
pub(crate) fn note(text: &str) {
    // There is nobody to tell that standard error is closed.
    let _ = writeln!(io::stderr(), "{}", escaped_lines(text));
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_are_harmless() {
        let mut table = Table::new(&["NAME", "PARTITIONS"]);
        table.row(["orders", "8"]);
        table.row(["a\u{1b}[2J", "12"]);
        expect![[r#"
            NAME      PARTITIONS
            orders    8
            a\x1b[2J  12"#]]
        .assert_eq(&table.text());
    }
}
