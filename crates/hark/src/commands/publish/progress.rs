//! Which lines are safe, and the file that says so.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use super::ranges::Ranges;
use crate::exit::{Outcome, While as _};

/// What is acknowledged of the input.
#[derive(Debug)]
pub(super) struct Progress {
    /// Lines from the first on that are acknowledged without a gap.
    complete: u64,
    /// Acknowledged lines behind a gap.
    ahead: Ranges,
    /// Size of the batches of both.
    bytes: u64,
    /// Acknowledged lines that were there already when they were sent again.
    recognised: u64,
    /// Lines that were sent and have no answer yet.
    open: u64,
    acks: Option<File>,
}

impl Progress {
    pub(super) fn new(acks_file: Option<&PathBuf>) -> Outcome<Self> {
        let append = |path| File::options().create(true).append(true).open(path);
        let acks = acks_file.map(append).transpose();
        Ok(Self {
            complete: 0,
            ahead: Ranges::default(),
            bytes: 0,
            recognised: 0,
            open: 0,
            acks: acks.while_doing("open the file for acknowledgements")?,
        })
    }

    /// These lines go out.
    pub(super) const fn send(&mut self, lines: &Ranges) {
        self.open += lines.count();
    }

    /// These lines are known not to be there.
    pub(super) const fn withdraw(&mut self, lines: &Ranges) {
        self.open = self.open.saturating_sub(lines.count());
    }

    /// These lines were there already.
    pub(super) const fn recognise(&mut self, lines: &Ranges) {
        self.recognised += lines.count();
    }

    /// These lines are safe.
    pub(super) fn acknowledge(&mut self, lines: &Ranges, bytes: usize) -> Outcome {
        self.withdraw(lines);
        self.bytes += bytes as u64;
        self.ahead.extend(lines);
        let first = self.complete + 1;
        match self.ahead.take_run_at(first) {
            None => Ok(()),
            Some(last) => {
                self.complete = last;
                self.write(first, last)
            }
        }
    }

    /// Nothing more will come: tells the file of the lines behind a gap, too.
    pub(super) fn finish(&mut self) -> Outcome {
        let runs: Vec<_> = self.ahead.runs().collect();
        let mut runs = runs.into_iter();
        runs.try_for_each(|(first, last)| self.write(first, last))
    }

    /// Lines from the first on that are acknowledged without a gap.
    pub(super) const fn complete(&self) -> u64 {
        self.complete
    }

    /// All acknowledged lines.
    pub(super) const fn lines(&self) -> u64 {
        self.complete + self.ahead.count()
    }

    /// Size of the batches that hold them.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Acknowledged lines that were there already when they were sent again.
    pub(super) const fn recognised(&self) -> u64 {
        self.recognised
    }

    /// Lines that were sent and never had an answer: they are there, or they are not.
    pub(super) const fn uncertain(&self) -> u64 {
        self.open
    }

    fn write(&mut self, first: u64, last: u64) -> Outcome {
        let Some(file) = &mut self.acks else {
            return Ok(());
        };
        let line = format!("{first} {last}\n");
        file.write_all(line.as_bytes())
            .while_doing("write the acknowledgements")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_grows_without_gaps_until_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acks");
        let mut progress = Progress::new(Some(&path)).unwrap();
        let said = || std::fs::read_to_string(&path).unwrap();
        let mut acknowledge = |numbers: &[u64]| {
            let mut lines = Ranges::default();
            numbers.iter().for_each(|&number| lines.insert(number));
            progress.send(&lines);
            progress.acknowledge(&lines, 10).unwrap();
            (progress.complete(), progress.lines())
        };
        assert_eq!(acknowledge(&[2, 4]), (0, 2));
        assert_eq!(said(), "");
        assert_eq!(acknowledge(&[1]), (2, 3));
        assert_eq!(acknowledge(&[5, 7, 8]), (2, 6));
        assert_eq!(said(), "1 2\n");
        progress.finish().unwrap();
        assert_eq!(said(), "1 2\n4 5\n7 8\n");
        assert_eq!((progress.bytes(), progress.uncertain()), (30, 0));
    }
}
