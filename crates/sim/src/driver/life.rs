//! The driver's lives, and what is checked between and within them.

use std::fmt::Write as _;

use seglog::disk::sim::SimDisk;

use super::Driver;
use crate::check::recovery::{self, Found};
use crate::check::{S2, S10, Violation, acks, ensure};
use crate::history::Presence;
use crate::plan::{SLOTS, Step};

impl Driver {
    pub(super) fn reopen(&mut self) -> Result<(), Violation> {
        if self.log.is_some() {
            self.close();
            let open = self.history.lock().waiting().count();
            ensure(open == 0, S2, || {
                format!("{open} appends unanswered after a close")
            })?;
        }
        self.open()
    }

    /// The process dies, the machine does not: the page cache stays.
    pub(crate) fn restart(&mut self) -> Result<(), Violation> {
        self.bury()?;
        self.open()
    }

    /// The process is gone; what it promised is still to be kept.
    pub(crate) fn bury(&mut self) -> Result<(), Violation> {
        self.check_acks()?;
        self.log = None;
        Ok(())
    }

    /// Closes in good order and leaves it closed.
    pub(crate) fn close(&mut self) {
        if let Some(log) = self.log.take() {
            log.close();
        }
    }

    /// The machine dies; `disk` is what is found afterwards.
    pub(crate) fn crash_to(&mut self, disk: SimDisk) -> Result<(), Violation> {
        self.bury()?;
        self.disk = disk;
        (self.ops_seen, self.born_at) = (0, 0);
        self.history.lock().acks.clear();
        let _ = writeln!(self.trace, "power cut");
        self.open()
    }

    pub(crate) fn open(&mut self) -> Result<(), Violation> {
        self.born_at = self.disk.op_count();
        let (log, found) = recovery::s3_a_torn_tail_is_cut_without_complaint(&self.disk)?;
        recovery::s2_recovery_is_a_prefix_with_every_ack(&found, &self.history.lock())?;
        self.history.lock().adopt(&found.bounds());
        for slot in &mut self.slots {
            let gone =
                |place: &mut usize| self.history.lock().at(*place).presence != Presence::Present;
            let _ = slot.take_if(gone);
        }
        self.log = Some(log);
        self.note_ops();
        Ok(())
    }

    // -- checks ----------------------------------------------------------------

    /// What the store holds now is exactly what was acked.
    pub(crate) fn check_now(&self) -> Result<Option<Found>, Violation> {
        let Some(log) = &self.log else {
            return Ok(None);
        };
        let found = Found::read(log)?;
        let history = self.history.lock();
        recovery::s2_recovery_is_a_prefix_with_every_ack(&found, &history)?;
        drop(history);
        self.check_ends()?;
        recovery::find_times(log, &found)?;
        Ok(Some(found))
    }

    /// Nothing is readable that was not acked, whatever became of the store.
    pub(crate) fn check_ends(&self) -> Result<(), Violation> {
        let Some(log) = &self.log else { return Ok(()) };
        let history = self.history.lock();
        for partition in &history.partitions {
            let Ok(bounds) = log.bounds(partition.id) else {
                continue;
            };
            let (end, acked) = (bounds.end, partition.acked_end());
            ensure(end == acked, S2, || {
                format!("{} is readable to {end}, acked to {acked}", partition.id)
            })?;
        }
        Ok(())
    }

    /// Everything the operation log of this life says about its acks.
    pub(crate) fn check_acks(&self) -> Result<(), Violation> {
        let ops = self.disk.ops_since(0);
        let history = self.history.lock();
        acks::s1_acked_bytes_were_synced(&ops, &history)?;
        let life = self.disk.ops_since(self.born_at);
        acks::s4_a_failed_write_or_sync_stops_the_store(&life, &history)?;
        acks::s6_acked_files_have_durable_names(&ops, &history)
    }

    /// Once there is space, everything queued afterwards is taken and acked again.
    pub(crate) fn check_takes_appends(&mut self) -> Result<(), Violation> {
        for _ in 0..8 {
            for step in [Step::Commit, Step::Settle, Step::Checkpoint] {
                self.step(step)?;
            }
        }
        let Some(slot) = (0..SLOTS).find(|slot| self.partition(*slot).is_some()) else {
            return Ok(());
        };
        let before = self.history.lock().acks.len();
        self.step(Step::Append {
            slot,
            records: 1,
            value_bytes: 100,
        })?;
        self.step(Step::Commit)?;
        let after = self.history.lock().acks.len();
        ensure(after > before, S10, || {
            "there is space, and appends are still refused".to_owned()
        })
    }

    /// [`Driver::check_now`] for a disk on which reads may fail.
    pub(crate) fn check_now_if_readable(&self) -> Result<(), Violation> {
        if self.disk.has_faults() {
            Ok(())
        } else {
            self.check_now().map(|_| ())
        }
    }
}
